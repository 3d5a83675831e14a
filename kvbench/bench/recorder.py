"""Stores records in memory and, if a file is given, writes them to it immediately.

Each record is one write of a whole line. An existing file is replaced only when the header is
written: a run that could not start does not change it. When the disk is full, the partial line is
removed and the run continues in memory; the file then has no footer, which marks it as cut off.
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
        path: a results file to write, or None.

    Attributes:
        problem: error of the file during the run; empty if there is none.

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
        """Store a record; never raises because of the file: see :attr:`problem`."""
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
        # A pipe or a device such as /dev/null cannot be truncated.
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.ftruncate(fd, size)

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def close(self) -> None:
        """Close the file; remove one that was created for a run that never started."""
        self._close()
        if not self._count and self._is_new and self._path is not None:
            self._path.unlink(missing_ok=True)

    def results(self) -> Results | None:
        """The records so far as results; None before the header."""
        return self._collection.results()
