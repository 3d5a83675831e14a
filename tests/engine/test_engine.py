"""Engine: every operation against a plain model, TTLs exact under a manual clock, threads safe."""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kvbench.clock import ManualClock
from kvbench.engine import Engine, Update
from kvbench.engine import engine as engine_module


def add(amount: int):
    def decide(present: bool, value: int | None) -> Update[int, int]:
        total = (value or 0) + amount
        return Update(total, write=True, value=total)

    return decide


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def engine(clock: ManualClock) -> Engine[str, object]:
    return Engine(clock)


def test_batches_keep_order_duplicates_and_gaps(engine):
    engine.mset({"a": 1, "b": 2})
    assert engine.mget(["b", "x", "a", "b"]) == [2, None, 1, 2]
    assert engine.mexists(["b", "x", "b"]) == [True, False, True]
    assert engine.mdel(["a", "a", "x"]) == 1
    assert engine.mget([]) == [] and engine.mdel([]) == 0 and len(engine) == 1


def test_a_key_lives_to_its_last_millisecond_and_not_one_longer(engine, clock):
    engine.set("a", 1, ttl_ms=10)
    clock.advance_ms(9)
    assert engine.get("a") == 1 and engine.ttl("a") == 1
    clock.advance_ms(1)
    assert engine.get("a") is None and engine.ttl("a") is None and len(engine) == 0


def test_an_expired_key_is_absent_for_every_operation(engine, clock):
    engine.mset({f"k{i}": 1 for i in range(9)}, ttl_ms=5)
    clock.advance_ms(5)
    assert engine.mdel(["k0"]) == 0
    assert engine.delete("k1") is False
    assert engine.exists("k2") is False
    assert engine.mexists(["k3"]) == [False]
    assert engine.expire("k4", 100) is False
    assert engine.setnx("k5", 2) is True
    assert engine.update("k6", add(3)) == 3
    assert len(engine) == 2


def test_writes_replace_the_ttl_and_updates_keep_it(engine, clock):
    engine.set("a", 1, ttl_ms=10)
    engine.set("a", 2)
    assert engine.ttl("a") == -1
    engine.mset({"a": 3}, ttl_ms=10)
    engine.mset({"a": 4})
    assert engine.ttl("a") == -1
    engine.set("n", 1, ttl_ms=10)
    engine.update("n", add(1))
    clock.advance_ms(10)
    assert engine.get("n") is None


def test_expire_gives_and_takes_a_ttl(engine, clock):
    engine.set("a", 1)
    assert engine.expire("a", 10) is True and engine.ttl("a") == 10
    assert engine.expire("a", 0) is True and engine.ttl("a") == -1
    clock.advance_ms(100)
    assert engine.get("a") == 1


def test_each_entry_of_mset_each_has_its_own_ttl_and_the_last_of_a_key_wins(engine, clock):
    engine.set("c", 0, ttl_ms=1)
    engine.mset_each([("a", 1, 10), ("b", 2, 20), ("a", 3, 30), ("c", 4, 0)])
    clock.advance_ms(20)
    assert engine.mget(["a", "b", "c"]) == [3, None, 4]


def test_an_update_that_raises_changes_nothing(engine):
    engine.set("a", 1)

    def fail(present: bool, value: object) -> Update[object, None]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        engine.update("a", fail)
    assert engine.get("a") == 1
    assert engine.update("a", lambda present, value: Update(value, remove=True)) == 1
    assert engine.exists("a") is False


def test_purge_reports_what_it_dropped(engine, clock):
    engine.mset({f"k{i}": 1 for i in range(7)}, ttl_ms=1)
    clock.advance_ms(1)
    assert [engine.purge(5), engine.purge(5), engine.purge(5)] == [5, 2, 0]


def test_no_clock_is_read_while_no_key_has_a_ttl():
    class NoClock:
        def now_ns(self) -> int:
            raise AssertionError("the clock was read")

    engine: Engine[str, int] = Engine(NoClock())
    engine.mset({"a": 1})
    assert engine.mget(["a"]) == [1] and engine.delete("a") and len(engine) == 0


@pytest.mark.parametrize("step", [1, 3, 500])
def test_answers_stay_exact_while_a_backlog_remains(clock, monkeypatch, step):
    monkeypatch.setattr(engine_module, "PURGE_STEP", step)
    engine: Engine[str, int] = Engine(clock)
    engine.mset({f"old{i}": i for i in range(1_000)}, ttl_ms=5)
    engine.mset({f"new{i}": i for i in range(10)}, ttl_ms=6)
    clock.advance_ms(5)
    assert len(engine) == 10
    assert engine.mget([f"old{i}" for i in range(990, 1_000)]) == [None] * 10
    assert engine.mdel(["old500", "new3"]) == 1
    assert engine.setnx("old600", 7) is True
    assert engine.get("old600") == 7
    assert engine.exists("old601") is False
    assert engine.delete("old600") is True
    assert len(engine) == 9


def test_a_hundred_thousand_increments_from_four_threads_are_all_counted():
    engine: Engine[str, int] = Engine()
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            engine.mset({f"t{i}": i for i in range(50)}, ttl_ms=1)
            engine.mget([f"t{i}" for i in range(50)])
            engine.mdel([f"t{i}" for i in range(50)])

    def count() -> None:
        for _ in range(25_000):
            engine.update("n", add(1))

    churner = threading.Thread(target=churn)
    counters = [threading.Thread(target=count) for _ in range(4)]
    churner.start()
    for thread in counters:
        thread.start()
    for thread in counters:
        thread.join()
    stop.set()
    churner.join()
    assert engine.get("n") == 100_000


KEYS = st.sampled_from([f"k{i}" for i in range(6)])
TTLS = st.sampled_from([0, 0, 1, 2, 7])


class EngineMachine(RuleBasedStateMachine):
    """Any sequence of operations gives what a dict of (value, deadline) gives."""

    @initialize()
    def start(self) -> None:
        self.clock = ManualClock()
        self.now = 0
        self.engine: Engine[str, int] = Engine(self.clock)
        self.model: dict[str, tuple[int, int | None]] = {}

    def live(self, key: str) -> int | None:
        value, end = self.model.get(key, (None, None))
        return value if end is None or end > self.now else None

    def put(self, key: str, value: int, ttl_ms: int) -> None:
        self.model[key] = (value, self.now + ttl_ms if ttl_ms else None)

    @rule(ms=st.sampled_from([1, 2, 5]))
    def wait(self, ms: int) -> None:
        self.clock.advance_ms(ms)
        self.now += ms

    @rule(key=KEYS, value=st.integers(), ttl_ms=TTLS)
    def set(self, key: str, value: int, ttl_ms: int) -> None:
        self.engine.set(key, value, ttl_ms)
        self.put(key, value, ttl_ms)

    @rule(key=KEYS, value=st.integers(), ttl_ms=TTLS)
    def setnx(self, key: str, value: int, ttl_ms: int) -> None:
        free = self.live(key) is None
        assert self.engine.setnx(key, value, ttl_ms) is free
        if free:
            self.put(key, value, ttl_ms)

    @rule(items=st.dictionaries(KEYS, st.integers()), ttl_ms=TTLS)
    def mset(self, items: dict[str, int], ttl_ms: int) -> None:
        self.engine.mset(items, ttl_ms)
        for key, value in items.items():
            self.put(key, value, ttl_ms)

    @rule(entries=st.lists(st.tuples(KEYS, st.integers(), TTLS)))
    def mset_each(self, entries: list[tuple[str, int, int]]) -> None:
        self.engine.mset_each(entries)
        for entry in entries:
            self.put(*entry)

    @rule(keys=st.lists(KEYS))
    def mdel(self, keys: list[str]) -> None:
        present = {key for key in keys if self.live(key) is not None}
        assert self.engine.mdel(keys) == len(present)
        for key in keys:
            self.model.pop(key, None)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.engine.delete(key) is (self.live(key) is not None)
        self.model.pop(key, None)

    @rule(key=KEYS, ttl_ms=TTLS)
    def expire(self, key: str, ttl_ms: int) -> None:
        value = self.live(key)
        assert self.engine.expire(key, ttl_ms) is (value is not None)
        if value is not None:
            self.put(key, value, ttl_ms)

    @rule(key=KEYS, amount=st.integers(-3, 3))
    def update(self, key: str, amount: int) -> None:
        before = self.live(key)
        total = (before or 0) + amount
        assert self.engine.update(key, add(amount)) == total
        end = self.model[key][1] if before is not None else None
        self.model[key] = (total, end)

    @rule(limit=st.integers(0, 3))
    def purge(self, limit: int) -> None:
        assert self.engine.purge(limit) <= limit

    @invariant()
    def agrees(self) -> None:
        keys = [f"k{i}" for i in range(6)]
        live = [self.live(key) for key in keys]
        assert self.engine.mget(keys) == live
        assert self.engine.mexists(keys) == [value is not None for value in live]
        assert len(self.engine) == sum(value is not None for value in live)
        for key in keys:
            _, end = self.model.get(key, (None, None))
            expected = None if self.live(key) is None else -1 if end is None else end - self.now
            assert self.engine.ttl(key) == expected


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
