"""LocalServer: a child server ends with its parent, whatever ends the parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from kvbench.errors import KvConnectionError
from kvbench.local_server import SERVER_CPUS_VARIABLE, LocalServer
from tests.waiting import is_running, wait_until

SERVER = "import os, time; print('ready', os.getpid(), flush=True); time.sleep(300)"

PARENT = f"""
import sys, time
from kvbench.local_server import SERVER_CPUS_VARIABLE, LocalServer
server = LocalServer([sys.executable, "-c", {SERVER!r}])
print(server.wait_for_line("ready"), server._process.pid, flush=True)
time.sleep(300)
"""


def wait_until_gone(*pids: int) -> None:
    wait_until(lambda: not any(map(is_running, pids)), f"one of {pids} still runs")


def test_stop_ends_the_server_and_may_be_called_twice():
    server = LocalServer([sys.executable, "-c", SERVER])
    pid = int(server.wait_for_line("ready").split()[1])
    assert is_running(pid)
    server.stop()
    server.stop()
    wait_until_gone(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_when_its_parent_is_killed(how):
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        _, server, guard = parent.stdout.readline().split()
        os.kill(parent.pid, how)
    wait_until_gone(int(server), int(guard))


def test_the_server_ends_when_its_guard_is_killed():
    server = LocalServer([sys.executable, "-c", SERVER])
    pid = int(server.wait_for_line("ready").split()[1])
    os.kill(server._process.pid, signal.SIGKILL)
    wait_until_gone(pid)
    server.stop()


def test_a_server_that_ends_at_once_is_reported_with_its_last_words():
    server = LocalServer([sys.executable, "-c", "print('port taken'); raise SystemExit(1)"])
    with pytest.raises(KvConnectionError, match="did not start: port taken"):
        server.wait_for_line("ready")


def test_a_program_that_is_not_there_is_reported():
    with pytest.raises(KvConnectionError, match="cannot run /nowhere/server"):
        LocalServer(["/nowhere/server"]).wait_for_line("ready")


def test_a_server_that_never_gets_ready_is_given_up():
    server = LocalServer([sys.executable, "-c", "import time; time.sleep(300)"])
    with pytest.raises(KvConnectionError, match="not ready within"):
        server.wait_for_line("ready", timeout_s=0.3)


def test_a_line_reaches_the_server_and_is_refused_once_it_has_ended():
    server = LocalServer([sys.executable, "-c", "print('got', input(), flush=True)"])
    server.send_line("a line")
    assert server.wait_for_line("got") == "got a line"
    server.stop()
    with pytest.raises(KvConnectionError, match="the server has ended: got a line"):
        server.send_line("another")


def test_a_server_that_does_not_read_lines_is_stopped_all_the_same():
    """A megabyte of them is more than a pipe holds."""
    server = LocalServer([sys.executable, "-c", SERVER])
    pid = int(server.wait_for_line("ready").split()[1])
    server.send_line("x" * 1_000_000)
    server.stop()
    wait_until_gone(pid)


def cpus_of_a_server() -> str:
    code = "import os; print('cpus', sorted(os.sched_getaffinity(0)))"
    server = LocalServer([sys.executable, "-c", code])
    try:
        return server.wait_for_line("cpus")
    finally:
        server.stop()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPU affinity is Linux's")
@pytest.mark.parametrize("numbers", [1, 2])
def test_servers_run_on_the_cpus_that_a_variable_names(monkeypatch, numbers):
    cpus = sorted(os.sched_getaffinity(0))[-numbers:]
    monkeypatch.setenv(SERVER_CPUS_VARIABLE, ",".join(map(str, cpus)))
    assert cpus_of_a_server() == f"cpus {cpus}"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="CPU affinity is Linux's")
@pytest.mark.parametrize("cpus", ["", "1000"])
def test_cpus_that_are_not_there_change_nothing(monkeypatch, cpus):
    monkeypatch.setenv(SERVER_CPUS_VARIABLE, cpus)
    assert cpus_of_a_server() == f"cpus {sorted(os.sched_getaffinity(0))}"


def test_words_in_the_place_of_cpus_are_reported(monkeypatch):
    monkeypatch.setenv(SERVER_CPUS_VARIABLE, "all")
    with pytest.raises(KvConnectionError, match="KVBENCH_SERVER_CPUS is like 1 or 1,2, not 'all'"):
        LocalServer([sys.executable, "-c", SERVER]).wait_for_line("ready")
