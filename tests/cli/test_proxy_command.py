"""``kvbench proxy`` as a process: its lines, its signals, its exit codes, its input."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from click.testing import CliRunner

from kvbench.cli.proxy import command
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.proxy import target_address
from kvbench.registry import open_backend

KVBENCH = [sys.executable, "-P", "-m", "kvbench", "proxy"]
DEADLINE_S = 10.0


@pytest.fixture(scope="module")
def server():
    server = LocalServer(OWN_SERVER)
    yield server.wait_for_line("listening on").split()[-1]
    server.stop()


def start(*args, stdin=subprocess.DEVNULL):
    return subprocess.Popen(
        [*KVBENCH, *args],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, number=signal.SIGTERM):
    """Send a signal; the exit code, and what was printed."""
    process.send_signal(number)
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_what_to_use_and_in_the_end_what_went_through(server, number):
    with start(f"kvb://{server}/tasks", "--delay", "1ms") as process:
        address = process.stdout.readline().removeprefix("kvbench proxy listening on ").strip()
        use = process.stdout.readline()
        assert use == f"use kvb://{address}/tasks\n"
        with (
            open_backend(use.split()[1]) as through,
            open_backend(f"kvb://{server}/tasks") as store,
        ):
            through.set("a", b"1")
            assert store.get("a") == b"1"
        time.sleep(0.1)
        code, out, err = end(process, number)
    assert (code, err) == (0, "")
    one, total = out.splitlines()
    assert one.startswith("connection 1: ")
    assert one.endswith(" s")
    assert total.startswith("connections: 1; bytes to the target: ")


@pytest.mark.thorough
def test_data_on_its_way_arrives_before_an_orderly_end(server):
    """The request is under way for 0.3 s when the signal comes, and is carried out."""
    with start(server, "--delay", "600ms") as process:
        address = process.stdout.readline().split()[-1]
        with open_backend(f"kvb://{address}") as through:  # Its HELLO and INFO take a delay each.
            writer = threading.Thread(target=lambda: quietly(through.set, "late", b"1"))
            writer.start()
            time.sleep(0.1)
            assert end(process)[0] == 0
            writer.join()
    with open_backend(f"kvb://{server}") as store:
        assert store.get("late") == b"1"


def quietly(call, *args):
    with contextlib.suppress(ConnectionError):  # The proxy ends before the reply comes.
        call(*args)


def test_a_second_signal_stops_it_at_once(server):
    with start(server, "--delay", "20s") as process:
        address = process.stdout.readline().split()[-1]
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"x")
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert process.poll() is None, "the first signal waits for what is on its way"
            assert end(process)[0] == 128 + signal.SIGTERM, "0 is the end of an orderly stop"


def test_lines_on_its_input_set_the_delay(server):
    with start(server, stdin=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdin.write("delay 2ms\nfaster\ndelay 5\n delay 0.5ms \n")
        process.stdin.flush()
        assert process.stdout.readline() == "delay 2ms\n"
        assert process.stdout.readline() == "delay 0.5ms\n"
        code, out, err = end(process)
    assert code == 0
    assert "connections: 0" in out
    no_such_line, no_duration = err.splitlines()
    assert "as in delay 2ms" in no_such_line
    assert "'5' is not a duration" in no_duration


def test_the_end_of_its_input_is_not_its_end(server):
    with start(server, stdin=subprocess.PIPE) as process:
        address = process.stdout.readline().split()[-1]
        process.stdin.close()
        process.stdin = None
        time.sleep(0.1)
        with open_backend(f"kvb://{address}") as through:
            assert through.get("nothing") is None
        assert end(process)[0] == 0


def test_the_url_to_use_hides_a_password(server):
    with start(f"redis://user:hunter2@{server}/0") as process:
        lines = process.stdout.readline() + process.stdout.readline()
        code, out, err = end(process)
    assert code == 0
    assert "use redis://user:***@127.0.0.1:" in lines
    assert "hunter2" not in lines + out + err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "Missing argument 'TARGET'"),
        (["kvb://"], "names no server that runs"),
        (["memory://"], "not reached over TCP"),
        (["rediz://localhost"], "did you mean redis://?"),
        (["localhost"], "write HOST:PORT"),
        (["localhost:1", "--delay", "5"], "0.5ms"),
        (["localhost:1", "--delay", "2h"], "0.5ms"),
        (["localhost:1", "--delay", "61s"], "0 to 60 s"),
        (["localhost:1", "--jitter", "-1ms"], "0.5ms"),
        (["localhost:1", "--bandwidth", "fast"], "100Mbit/s"),
        (["localhost:1", "--bandwidth", "10"], "100Mbit/s"),
        (["localhost:1", "--cut-after", "1kb", "--port", "70000"], "65535"),
        (["localhost:1", "--cut-after", "some"], "4kB"),
        (["localhost:1", "--dellay", "1ms"], "--delay"),
    ],
    ids=lambda argument: " ".join(argument) if isinstance(argument, list) else "",
)
def test_a_mistake_is_one_line_and_code_2(args, words):
    done = subprocess.run([*KVBENCH, *args], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("kvbench: ")
    assert words in line


def test_a_target_that_is_down_is_one_line_and_code_4():
    gone = LocalServer(OWN_SERVER)
    address = gone.wait_for_line("listening on").split()[-1]
    gone.stop()
    done = subprocess.run([*KVBENCH, address], capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 4
    [line] = done.stderr.splitlines()
    assert line == (
        f"kvbench: cannot reach the target {address}: Connection refused; is its server running?"
    )


def test_a_taken_port_is_one_line_and_code_4(server):
    port = target_address(server).split(":")[1]
    done = subprocess.run(
        [*KVBENCH, server, "--port", port], capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert done.returncode == 4
    [line] = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in line


def test_the_help_has_examples():
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "kvbench proxy redis://127.0.0.1:6379/0 --delay 0.5ms" in result.output
