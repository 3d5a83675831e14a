"""Which key ends when: exact bookkeeping, so that nothing stale is ever counted or skipped.

Time is cut into milliseconds. Keys that end within the same one share a bucket, and a heap orders
the buckets; a key is in one bucket or in none. A batch with one TTL is one bucket and one heap
entry, whatever its size, and its bookkeeping runs in C loops. A bucket of one key is that key
itself: a million keys with a million deadlines are no million sets for the garbage collector.

Deadlines are rounded up to the next whole millisecond: a key never ends early, and at most 1 ms
late. A clock that moves in whole milliseconds sees every deadline exactly.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, KeysView
from typing import Generic, TypeVar

from kvbench.clock import NS_PER_MS

K = TypeVar("K", str, bytes)

_HEAP_SLACK = 1024
"""Emptied buckets that may stay in the heap before it is rebuilt; small enough to be free."""


class Deadlines(Generic[K]):
    """Deadlines of keys, in milliseconds of the clock that the caller reads.

    No method reads a clock, and none touches the data that the keys stand for.
    """

    __slots__ = ("_buckets", "_counts", "_heap", "_of_key", "next_ms")

    def __init__(self) -> None:
        self._of_key: dict[K, int] = {}
        self._buckets: dict[int, K | set[K]] = {}
        self._heap: list[int] = []
        self._counts = _CountsByTime()
        self.next_ms: int | None = None
        """No key is due before this millisecond; None while no key has a deadline."""

    def __len__(self) -> int:
        return len(self._of_key)

    def keys(self) -> KeysView[K]:
        """The keys that have a deadline."""
        return self._of_key.keys()

    def get(self, key: K) -> int | None:
        """The key's deadline in ms, or None when it has none."""
        return self._of_key.get(key)

    def set(self, keys: Collection[K], now_ns: int, ttl_ms: int) -> None:
        """Give ``keys`` one deadline, ``ttl_ms`` from ``now_ns``, in place of the one they have."""
        self.discard(keys)
        deadline_ms = -(-now_ns // NS_PER_MS) + ttl_ms
        self._of_key.update(dict.fromkeys(keys, deadline_ms))
        bucket = self._buckets.get(deadline_ms)
        if bucket is None:
            fresh = set(keys)
            self._counts.add(deadline_ms, len(fresh))
            self._buckets[deadline_ms] = fresh if len(fresh) > 1 else fresh.pop()
            heapq.heappush(self._heap, deadline_ms)
            self.next_ms = self._heap[0]
        else:
            grown = bucket if isinstance(bucket, set) else {bucket}
            self._counts.add(deadline_ms, -len(grown))
            grown.update(keys)
            self._counts.add(deadline_ms, len(grown))
            self._buckets[deadline_ms] = grown

    def discard(self, keys: Collection[K]) -> None:
        """Forget the deadlines of those of ``keys`` that have one."""
        if not self._of_key:
            return
        # A view's & walks the smaller side in C: a batch without deadlines costs next to nothing.
        for key in self._of_key.keys() & keys:
            deadline_ms = self._of_key.pop(key)
            self._counts.add(deadline_ms, -1)
            bucket = self._buckets[deadline_ms]
            if isinstance(bucket, set) and len(bucket) > 1:
                bucket.discard(key)
            else:
                del self._buckets[deadline_ms]
        if len(self._heap) > 2 * len(self._buckets) + _HEAP_SLACK:
            self._heap = list(self._buckets)
            heapq.heapify(self._heap)
        self._settle()

    def take_due(self, now_ms: int, limit: int) -> list[K]:
        """Remove up to ``limit`` keys whose deadline has come, earliest first, and return them."""
        taken: list[K] = []
        while self.next_ms is not None and self.next_ms <= now_ms and len(taken) < limit:
            bucket = self._buckets[self.next_ms]
            if isinstance(bucket, set):
                keys = [bucket.pop() for _ in range(min(limit - len(taken), len(bucket)))]
            else:
                keys = [bucket]
            for key in keys:
                del self._of_key[key]
            self._counts.add(self.next_ms, -len(keys))
            taken += keys
            if not isinstance(bucket, set) or not bucket:
                del self._buckets[self.next_ms]
                self._settle()
        return taken

    def count_due(self, now_ms: int) -> int:
        """How many keys are due. Takes a few thousand steps at most, however many they are."""
        if self.next_ms is None or self.next_ms > now_ms:
            return 0
        whole_blocks, rest_ms = self._counts.up_to(now_ms)
        return whole_blocks + sum(
            [
                len(bucket) if isinstance(bucket, set) else 1
                for bucket in map(self._buckets.get, rest_ms)
                if bucket is not None
            ]
        )

    def _settle(self) -> None:
        """Drop emptied buckets from the top of the heap and refresh :attr:`next_ms`."""
        heap = self._heap
        while heap and heap[0] not in self._buckets:
            heapq.heappop(heap)
        self.next_ms = heap[0] if heap else None


class _CountsByTime:
    """Keys counted by blocks of time, so that a backlog of any size is counted in few steps.

    Fine blocks are 2**13 ms (8 s) and coarse ones 2**26 ms (19 h): ten years, the longest TTL, are
    under 5,000 coarse blocks, each of 8,192 fine ones, each of 8,192 milliseconds.
    """

    __slots__ = ("_coarse", "_fine")

    def __init__(self) -> None:
        self._fine: dict[int, int] = {}
        self._coarse: dict[int, int] = {}

    def add(self, deadline_ms: int, keys: int) -> None:
        """Count ``keys`` more (or fewer) keys at ``deadline_ms``."""
        for counts, block in ((self._fine, deadline_ms >> 13), (self._coarse, deadline_ms >> 26)):
            total = counts.get(block, 0) + keys
            if total:
                counts[block] = total
            else:
                counts.pop(block, None)

    def up_to(self, now_ms: int) -> tuple[int, range]:
        """Keys in all fine blocks before that of ``now_ms``, and the ms of that block so far."""
        coarse, fine = now_ms >> 26, now_ms >> 13
        total = sum([keys for block, keys in self._coarse.items() if block < coarse])
        total += sum([self._fine.get(block, 0) for block in range(coarse << 13, fine)])
        return total, range(fine << 13, now_ms + 1)
