"""Wait for what another thread or process does. Time bounds the waiting, and proves nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

DEADLINE_S = 30.0
"""Long enough for a machine that does other work as well. Who waits this long has found a fault."""


def wait_until(
    condition: Callable[[], object], what: str = "it never happened", pause_s: float = 0.005
) -> None:
    """Return as soon as ``condition`` is true; fail with ``what`` after :data:`DEADLINE_S`."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            pytest.fail(what)
        time.sleep(pause_s)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
