"""The LMDB adapter: its map grows, also under another process; foreign data is left alone."""

from __future__ import annotations

import subprocess
import sys

import lmdb
import pytest
from kvbench_backends.lmdb import MAP_BYTES_START, LmdbBackend

from kvbench.errors import KvConnectionError, UsageError
from tests.waiting import wait_until

OTHER_PROCESS = """
import sys
from kvbench_backends.lmdb import LmdbBackend
with LmdbBackend.open(sys.argv[1]) as store:
    assert store.get("ours") == b"1"
    store.mset({f"theirs:{i}": bytes(1_000_000) for i in range(40)})
    print("done", flush=True)
"""


@pytest.fixture
def url(tmp_path):
    return f"lmdb://{tmp_path}/store"


def test_the_map_grows_when_a_batch_does_not_fit(url):
    pairs = {f"k{index}": bytes(1_000_000) for index in range(3 * MAP_BYTES_START // 1_000_000)}
    with LmdbBackend.open(url) as store:
        store.mset(pairs)
        store.set("one more", bytes(2 * MAP_BYTES_START))
        assert store.mget(list(pairs)) == list(pairs.values())
    with LmdbBackend.open(url) as store:
        assert store.mexists([*pairs, "one more", "none"]) == [True] * (len(pairs) + 1) + [False]


def test_a_map_that_another_process_has_grown_is_taken_over(url):
    with LmdbBackend.open(url) as store:
        store.set("ours", b"1")
        command = [sys.executable, "-c", OTHER_PROCESS, url]
        subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
        assert store.get("theirs:39") == bytes(1_000_000)
        store.set("ours", b"2")
        assert store.mdel([f"theirs:{index}" for index in range(40)]) == 40


def test_data_stays_and_what_has_expired_is_removed_at_open(url, tmp_path):
    with LmdbBackend.open(url) as store:
        store.mset_each([("stays", b"1", None), ("long", b"2", 100), ("goes", b"3", 0.001)])
        wait_until(lambda: not store.exists("goes"), "it did not expire")
    with LmdbBackend.open(url) as store:
        assert store.mget(["stays", "long", "goes"]) == [b"1", b"2", None]
        assert 99 < store.ttl("long") <= 100
    with lmdb.open(f"{tmp_path}/store", max_dbs=1) as environment:
        database = environment.open_db(b"kvbench")
        with environment.begin(database) as transaction:
            assert transaction.stat(database)["entries"] == 2


@pytest.mark.parametrize("has_ours", [False, True])
def test_an_environment_with_other_data_is_refused_and_unchanged(url, tmp_path, has_ours):
    """Our database's name would appear among the application's own keys."""
    folder = tmp_path / "store"
    with lmdb.open(str(folder), max_dbs=1) as environment:
        with environment.begin(write=True) as change:
            change.put(b"user:1", b"1")
        if has_ours:
            environment.open_db(b"kvbench")
    (folder / "lock.mdb").unlink()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match=r"not kvbench's .*: name a new folder"):
        LmdbBackend.open(url)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_with_other_files_is_refused_and_unchanged(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"notes\.txt"):
        LmdbBackend.open(f"lmdb://{tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_backends_on_one_folder_share_it_until_the_last_is_closed(url, tmp_path):
    first, second = LmdbBackend.open(url), LmdbBackend.open(f"lmdb://{tmp_path}/./store")
    first.set("a", b"1")
    first.close()
    first.close()
    assert second.get("a") == b"1"
    for call in (lambda: first.get("a"), lambda: first.set("a", b"2"), lambda: first.mdel(["a"])):
        with pytest.raises(KvConnectionError, match="closed"):
            call()
    second.close()
    lmdb.open(f"{tmp_path}/store").close()


def test_what_is_no_environment_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "data.mdb").write_bytes(b"no database" * 1000)
    for name in ("file", "damaged", "absent/absent"):
        with pytest.raises(KvConnectionError, match=name):
            LmdbBackend.open(f"lmdb://{tmp_path}/{name}")
    with pytest.raises(UsageError, match="name a folder"):
        LmdbBackend.open("lmdb://")


def test_an_environment_that_this_process_has_open_elsewhere_is_refused(url, tmp_path):
    with (
        lmdb.open(f"{tmp_path}/store"),
        pytest.raises(KvConnectionError, match="already open in this process"),
    ):
        LmdbBackend.open(url)
