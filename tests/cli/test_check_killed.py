"""``kvbench check`` ended by SIGKILL: keys that it leaves carry its prefix, and expire."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.wrong_servers import RightServer, serving
from tests.waiting import wait_until

DEADLINE_S = 60.0


@pytest.mark.parametrize(
    ("suite", "clause", "keys"), [("backend", "BBATCH-002", 20_000), ("wire", "INFO-002", 500)]
)
def test_keys_that_a_killed_check_leaves_end_by_themselves(suite, clause, keys, tmp_path):
    """The largest cases of both suites, killed in the middle."""
    dispatcher = RightServer()
    engine = dispatcher._engine
    with serving(dispatcher) as port:
        command = ["check", f"kvb://127.0.0.1:{port}", "--suite", suite, "--only", clause]
        process = subprocess.Popen(
            [sys.executable, "-m", "kvbench", *command, "--rigorous"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: len(engine._data) >= keys)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)
        # What the kernel still holds of the dead process is stored yet.
        count = -1
        while count != len(engine._data):
            count = len(engine._data)
            time.sleep(0.2)
    left = dict(engine._data)
    assert len(left) > keys // 2
    assert [key for key in left if not key.startswith(b"kvbench-check:")] == []
    endless = [key for key in left if engine._deadlines.get(key) is None]
    assert len(endless) <= 2
