"""Opens an SQLite file: kvbench's own, or an application's.

A file with the table ``kvbench`` and nothing else is kvbench's own; an empty or absent one becomes
so. Any other file is an application's, and is refused: its settings, such as the journal mode, are
stored in it and belong to the application.

Where the user allows it (``?create_table=1``), kvbench works in such a file in a scratch table,
``kvbench_PID_RANDOM``. It changes no setting, and drops the table at the end. A process that was
killed leaves its table behind; the next one finds it by its name and columns, sees that the
process has ended, and drops it.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
from collections.abc import Iterable
from contextlib import suppress

from kvbench.errors import KvConnectionError, UsageError

OWN_TABLE = "kvbench"

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process's transaction."""

_SCRATCH_TABLE = re.compile(r"kvbench_(?P<pid>\d+)_[0-9a-f]{8}")
_COLUMNS = ["key", "value", "deadline_ms"]
_CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, deadline_ms INTEGER NOT NULL
) WITHOUT ROWID
"""
_OBJECTS_SHOWN = 3

_scratch_tables: set[str] = set()
"""Scratch tables of this process: others with its number were left by an earlier process."""


def open_file(path: str, *, may_create: bool) -> tuple[sqlite3.Connection, str]:
    """Open a database and make the table that kvbench works in.

    Args:
        path: of the file, or ``:memory:``.
        may_create: whether kvbench may create a scratch table in an application's database.

    Returns:
        The connection and the name of the table: :data:`OWN_TABLE`, or a scratch table's.

    Raises:
        UsageError: the file is an application's, and ``may_create`` is not set. It is unchanged.
        KvConnectionError: it cannot be opened or written, is locked, or is no SQLite database.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise KvConnectionError(f"{path}: {error}") from None
    try:
        if _is_own(connection):
            _make_own(connection)
            return connection, OWN_TABLE
        if not may_create:
            raise UsageError(_refusal(path, _objects(connection)))
        return connection, _make_scratch(connection)
    except sqlite3.Error as error:
        connection.close()
        raise KvConnectionError(f"{path}: {_in_words(error)}") from None
    except BaseException:
        connection.close()
        raise


def is_scratch(table: str) -> bool:
    """Whether a table is one that is dropped at the end."""
    return table != OWN_TABLE


def drop_scratch(connection: sqlite3.Connection, table: str) -> None:
    """Drop a scratch table; sqlite3.Error when that cannot be done now: the next process will."""
    _scratch_tables.discard(table)
    connection.execute(f"DROP TABLE IF EXISTS {table}")


def _is_own(connection: sqlite3.Connection) -> bool:
    """Whether the file is empty, or holds kvbench's table and nothing else."""
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        return True
    return _objects(connection) == [OWN_TABLE] and _has_our_columns(connection, OWN_TABLE)


def _objects(connection: sqlite3.Connection) -> list[str]:
    """The names of all tables, indexes, views and triggers but those that SQLite makes itself."""
    sql = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return [name for (name,) in connection.execute(sql)]


def _has_our_columns(connection: sqlite3.Connection, table: str) -> bool:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")] == _COLUMNS


def _make_own(connection: sqlite3.Connection) -> None:
    # The table comes before the journal mode, which writes to the file as well: who opens the
    # file in between sees an empty one or one of kvbench's.
    connection.execute(_CREATE.format(table=OWN_TABLE))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _make_scratch(connection: sqlite3.Connection) -> str:
    """Make a scratch table, and drop those of processes that were killed."""
    for table in _left_behind(connection):
        connection.execute(f"DROP TABLE IF EXISTS {table}")
    table = f"{OWN_TABLE}_{os.getpid()}_{secrets.token_hex(4)}"
    _scratch_tables.add(table)
    try:
        connection.execute(_CREATE.format(table=table))
    except BaseException:  # Ctrl-C may come when it was made already.
        with suppress(sqlite3.Error):
            drop_scratch(connection, table)
        raise
    return table


def _left_behind(connection: sqlite3.Connection) -> Iterable[str]:
    for name in _objects(connection):
        match = _SCRATCH_TABLE.fullmatch(name)
        if match is None or name in _scratch_tables or not _has_our_columns(connection, name):
            continue
        pid = int(match["pid"])
        if pid == os.getpid() or not _is_alive(pid):
            yield name


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _refusal(path: str, objects: list[str]) -> str:
    names = ", ".join(objects[:_OBJECTS_SHOWN]) or "no table yet"
    more = ", ..." if len(objects) > _OBJECTS_SHOWN else ""
    return (
        f"{path} is an application's database ({names}{more}), and is not changed: name a "
        f"new file, or add ?create_table=1 to work in a table that is dropped at the end"
    )


def _in_words(error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return f"{error}: another process is writing to it; try again when it has finished"
    return str(error)
