"""Records kept in memory and, where a file is named, written to it as they come.

Each record is one write of one whole line. An existing file is replaced, but only when the header
is written: a run that could not start leaves it as it was. When the disk fills up, the half line is
cut off again and the run goes on in memory; the file then ends without a footer, which says what
it is.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from kvbench.errors import UsageError
from kvbench.results import Collection, Header, Record, Results, encode_record


class Recorder:
    """Collects the records of a run.

    Args:
        path: a results file to write as well, or None.

    Attributes:
        problem: what went wrong with the file in mid-run; empty while all is well.

    Raises:
        UsageError: the file cannot be written. Nothing was changed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._collection = Collection()
        self._count = 0
        self.problem = ""
        self._path = path
        self._is_new = path is not None and not path.exists()
        self._fd: int | None = None
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error.strerror}") from None

    def write(self, record: Record) -> None:
        """Keep a record; never raises for the file's sake: see :attr:`problem`."""
        self._collection.add(record)
        self._count += 1
        if self._fd is None:
            return
        try:
            if isinstance(record, Header):
                self._truncate(self._fd, 0)
            self._write_line(self._fd, encode_record(record))
        except OSError as error:
            kept = self._count - 1
            self.problem = f"{self._path}: {error.strerror}; it ends after {kept} records"
            self._close()

    def _write_line(self, fd: int, line: bytes) -> None:
        written = 0
        try:
            while written < len(line):
                written += os.write(fd, line[written:])
        except OSError:
            if written:
                self._truncate(fd, os.lseek(fd, 0, os.SEEK_CUR) - written)
            raise

    def _truncate(self, fd: int, size: int) -> None:
        # A pipe or a device such as /dev/null has no length to cut.
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, size)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def close(self) -> None:
        """Let go of the file; one that was created for a run that never started is removed."""
        self._close()
        if not self._count and self._is_new and self._path is not None:
            self._path.unlink(missing_ok=True)

    def results(self) -> Results | None:
        """The records so far as results; None before the header."""
        return self._collection.results()
