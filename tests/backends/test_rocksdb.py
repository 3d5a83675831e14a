"""The RocksDB adapter: one process at a time, foreign data left alone, threads in turns."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import rocksdict
from kvbench_backends.rocksdb import RocksdbBackend

from kvbench.errors import KvConnectionError, UsageError
from tests.waiting import wait_until

OTHER_PROCESS = """
import sys
from kvbench.errors import KvConnectionError
from kvbench_backends.rocksdb import RocksdbBackend
try:
    RocksdbBackend.open(sys.argv[1])
except KvConnectionError as error:
    print(error)
"""


@pytest.fixture
def url(tmp_path):
    return f"rocksdb://{tmp_path}/store"


def raw_options() -> rocksdict.Options:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    return options


def test_a_database_that_another_process_has_open_is_refused_by_name(url):
    command = [sys.executable, "-c", OTHER_PROCESS, url]
    with RocksdbBackend.open(url):
        seen = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert "another process has it open" in seen.stdout
    seen = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True)
    assert seen.stdout == "", "it was unlocked when the last backend closed"


def test_data_stays_and_what_has_expired_is_removed_at_open(url, tmp_path):
    with RocksdbBackend.open(url) as store:
        store.mset_each([("stays", b"1", None), ("long", b"2", 100), ("goes", b"3", 0.001)])
        wait_until(lambda: not store.exists("goes"), "it did not expire")
    with RocksdbBackend.open(url) as store:
        assert store.mget(["stays", "long", "goes"]) == [b"1", b"2", None]
        assert 99 < store.ttl("long") <= 100
    database = rocksdict.Rdict(f"{tmp_path}/store", raw_options())
    family = database.get_column_family("kvbench")
    assert sorted(family.keys()) == [b"long", b"stays"]
    family.close()
    database.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_database_with_other_data_is_refused_and_unchanged(url, tmp_path):
    """A family that its application does not know would keep that from opening it."""
    database = rocksdict.Rdict(f"{tmp_path}/store", raw_options())
    database[b"short"] = b"1"
    other = database.create_column_family("other", rocksdict.Options(raw_mode=True))
    other[b"zeros"] = bytes(20)
    other.close()
    database.close()
    del other, database
    before = contents(tmp_path / "store")
    with pytest.raises(UsageError, match=r"not kvbench's .*: name a new folder"):
        RocksdbBackend.open(url)
    assert contents(tmp_path / "store") == before


def test_rocksdicts_pickled_objects_are_not_touched(url, tmp_path):
    database = rocksdict.Rdict(f"{tmp_path}/store")
    database["a"] = {"b": 1}
    database.close()
    del database
    before = contents(tmp_path / "store")
    with pytest.raises(UsageError, match="not kvbench's"):
        RocksdbBackend.open(url)
    assert contents(tmp_path / "store") == before


def test_backends_on_one_folder_share_it_until_the_last_is_closed(url, tmp_path):
    first, second = RocksdbBackend.open(url), RocksdbBackend.open(f"rocksdb://{tmp_path}/./store")
    first.set("a", b"1")
    first.close()
    first.close()
    assert second.get("a") == b"1"
    for call in (lambda: first.get("a"), lambda: first.set("a", b"2"), lambda: first.mdel(["a"])):
        with pytest.raises(KvConnectionError, match="closed"):
            call()
    second.close()


def test_threads_that_read_first_decide_on_what_they_read(url):
    stored: list[bool] = []
    with RocksdbBackend.open(url) as store:

        def race() -> None:
            for index in range(200):
                stored.append(store.setnx(f"k{index}", b"1"))

        threads = [threading.Thread(target=race) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert stored.count(True) == 200 and len(stored) == 600
        assert store.mdel([f"k{index}" for index in range(200)]) == 200


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    damaged = Path(tmp_path, "damaged")
    damaged.mkdir()
    (damaged / "CURRENT").write_text("no manifest\n")
    with pytest.raises(KvConnectionError, match="file: Not a directory"):
        RocksdbBackend.open(f"rocksdb://{tmp_path}/file")
    with pytest.raises(UsageError, match="damaged holds data that is not kvbench's"):
        RocksdbBackend.open(f"rocksdb://{damaged}")
    with pytest.raises(UsageError, match="name a folder"):
        RocksdbBackend.open("rocksdb://")
