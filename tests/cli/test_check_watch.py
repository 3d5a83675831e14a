"""``kvbench check --watch``: what failed is checked again when the server comes back, mended."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from kvbench.local_server import LocalServer, free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def serve(name, port):
    """A server of tests.conformance.broken_servers in a process of its own."""
    command = (
        f"cd {ROOT} && exec {sys.executable} -m tests.conformance.broken_servers {name} {port}"
    )
    server = LocalServer(["sh", "-c", command])
    try:
        server.wait_for_line("listening")
        yield
    finally:
        server.stop()


def lines_until(stream, words):
    """All lines up to the one with these words."""
    lines = []
    for line in stream:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"no {words!r} in {lines}")


def test_what_failed_is_checked_again_and_then_the_whole(tmp_path):
    port = free_port()
    command = [sys.executable, "-P", "-m", "kvbench", "check", f"127.0.0.1:{port}", "--watch"]
    options = ["--only", "PING-*", "--only", "VALUE-001", "--only", "GET-002"]
    process = subprocess.Popen(
        [*command, *options], text=True, cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        seen = lines_until(process.stderr, "watching")
        assert "no connection" in seen, "it waits for a server"
        with serve("BoolsBecomeInts", port):
            seen = lines_until(process.stderr, "watching")
            assert "1 clause when it comes back" in seen
        with serve("ThreadedDispatcher", port):
            seen = lines_until(process.stderr, "watching")
            assert "the whole when it comes back" in seen
        with serve("ThreadedDispatcher", port):
            lines_until(process.stderr, "watching")
            process.send_signal(signal.SIGINT)
            output = process.stdout.read()
    assert process.wait(10) == 0
    ends = [
        line for line in output.splitlines() if f"127.0.0.1:{port} " in line and "suite," in line
    ]
    assert len(ends) == 3
    assert "does not conform, 1 clause violated" in ends[0]
    assert "partial (subset)" in ends[1]
    assert output.count("Not kept") == 1
