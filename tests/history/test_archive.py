"""Archives: an entry once, whole or not at all, from several processes; damage is named."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from kvbench.errors import ResultsError, UsageError
from kvbench.history import archive as archives
from kvbench.history.archive import FolderArchive, SqliteArchive, open_archive
from kvbench.history.entry import read_entry
from tests.compare.compared_results import load_results, run_results
from tests.history.kept_results import write_results, write_runs

KINDS = ["history.sqlite", "folder"]


@pytest.fixture(params=KINDS)
def archive(request, tmp_path):
    return open_archive(tmp_path / request.param)


@pytest.fixture
def entries(tmp_path):
    return [read_entry(path) for path in write_runs(tmp_path, [1, 1, 1], cells=(("mget", 10),))]


def test_entries_come_back_in_the_order_of_their_dates(archive, entries):
    assert archive.add(entries[1:]) == (True, True)
    assert archive.add(entries) == (True, False, False)
    assert archive.entries() == tuple(entries)
    archive.remove([entries[1].digest])
    assert archive.entries() == (entries[0], entries[2])
    assert archive.add([entries[1]]) == (True,)


def test_an_entry_has_the_figures_of_run_load_and_capacity(archive, tmp_path):
    files = [
        write_results(tmp_path / "a", run_results()),
        write_results(tmp_path / "b", load_results()),
        write_results(tmp_path / "c", load_results(capacities=True)),
    ]
    archive.add([read_entry(path, "1f0c") for path in files])
    kept = {one.key for entry in archive.entries() for one in entry.readings}
    assert ("memory://", "MGET × 100", "keys_per_s") in kept
    assert ("kvb://", "batch × 50", "p99") in kept
    assert ("kvb://", "batch × 50 within p99 < 5ms", "capacity") in kept
    assert {entry.commit for entry in archive.entries()} == {"1f0c"}


ADD = """
import sys
from pathlib import Path
from kvbench.history.archive import open_archive
from kvbench.history.entry import read_entry
archive = open_archive(Path(sys.argv[1]))
print(sum([archive.add([read_entry(Path(name))])[0] for name in sys.argv[2:]]))
"""


def test_several_processes_add_the_same_files(archive, tmp_path):
    """They also make the archive at the same time. Each entry is added by one of them."""
    files = list(map(str, write_runs(tmp_path, [1] * 12, cells=(("mget", 10),))))
    adding = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, str(archive.path), *files[start:], *files[:start]],
            stdout=subprocess.PIPE, text=True,
        )
        for start in (0, 6)
    ]  # fmt: skip
    counts = [int(one.communicate(timeout=60)[0]) for one in adding]
    assert sum(counts) == len(archive.entries()) == 12


def test_what_a_folder_has_besides_entries_is_left_alone(tmp_path, entries):
    other = tmp_path / "folder" / "package.json"
    other.parent.mkdir()
    other.write_text("{}")
    archive = FolderArchive(other.parent)
    archive.add(entries)
    archive.remove([one.digest for one in entries])
    assert archive.entries() == ()
    assert list(other.parent.iterdir()) == [other]


def test_a_damaged_entry_is_named(tmp_path, entries):
    archive = FolderArchive(tmp_path / "folder")
    archive.add(entries)
    damaged = sorted(archive.path.iterdir())[1]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with pytest.raises(ResultsError, match=f"{damaged.name}: damaged"):
        archive.entries()


def test_another_schema_is_named(tmp_path, entries):
    archive = FolderArchive(tmp_path / "folder")
    archive.add(entries)
    newer = sorted(archive.path.iterdir())[0]
    newer.write_text(newer.read_text().replace("kvbench-history/1", "kvbench-history/9"))
    with pytest.raises(ResultsError, match="schema 'kvbench-history/9'"):
        archive.entries()


def test_a_damaged_file_is_no_history(tmp_path, entries):
    path = tmp_path / "history.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 20)
    before = path.read_bytes()
    for act in (SqliteArchive(path).entries, lambda: SqliteArchive(path).add(entries)):
        with pytest.raises(ResultsError, match="is no history, or damaged"):
            act()
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_not_written_to(tmp_path, entries):
    path = tmp_path / "cookies.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE entry (a, b, c)")
    before = path.read_bytes()
    with pytest.raises(ResultsError, match="is a database, but no history"):
        SqliteArchive(path).add(entries)
    assert path.read_bytes() == before


def test_a_locked_file_is_one_line(tmp_path, entries, monkeypatch):
    monkeypatch.setattr(archives, "LOCK_TIMEOUT_S", 0.05)
    archive = SqliteArchive(tmp_path / "history.sqlite")
    archive.add(entries[:1])
    with closing(sqlite3.connect(archive.path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UsageError, match="is locked by another process: try again"):
            archive.add(entries)
    assert archive.entries() == (entries[0],), "nothing was added by halves"


def test_a_history_that_is_missing_is_not_made_by_a_reader(archive):
    with pytest.raises(UsageError, match="`kvbench history add` makes one"):
        archive.entries()
    assert not archive.path.exists()


def test_the_name_tells_the_kind(tmp_path):
    assert isinstance(open_archive(tmp_path / "a.db"), SqliteArchive)
    assert isinstance(open_archive(tmp_path / "bench"), FolderArchive)
    with pytest.raises(UsageError, match=r"name a file .*a\.sqlite, or a folder"):
        open_archive(tmp_path / "a.json")
    with pytest.raises(UsageError, match="there is no folder"):
        SqliteArchive(Path(tmp_path / "gone" / "a.db")).add([])
