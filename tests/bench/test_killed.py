"""SIGKILL in the middle of a run: who removes the keys, and what is left where nothing could.

The moments are random, from a fixed seed, and each is awaited: there are keys when the kill comes.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.foreign_stores import redis_server
from tests.waiting import wait_until

redis = pytest.importorskip("redis")
MSET_KEYS = 1000
"""Keys of an MSET that is measured, with the default batch sizes: the others have a TTL."""


def start(url: str, stderr: int = subprocess.DEVNULL) -> subprocess.Popen:
    command = [sys.executable, "-m", "kvbench", "run", url, "--rounds", "50", "--no-keep-awake"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, text=True)


def workers_of(process: subprocess.Popen) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def kill(process: subprocess.Popen, *, also_worker: bool) -> None:
    workers = workers_of(process) if also_worker else []
    for pid in (process.pid, *workers):
        os.kill(pid, signal.SIGKILL)
    process.wait(10)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds workers through /proc")
@pytest.mark.thorough
def test_keys_that_a_killed_run_and_worker_leave_go_by_themselves():
    """All but those of an MSET under measurement, which must have no TTL."""
    moments = random.Random(8)
    left_at = []
    with redis_server() as url, redis.Redis.from_url(url) as client:
        client.set("foreign", b"1")
        for _ in range(5):
            process = start(url)
            time.sleep(moments.uniform(0.5, 5.0))
            wait_until(lambda: client.dbsize() > 1)
            kill(process, also_worker=True)
            time.sleep(0.3)  # The server still works on what it has received.
            keys = set(client.keys()) - {b"foreign"}
            ttls = [client.pttl(key) for key in keys]
            left_at.append(len(keys))
            assert all(key.startswith(b"kb:") for key in keys)
            assert sum(ttl == -1 for ttl in ttls) <= MSET_KEYS
            assert max(ttls, default=0) <= 3_600_000
            if keys:
                client.delete(*keys)
        assert client.get("foreign") == b"1"
    assert any(left_at), "no kill found a key: this proved nothing"


def test_a_killed_run_has_its_worker_remove_the_keys():
    with redis_server() as url, redis.Redis.from_url(url) as client:
        process = start(url)
        time.sleep(2)
        wait_until(lambda: client.dbsize() > 0)
        kill(process, also_worker=False)
        wait_until(lambda: client.dbsize() == 0)
        time.sleep(0.5)
        assert client.dbsize() == 0, "it goes on"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds workers through /proc")
@pytest.mark.thorough
def test_a_killed_worker_has_its_keys_removed_by_the_next_round():
    """The rounds of a run share their keys: each removes what is left of those before."""
    with redis_server() as url, redis.Redis.from_url(url) as client:
        process = start(url, subprocess.PIPE)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("round 1 done")
        wait_until(lambda: client.dbsize() > 0 and workers_of(process))
        os.kill(workers_of(process)[0], signal.SIGKILL)
        left = client.dbsize()
        assert "round 2 is lost" in process.stderr.readline()
        assert process.stderr.readline().startswith("round 2 done")
        assert process.stderr.readline().startswith("round 3 done")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert left > 0 and client.dbsize() == 0


ATTEMPTS = 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds workers through /proc")
def test_what_is_left_in_a_file_is_removed_when_it_is_opened_after_the_ttl(tmp_path):
    """SQLite, as LMDB and RocksDB, removes expired records when it is opened."""
    path = tmp_path / "cache.db"
    for _ in range(ATTEMPTS):  # It may have removed its keys just before the kill.
        process = start(f"sqlite://{path}")
        try:
            wait_until(lambda: path.exists() and count(path) > 0)
        finally:
            kill(process, also_worker=True)
        if count(path):
            break
    assert count(path) > 0
    assert count(path, "deadline_ms = 4611686018427387904") <= MSET_KEYS
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE kvbench SET deadline_ms = 1 WHERE deadline_ms < 1 << 61")
    command = [sys.executable, "-m", "kvbench", "run", f"sqlite://{path}", "--quick"]
    subprocess.run([*command, "--ops", "mget", "--batch-sizes", "10"], check=True, timeout=60)
    assert count(path, "deadline_ms < 1 << 61") == 0


def count(path: Path, where: str = "1") -> int:
    try:
        with sqlite3.connect(path) as connection:
            [(number,)] = connection.execute(f"SELECT count(*) FROM kvbench WHERE {where}")
    except sqlite3.OperationalError:  # Its table is not made yet.
        return 0
    return number
