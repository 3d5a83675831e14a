"""The SQLite adapter in an application's file: refused, or used through a scratch table.

The application's database here has tables, an index, a view, a trigger, data and settings of its
own, and a connection that stays open.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kvbench_backends.sqlite import SqliteBackend

from kvbench.errors import KvConnectionError, KvRefusedError, UsageError
from kvbench.model import Capability
from tests.waiting import wait_until

PRAGMAS = (
    "journal_mode", "user_version", "application_id", "page_size", "auto_vacuum", "encoding",
    "integrity_check",
)  # fmt: skip
SCRATCH = re.compile(r"kvbench_\d+_[0-9a-f]{8}")
KVBENCH = (sys.executable, "-m", "kvbench")
CHECK = (*KVBENCH, "check", "--only", "BCAS-*", "--only", "BERR-*", "--only", "BLIFE-*")
RUN = (*KVBENCH, "run", "--batch-sizes", "10", "--ops", "mget,mset", "--no-keep-awake")


@pytest.fixture(params=["delete", "wal"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An application's database."""
    path = tmp_path / "app.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 1024")
    connection.execute(f"PRAGMA journal_mode = {request.param}")
    connection.executescript("""
        CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, note BLOB);
        CREATE INDEX by_name ON users (name);
        CREATE TABLE log (line TEXT);
        CREATE VIEW short AS SELECT name FROM users WHERE length(name) < 3;
        CREATE TRIGGER logged AFTER INSERT ON users BEGIN INSERT INTO log VALUES (new.name); END;
        PRAGMA user_version = 7;
        PRAGMA application_id = 99;
    """)
    rows = [(f"user {number}", bytes(number)) for number in range(200)]
    connection.executemany("INSERT INTO users (name, note) VALUES (?, ?)", rows)
    connection.commit()
    connection.close()
    return path


@pytest.fixture
def application(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of the application, open the whole time."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("SELECT count(*) FROM users").fetchone()
    yield connection
    connection.close()


def state(connection: sqlite3.Connection) -> tuple:
    """Schema, data and settings."""
    settings = [connection.execute(f"PRAGMA {name}").fetchall() for name in PRAGMAS]
    schema = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    return settings, schema, list(connection.iterdump())


def scratch_tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master").fetchall()
    return [name for (name,) in rows if SCRATCH.fullmatch(name)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def started_run(url: str, application: sqlite3.Connection) -> subprocess.Popen:
    """A run in mid-measurement: its table is there and holds rows."""
    process = subprocess.Popen(
        [*RUN, "--rigorous", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: process.poll() is not None or rows_of_scratch_tables(application))
    assert process.poll() is None, "it ended before it measured"
    return process


def rows_of_scratch_tables(application: sqlite3.Connection) -> int:
    counts = [
        application.execute(f"SELECT count(*) FROM {one}") for one in scratch_tables(application)
    ]
    return sum(count.fetchone()[0] for count in counts)


def test_an_applications_file_is_refused_and_not_a_byte_changes(path):
    before = contents(path.parent)
    with pytest.raises(UsageError, match=r"application's database \(users, by_name, log, \.\.\.\)"):
        SqliteBackend.open(f"sqlite://{path}")
    for command in ("run", "check"):
        seen = run(*KVBENCH, command, f"sqlite://{path}")
        assert seen.returncode in (2, 4), seen
        assert "?create_table=1" in seen.stdout + seen.stderr
        assert "Traceback" not in seen.stdout + seen.stderr
    assert contents(path.parent) == before


@pytest.mark.parametrize(
    "command", [pytest.param((*RUN, "--quick"), marks=pytest.mark.thorough), CHECK]
)
def test_a_scratch_table_leaves_everything_as_it_was(path, application, command):
    before = state(application)
    seen = run(*command, f"sqlite://{path}?create_table=1")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert state(application) == before
    application.execute("INSERT INTO users (name) VALUES ('goes on')")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_process_drops_its_scratch_table(path, application, number):
    before = state(application)
    process = started_run(f"sqlite://{path}?create_table=1", application)
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert state(application) == before


def test_a_killed_process_leaves_a_scratch_table_that_the_next_one_drops(path, application):
    before = state(application)
    process = started_run(f"sqlite://{path}?create_table=1", application)
    (left,) = scratch_tables(application)
    # The table is named after the process that made it: the worker, which would tidy up.
    worker = int(left.split("_")[1])
    os.kill(worker, signal.SIGKILL)
    process.kill()
    process.wait(30)
    wait_until(lambda: not Path(f"/proc/{worker}").exists())
    assert scratch_tables(application) == [left]
    with SqliteBackend.open(f"sqlite://{path}?create_table=1") as store:
        store.set("k", b"1")
        assert left not in scratch_tables(application)
    assert state(application) == before


def test_scratch_tables_change_neither_each_other_nor_tables_with_similar_names(path, application):
    """One in another living process, one in this process, and an application's own table."""
    application.execute("CREATE TABLE kvbench_1_deadbeef (mine TEXT)")
    application.execute("CREATE TABLE kvbench (mine TEXT)")
    before = state(application)
    url = f"sqlite://{path}?create_table=1"
    holder = (
        "import sys, kvbench\n"
        "store = kvbench.open_backend(sys.argv[1])\n"
        "store.set('k', b'theirs')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
        "assert store.get('k') == b'theirs'\n"
        "store.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"ready\n"
        with SqliteBackend.open(url) as first, SqliteBackend.open(url) as second:
            assert Capability.SHARED not in first.capabilities
            first.set("k", b"1")
            assert second.get("k") is None
            second.close()
            assert first.get("k") == b"1"
        other.stdin.close()
        assert other.wait(30) == 0
    assert state(application) == before


def test_a_table_left_by_an_earlier_process_of_the_same_number_is_removed(path, application):
    """As in a container, where every run has the same number."""
    left = f"kvbench_{os.getpid()}_deadbeef"
    application.execute(
        f"CREATE TABLE {left} (key TEXT PRIMARY KEY, value BLOB, deadline_ms INTEGER)"
    )
    SqliteBackend.open(f"sqlite://{path}?create_table=1").close()
    assert scratch_tables(application) == []


def test_a_locked_database_is_one_line(path, application, monkeypatch):
    monkeypatch.setattr("kvbench_backends.sqlite_files.BUSY_TIMEOUT_S", 0.05)
    application.execute("BEGIN EXCLUSIVE")
    with pytest.raises(KvConnectionError, match=r"app\.db: database is locked: another process"):
        SqliteBackend.open(f"sqlite://{path}?create_table=1")
    application.execute("ROLLBACK")


def test_a_table_that_cannot_be_dropped_is_named(path, application, caplog, monkeypatch):
    monkeypatch.setattr("kvbench_backends.sqlite_files.BUSY_TIMEOUT_S", 0.05)
    store = SqliteBackend.open(f"sqlite://{path}?create_table=1")
    (table,) = scratch_tables(application)
    application.execute("BEGIN IMMEDIATE")
    store.close()
    store.close()
    application.execute("ROLLBACK")
    assert f"{table} stays until the next run with ?create_table=1" in caplog.text
    SqliteBackend.open(f"sqlite://{path}?create_table=1").close()
    assert scratch_tables(application) == []


def test_a_read_only_file_is_one_line(tmp_path):
    """Also for its owner's own file: kvbench writes, so it says at once that it cannot."""
    own, foreign = tmp_path / "own.db", tmp_path / "app.db"
    SqliteBackend.open(f"sqlite://{own}").close()
    sqlite3.connect(foreign).execute("CREATE TABLE users (name)").connection.close()
    script = (
        "import os, sys\n"
        "from kvbench.errors import KvConnectionError\n"
        "from kvbench_backends.sqlite import SqliteBackend\n"
        "if os.geteuid() == 0: os.setegid(65534); os.seteuid(65534)\n"
        "try: SqliteBackend.open(sys.argv[1])\n"
        "except KvConnectionError as error: print(error)\n"
    )
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o555 if folder == tmp_path else 0o755)
    for path, query in ((own, ""), (foreign, "?create_table=1")):
        path.chmod(0o444)
        seen = run(sys.executable, "-c", script, f"sqlite://{path}{query}")
        assert re.fullmatch(rf"{path}: .*(readonly|unable to open).*\n", seen.stdout), seen
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("query", ["create_table", "create_table=2", "mode=ro", ""])
def test_other_words_after_the_path_are_refused(tmp_path, query):
    with pytest.raises(UsageError, match="only create_table=1 is known"):
        SqliteBackend.open(f"sqlite://{tmp_path}/kv.db?{query}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_kvbenchs_own_is_used_again_with_or_without_the_word(tmp_path):
    url = f"sqlite://{tmp_path}/kv.db"
    for opened in (url, f"{url}?create_table=1", url):
        with SqliteBackend.open(opened) as store:
            assert store.get("k") in (None, b"1")
            store.set("k", b"1")
            assert store.describe()["durability"] == "WAL, synchronous=NORMAL"
            assert Capability.SHARED in store.capabilities
    with SqliteBackend.open(url) as store:
        assert store.get("k") == b"1"


def test_a_scratch_table_has_the_applications_durability(path):
    with SqliteBackend.open(f"sqlite://{path}?create_table=1") as store:
        mode = sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone()[0]
        assert store.describe()["durability"] == f"{mode.upper()}, synchronous=FULL"


def test_a_full_disk_is_an_error_of_ours(tmp_path):
    with SqliteBackend.open(f"sqlite://{tmp_path}/kv.db") as store:
        store._execute("PRAGMA max_page_count = 10")
        with pytest.raises(KvRefusedError, match="full"):
            store.set("k", bytes(1_000_000))
