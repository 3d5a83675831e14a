"""The memcached adapter on a real memcached: what it refuses, and that no value changes silently.

Keys that memcached cannot hold, its clock of whole seconds, TTLs that it would read as dates,
batches that succeed in part, and the private server.
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from kvbench_backends.memcached import MemcachedBackend

from kvbench.errors import (
    BackendUnavailableError,
    KvConnectionError,
    KvProtocolError,
    KvRefusedError,
    UnsupportedError,
    UsageError,
)
from tests.waiting import wait_until

DAY_S = 86_400.0
needs_memcached = pytest.mark.skipif(
    shutil.which("memcached") is None, reason="no memcached on the PATH: apt-get install memcached"
)


@pytest.fixture(scope="module")
def store() -> Iterator[MemcachedBackend]:
    with MemcachedBackend.open("memcached://") as backend:
        yield backend


def wait_until_gone(store: MemcachedBackend, key: str) -> float:
    wait_until(lambda: not store.exists(key), f"{key} did not expire")
    return time.monotonic()


@needs_memcached
@pytest.mark.parametrize(
    "key", ["x" * 251, "é" * 126, "a b", "a\tb", "a\r\nb", "\0", "a\x7f", " a"]
)
def test_keys_that_memcached_cannot_hold_are_refused_by_name(store, key):
    for call in (
        lambda: store.get(key),
        lambda: store.set(key, b"1"),
        lambda: store.mset({"fine": b"1", key: b"1"}),
        lambda: store.mget(["fine", key]),
        lambda: store.mdel(["fine", key]),
        lambda: store.ttl(key),
    ):
        with pytest.raises(ValueError, match="memcached"):
            call()
    assert store.exists("fine") is False


@needs_memcached
def test_keys_up_to_memcacheds_limit_are_held(store):
    keys = ["x" * 250, "é" * 125, "\u00a0\u2028", "a\u0085"]
    store.mset(dict.fromkeys(keys, b"1"))
    assert store.mget(keys) == [b"1"] * 4 and store.mdel(keys) == 4


@needs_memcached
def test_no_key_lives_shorter_than_its_ttl(store):
    """BTTL-001 of the conformance suite bounds how much longer it may live."""
    keys = {f"t{ttl}": ttl for ttl in (0.05, 0.9, 1.0, 1.1)}
    began = time.monotonic()
    store.mset_each([(key, b"1", ttl) for key, ttl in keys.items()])
    for key, ttl in keys.items():
        assert wait_until_gone(store, key) - began >= ttl


@needs_memcached
@pytest.mark.parametrize("ttl", [0.001, 1, 29.5 * DAY_S, 30 * DAY_S, 31 * DAY_S, 3650 * DAY_S])
def test_ttls_are_rounded_up_and_long_ones_are_no_dates(store, ttl):
    store.set("t", b"1", ttl)
    assert ttl - 2 < store.ttl("t") <= -(-ttl // 1) + store.ttl_resolution_s
    assert store.cas("t", b"1", b"2") is True, "keeps the TTL"
    for _ in range(20):
        assert store.cas("t", b"2", b"2") is True
    assert store.get("t") == b"2" and ttl - 2 < store.ttl("t") <= -(-ttl // 1) + 2
    assert store.expire("t", None) is True and store.ttl("t") == -1
    assert store.cas("t", b"2", b"3") is True and store.ttl("t") == -1
    store.delete("t")


@needs_memcached
def test_every_swap_of_two_writers_counts(store):
    def count(backend: MemcachedBackend) -> None:
        for _ in range(100):
            while True:
                before = backend.get("n")
                if backend.cas("n", before, b"%d" % (int(before) + 1)):
                    break

    store.set("n", b"0")
    with (
        MemcachedBackend.open(store.private_url) as first,
        MemcachedBackend.open(store.private_url) as second,
    ):
        threads = [threading.Thread(target=count, args=(one,)) for one in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert store.get("n") == b"200"


@needs_memcached
def test_a_batch_that_is_refused_in_part_names_what_was_refused(store):
    store.set("large", b"old")
    with pytest.raises(KvRefusedError, match=r"1 of 3 keys.*'large'.*too large"):
        store.mset({"one": b"1", "large": b"x" * 2_000_000, "two": b"2"})
    assert store.mget(["one", "two"]) == [b"1", b"2"], "and the connection works again"
    assert store.get("large") is None, "memcached drops the old value, too"
    with pytest.raises(KvRefusedError, match="too large"):
        store.set("large", b"x" * 2_000_000)
    assert store.mdel(["one", "large", "two"]) == 2


@needs_memcached
def test_long_batches_keep_their_counts(store):
    """Memcached stops reading while nobody fetches its answers: they are read while we send."""
    keys = [f"{index:0250}" for index in range(50_000)]
    store.mset(dict.fromkeys(keys, b"v" * 500))
    assert store.mexists(["none", *keys]) == [False, *[True] * len(keys)]
    assert store.mdel([*keys, "none", *keys]) == len(keys)


@needs_memcached
def test_a_private_server_ends_with_its_backend():
    store = MemcachedBackend.open("memcached://")
    url = store.private_url
    with MemcachedBackend.open(url) as other:
        store.set("a", b"1")
        assert other.get("a") == b"1" and other.private_url == ""
        store.close()
        store.close()
        with pytest.raises(KvConnectionError, match="closed"):
            store.get("a")
        with pytest.raises(KvConnectionError):
            other.mexists(["a"])
        with pytest.raises(KvConnectionError):
            other.get("a")
    with pytest.raises(KvConnectionError, match="cannot be reached"):
        MemcachedBackend.open(url)


def test_without_the_program_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailableError, match="apt-get install memcached"):
        MemcachedBackend.open("memcached://")


@pytest.mark.parametrize(
    "url",
    ["memcached://host:port", "memcached://host/path", "memcached://me@host", "memcached://:11211"],
)
def test_urls_that_name_no_server_are_refused(url):
    with pytest.raises(UsageError):
        MemcachedBackend.open(url)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"-ERR unknown command\r\n", KvProtocolError),
        (b"VERSION 1.5.22\r\n", UnsupportedError),
        (b"", KvConnectionError),
    ],
)
def test_a_server_of_another_kind_or_age_is_refused_at_open(answer, error):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(2):  # The adapter looks whether it is there, then connects.
                connection, _ = server.accept()
                with connection:
                    if connection.recv(100):
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(error):
            MemcachedBackend.open(f"memcached://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


@needs_memcached
def test_pipelined_gets_cut_values_that_look_like_answers(store):
    """Line ends and answers within a value are part of it; pieces come as they come."""
    values = [b"", b"\r\n", b"EN\r\n", b"VA 3\r\nabc\r\n", b"x" * 500_000 + b"\r", b"ERROR\r\n"]
    keys = [f"cut{number}" for number in range(len(values))]
    store.pipelined_set(zip(keys, values, strict=True))
    asked = [*keys, "none", *keys[::-1]] * 5
    assert store.pipelined_get(asked) == [*values, None, *values[::-1]] * 5
    assert store.pipelined_delete([*keys, keys[0]]) == [True] * len(keys) + [False]


@needs_memcached
def test_a_pipelined_set_that_is_refused_names_its_key(store):
    with pytest.raises(KvRefusedError, match="refused 1 of 3 keys, and stored the others: 'large'"):
        store.pipelined_set([("one", b"1"), ("large", b"x" * 2_000_000), ("two", b"2")])
    assert store.pipelined_get(["one", "large", "two"]) == [b"1", None, b"2"]


@needs_memcached
def test_answers_are_read_while_requests_leave(store):
    """A server stops reading while nobody fetches its answers; both would wait for ever."""
    store.set("large", bytes(1_000_000))
    asked = ["large"] * 64 + ["none" * 60] * 40_000
    found = store.pipelined_get(asked)
    assert [len(one) for one in found[:64]] == [1_000_000] * 64 and set(found[64:]) == {None}
    store.delete("large")
