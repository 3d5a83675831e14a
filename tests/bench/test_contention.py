"""Contention: waiting for a busy core is measured, for this process and its servers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvbench.bench.contention import descendants, waited_ns

SPIN_S = 0.4
BUSY = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print(1, flush=True)
while os.getppid() == int(sys.argv[2]):
    pass
"""
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=0)
print(child.pid, flush=True)
child.wait()
"""
HAS_SCHEDSTAT = Path("/proc/self/schedstat").exists()


@contextmanager
def busy_process(core):
    command = [sys.executable, "-c", BUSY, str(core), str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def one_core():
    cores = os.sched_getaffinity(0)
    core = max(cores)
    os.sched_setaffinity(0, {core})
    yield core
    os.sched_setaffinity(0, cores)


def spin():
    end = time.monotonic() + SPIN_S
    while time.monotonic() < end:
        pass


@pytest.mark.skipif(not HAS_SCHEDSTAT, reason="this kernel counts no run delay")
def test_waiting_for_a_shared_core_is_seen(one_core):
    with busy_process(one_core):
        before = waited_ns()
        spin()
        waited = waited_ns() - before
    assert waited > 0.15 * SPIN_S * 1e9


@pytest.mark.skipif(not HAS_SCHEDSTAT, reason="this kernel counts no run delay")
def test_a_server_that_waits_is_seen_as_well(one_core):
    with busy_process(one_core) as pid:
        before = waited_ns((pid,)) - waited_ns()
        spin()
        assert waited_ns((pid,)) - waited_ns() - before > 0.15 * SPIN_S * 1e9


def test_descendants_are_children_and_their_children():
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        grandchild = int(child.stdout.readline())
        found = descendants()
        child.stdin.close()
        child.wait(10)
    assert {child.pid, grandchild} <= set(found)
    assert os.getpid() not in found


def test_a_process_that_is_gone_has_waited_for_nothing():
    assert waited_ns((2**22 + 1,)) >= 0
