"""Standard output and standard error that end well when nothing can be written any more.

Every command writes through these two streams, so what happens to a lost one is decided here and
nowhere else:

- The reader of standard output has gone (``kvbench ... | head``): nothing is wrong. The rest of the
  output is dropped, the command goes on, writes its files and ends with its usual exit code.
- Standard output cannot take it (a full disk): one :class:`OutputError`, and the rest is dropped.
- Standard error is lost: messages are dropped. There is no other place to report that to.

It is also the last guard against secrets and control characters of others: see
:func:`kvbench.foreign_text.guard_output`.
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
    """Standard output cannot be written; what was written before may be there."""


class _Stream(FileIO):
    """A file descriptor that takes everything once it is lost, and writes nothing."""

    def __init__(self, descriptor: int, *, reports: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._reports = reports
        self._is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some bytes; the number of those that need no second try.

        Raises:
            OutputError: the first time that standard output cannot be written.
        """
        size = memoryview(data).nbytes
        # Nothing is written to ask whether one can write: click tries that, and takes no answer.
        if size and not self._is_lost:
            try:
                return super().write(data)
            except OSError as error:
                self._is_lost = True
                if self._reports and error.errno != errno.EPIPE:
                    raise OutputError(
                        f"cannot write standard output: {error.strerror}; send it to a place that "
                        "has room"
                    ) from None
        return size


class _Text(TextIOWrapper):
    """Text on its way out: whatever a command, a library or a traceback writes passes here."""

    def write(self, text: str, /) -> int:
        """Write ``text`` without secrets, and without control characters that are not ours."""
        super().write(guard_output(text))
        return len(text)


def guard_standard_streams() -> None:
    """Put the guard under this process's two streams, where they are its own."""
    sys.stdout = _guarded(sys.stdout, 1)
    sys.stderr = _guarded(sys.stderr, 2)


def _guarded(stream: object, descriptor: int) -> TextIOWrapper:
    if not isinstance(stream, TextIOWrapper) or stream.fileno() != descriptor:
        return stream  # type: ignore[return-value]  # A test's stream, or None: it is closed.
    raw = _Stream(descriptor, reports=descriptor == 1)
    return _Text(
        raw if isinstance(stream.buffer, FileIO) else BufferedWriter(raw),  # FileIO: python -u
        encoding=stream.encoding,
        # What an encoding lacks becomes a question mark, or on standard error an escape.
        errors="replace" if descriptor == 1 else "backslashreplace",
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
