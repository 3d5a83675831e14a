"""Deadlines: every key is due exactly when it should be, and counted exactly once."""

from __future__ import annotations

import random

from kvbench.clock import NS_PER_MS as MS
from kvbench.engine.change import Change, TrackedDict, run
from kvbench.engine.deadlines import Deadlines as Bookkeeping
from kvbench.engine.deadlines import deadline_ms


class Deadlines(Bookkeeping[str]):
    """Deadlines with the commits done at once, and with data that has the same keys."""

    def __init__(self) -> None:
        super().__init__()
        self.data: TrackedDict[str, None] = TrackedDict()

    def set(self, keys: list[str], now_ns: int, ttl_ms: int) -> None:
        if len(keys) == 1:
            self.move(keys[0], deadline_ms(now_ns, ttl_ms))
        else:
            change = Change()
            self.assign(dict.fromkeys(keys, deadline_ms(now_ns, ttl_ms)), change)
            run(change.commit)
        self.data.rows |= dict.fromkeys(keys)

    def forget(self, keys: list[str]) -> None:
        change = Change()
        self.discard(keys, change)
        run(change.commit)

    def take(self, now_ms: int, limit: int) -> list[str]:
        """The keys that ``take_due`` removed, which are those that the data lacks by then."""
        before = set(self.data.rows)
        count = self.take_due(now_ms, limit, self.data)
        taken = sorted(before - set(self.data.rows))
        assert len(taken) == count
        assert set(self.keys()) <= set(self.data.rows)
        return taken


def test_a_key_is_due_at_its_deadline_and_not_before():
    deadlines = Deadlines()
    deadlines.set(["a"], now_ns=5 * MS, ttl_ms=10)
    assert deadlines.next_ms == 15
    assert deadlines.take(now_ms=14, limit=10) == []
    assert deadlines.take(now_ms=15, limit=10) == ["a"]
    assert deadlines.next_ms is None


def test_a_deadline_between_two_milliseconds_is_rounded_up():
    deadlines = Deadlines()
    deadlines.set(["a"], now_ns=5 * MS + 1, ttl_ms=10)
    assert deadlines.get("a") == 16


def test_a_new_deadline_replaces_the_old_one():
    deadlines = Deadlines()
    deadlines.set(["a", "b"], 0, 10)
    deadlines.set(["a"], 0, 20)
    assert deadlines.take(10, 10) == ["b"]
    assert deadlines.take(19, 10) == []
    assert deadlines.take(20, 10) == ["a"]
    assert len(deadlines) == 0


def test_taking_is_bounded_and_continues_where_it_stopped():
    deadlines = Deadlines()
    deadlines.set([f"k{i}" for i in range(25)], 0, 1)
    taken = [deadlines.take(1, 10) for _ in range(4)]
    assert [len(keys) for keys in taken] == [10, 10, 5, 0]
    assert len({key for keys in taken for key in keys}) == 25


def test_rewriting_one_key_repeatedly_does_not_grow_the_heap():
    deadlines = Deadlines()
    for step in range(20_000):
        deadlines.set(["a"], step * MS, 60_000)
    assert len(deadlines._heap) < 3_000
    deadlines.forget(["no key"])
    assert deadlines.next_ms == 19_999 + 60_000


def test_counting_agrees_with_a_plain_list_at_any_time():
    rng = random.Random(7)
    deadlines = Deadlines()
    model: dict[str, int] = {}
    for step in range(3_000):
        key = f"k{rng.randrange(400)}"
        if rng.random() < 0.2:
            deadlines.forget([key])
            model.pop(key, None)
        else:
            ttl_ms = rng.choice([1, 50, 9_000, 10**7, 10**11])
            deadlines.set([key], step * MS, ttl_ms)
            model[key] = step + ttl_ms
    for now_ms in [0, 100, 3_000, 8_191, 8_192, 12_001, 10**7, 10**7 + 2_500, 10**11, 2 * 10**11]:
        assert deadlines.count_due(now_ms) == sum(end <= now_ms for end in model.values())
    assert sorted(deadlines.keys()) == sorted(model)
