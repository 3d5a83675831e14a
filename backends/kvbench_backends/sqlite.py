"""``sqlite://PATH``: a table in an SQLite file, through Python's own driver.

What follows ``://`` is the path: ``sqlite:///var/cache.db`` is absolute, ``sqlite://cache.db`` is
relative, ``sqlite://:memory:`` lives in memory. Values are ``bytes``. The file is in WAL mode with
``synchronous=NORMAL``, the usual setting for such a use: a commit survives a crash of the process,
and the last ones may be lost when the machine loses power.

An application's database is refused, or with ``?create_table=1`` used without changing a setting,
in a table that is dropped at the end (:mod:`kvbench_backends.sqlite_files`).

Deadlines are wall-clock times, since they must outlive the process. Reads ignore expired rows;
rows are removed when the store is opened or closed, or when their key is written again.

A backend belongs to the thread that opened it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, Self, cast

from typing_extensions import override

from kvbench.backend import Backend
from kvbench.errors import (
    KvbenchError,
    KvConnectionError,
    KvRefusedError,
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
from kvbench_backends.foreign_errors import Table, Translation
from kvbench_backends.sqlite_files import drop_scratch, is_scratch, open_file

_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")

_NEVER_MS = 2**62
"""The deadline of a key without TTL: one comparison serves both kinds of row."""

_log = logging.getLogger("kvbench.backends")


class _Sql:
    """The statements on one table."""

    def __init__(self, table: str) -> None:
        among = "key IN (SELECT value FROM json_each(?)) AND deadline_ms > ?"
        live = "key = ? AND deadline_ms > ?"
        self.upsert = (
            f"INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT (key) "
            "DO UPDATE SET value = excluded.value, deadline_ms = excluded.deadline_ms"
        )
        self.insert = f"{self.upsert} WHERE {table}.deadline_ms <= ?"
        self.value = f"SELECT value FROM {table} WHERE {live}"
        self.deadline = f"SELECT deadline_ms FROM {table} WHERE {live}"
        self.record = f"SELECT value, deadline_ms FROM {table} WHERE {live}"
        self.set_deadline = f"UPDATE {table} SET deadline_ms = ? WHERE {live}"
        self.delete = f"DELETE FROM {table} WHERE {live}"
        self.values_among = f"SELECT key, value FROM {table} WHERE {among}"
        self.keys_among = f"SELECT key FROM {table} WHERE {among}"
        self.delete_among = f"DELETE FROM {table} WHERE {among}"
        self.delete_expired = f"DELETE FROM {table} WHERE deadline_ms <= ?"


class SqliteBackend(Backend):
    """A table ``kvbench`` in an SQLite database."""

    summary = "SQLite (WAL, synchronous=NORMAL), through the standard library"
    url_example = "sqlite:///tmp/kvbench.db"
    url_options: ClassVar[Mapping[str, str]] = {
        "create_table=1": "work in an application's database, in a table that is dropped at the end"
    }
    capabilities = frozenset(Capability) - {
        Capability.TYPED_VALUES,
        Capability.COUNTERS,
        Capability.LOCKS,
        Capability.PIPELINING,
    }
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {
        "mget": BatchKind.NATIVE,
        "mset": BatchKind.TRANSACTION,
        "mdel": BatchKind.NATIVE,
        "mexists": BatchKind.NATIVE,
        "mset_each": BatchKind.TRANSACTION,
    }

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._table = table
        self._sql = _Sql(table)

    @classmethod
    @override
    def open(cls, url: str) -> Self:
        """The file and its table are made when they are not there.

        UsageError also when the file is an application's; see :mod:`.sqlite_files`.
        """
        path, may_create = _path(url)
        connection, table = open_file(path, may_create=may_create)
        kind = _Private if path == ":memory:" or is_scratch(table) else cls
        backend = cast("Self", kind(connection, table))
        try:
            backend._remove_expired()
        except BaseException as error:
            backend.close()
            if isinstance(error, sqlite3.Error):
                raise KvConnectionError(f"{path}: {error}") from None
            raise
        return backend

    @override
    def close(self) -> None:
        """A scratch table is dropped."""
        try:
            if is_scratch(self._table):
                drop_scratch(self._connection, self._table)
            else:
                self._remove_expired()
        except sqlite3.ProgrammingError:
            pass  # Closed before.
        except sqlite3.Error as error:
            # The disk is full, or another process writes: what stays is removed at the next open.
            if is_scratch(self._table):
                _log.warning(
                    "the table %s stays until the next run with ?create_table=1: %s",
                    self._table, error,
                )  # fmt: skip
        finally:
            self._connection.close()

    def _remove_expired(self) -> None:
        self._execute(self._sql.delete_expired, (_now_ms(),))

    def describe(self) -> Mapping[str, str]:
        """SQLite's version and the durability: kvbench's choice, or the application's."""
        with _TRANSLATED:
            mode = self._execute("PRAGMA journal_mode").fetchone()[0]
            level = self._execute("PRAGMA synchronous").fetchone()[0]
        return {
            "product": "SQLite",
            "version": sqlite3.sqlite_version,
            "durability": f"{mode.upper()}, synchronous={_SYNCHRONOUS[level]}",
        }

    @override
    def get(self, key: str) -> Value:
        check_key(key)
        with _TRANSLATED:
            row = self._execute(self._sql.value, (key, _now_ms())).fetchone()
        return row[0] if row else None

    @override
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        row = _row(key, value, ttl)
        with _TRANSLATED:
            self._execute(self._sql.upsert, row)

    @override
    def delete(self, key: str) -> bool:
        check_key(key)
        with _TRANSLATED:
            return self._execute(self._sql.delete, (key, _now_ms())).rowcount > 0

    @override
    def exists(self, key: str) -> bool:
        check_key(key)
        with _TRANSLATED:
            return self._execute(self._sql.deadline, (key, _now_ms())).fetchone() is not None

    @override
    def mget(self, keys: Sequence[str]) -> list[Value]:
        check_keys(keys)
        if _has_nul(keys):
            with _TRANSLATED, self._transaction():
                return [self.get(key) for key in keys]
        with _TRANSLATED:
            rows = self._execute(self._sql.values_among, (json.dumps(keys), _now_ms()))
            found: dict[str, Value] = dict(rows)
        return list(map(found.get, keys))

    @override
    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        items = pairs_to_dict(pairs)
        self._write_rows([_row(key, value, ttl) for key, value in items.items()])

    @override
    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        self._write_rows([_row(key, value, ttl) for key, value, ttl in entries])

    def _write_rows(self, rows: list[tuple[str, bytes, int]]) -> None:
        with _TRANSLATED, self._transaction():
            self._connection.executemany(self._sql.upsert, rows)

    @override
    def mdel(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        if _has_nul(keys):
            with _TRANSLATED, self._transaction():
                return sum([self.delete(key) for key in keys])
        with _TRANSLATED:
            return self._execute(self._sql.delete_among, (json.dumps(keys), _now_ms())).rowcount

    @override
    def mexists(self, keys: Sequence[str]) -> list[bool]:
        check_keys(keys)
        if _has_nul(keys):
            with _TRANSLATED, self._transaction():
                return [self.exists(key) for key in keys]
        with _TRANSLATED:
            rows = self._execute(self._sql.keys_among, (json.dumps(keys), _now_ms()))
            found = {row[0] for row in rows}
        return [key in found for key in keys]

    @override
    def expire(self, key: str, ttl: float | None) -> bool:
        check_key(key)
        now_ms = _now_ms()
        with _TRANSLATED:
            arguments = (_deadline_ms(ttl), key, now_ms)
            return self._execute(self._sql.set_deadline, arguments).rowcount > 0

    @override
    def ttl(self, key: str) -> float | None:
        check_key(key)
        now_ms = _now_ms()
        with _TRANSLATED:
            row = self._execute(self._sql.deadline, (key, now_ms)).fetchone()
        if row is None:
            return None
        return -1.0 if row[0] == _NEVER_MS else (row[0] - now_ms) / 1000

    @override
    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """One INSERT, which takes over an expired row."""
        row = _row(key, value, ttl)
        with _TRANSLATED:
            return self._execute(self._sql.insert, (*row, _now_ms())).rowcount > 0

    @override
    def getdel(self, key: str) -> Value:
        check_key(key)
        with _TRANSLATED, self._transaction():
            value = self.get(key)
            self.delete(key)
            return value

    @override
    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        check_key(key)
        wanted, data = check_bytes(key, expected), check_bytes(key, new)
        new_deadline_ms = _deadline_ms(ttl)
        with _TRANSLATED, self._transaction():
            row = self._execute(self._sql.record, (key, _now_ms())).fetchone()
            if row is None:
                return None
            if row[0] != wanted:
                return False
            deadline_ms = row[1] if ttl is None else new_deadline_ms
            self._execute(self._sql.upsert, (key, data, deadline_ms))
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


class _Private(SqliteBackend):
    """A database in memory, or a scratch table: no other process can open it."""

    capabilities = SqliteBackend.capabilities - {Capability.SHARED}


def _path(url: str) -> tuple[str, bool]:
    """The file that a URL names, and whether kvbench may create a scratch table there."""
    path, has_query, query = url.partition("://")[2].partition("?")
    if not path:
        example = SqliteBackend.url_example
        raise UrlError(url, f"name a file, e.g. {example}, or sqlite://:memory:")
    if has_query and query != "create_table=1":
        raise UrlError(url, "after ? only create_table=1 is known")
    return path, bool(has_query)


def _refused(error: sqlite3.Error) -> KvRefusedError:
    return KvRefusedError(f"SQLite: {error}")


def _locked_or_refused(error: sqlite3.OperationalError) -> KvbenchError:
    if "locked" in str(error):
        return KvTimeoutError(f"another process holds the database: {error}")
    return _refused(error)


def _closed_or_unsupported(error: sqlite3.ProgrammingError) -> KvbenchError:
    if "closed" in str(error):
        return KvConnectionError("this backend is closed: open it again")
    return UnsupportedError(f"SQLite: {error}")


def _errors() -> Table:
    return {
        sqlite3.OperationalError: _locked_or_refused,
        sqlite3.ProgrammingError: _closed_or_unsupported,
        sqlite3.Error: _refused,
    }


_TRANSLATED = Translation(_errors)


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
