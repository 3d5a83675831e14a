"""Deadlines of keys: exact bookkeeping, so that no expired key is counted or missed.

Time is divided into milliseconds. Keys with the same deadline share a bucket, and a heap orders the
buckets; a key is in at most one bucket. A batch with one TTL is one bucket and one heap entry. A
bucket with one key is the key itself, so a million keys with different deadlines are not a million
sets for the garbage collector.

Deadlines are rounded up to whole milliseconds: a key never expires early, and at most 1 ms late. A
clock with whole milliseconds meets every deadline exactly.

A method that raises has changed nothing (see change.py). Two things may be out of date without
harm: the heap may contain milliseconds without a bucket, and ``next_ms`` may be too early.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, KeysView
from itertools import repeat, starmap
from operator import setitem
from typing import Generic, TypeVar

from kvbench.clock import NS_PER_MS
from kvbench.engine.change import Change, TrackedDict, run
from kvbench.engine.counts import CountsByTime, Totals

K = TypeVar("K", str, bytes)
V = TypeVar("V")

_HEAP_SLACK = 1024
"""Emptied buckets allowed in the heap before it is rebuilt; few enough to cost nothing."""


class Deadlines(Generic[K]):
    """Deadlines of keys, in milliseconds of the caller's clock; 0 means none.

    No method reads a clock, and only :meth:`take_due` changes the data.
    """

    __slots__ = ("_buckets", "_counts", "_heap", "_of_key", "next_ms")

    def __init__(self) -> None:
        self._of_key: TrackedDict[K, int] = TrackedDict()
        self._buckets: TrackedDict[int, K | set[K]] = TrackedDict()
        self._heap: list[int] = []
        self._counts = CountsByTime()
        self.next_ms: int | None = None
        """No key is due before this millisecond; None while no key has a deadline."""

    def __len__(self) -> int:
        return len(self._of_key.rows)

    def keys(self) -> KeysView[K]:
        """The keys that have a deadline."""
        return self._of_key.rows.keys()

    def get(self, key: K) -> int | None:
        """The key's deadline in ms, or None when it has none."""
        return self._of_key.rows.get(key)

    # --- One key ---------------------------------------------------------------------------

    def move(self, key: K, to_ms: int) -> None:
        """Replace the deadline of ``key`` by ``to_ms``, or with 0 remove it."""
        of_key, buckets = self._of_key.rows, self._buckets.rows
        from_ms = of_key.get(key, 0)
        if from_ms == to_ms:
            return
        self._settle()
        deltas = {to_ms: 1} if to_ms else {}
        is_last = False
        if from_ms:
            deltas[from_ms] = -1
            left = buckets[from_ms]
            is_last = not isinstance(left, set) or len(left) == 1
        totals = iter(self._counts.plan(deltas))
        if not to_ms:
            self._of_key.count_removal(1)
        if is_last:
            self._buckets.count_removal(1)
        if to_ms:
            self._enter(key, from_ms, to_ms)
            of_key[key] = to_ms
            if self.next_ms is None or to_ms < self.next_ms:
                self.next_ms = to_ms
        else:
            of_key.pop(key)
        if is_last:
            buckets.pop(from_ms)
        elif from_ms:
            left.discard(key)  # type: ignore[union-attr]  # a bucket of several keys is a set
        for counts, block, total in totals:
            if total:
                counts[block] = total
            else:
                counts.pop(block)

    def _enter(self, key: K, from_ms: int, to_ms: int) -> None:
        """Put ``key`` into the bucket of ``to_ms``; if it raises, nothing or all is changed."""
        of_key, buckets = self._of_key.rows, self._buckets.rows
        bucket = buckets.get(to_ms)
        if bucket is None:
            heapq.heappush(self._heap, to_ms)
        removed = self._of_key.removed + 1
        if not from_ms:
            of_key[key] = to_ms
        try:
            if isinstance(bucket, set):
                bucket.add(key)
            else:
                buckets[to_ms] = key if bucket is None else {bucket, key}
        except BaseException:
            if not from_ms:
                of_key.pop(key)
                self._of_key.removed = removed
            raise

    # --- Batches ---------------------------------------------------------------------------

    def assign(self, ends: dict[K, int], change: Change) -> None:
        """Make the commit give each key its deadline in ``ends``, or with 0 none."""
        self._settle()
        deadline_of = self._of_key.rows.get
        leaving = _by_deadline(ends, list(map(deadline_of, ends, repeat(0))))
        arriving = _by_deadline(ends, ends.values())
        ended = [key for key in arriving.pop(0, ()) if deadline_of(key)]
        leaving.pop(0, None)
        for ms in leaving.keys() & arriving.keys():
            staying = set(leaving[ms]).intersection(arriving[ms])
            for groups in (leaving, arriving):
                groups[ms] = [key for key in groups[ms] if key not in staying]
                if not groups[ms]:
                    del groups[ms]
        if arriving:
            lasting = {key: ends[key] for key in ends if ends[key]} if 0 in ends.values() else ends
            self._of_key.store(lasting, change)
        if ended:
            self._of_key.remove(ended, change)
        self._rebucket(leaving, arriving, change)

    def discard(self, keys: Collection[K], change: Change) -> None:
        """Make the commit remove the deadlines of those of ``keys`` that have one."""
        # A view's & iterates over the smaller side in C: a batch without deadlines costs little.
        self.assign(dict.fromkeys(self._of_key.rows.keys() & keys, 0), change)

    def _rebucket(
        self, leaving: dict[int, list[K]], arriving: dict[int, list[K]], change: Change
    ) -> None:
        buckets = self._buckets.rows
        deltas = {ms: -len(leaving[ms]) for ms in leaving}
        emptied: list[int] = []
        fresh: dict[int, K | set[K]] = {}
        for ms in arriving:
            keys = arriving[ms]
            deltas[ms] = deltas.get(ms, 0) + len(keys)
            bucket = buckets.get(ms)
            if isinstance(bucket, set):
                change.on_undo(bucket.discard, keys)
                bucket.update(keys)
                continue
            if bucket is None:
                heapq.heappush(self._heap, ms)
            elif ms not in leaving:
                keys.append(bucket)
            fresh[ms] = set(keys) if len(keys) > 1 else keys[0]
        for ms in leaving:
            keys, bucket = leaving[ms], buckets[ms]
            # By now every key that goes into a set is in it.
            if isinstance(bucket, set) and len(bucket) > len(keys):
                change.on_commit(bucket.discard, keys)
            elif ms not in fresh:
                emptied.append(ms)
        if fresh:
            self._buckets.store(fresh, change)
            first_ms = min(fresh)
            if self.next_ms is None or first_ms < self.next_ms:
                change.on_commit(setattr, (self,), ("next_ms",), (first_ms,))
        if emptied:
            self._buckets.remove(emptied, change)
        _store(self._counts.plan(deltas), change)

    # --- Due keys --------------------------------------------------------------------------

    def take_due(self, now_ms: int, limit: int, data: TrackedDict[K, V]) -> int:
        """Remove up to ``limit`` due keys, earliest first, here and in ``data``.

        Returns how many. If it raises, some of them may be removed, each completely.
        """
        taken = 0
        while self.next_ms is not None and self.next_ms <= now_ms and taken < limit:
            bucket = self._buckets.rows.get(self.next_ms)
            if isinstance(bucket, set):
                taken += self._take_from(self.next_ms, bucket, limit - taken, data)
            elif bucket is not None:
                data.count_removal(1)
                self.move(bucket, 0)
                data.rows.pop(bucket)
                taken += 1
            self._settle()
        return taken

    def _take_from(self, due_ms: int, bucket: set[K], limit: int, data: TrackedDict[K, V]) -> int:
        count = min(limit, len(bucket))
        # The keys are known only when they are taken: the list is filled then.
        keys: list[K] = [None] * count  # type: ignore[list-item]
        change = Change()
        change.on_commit(
            setitem, repeat(keys), list(range(count)), starmap(bucket.pop, repeat((), count))
        )
        self._of_key.remove(keys, change)
        data.remove(keys, change)
        if count == len(bucket):
            self._buckets.remove((due_ms,), change)
        _store(self._counts.plan({due_ms: -count}), change)
        run(change.commit)
        return count

    def count_due(self, now_ms: int) -> int:
        """Number of due keys. Takes a few thousand steps at most, for any number."""
        if self.next_ms is None or self.next_ms > now_ms:
            return 0
        whole_blocks, rest_ms = self._counts.up_to(now_ms)
        return whole_blocks + sum(
            [
                len(bucket) if isinstance(bucket, set) else 1
                for bucket in map(self._buckets.rows.get, rest_ms)
                if bucket is not None
            ]
        )

    def _settle(self) -> None:
        """Drop emptied buckets from the heap and refresh :attr:`next_ms`.

        Called before a change, not after it: it may fail, and then leaves a consistent state.
        """
        heap, buckets = self._heap, self._buckets.rows
        if len(heap) > 2 * len(buckets) + _HEAP_SLACK:
            heap = list(buckets)
            heapq.heapify(heap)
            self._heap = heap
        while heap and heap[0] not in buckets:
            heapq.heappop(heap)
        self.next_ms = heap[0] if heap else None


def deadline_ms(now_ns: int, ttl_ms: int) -> int:
    """The deadline of a key whose TTL starts now; 0 (none) for a TTL of 0."""
    return -(-now_ns // NS_PER_MS) + ttl_ms if ttl_ms else 0


def _by_deadline(keys: Collection[K], deadlines: Collection[int]) -> dict[int, list[K]]:
    """The keys grouped by deadline; fast if there is one group."""
    if len(set(deadlines)) == 1:
        return {next(iter(deadlines)): list(keys)}
    groups: defaultdict[int, list[K]] = defaultdict(list)
    for key, ms in zip(keys, deadlines, strict=True):
        groups[ms].append(key)
    return groups


def _store(totals: Totals, change: Change) -> None:
    """Make the commit store the planned counts."""
    for counts, block, total in totals:
        if total:
            change.on_commit(setitem, (counts,), (block,), (total,))
        else:
            change.on_commit(counts.pop, (block,))
