"""A server as a child process that always ends with its parent.

Between them is a guard, a small process whose standard input is a pipe from the parent. When the
parent closes the pipe or dies, even by SIGKILL, the guard reads end of file and stops the server:
SIGTERM, then SIGKILL. If the guard itself is killed, Linux sends the server SIGKILL (prctl
PR_SET_PDEATHSIG). The guard runs in a separate process group, so Ctrl-C in the terminal reaches
only the parent, which then stops the server gracefully. It stays in the parent's session: Linux
first shares a core between sessions (autogroup), and in another one a server would get half a core
beside the processes that keep the cores awake. The guard forwards the parent's lines to the
server's standard input.

The environment variable KVBENCH_SERVER_CPUS ("1", or "1,2") pins servers: the guard and all its
children run only on these CPUs. Without CPU affinity, or without these CPUs, it has no effect.

Run as a module (``python -m kvbench.local_server COMMAND...``) this file is that guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

from kvbench.errors import KvConnectionError

STOP_TIMEOUT_S = 3.0
"""Time between SIGTERM and SIGKILL: kvbench's server shuts down in well under a second."""

SERVER_CPUS_VARIABLE = "KVBENCH_SERVER_CPUS"
"""Set during measurements to keep servers off the load generator's cores."""

_PR_SET_PDEATHSIG = 1

OWN_SERVER = (sys.executable, "-P", "-m", "kvbench", "serve", "--port", "0")
"""The command for kvbench's server on a free port.

With -P Python does not search the working directory first: the child runs this kvbench, not a
checkout in the user's working directory.
"""


class LocalServer:
    """A running server process and its output.

    Args:
        command: program and arguments.
    """

    def __init__(self, command: Sequence[str]) -> None:
        guard = [sys.executable, "-P", "-m", "kvbench.local_server", *command]
        self._process = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._seen: list[str] = []
        threading.Thread(target=self._read_output, daemon=True).start()

    def _read_output(self) -> None:
        # Read until the end: a server that logs must not block on a full pipe.
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._lines.put(line.rstrip())
        self._lines.put(None)

    def wait_for_line(self, contains: str, timeout_s: float = 15.0) -> str:
        """The first line of output that contains a text.

        Raises:
            KvConnectionError: the server ended, or did not print it in time; its last lines are in
                the message. It is stopped.
        """
        end = time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                self.stop()
                raise KvConnectionError(
                    f"the server was not ready within {timeout_s:g} s: {self._last_words()}"
                ) from None
            if line is None:
                self.stop()
                raise KvConnectionError(f"the server did not start: {self._last_words()}")
            self._seen.append(line)
            if contains in line:
                return line

    def send_line(self, line: str) -> None:
        """Write a line to the server's standard input.

        Raises:
            KvConnectionError: the server has ended.
        """
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(f"{line}\n")
            stdin.flush()
        except (OSError, ValueError):  # ValueError: stopped, and the pipe closed.
            raise KvConnectionError(f"the server has ended: {self._last_words()}") from None

    def _last_words(self) -> str:
        return " / ".join(self._seen[-3:]) or "it printed nothing"

    def stop(self) -> None:
        """Stop the server and wait for it. May be called twice."""
        stdin = self._process.stdin
        if stdin is not None and not stdin.closed:
            stdin.close()  # The guard reads the end of its input and stops the server.
        try:
            self._process.wait(STOP_TIMEOUT_S + 2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free just now: for servers that cannot choose one."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> Callable[[], None] | None:
    """Run in the server's process before its program, on Linux: makes it end with the guard."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _place(cpus: str | None) -> None:
    """Restrict this process and its children to CPUs, given as numbers separated by commas.

    Raises:
        ValueError: invalid numbers.
    """
    if not cpus:
        return
    numbers = {int(number) for number in cpus.split(",")}
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, numbers)


def _guard(command: Sequence[str]) -> int:
    """Run ``command`` until it ends or standard input does; returns its exit code."""
    cpus = os.environ.get(SERVER_CPUS_VARIABLE)
    try:
        _place(cpus)
    except ValueError:
        sys.stdout.write(f"{SERVER_CPUS_VARIABLE} is like 1 or 1,2, not {cpus!r}\n")
        return 2
    try:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, preexec_fn=_die_with_parent())
    except OSError as error:
        sys.stdout.write(f"cannot run {command[0]}: {error.strerror}\n")
        return 127

    def stop(*_: int | FrameType | None) -> None:
        if server.poll() is None:
            server.terminate()
            try:
                server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()

    signal.signal(signal.SIGTERM, stop)

    def stop_at_end_of_input() -> None:
        assert server.stdin is not None
        input_fd = server.stdin.fileno()
        os.set_blocking(input_fd, False)
        while text := os.read(0, 4096):
            # The guard must not block on a server that does not read or has ended.
            with contextlib.suppress(OSError):
                os.write(input_fd, text)
        stop()

    threading.Thread(target=stop_at_end_of_input, daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(_guard(sys.argv[1:]))
