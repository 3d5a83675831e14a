"""Where a history is kept: an SQLite file, or a folder with a file for each entry.

The file suits one machine, the folder a repository: each entry is a new file, so branches merge.
Both hold the same JSON under the digest of the results, so adding is idempotent. An entry is added
whole or not at all, and several processes may add at the same time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kvbench.errors import ResultsError, UsageError
from kvbench.history.entry import HistoryEntry, decode_entry, encode_entry

SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")

LOCK_TIMEOUT_S = 10.0
"""An add takes milliseconds; a lock that lasts for longer is not another add."""

_APPLICATION_ID = 0x6B766268
"""``kvbh``, in the header of the file: no other program's database is written to."""

_VERSION = 1

_NAME_CHARS = 16
"""Characters of a digest in the name of a file."""


class HistoryArchive(ABC):
    """The entries of a history.

    Args:
        path: of the file or folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def add(self, entries: Sequence[HistoryEntry]) -> tuple[bool, ...]:
        """Add entries; the archive is created if it does not exist.

        Returns:
            For each entry whether it is new; one that is known stays as it is.

        Raises:
            UsageError: the archive cannot be written, or is locked.
            ResultsError: the archive is damaged.
        """

    @abstractmethod
    def remove(self, digests: Collection[str]) -> None:
        """Remove entries.

        Raises:
            UsageError, ResultsError: as :meth:`add`.
        """

    @abstractmethod
    def _contents(self) -> Iterator[tuple[str, bytes]]:
        """Where each entry is, for readers, and its JSON."""

    def entries(self) -> tuple[HistoryEntry, ...]:
        """All entries, the oldest first.

        Raises:
            UsageError: there is no such archive, or it is locked.
            ResultsError: the archive, or an entry in it, is damaged.
        """
        found = []
        for place, content in self._contents():
            try:
                found.append(decode_entry(content))
            except ValueError as error:
                raise ResultsError(place, 0, f"damaged: {error}") from None
        return tuple(sorted(found, key=lambda one: (one.started, one.digest)))


def open_archive(path: Path) -> HistoryArchive:
    """The archive at ``path``, which need not exist yet: a file by its suffix, else a folder.

    Raises:
        UsageError: the name is neither.
    """
    if path.is_dir():
        return FolderArchive(path)
    if path.exists() or path.suffix.lower() in SQLITE_SUFFIXES:
        return SqliteArchive(path)
    if path.suffix:
        raise UsageError(
            f"{path} is no history: name a file {path.with_suffix('.sqlite')}, or a folder"
        )
    return FolderArchive(path)


def _missing(path: Path) -> UsageError:
    return UsageError(f"there is no history {path}; `kvbench history add` makes one")


class SqliteArchive(HistoryArchive):
    """A history in an SQLite file, in the table ``entry``: ``digest``, ``started_at``, ``body``."""

    def add(self, entries: Sequence[HistoryEntry]) -> tuple[bool, ...]:
        """As HistoryArchive.add; all entries in one transaction."""
        if not self.path.parent.is_dir():
            raise UsageError(f"cannot write {self.path}: there is no folder {self.path.parent}")
        with self._connection("rwc") as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._prepare(connection)
            statement = "INSERT OR IGNORE INTO entry VALUES (?, ?, ?)"
            rows = [
                (one.digest, one.started.isoformat(), encode_entry(one).decode().rstrip("\n"))
                for one in entries
            ]
            added = [connection.execute(statement, row).rowcount == 1 for row in rows]
            connection.execute("COMMIT")
        return tuple(added)

    def remove(self, digests: Collection[str]) -> None:
        """As HistoryArchive.remove; the space becomes free."""
        with self._existing("rw") as connection:
            connection.execute("BEGIN IMMEDIATE")
            rows = [(one,) for one in digests]
            connection.executemany("DELETE FROM entry WHERE digest = ?", rows)
            connection.execute("COMMIT")
            connection.execute("VACUUM")

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        with self._existing("ro") as connection:
            for digest, body in connection.execute("SELECT digest, body FROM entry"):
                content = body.encode() if isinstance(body, str) else b""
                yield f"{self.path}, entry {str(digest)[:12]}", content

    @contextmanager
    def _existing(self, mode: str) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            raise _missing(self.path)
        with self._connection(mode) as connection:
            self._check(connection)
            yield connection

    @contextmanager
    def _connection(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection, without implicit transactions; errors of SQLite become kvbench's."""
        try:
            with contextlib.closing(
                sqlite3.connect(
                    f"{self.path.resolve().as_uri()}?mode={mode}", LOCK_TIMEOUT_S,
                    isolation_level=None, uri=True,
                )
            ) as connection:  # fmt: skip
                yield connection
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise UsageError(
                    f"{self.path} is locked by another process: try again when that has ended"
                ) from None
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                reason = f"is no history, or damaged: {error}; name another file, or a copy"
                raise ResultsError(str(self.path), 0, reason) from None
            raise UsageError(
                f"cannot use {self.path}: {error}; name a file in a folder that has room and "
                "that you can write to"
            ) from None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table in a new file; refuse the file of another program."""
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._check(connection)
            return
        connection.execute(
            "CREATE TABLE entry (digest TEXT PRIMARY KEY, started_at TEXT, body TEXT) WITHOUT ROWID"
        )
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")

    def _check(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if found != _APPLICATION_ID:
            raise ResultsError(str(self.path), 0, "is a database, but no history; name another one")
        if version != _VERSION:
            reason = f"is version {version}; this version of kvbench reads {_VERSION}"
            raise ResultsError(str(self.path), 0, reason)


class FolderArchive(HistoryArchive):
    """A history in a folder: a file for each entry, named by its date and digest."""

    def add(self, entries: Sequence[HistoryEntry]) -> tuple[bool, ...]:
        """As HistoryArchive.add; each entry is a new file."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return tuple(map(self._add, entries))
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.path}: {error.strerror}; name a folder that has room and "
                "that you can write to"
            ) from None

    def remove(self, digests: Collection[str]) -> None:
        """As HistoryArchive.remove."""
        for path in self._paths():
            if path.stem.rpartition("-")[2] in {one[:_NAME_CHARS] for one in digests}:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise UsageError(f"cannot remove {path}: {error.strerror}") from None

    def _add(self, entry: HistoryEntry) -> bool:
        name = f"{entry.started:%Y-%m-%dT%H%M%SZ}-{entry.digest[:_NAME_CHARS]}.json"
        draft = self.path / f".{name}.{os.getpid()}.tmp"
        try:
            draft.write_bytes(encode_entry(entry))
            # A link, unlike a rename, never replaces what another process has just added.
            os.link(draft, self.path / name)
        except FileExistsError:
            return False
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()
        return True

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        for path in self._paths():
            try:
                yield str(path), path.read_bytes()
            except OSError as error:
                raise ResultsError(str(path), 0, f"cannot be read: {error.strerror}") from None

    def _paths(self) -> list[Path]:
        """The files of entries; other files in the folder are not touched."""
        if not self.path.is_dir():
            raise _missing(self.path)
        return sorted(self.path.glob(f"????-??-??T??????Z-{'[0-9a-f]' * _NAME_CHARS}.json"))
