"""Builds something once for all processes that run tests side by side."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], Path]) -> Path:
    """What ``build`` makes in the folder that it gets; other processes wait, and get the same.

    A build that failed is tried again by the next process.
    """
    folder = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # That of the run; a worker's own folder is inside it.
    with (folder / f"{name}.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if made := lock.read():
            return Path(made)
        attempt = factory.mktemp(name)
        made = str(build(attempt))
        lock.write(made)
        return Path(made)
