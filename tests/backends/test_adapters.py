"""Each adapter keeps the contract of kvbench.backend, on the real store, as far as it declares."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import kvbench
from kvbench.errors import KvConnectionError, KvRefusedError, UnsupportedError, UsageError
from kvbench.model import Capability
from kvbench.registry import backend_class

URLS = [
    "memory://",
    "sqlite://FOLDER/kv.db",
    "sqlite://:memory:",
    "valkey://",
    "kvb://",
    "kvb+async://",
]


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    url = request.param.replace("FOLDER", str(tmp_path_factory.mktemp("store")))
    with kvbench.open_backend(url) as backend:
        yield backend


def stores(*needs: Capability, without: Capability | None = None) -> pytest.MarkDecorator:
    """Run a test on the stores that declare ``needs``, or on those that lack ``without``."""
    urls = []
    for url in URLS:
        can = backend_class(url).capabilities
        if can.issuperset(needs) and without not in can:
            urls.append(url)
    assert urls
    return pytest.mark.parametrize("store", urls, indirect=True)


@stores()
def test_single_operations(store):
    assert store.get("one") is None and store.exists("one") is False
    store.set("one", b"1")
    store.set("one", b"2")
    assert store.get("one") == b"2" and store.exists("one") is True
    assert store.delete("one") is True and store.delete("one") is False


@stores()
def test_batches_keep_order_duplicates_and_gaps(store):
    store.mset([("b:é☃𝄞", b"x"), ("b:2", b"y"), ("b:2", b"z")])
    assert store.mget(["b:2", "b:none", "b:é☃𝄞", "b:2"]) == [b"z", None, b"x", b"z"]
    assert store.mexists(["b:2", "b:none", "b:2"]) == [True, False, True]
    assert store.mdel(["b:2", "b:2", "b:none", "b:é☃𝄞"]) == 2
    assert store.mget([]) == [] and store.mexists([]) == [] and store.mdel([]) == 0
    store.mset({})


@stores(Capability.TTL)
def test_ttl_is_reported_removed_and_replaced(store):
    store.set("t", b"1", ttl=100)
    assert 99 < store.ttl("t") <= 100
    store.set("t", b"1")
    assert store.ttl("t") == -1
    assert store.expire("t", 50) is True and 49 < store.ttl("t") <= 50
    assert store.expire("t", None) is True and store.ttl("t") == -1
    assert store.expire("t:none", 5) is False and store.ttl("t:none") is None
    store.mset({"t": b"2", "t2": b"3"}, ttl=100)
    assert 99 < store.ttl("t") <= 100
    store.mdel(["t", "t2"])


@stores(Capability.TTL_EACH)
def test_each_pair_has_its_own_ttl(store):
    store.mset_each([("e1", b"1", None), ("e2", b"2", 50), ("e2", b"3", 90)])
    assert store.mget(["e1", "e2"]) == [b"1", b"3"]
    assert store.ttl("e1") == -1 and 89 < store.ttl("e2") <= 90
    store.mdel(["e1", "e2"])


@stores(Capability.SETNX)
def test_setnx_stores_once(store):
    assert store.setnx("nx", b"1", ttl=50) is True and store.setnx("nx", b"2") is False
    assert store.get("nx") == b"1" and 49 < store.ttl("nx") <= 50
    store.delete("nx")


@stores(Capability.GETDEL)
def test_getdel_gives_the_value_once(store):
    assert store.getdel("gd") is None
    store.set("gd", b"1", ttl=50)
    assert store.getdel("gd") == b"1" and store.getdel("gd") is None
    assert store.exists("gd") is False


@stores(Capability.CAS)
def test_cas_swaps_mismatches_and_misses(store):
    assert store.cas("cas", b"1", b"2") is None
    store.set("cas", b"1", ttl=50)
    assert store.cas("cas", b"0", b"2") is False
    assert store.cas("cas", b"1", b"2") is True
    assert store.get("cas") == b"2" and 49 < store.ttl("cas") <= 50
    store.delete("cas")


@stores(Capability.COUNTERS, Capability.LOCKS)
def test_counters_and_locks(store):
    assert [store.incr("n"), store.incr("n", 5), store.decr("n", 2)] == [1, 6, 4]
    assert store.decr("n:absent", -(2**62)) == 2**62
    store.set("n:text", b"x")
    with pytest.raises(KvRefusedError):
        store.incr("n:text")
    assert store.lock("l", "me", 50) is True and store.lock("l", "me", 50) is False
    with pytest.raises(KvRefusedError):
        store.unlock("l", "you")
    assert store.extend_lock("l", "me", 90) is True and store.unlock("l", "me") is True
    assert store.unlock("l", "me") is False and store.extend_lock("l", "me", 1) is False
    store.mdel(["n", "n:absent", "n:text"])


@stores(without=Capability.LOCKS)
def test_a_store_without_a_capability_says_so(store):
    with pytest.raises(UnsupportedError, match="does not support lock"):
        store.lock("l", "me", 1)


@stores(Capability.TYPED_VALUES)
def test_typed_values_come_back_as_they_were(store):
    values = [None, True, 1, -(2**63), 1.5, "é", b"\0", [1, [2]], {"a": {"b": [True]}}]
    store.mset([(f"v{i}", value) for i, value in enumerate(values)])
    back = store.mget([f"v{i}" for i in range(len(values))])
    assert back == values and list(map(type, back)) == list(map(type, values))
    store.mdel([f"v{i}" for i in range(len(values))])


@stores(Capability.TYPED_VALUES)
def test_what_the_caller_changes_later_does_not_reach_the_store(store):
    given = [1, {"a": [2]}]
    store.set("mine", given)
    given[1]["a"].append(3)
    got = store.get("mine")
    got.append(4)
    store.mget(["mine"])[0].append(5)
    assert store.get("mine") == [1, {"a": [2]}]
    store.delete("mine")


@stores()
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s: s.get(""), ValueError),
        (lambda s: s.get("x" * 257), ValueError),
        (lambda s: s.get("\ud800"), ValueError),
        (lambda s: s.get(5), TypeError),
        (lambda s: s.mget("abc"), TypeError),
        (lambda s: s.mget(["a", ""]), ValueError),
        (lambda s: s.mset([("a", b"1"), ("b", object())]), TypeError),
        (lambda s: s.mset([("a",)]), TypeError),
        (lambda s: s.set("a", b"1", ttl=0), ValueError),
        (lambda s: s.set("a", b"1", ttl=float("nan")), ValueError),
        (lambda s: s.set("a", b"1", ttl="5"), TypeError),
        (lambda s: s.set("a", object()), TypeError),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_stored(store, call, error):
    with pytest.raises(error):
        call(store)
    assert store.mget(["a", "b"]) == [None, None]


@stores(without=Capability.TYPED_VALUES)
def test_bytes_stores_refuse_other_types_and_name_the_key(store):
    with pytest.raises(TypeError, match=r"'k7'.*bytes, not int"):
        store.mset({"k6": b"1", "k7": 7})
    assert store.exists("k6") is False


@stores()
def test_a_batch_of_100_000_keys(store):
    keys = [f"many:{i}" for i in range(100_000)]
    store.mset(dict.fromkeys(keys, b"v"))
    assert store.mget(keys) == [b"v"] * 100_000
    assert store.mdel(keys) == 100_000


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("memory://host", UsageError),
        ("null://x", UsageError),
        ("sqlite://", UsageError),
        ("sqlite:///nonexistent-folder/kv.db", KvConnectionError),
        ("sqlite:///etc/passwd", KvConnectionError),
        ("redis://127.0.0.1:1/", KvConnectionError),
        ("redis://127.0.0.1:port/", UsageError),
        ("redis://127.0.0.1:1/tasks", UsageError),
        ("valkey://127.0.0.1:1/1/2", UsageError),
        ("kvb://127.0.0.1:1", KvConnectionError),
        ("kvb+async://127.0.0.1:1", KvConnectionError),
    ],
)
def test_targets_that_cannot_be_opened_say_why(url, error):
    with pytest.raises(error):
        kvbench.open_backend(url)


def test_an_sqlite_file_keeps_its_data_and_drops_what_expired(tmp_path):
    url = f"sqlite://{tmp_path}/kv.db"
    with kvbench.open_backend(url) as store:
        store.set("stays", b"1")
        store.set("goes", b"2", ttl=0.001)
    with kvbench.open_backend(url) as store:
        assert store.mget(["stays", "goes"]) == [b"1", None]
