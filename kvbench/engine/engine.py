"""The engine: every operation of the protocol on a dict, with TTLs, safe from several threads.

Two ideas carry it. A CPython dict is C, so batch calls hand the whole loop to it: ``map`` over a
bound method of the dict, never a Python loop. And *expire before you look*: each call first drops
the keys that are due, so the dict holds only live ones and no read checks a deadline per key. The
clock is read once a call, and not at all while no key has a TTL.

Dropping is bounded (:data:`PURGE_STEP` keys a call). While more than that is due, a backlog, each
call drops the due keys among its own first: every answer stays exact, and no call pays for all.

Engine and server agree on these semantics (specs/wire-protocol.md): a batch happens at one instant
and wholly; a write replaces value and TTL; read-modify-write (:meth:`Engine.update`) keeps the TTL
unless it is given one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from threading import Lock
from typing import Generic, TypeVar

from kvbench.clock import NS_PER_MS, Clock, SystemClock
from kvbench.engine.deadlines import Deadlines

K = TypeVar("K", str, bytes)
V = TypeVar("V")
R = TypeVar("R")

PURGE_STEP = 500
"""Keys dropped in one call at most: a few milliseconds of work where memory is slow."""


@dataclass(frozen=True, slots=True)
class Update(Generic[V, R]):
    """What a read-modify-write decided, for :meth:`Engine.update`.

    Attributes:
        result: what the caller of ``update`` gets.
        write: True stores ``value``; False leaves the key as it is (or removes it, see ``remove``).
        value: the new value.
        ttl_ms: a new TTL; 0 keeps the one that the key has.
        remove: True deletes the key.
    """

    result: R
    write: bool = False
    value: V | None = None
    ttl_ms: int = 0
    remove: bool = False


class Engine(Generic[K, V]):
    """An in-memory key-value store.

    Keys are ``str`` or ``bytes``, values are anything; both are kept as given. A TTL is a whole
    number of milliseconds, 0 for none. Absent and expired keys are the same to every method.

    Args:
        clock: where the time comes from; a ManualClock makes every expiry exact.
    """

    __slots__ = ("_clock", "_data", "_deadlines", "_lock")

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._data: dict[K, V] = {}
        self._deadlines: Deadlines[K] = Deadlines()
        self._lock = Lock()

    # --- One key ---------------------------------------------------------------------------

    def get(self, key: K) -> V | None:
        """The key's value, None when it is absent."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            return self._data.get(key)

    def set(self, key: K, value: V, ttl_ms: int = 0) -> None:
        """Store a value; replaces both value and TTL."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._deadlines.discard((key,))
            self._data[key] = value
            if ttl_ms:
                self._deadlines.set((key,), self._clock.now_ns(), ttl_ms)

    def setnx(self, key: K, value: V, ttl_ms: int = 0) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            if key in self._data:
                return False
            self._data[key] = value
            if ttl_ms:
                self._deadlines.set((key,), self._clock.now_ns(), ttl_ms)
            return True

    def delete(self, key: K) -> bool:
        """Remove a key; returns whether it was there."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
                self._deadlines.discard((key,))
            size = len(self._data)
            self._data.pop(key, None)
            return len(self._data) < size

    def exists(self, key: K) -> bool:
        """Whether the key is there."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            return key in self._data

    def expire(self, key: K, ttl_ms: int) -> bool:
        """Give a key a new TTL, or with 0 none; returns whether the key was there."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            if key not in self._data:
                return False
            if ttl_ms:
                self._deadlines.set((key,), self._clock.now_ns(), ttl_ms)
            else:
                self._deadlines.discard((key,))
            return True

    def ttl(self, key: K) -> int | None:
        """Milliseconds that a key has left (at least 1), -1 without a TTL, None when absent."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            if key not in self._data:
                return None
            deadline_ms = self._deadlines.get(key)
            if deadline_ms is None:
                return -1
            return max(1, deadline_ms - -(-self._clock.now_ns() // NS_PER_MS))

    def update(self, key: K, decide: Callable[[bool, V | None], Update[V, R]]) -> R:
        """Read, decide and write as one step: what INCR, DECR, CAS and locks are made of.

        Args:
            key: the key.
            decide: called once with whether the key is there and its value. It must not call the
                engine. If it raises, nothing has changed.
        """
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            decision = decide(key in self._data, self._data.get(key))
            if decision.remove:
                self._data.pop(key, None)
                self._deadlines.discard((key,))
            elif decision.write:
                self._data[key] = decision.value  # type: ignore[assignment]  # V may hold None
                if decision.ttl_ms:
                    self._deadlines.set((key,), self._clock.now_ns(), decision.ttl_ms)
            return decision.result

    # --- Batches ---------------------------------------------------------------------------

    def mget(self, keys: Sequence[K]) -> list[V | None]:
        """The values of ``keys`` in their order, None where a key is absent."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire(keys)
            return list(map(self._data.get, keys))

    def mset(self, items: Mapping[K, V], ttl_ms: int = 0) -> None:
        """Store all of ``items`` with one TTL; replaces values and TTLs."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._deadlines.discard(items.keys())
            self._data.update(items)
            if ttl_ms and items:
                self._deadlines.set(items.keys(), self._clock.now_ns(), ttl_ms)

    def mset_each(self, entries: Iterable[tuple[K, V, int]]) -> None:
        """Store (key, value, ttl_ms) entries, each with its own TTL; the last of a key wins."""
        by_ttl: dict[int, dict[K, V]] = {}
        last = {key: (value, ttl_ms) for key, value, ttl_ms in entries}
        for key, (value, ttl_ms) in last.items():
            by_ttl.setdefault(ttl_ms, {})[key] = value
        with self._lock:
            now_ns = self._clock.now_ns()
            for ttl_ms, items in by_ttl.items():
                self._data.update(items)
                if ttl_ms:
                    self._deadlines.set(items.keys(), now_ns, ttl_ms)
                else:
                    self._deadlines.discard(items.keys())

    def mdel(self, keys: Sequence[K]) -> int:
        """Remove ``keys``; returns how many were there. A repeated key counts once."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire(keys)
                self._deadlines.discard(set(keys))
            size = len(self._data)
            deque(map(self._data.pop, keys, repeat(None)), maxlen=0)
            return size - len(self._data)

    def mexists(self, keys: Sequence[K]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        with self._lock:
            if self._deadlines.next_ms is not None:
                self._expire(keys)
            return list(map(self._data.__contains__, keys))

    # --- The whole store -------------------------------------------------------------------

    def delete_prefix(self, prefix: K) -> int:
        """Remove every key that begins with ``prefix``; returns how many. Walks all keys once."""
        with self._lock:
            keys = [key for key in self._data if key.startswith(prefix)]
            self._drop_due_among(keys, self._now_ms())
            size = len(self._data)
            self._deadlines.discard(keys)
            deque(map(self._data.pop, keys, repeat(None)), maxlen=0)
            return size - len(self._data)

    def __len__(self) -> int:
        """Number of live keys. With a backlog, one step for each distinct deadline that is due."""
        with self._lock:
            if self._deadlines.next_ms is None:
                return len(self._data)
            return len(self._data) - self._deadlines.count_due(self._now_ms())

    def purge(self, limit: int = PURGE_STEP) -> int:
        """Drop up to ``limit`` keys that are due; returns how many. 0 means that none is left."""
        with self._lock:
            return self._drop_due(self._now_ms(), limit)

    # --- Expiry; the lock is held ----------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

    def _expire(self, keys: Collection[K]) -> None:
        """Make the data exact for ``keys``: a bounded purge, then the due ones among them."""
        now_ms = self._now_ms()
        if self._deadlines.next_ms is None or self._deadlines.next_ms > now_ms:
            return
        self._drop_due(now_ms, PURGE_STEP)
        self._drop_due_among(keys, now_ms)

    def _drop_due(self, now_ms: int, limit: int) -> int:
        due = self._deadlines.take_due(now_ms, limit)
        deque(map(self._data.__delitem__, due), maxlen=0)
        return len(due)

    def _drop_due_among(self, keys: Collection[K], now_ms: int) -> None:
        """Drop the due ones among ``keys``, for as long as there is a backlog."""
        if self._deadlines.next_ms is None or self._deadlines.next_ms > now_ms:
            return
        deadline_of = self._deadlines.get
        due = {key for key in keys if (deadline_of(key) or now_ms + 1) <= now_ms}
        self._deadlines.discard(due)
        deque(map(self._data.pop, due, repeat(None)), maxlen=0)
