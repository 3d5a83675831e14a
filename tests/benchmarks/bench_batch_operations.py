"""A batch is faster than the same work done one by one, on every kind of store.

These are the four cases about speed of the results report that kvbench grew from, by name; the
others are in tests/integration/test_batch_operations.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.test_batch_operations import KEYS, PAIRS, every_store, host, store

__all__ = ["TestPerformance", "host", "store"]


@every_store
class TestPerformance:
    """A batch beats the same work done one by one. Best of a few rounds: machines hiccup."""

    def seconds(self, call: Callable[[], object], before: Callable[[], object] = int) -> float:
        best = float("inf")
        for _ in range(5):
            before()
            start = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - start)
        return best

    def test_mget_vs_individual_get(self, store):
        store.mset(PAIRS[:100])
        individual = self.seconds(lambda: [store.get(key) for key in KEYS[:100]])
        assert self.seconds(lambda: store.mget(KEYS[:100])) < individual

    def test_mset_vs_individual_set(self, store):
        individual = self.seconds(lambda: [store.set(key, value) for key, value in PAIRS[:100]])
        assert self.seconds(lambda: store.mset(PAIRS[:100])) < individual

    def test_mdel_vs_individual_delete(self, store):
        def fill() -> None:
            store.mset(PAIRS[:100])

        individual = self.seconds(lambda: [store.delete(key) for key in KEYS[:100]], fill)
        assert self.seconds(lambda: store.mdel(KEYS[:100]), fill) < individual

    def test_scalability_from_10_to_1000_keys(self, store):
        store.mset(PAIRS)
        per_key = {
            size: self.seconds(lambda size=size: store.mget(KEYS[:size])) / size
            for size in (10, 100, 1000)
        }
        assert per_key[1000] < per_key[10]
