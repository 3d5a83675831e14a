"""Spinners: one per core, of the idle class, gone with the block and with a killed parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench.bench import keep_awake as module
from kvbench.bench.keep_awake import keep_awake
from tests.waiting import wait_until

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs SCHED_IDLE")


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def no_quota(monkeypatch):
    """Spin here even where a container has a CPU quota: a few seconds of it do no harm."""
    monkeypatch.setattr(module, "_QUOTA_FILES", ())


@linux_only
def test_spinners_run_one_per_core_as_idle_and_end_with_the_block(no_quota):
    with keep_awake() as awake:
        assert awake.is_on
        assert len(awake.pids) == len(os.sched_getaffinity(0))
        wait_until(lambda: {os.sched_getscheduler(pid) for pid in awake.pids} == {os.SCHED_IDLE})
        wait_until(lambda: all(len(os.sched_getaffinity(pid)) == 1 for pid in awake.pids))
        assert set().union(*map(os.sched_getaffinity, awake.pids)) == os.sched_getaffinity(0)
        # In a session of their own they would get half of every core (autogroup scheduling).
        assert {os.getsid(pid) for pid in awake.pids} == {os.getsid(0)}
        assert all(os.getpgid(pid) != os.getpgid(0) for pid in awake.pids)
    assert not any(map(is_running, awake.pids))


@linux_only
def test_spinners_do_not_outlive_a_killed_parent():
    program = """
import time
from kvbench.bench import keep_awake as module
module._QUOTA_FILES = ()
with module.keep_awake() as awake:
    print(*awake.pids, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        pids = list(map(int, parent.stdout.readline().split()))
        assert pids
        assert all(map(is_running, pids))
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not any(map(is_running, pids)))


@linux_only
@pytest.mark.parametrize(("quota", "is_on"), [("max 100000", True), ("200000 100000", False)])
def test_a_cpu_quota_is_not_spent_on_spinning(monkeypatch, tmp_path, quota, is_on):
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    monkeypatch.setattr(module, "_QUOTA_FILES", (file, tmp_path / "missing"))
    with keep_awake() as awake:
        assert awake.is_on == is_on
        assert is_on or "quota" in awake.reason


def test_elsewhere_it_does_nothing_and_says_why(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with keep_awake() as awake:
        assert (awake.is_on, awake.pids) == (False, ())
        assert "Linux" in awake.reason


def test_it_can_be_declined():
    with keep_awake(False) as awake:
        assert not awake.is_on
        assert "--no-keep-awake" in awake.reason
