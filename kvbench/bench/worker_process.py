"""A worker as seen by the run: starts it, reads its messages, stops it.

The worker always ends with the run. First its standard input is closed, which makes it remove its
keys; if it does not exit, it is killed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any, Generic, TypeVar

import msgspec

from kvbench.bench.messages import Done
from kvbench.errors import KvbenchError

LEAVE_TIMEOUT_S = 15.0
"""Time limit for a worker to remove its keys: a batch of deletes, over a slow network."""

_LAST_WORDS_BYTES = 4096


class WorkerDiedError(KvbenchError):
    """A worker ended before its task was done. The message gives the details."""


M = TypeVar("M")


class WorkerProcess(Generic[M]):
    """A running worker.

    Args:
        module: its main module, which calls :func:`kvbench.bench.worker.serve_task`.
        task: its task.
        messages: type of its messages, a union.
        python: the interpreter that runs it; empty for this one.
    """

    def __init__(self, module: str, task: msgspec.Struct, messages: Any, python: str = "") -> None:
        self._decoder = msgspec.json.Decoder(messages)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - close() does
        self._process = subprocess.Popen(
            [python or sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # A separate process group: Ctrl-C in the terminal is for the run, which stops this.
            process_group=0,
        )
        self._task_line = msgspec.json.encode(task) + b"\n"

    def messages(self) -> Iterator[M]:
        """The worker's messages, until it is done.

        Raises:
            WorkerDiedError: it ended earlier.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(self._task_line)
            self._process.stdin.flush()
            for line in self._process.stdout:
                message = self._decoder.decode(line)
                if isinstance(message, Done):
                    return
                yield message
        except (BrokenPipeError, msgspec.DecodeError):
            pass  # It died at the start, or in the middle of a line.
        raise WorkerDiedError(self._how_it_died())

    def end(self) -> Iterator[M]:
        """Make the worker remove its keys and exit; yields its remaining messages."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        for line in self._process.stdout:
            try:
                yield self._decoder.decode(line)
            except msgspec.DecodeError:
                return

    def close(self) -> None:
        """Wait until the worker has exited."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(LEAVE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _how_it_died(self) -> str:
        try:
            code = self._process.wait(LEAVE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return "its worker process stopped sending messages"
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        size = self._errors.seek(0, 2)
        self._errors.seek(max(0, size - _LAST_WORDS_BYTES))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        last_words = f": {lines[-1].strip()}" if lines else ""
        return f"its worker process ended {how}{last_words}"
