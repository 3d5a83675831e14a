"""The engine when memory runs out: each call happens wholly or not at all, at every allocation.

CPython's own test hook makes the n-th allocation of a call fail, and in a second pass that one and
all later ones, for n = 0, 1, 2... until the call succeeds. After each failure the engine must hold
what it held before, its bookkeeping must agree with itself, and the same call must work afterwards.
"""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from kvbench.clock import NS_PER_MS, ManualClock
from kvbench.engine import Engine, Update
from kvbench.engine import engine as engine_module
from kvbench.engine.change import TrackedDict

_testcapi = pytest.importorskip("_testcapi", reason="this Python has no allocation test hook")

POINTS_MAX = 5_000
"""No call below makes so many allocations: a loop that gets here does not end."""

PURGE_STEP = 50
"""Fewer than the engine drops in a call, for each is an allocation that has to fail once."""

Store = Engine[str, object]

START_MS = 1_000_000


def plain(size: int) -> Callable[[ManualClock], Store]:
    """A store of ``size`` keys without TTLs."""

    def build(clock: ManualClock) -> Store:
        engine: Store = Engine(clock)
        engine.mset({f"k{i}": i for i in range(size)})
        return engine

    return build


def mixed(size: int) -> Callable[[ManualClock], Store]:
    """Keys without a TTL, with one for all, with one for two, and with one each."""

    def build(clock: ManualClock) -> Store:
        engine = plain(size)(clock)
        engine.mset({f"k{i}": i for i in range(0, size, 2)}, ttl_ms=5_000)
        engine.mset({"pair0": 0, "pair1": 1}, ttl_ms=70_000)
        engine.mset_each([(f"own{i}", i, 10_000 + 3_000 * i) for i in range(8)])
        return engine

    return build


def backlog(size: int) -> Callable[[ManualClock], Store]:
    """The same when more keys are due than one call drops."""

    def build(clock: ManualClock) -> Store:
        engine = mixed(size)(clock)
        engine.mset({f"due{i}": i for i in range(60)}, ttl_ms=1)
        engine.set("due alone", 0, ttl_ms=2)
        clock.advance_ms(3)
        return engine

    return build


def refuse(present: bool, value: object) -> Update[object, int]:
    return Update(0, write=False)


STORES = {
    "empty": plain(0),
    "full table": plain(85),
    "mixed": mixed(72),
    "backlog": backlog(20),
}
NEW = {f"new{i}": i for i in range(75)}
HALF = {f"k{i}": -i for i in range(50, 125)}
OLD = {f"k{i}": -i for i in range(5)}
MANY = list(HALF)
ALL = [f"k{i}" for i in range(150)]
EACH = [(f"k{i}", i, i % 3 and 5_000 + 1_000 * (i % 40)) for i in range(62, 92)]
EXCHANGED = [("own0", 0, 13_000), ("own1", 0, 10_000), ("pair0", 0, 16_000), ("own2", 0, 70_000)]
WROTE = Update(7, write=True, value=7)
WROTE_TTL = Update(7, write=True, value=7, ttl_ms=90_000)
REMOVED = Update(7, remove=True)

CALLS: dict[str, Callable[[Store], object]] = {
    "get": lambda e: e.get("k1"),
    "mget": lambda e: e.mget(MANY),
    "exists": lambda e: e.exists("k1"),
    "mexists": lambda e: e.mexists(MANY),
    "ttl": lambda e: e.ttl("own3"),
    "len": len,
    "set a new key": lambda e: e.set("a", 1),
    "set an old key": lambda e: e.set("k2", 1),
    "set a new key with a TTL": lambda e: e.set("a", 1, 123_456),
    "set an old key with a TTL": lambda e: e.set("k2", 1, 123_456),
    "set into the bucket of many": lambda e: e.set("a", 1, 5_000),
    "set into a bucket of one": lambda e: e.set("a", 1, 10_000),
    "move out of a bucket of one": lambda e: e.set("own3", 1, 5_000),
    "take the TTL from a pair": lambda e: e.set("pair0", 1),
    "setnx": lambda e: e.setnx("a", 1, 40_000),
    "setnx on an expired key": lambda e: e.setnx("due55", 1, 40_000),
    "delete": lambda e: e.delete("k2"),
    "delete with its own TTL": lambda e: e.delete("own3"),
    "expire": lambda e: e.expire("k1", 44_000),
    "expire never": lambda e: e.expire("k2", 0),
    "update": lambda e: e.update("k2", lambda present, value: WROTE),
    "update a new key": lambda e: e.update("a", lambda present, value: WROTE),
    "update with a TTL": lambda e: e.update("k2", lambda present, value: WROTE_TTL),
    "update that removes": lambda e: e.update("k2", lambda present, value: REMOVED),
    "update that refuses": lambda e: e.update("k2", refuse),
    "mset new": lambda e: e.mset(NEW),
    "mset new and old": lambda e: e.mset(HALF),
    "mset old": lambda e: e.mset(OLD),
    "mset new with a TTL": lambda e: e.mset(NEW, 50_000),
    "mset new and old with a TTL": lambda e: e.mset(HALF, 50_000),
    "mset old with a TTL": lambda e: e.mset(OLD, 50_000),
    "mset into the bucket of many": lambda e: e.mset(HALF, 5_000),
    "mset into the bucket of two": lambda e: e.mset(HALF, 70_000),
    "mset into a bucket of one": lambda e: e.mset(HALF, 10_000),
    "mset_each": lambda e: e.mset_each(EACH),
    "mset_each that exchanges TTLs": lambda e: e.mset_each(EXCHANGED),
    "mdel": lambda e: e.mdel(["k1", "own3", "k2", "k2", "no key", "pair0", "due54"]),
    "mdel of many": lambda e: e.mdel(MANY),
    "mdel of all": lambda e: e.mdel(ALL),
    "purge": lambda e: e.purge(PURGE_STEP),
    "purge a few": lambda e: e.purge(3),
}


def live(engine: Store, now_ms: int) -> dict[str, tuple[object, int | None]]:
    """What callers can see: value and deadline of each key that is not due."""
    end_of = engine._deadlines.get
    return {
        key: (value, end_of(key))
        for key, value in engine._data.items()
        if (end_of(key) or now_ms + 1) > now_ms
    }


def check_bookkeeping(engine: Store) -> None:
    """Data, deadlines, buckets, counts, heap and room agree with each other."""
    held = engine._deadlines
    assert not engine._lock.locked()
    ends = held._of_key.rows
    assert set(ends) <= set(engine._data)
    in_buckets: dict[int, set[str]] = {}
    for ms, bucket in held._buckets.rows.items():
        in_buckets[ms] = set(bucket) if isinstance(bucket, set) else {bucket}
    expected: dict[int, set[str]] = {}
    for key, ms in ends.items():
        expected.setdefault(ms, set()).add(key)
    assert in_buckets == expected
    for counts, bits in ((held._counts._fine, 13), (held._counts._coarse, 26)):
        assert +Counter(counts) == Counter(ms >> bits for ms in ends.values())
        assert min(counts.values(), default=0) >= 0
    heap = held._heap
    assert set(in_buckets) <= set(heap)
    assert all(heap[(i - 1) // 2] <= heap[i] for i in range(1, len(heap)))
    if in_buckets:
        assert held.next_ms is not None and held.next_ms <= min(in_buckets)
    check_room(engine._table, str)
    check_room(held._of_key, str)
    check_room(held._buckets, int)


def check_room(table: TrackedDict, kind: type) -> None:
    """So many new keys as the table says that it has room for need no allocation."""
    rows = table.rows
    fresh = [f"fresh{i}" if kind is str else -1 - i for i in range(table.room())]
    set(fresh)  # A str computes its hash once; that is no allocation, but it is not the point.
    names = iter(fresh)
    _testcapi.set_nomemory(0, 0)
    try:
        for name in names:
            rows[name] = None
    finally:
        _testcapi.remove_mem_hooks()
    table.count_removal(len(fresh))
    for name in fresh:
        del rows[name]


def at_start() -> ManualClock:
    return ManualClock(START_MS * NS_PER_MS)


def fails(call: Callable[[Store], object], engine: Store, start: int, stop: int) -> bool:
    """Call with failing allocations. Short: tests/test_architecture.py says why."""
    _testcapi.set_nomemory(start, stop)
    try:
        call(engine)
    except MemoryError:
        return True
    finally:
        _testcapi.remove_mem_hooks()
    return False


def runs(
    build: Callable[[ManualClock], Store], call: Callable[[Store], object], only_one: bool
) -> Iterator[tuple[Store, dict[str, tuple[object, int | None]], int, bool]]:
    """For each point of failure: engine, what was live before the call, the time, did it fail."""
    for point in range(POINTS_MAX):
        clock = at_start()
        engine = build(clock)
        now_ms = clock.now_ns() // NS_PER_MS
        before = live(engine, now_ms)
        gc.collect()  # Empties the free lists, which would hide allocations.
        gc.freeze()  # The next collection has only the next engine to look at.
        failed = fails(call, engine, point, point + 1 if only_one else 0)
        yield engine, before, now_ms, failed
        if not failed:
            return
    raise AssertionError("the call never succeeds")


@pytest.fixture(autouse=True)
def _small_heap():
    """Everything that exists is left out of collections: there are thousands of them below."""
    gc.collect()
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(engine_module, "PURGE_STEP", PURGE_STEP)


@pytest.fixture(autouse=True)
def _untraced():
    """A tracer, such as that of coverage.py, allocates as well, and would fail in its own code."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_that_runs_out_of_memory_changes_nothing(name: str) -> None:
    failures = sum(fail_everywhere(build, CALLS[name]) for build in STORES.values())
    assert failures > 3


def fail_everywhere(build: Callable[[ManualClock], Store], call: Callable[[Store], object]) -> int:
    """Check ``call`` at every point of failure; returns how many there were."""
    reference = build(at_start())
    call(reference)
    failures = 0
    for only_one in (True, False):
        for engine, before, now_ms, failed in runs(build, call, only_one):
            after = live(reference, now_ms)
            assert live(engine, now_ms) == (before if failed else after)
            check_bookkeeping(engine)
            if failed:
                failures += 1
                call(engine)
                assert live(engine, now_ms) == after
    return failures
