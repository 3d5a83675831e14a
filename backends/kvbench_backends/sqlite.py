"""``sqlite://PATH``: a table in an SQLite file, through Python's own driver.

What follows ``://`` is the path: ``sqlite:///var/cache.db`` is absolute, ``sqlite://cache.db`` is
relative, ``sqlite://:memory:`` lives in memory. Values are ``bytes``. The file is in WAL mode with
``synchronous=NORMAL``, the usual setting for such a use: a commit survives a crash of the process,
and the last ones may be lost when the machine loses power.

Deadlines are wall-clock times, since they must outlive the process. Reads look past expired rows;
rows are removed when the store is opened or closed, or when their key is written again.

A backend belongs to the thread that opened it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, Self, cast

from kvbench.backend import Backend
from kvbench.errors import (
    KvConnectionError,
    KvServerError,
    KvTimeoutError,
    UnsupportedError,
    UrlError,
)
from kvbench.model import (
    BatchKind,
    Capability,
    Pairs,
    Value,
    check_bytes,
    check_key,
    check_keys,
    pairs_to_dict,
    ttl_to_ms,
)

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction."""

_CREATE = """
CREATE TABLE IF NOT EXISTS kvbench (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, deadline_ms INTEGER NOT NULL
) WITHOUT ROWID
"""
_NEVER_MS = 2**62
"""The deadline of a key without TTL: one comparison serves both kinds of row."""

_UPSERT = """
INSERT INTO kvbench VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, deadline_ms = excluded.deadline_ms
"""
_AMONG = "key IN (SELECT value FROM json_each(?)) AND deadline_ms > ?"


class SqliteBackend(Backend):
    """A table ``kvbench`` in an SQLite database."""

    summary = "SQLite (WAL, synchronous=NORMAL), through the standard library"
    url_example = "sqlite:///tmp/kvbench.db"
    capabilities = frozenset(
        {
            Capability.TTL,
            Capability.TTL_EACH,
            Capability.ATOMIC_BATCH,
            Capability.SETNX,
            Capability.CAS,
            Capability.SHARED,
        }
    )
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {
        "mget": BatchKind.NATIVE,
        "mset": BatchKind.TRANSACTION,
        "mdel": BatchKind.NATIVE,
        "mexists": BatchKind.NATIVE,
        "mset_each": BatchKind.TRANSACTION,
    }

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute

    @classmethod
    def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`; the file and its table are made when they are not there."""
        path = url.partition("://")[2]
        if not path:
            raise UrlError(url, f"name a file, e.g. {cls.url_example}, or sqlite://:memory:")
        if path == ":memory:" and Capability.SHARED in cls.capabilities:
            return cast("Self", _InMemory.open(url))
        try:
            connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise KvConnectionError(f"{path}: {error}") from None
        backend = cls(connection)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_CREATE)
            backend._remove_expired()
        except sqlite3.Error as error:
            connection.close()
            raise KvConnectionError(f"{path}: {error}") from None
        return backend

    def close(self) -> None:
        """As :meth:`Backend.close`."""
        # Closed before, or the disk is full: expired rows are then removed at the next open.
        with suppress(sqlite3.Error):
            self._remove_expired()
        self._connection.close()

    def _remove_expired(self) -> None:
        self._execute("DELETE FROM kvbench WHERE deadline_ms <= ?", (_now_ms(),))

    def describe(self) -> Mapping[str, str]:
        """SQLite's version and the durability that was chosen."""
        return {
            "product": "SQLite",
            "version": sqlite3.sqlite_version,
            "durability": "WAL, synchronous=NORMAL",
        }

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        check_key(key)
        with _translated():
            row = self._execute(
                "SELECT value FROM kvbench WHERE key = ? AND deadline_ms > ?", (key, _now_ms())
            ).fetchone()
        return row[0] if row else None

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""
        row = _row(key, value, ttl)
        with _translated():
            self._execute(_UPSERT, row)

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        check_key(key)
        with _translated():
            sql = "DELETE FROM kvbench WHERE key = ? AND deadline_ms > ?"
            return self._execute(sql, (key, _now_ms())).rowcount > 0

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        check_key(key)
        with _translated():
            sql = "SELECT 1 FROM kvbench WHERE key = ? AND deadline_ms > ?"
            return self._execute(sql, (key, _now_ms())).fetchone() is not None

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`; one SELECT."""
        check_keys(keys)
        if _has_nul(keys):
            with _translated(), self._transaction():
                return [self.get(key) for key in keys]
        with _translated():
            sql = f"SELECT key, value FROM kvbench WHERE {_AMONG}"
            found: dict[str, Value] = dict(self._execute(sql, (json.dumps(keys), _now_ms())))
        return list(map(found.get, keys))

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`; one transaction."""
        items = pairs_to_dict(pairs)
        self._write_rows([_row(key, value, ttl) for key, value in items.items()])

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`; one transaction."""
        self._write_rows([_row(key, value, ttl) for key, value, ttl in entries])

    def _write_rows(self, rows: list[tuple[str, bytes, int]]) -> None:
        with _translated(), self._transaction():
            self._connection.executemany(_UPSERT, rows)

    def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`; one DELETE."""
        check_keys(keys)
        if _has_nul(keys):
            with _translated(), self._transaction():
                return sum([self.delete(key) for key in keys])
        with _translated():
            sql = f"DELETE FROM kvbench WHERE {_AMONG}"
            return self._execute(sql, (json.dumps(keys), _now_ms())).rowcount

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`; one SELECT."""
        check_keys(keys)
        if _has_nul(keys):
            with _translated(), self._transaction():
                return [self.exists(key) for key in keys]
        with _translated():
            sql = f"SELECT key FROM kvbench WHERE {_AMONG}"
            found = {row[0] for row in self._execute(sql, (json.dumps(keys), _now_ms()))}
        return [key in found for key in keys]

    def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`."""
        check_key(key)
        now_ms = _now_ms()
        with _translated():
            sql = "UPDATE kvbench SET deadline_ms = ? WHERE key = ? AND deadline_ms > ?"
            return self._execute(sql, (_deadline_ms(ttl), key, now_ms)).rowcount > 0

    def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        check_key(key)
        now_ms = _now_ms()
        with _translated():
            sql = "SELECT deadline_ms FROM kvbench WHERE key = ? AND deadline_ms > ?"
            row = self._execute(sql, (key, now_ms)).fetchone()
        if row is None:
            return None
        return -1.0 if row[0] == _NEVER_MS else (row[0] - now_ms) / 1000

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`; one INSERT, which takes over an expired row."""
        row = _row(key, value, ttl)
        with _translated():
            sql = f"{_UPSERT} WHERE kvbench.deadline_ms <= ?"
            return self._execute(sql, (*row, _now_ms())).rowcount > 0

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """As :meth:`Backend.cas`; one transaction."""
        check_key(key)
        wanted, data = check_bytes(key, expected), check_bytes(key, new)
        new_deadline_ms = _deadline_ms(ttl)
        with _translated(), self._transaction():
            sql = "SELECT value, deadline_ms FROM kvbench WHERE key = ? AND deadline_ms > ?"
            row = self._execute(sql, (key, _now_ms())).fetchone()
            if row is None:
                return None
            if row[0] != wanted:
                return False
            deadline_ms = row[1] if ttl is None else new_deadline_ms
            self._execute(_UPSERT, (key, data, deadline_ms))
            return True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._execute("ROLLBACK")
            raise
        self._execute("COMMIT")


class _InMemory(SqliteBackend):
    """``sqlite://:memory:``: nobody else can open it."""

    capabilities = SqliteBackend.capabilities - {Capability.SHARED}


@contextmanager
def _translated() -> Iterator[None]:
    """Turns sqlite3's errors into ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise KvTimeoutError(f"another process holds the database: {error}") from None
        raise KvServerError(2, f"SQLite: {error}") from None
    except sqlite3.ProgrammingError as error:
        if "closed" in str(error):
            raise KvConnectionError("this backend is closed: open it again") from None
        raise UnsupportedError(f"SQLite: {error}") from None
    except sqlite3.Error as error:
        raise KvServerError(2, f"SQLite: {error}") from None


def _has_nul(keys: Sequence[str]) -> bool:
    """Whether a key holds U+0000, where SQLite's JSON would end it: those go one by one."""
    return "\0" in "".join(keys)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _deadline_ms(ttl: float | None) -> int:
    ttl_ms = ttl_to_ms(ttl)
    return _now_ms() + ttl_ms if ttl_ms else _NEVER_MS


def _row(key: str, value: Value, ttl: float | None) -> tuple[str, bytes, int]:
    check_key(key)
    return key, check_bytes(key, value), _deadline_ms(ttl)
