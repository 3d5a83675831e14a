"""Time that the measuring process and its servers waited for a core used by something else.

The kernel counts the time in which a thread was ready to run but did not run (run delay, the second
field of /proc/PID/schedstat), and a hypervisor reports the time given to others (steal). The store
causes neither: a high value means that the machine was busy. Processes under SCHED_IDLE, which keep
the cores awake, yield at once and add nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_STEAL_FIELD = 8


def waited_ns(pids: tuple[int, ...] = ()) -> int:
    """Nanoseconds that this process and ``pids`` waited so far; 0 if the kernel has no figure."""
    return sum(map(_run_delay_ns, (os.getpid(), *pids))) + _steal_ns()


def descendants() -> tuple[int, ...]:
    """The descendants of this process."""
    parents: dict[int, int] = {}
    for entry in _PROC.glob("[0-9]*"):
        # The name in brackets may contain spaces; the fields after it do not.
        fields = _read(entry / "stat").rpartition(")")[2].split()
        if len(fields) > 1:
            parents[int(entry.name)] = int(fields[1])
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return tuple(sorted(found - {os.getpid()}))


def _run_delay_ns(pid: int) -> int:
    total = 0
    for task in _PROC.glob(f"{pid}/task/*/schedstat"):
        fields = _read(task).split()
        total += int(fields[1]) if len(fields) > 1 else 0
    return total


def _steal_ns() -> int:
    fields = _read(_PROC / "stat").partition("\n")[0].split()
    if len(fields) <= _STEAL_FIELD:
        return 0
    return int(fields[_STEAL_FIELD]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # The process has ended, or this system has no such file.
        return ""
