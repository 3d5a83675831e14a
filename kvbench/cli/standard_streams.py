"""Standard output and standard error that handle write failures.

Every command writes through these two streams, so only this module decides what a failure means:

- The reader of standard output closed it (``kvbench ... | head``): not an error. The rest of the
  output is dropped; the command continues, writes its files and exits with its usual code.
- Standard output cannot be written (a full disk): one :class:`OutputError`; the rest is dropped.
- Standard error cannot be written: messages are dropped, since nothing else could show them.

It also filters secrets and control characters: see :func:`kvbench.foreign_text.guard_output`.
"""

from __future__ import annotations

import errno
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING

from kvbench.errors import UsageError
from kvbench.foreign_text import guard_output

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class OutputError(UsageError):
    """Standard output cannot be written; earlier output may have been."""


class _Stream(FileIO):
    """A file descriptor that discards everything after its first failure."""

    def __init__(self, descriptor: int, *, reports: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._reports = reports
        self._is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some bytes; returns how many are done with.

        Raises:
            OutputError: the first time that standard output cannot be written.
        """
        size = memoryview(data).nbytes
        # Writing nothing is a test whether one can write: click does that, and ignores the result.
        if size and not self._is_lost:
            try:
                return super().write(data)
            except OSError as error:
                self._is_lost = True
                if self._reports and error.errno != errno.EPIPE:
                    raise OutputError(
                        f"cannot write standard output: {error.strerror}; redirect it to a place "
                        "with free space"
                    ) from None
        return size


class _Text(TextIOWrapper):
    """Filters all text of commands, libraries and tracebacks."""

    def write(self, text: str, /) -> int:
        """Write ``text`` without secrets, and without control characters from outside."""
        super().write(guard_output(text))
        return len(text)


def guard_standard_streams() -> None:
    """Install the filter on this process's two streams, if they are its own."""
    sys.stdout = _guarded(sys.stdout, 1)
    sys.stderr = _guarded(sys.stderr, 2)


def _guarded(stream: object, descriptor: int) -> TextIOWrapper:
    if not isinstance(stream, TextIOWrapper) or stream.fileno() != descriptor:
        return stream  # type: ignore[return-value]  # A test's stream, or None: it is closed.
    raw = _Stream(descriptor, reports=descriptor == 1)
    return _Text(
        raw if isinstance(stream.buffer, FileIO) else BufferedWriter(raw),  # FileIO: python -u
        encoding=stream.encoding,
        # Characters that the encoding lacks become a question mark, on standard error an escape.
        errors="replace" if descriptor == 1 else "backslashreplace",
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
