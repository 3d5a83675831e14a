"""The 22 cases of the results report that kvbench grew from, by name, on every kind of store.

Typed stores do all of them; a bytes store does those that need no other type; namespaces are an
affair of the wire clients. Those about speed are in tests/benchmarks/bench_batch_operations.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

import kvbench
from kvbench.client import KvPool, PoolConfig
from kvbench.local_server import OWN_SERVER, LocalServer
from tests.waiting import wait_until

TYPED = ["memory://", "kvb://HOST", "kvb+async://HOST", "pool"]
WIRE = ["kvb://HOST", "kvb+async://HOST", "pool"]
ALL = [*TYPED, "valkey://", "sqlite://FOLDER/kv.db"]


class BlockingPool:
    """A KvPool whose methods run to their end on a loop of its own."""

    def __init__(self, address: str) -> None:
        self._runner = asyncio.Runner()
        self._pool = self._runner.run(KvPool.connect(PoolConfig(address)))

    def __getattr__(self, name: str) -> Callable[..., object]:
        method = getattr(self._pool, name)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))

    def __enter__(self) -> BlockingPool:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._pool.close())
        self._runner.close()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A running `kvbench serve`, as host:port."""
    server = LocalServer(OWN_SERVER)
    yield server.wait_for_line("listening on").split()[-1]
    server.stop()


def open_store(kind: str, host: str, folder: object, namespace: str = ""):
    if kind == "pool":
        return BlockingPool(host + namespace)
    url = kind.replace("HOST", host + namespace).replace("FOLDER", str(folder))
    return kvbench.open_backend(url)


@pytest.fixture
def store(request: pytest.FixtureRequest, host: str, tmp_path: object) -> Iterator:
    with open_store(request.param, host, tmp_path) as opened:
        yield opened
        opened.mdel(KEYS)


KEYS = [f"task:{i}" for i in range(1000)]
PAIRS = [(key, f"result_{key}".encode()) for key in KEYS]
VALUES = [value for _, value in PAIRS]

every_store = pytest.mark.parametrize("store", ALL, indirect=True)
typed_stores = pytest.mark.parametrize("store", TYPED, indirect=True)


@every_store
class TestCorrectness:
    def test_mget_basic_functionality(self, store):
        store.mset(PAIRS[:3])
        assert store.mget(KEYS[:3]) == VALUES[:3]

    def test_mget_with_missing_keys_returns_none(self, store):
        store.mset(PAIRS[:2])
        assert store.mget(["task:none", KEYS[1], "task:nil", KEYS[0]]) == [
            None, VALUES[1], None, VALUES[0],
        ]  # fmt: skip

    def test_mset_basic_functionality(self, store):
        store.mset(PAIRS[:3])
        assert [store.get(key) for key in KEYS[:3]] == VALUES[:3]

    def test_mset_with_ttl_expires_correctly(self, store):
        start = time.monotonic()
        store.mset(PAIRS[:3], ttl=0.25)
        there = store.mget(KEYS[:3])
        if time.monotonic() - start < 0.25:
            assert there == VALUES[:3]
        wait_until(lambda: store.mget(KEYS[:3]) == [None] * 3, "it never expired")
        assert time.monotonic() - start >= 0.249

    def test_mdel_returns_correct_count(self, store):
        store.mset(PAIRS[:10])
        assert store.mdel(KEYS[:10]) == 10
        assert store.mget(KEYS[:10]) == [None] * 10

    def test_mdel_with_missing_keys_counts_only_deleted(self, store):
        store.mset(PAIRS[:2])
        assert store.mdel([KEYS[0], "task:none", KEYS[1], "task:nil"]) == 2


@every_store
class TestEdgeCases:
    def test_mget_of_an_empty_list(self, store):
        assert store.mget([]) == []

    def test_mset_of_an_empty_list(self, store):
        assert store.mset([]) is None

    def test_mdel_of_an_empty_list(self, store):
        assert store.mdel([]) == 0

    def test_single_key_batch_of_one(self, store):
        store.mset(PAIRS[:1])
        assert store.mget(KEYS[:1]) == VALUES[:1]
        assert store.mdel(KEYS[:1]) == 1

    def test_large_batch_of_1000_keys(self, store):
        store.mset(PAIRS)
        assert store.mget(KEYS) == VALUES
        assert store.mdel(KEYS) == 1000

    def test_overwriting_existing_keys(self, store):
        store.mset(PAIRS[:3])
        store.mset([(KEYS[1], b"new")])
        assert store.mget(KEYS[:3]) == [VALUES[0], b"new", VALUES[2]]


@typed_stores
class TestDataTypes:
    def check(self, store, values: list) -> None:
        keys = KEYS[: len(values)]
        store.mset(list(zip(keys, values, strict=True)))
        back = store.mget(keys)
        assert back == values
        assert list(map(type, back)) == list(map(type, values))

    def test_integers(self, store):
        self.check(store, [0, 1, -1, 2**63 - 1, -(2**63)])

    def test_floats(self, store):
        self.check(store, [0.0, -1.5, 1e308, 5e-324, float("inf")])

    def test_booleans(self, store):
        self.check(store, [True, False])

    def test_mixed_types(self, store):
        self.check(store, [1, 1.0, True, "1", b"1", None, [1, "a", None], {"a": [True]}])


@pytest.mark.parametrize("kind", WIRE)
class TestNamespaceSupport:
    def test_mget_with_namespace_prefix(self, kind, host, tmp_path):
        with (
            open_store(kind, host, tmp_path, "/celery/tasks") as inside,
            open_store("kvb://HOST", host, tmp_path) as outside,
        ):
            outside.mset([(f"celery/tasks:{key}", value) for key, value in PAIRS[:3]])
            assert inside.mget(KEYS[:3]) == VALUES[:3]
            assert inside.mdel(KEYS[:3]) == 3

    def test_mset_with_namespace_prefix(self, kind, host, tmp_path):
        with (
            open_store(kind, host, tmp_path, "/celery/tasks") as inside,
            open_store("kvb://HOST", host, tmp_path) as outside,
        ):
            inside.mset(PAIRS[:3])
            assert outside.mget(KEYS[:3]) == [None] * 3
            prefixed = [f"celery/tasks:{key}" for key in KEYS[:3]]
            assert outside.mget(prefixed) == VALUES[:3]
            assert outside.mdel(prefixed) == 3
