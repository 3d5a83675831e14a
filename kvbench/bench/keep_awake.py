"""Keeps the cores from sleeping during a measurement.

On a virtual machine an idle core sleeps, and waking it dominates a round trip: 120 µs against 22 to
35 µs on one machine. So one process per core spins under SCHED_IDLE, which yields at once to any
other work.

Two pitfalls. Linux first shares the CPU between sessions (autogroup): a spinner in a separate
session would take half a core from its parent even under SCHED_IDLE, so spinners, private servers
and workers stay in the parent's session. And under a CPU quota (a container with ``--cpus``) they
would use up the quota: there they are not started.

A spinner checks its parent's id every few microseconds of CPU time, and ends when that changes: it
cannot outlive a killed kvbench, even after SIGKILL.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SPINNER = """
import os, sys
parent, core = int(sys.argv[1]), int(sys.argv[2])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
os.sched_setaffinity(0, {core})
getppid, steps = os.getppid, range(200)
while getppid() == parent:
    for _ in steps:
        pass
"""

_QUOTA_FILES = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


@dataclass(frozen=True, slots=True)
class KeepAwake:
    """Whether the cores are kept awake.

    Attributes:
        is_on: True when spinners run.
        reason: how, or why not.
        pids: the spinners.
    """

    is_on: bool
    reason: str
    pids: tuple[int, ...] = ()


@contextmanager
def keep_awake(wanted: bool = True) -> Iterator[KeepAwake]:
    """Keep every core that this process may use awake during a ``with`` block."""
    obstacle = _obstacle() if wanted else "not wanted (--no-keep-awake)"
    if obstacle:
        yield KeepAwake(False, f"off: {obstacle}")
        return
    spinners: list[subprocess.Popen[bytes]] = []
    try:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, "-I", "-S", "-c", _SPINNER, str(os.getpid()), str(core)]
            # A separate process group: Ctrl-C in the terminal must reach only kvbench.
            spinners.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0))
        count = f"{len(spinners)} core{'s' if len(spinners) > 1 else ''}"
        yield KeepAwake(
            True,
            f"on: one SCHED_IDLE spinner on each of {count}",
            tuple([spinner.pid for spinner in spinners]),
        )
    finally:
        for spinner in spinners:
            spinner.kill()
        for spinner in spinners:
            spinner.wait()


def _obstacle() -> str:
    """Why cores cannot or should not be kept awake here; empty if they can."""
    if not sys.platform.startswith("linux"):
        return "needs Linux (SCHED_IDLE)"
    for path in _QUOTA_FILES:
        try:
            quota = path.read_text().split()[0]
        except (OSError, IndexError):
            continue
        if quota not in ("max", "-1"):
            return f"a CPU quota is set ({path}), which spinners would use up"
    return ""
