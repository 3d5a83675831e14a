"""The engine: every operation of the protocol on a dict, with TTLs, thread-safe.

Two ideas: A CPython dict is implemented in C, so batch calls run the whole loop there: ``map`` over
a bound method of the dict, never a Python loop. And *expire first*: each call first removes the due
keys, so the dict holds only live ones and no read checks a deadline per key. The clock is read once
per call, and not at all while no key has a TTL.

Removal is bounded (:data:`PURGE_STEP` keys per call). While more keys are due, each call first
removes those that it uses: every answer is exact, and no call pays for all.

Each call takes effect completely or not at all, also when memory runs out (see change.py): after a
MemoryError nothing was stored or removed and no TTL was changed, except that due keys may have been
removed, which no call can observe.

Engine and server have the same semantics (specs/wire-protocol.md): a batch is atomic; a write
replaces value and TTL; read-modify-write (:meth:`Engine.update`) keeps the TTL unless given one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from kvbench.clock import NS_PER_MS, Clock, SystemClock
from kvbench.engine.change import Change, TrackedDict, run
from kvbench.engine.deadlines import Deadlines, deadline_ms

K = TypeVar("K", str, bytes)
V = TypeVar("V")
R = TypeVar("R")

PURGE_STEP = 500
"""Maximum number of due keys removed per call: a few milliseconds of work on slow memory."""


@dataclass(frozen=True, slots=True)
class Update(Generic[V, R]):
    """The decision of a read-modify-write, for :meth:`Engine.update`.

    Attributes:
        result: the return value of ``update``.
        write: True stores ``value``; False keeps the key as it is (or removes it: see ``remove``).
        value: the new value.
        ttl_ms: a new TTL; 0 keeps the current one.
        remove: True deletes the key.
    """

    result: R
    write: bool = False
    value: V | None = None
    ttl_ms: int = 0
    remove: bool = False


class Engine(Generic[K, V]):
    """An in-memory key-value store.

    Keys are ``str`` or ``bytes`` (exactly: with a subclass of str, a dict may have to convert its
    table when memory is short). Values are anything; both are stored unchanged. A TTL is a whole
    number of milliseconds, 0 for none. Every method treats expired keys as absent.

    Args:
        clock: the time source; with a ManualClock every expiry is exact.
    """

    # Not ``with``: leaving it allocates the arguments of ``__exit__``, and if that fails the lock
    # is never released. Methods that hold the lock are short; tests/test_architecture.py says why.

    __slots__ = ("_clock", "_data", "_deadlines", "_lock", "_table")

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._table: TrackedDict[K, V] = TrackedDict()
        self._data: dict[K, V] = self._table.rows
        self._deadlines: Deadlines[K] = Deadlines()
        self._lock = Lock()

    # --- One key ---------------------------------------------------------------------------

    def get(self, key: K) -> V | None:
        """The key's value, None when it is absent."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            return self._data.get(key)
        finally:
            self._lock.release()

    def set(self, key: K, value: V, ttl_ms: int = 0) -> None:
        """Store a value; replaces both value and TTL."""
        self._lock.acquire()
        try:
            self._put(key, value, ttl_ms)
        finally:
            self._lock.release()

    def setnx(self, key: K, value: V, ttl_ms: int = 0) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            if key in self._data:
                return False
            self._put(key, value, ttl_ms)
            return True
        finally:
            self._lock.release()

    def delete(self, key: K) -> bool:
        """Remove a key; returns whether it was there."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            return self._remove(key)
        finally:
            self._lock.release()

    def exists(self, key: K) -> bool:
        """Whether the key is there."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            return key in self._data
        finally:
            self._lock.release()

    def expire(self, key: K, ttl_ms: int) -> bool:
        """Set a key's TTL, or remove it with 0; returns whether the key was there."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            if key not in self._data:
                return False
            self._deadlines.move(key, deadline_ms(self._clock.now_ns(), ttl_ms) if ttl_ms else 0)
            return True
        finally:
            self._lock.release()

    def ttl(self, key: K) -> int | None:
        """Milliseconds until a key expires (at least 1), -1 without a TTL, None when absent."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            return self._left_ms(key) if key in self._data else None
        finally:
            self._lock.release()

    def update(self, key: K, decide: Callable[[bool, V | None], Update[V, R]]) -> R:
        """Read, decide and write atomically: the base of INCR, DECR, CAS and locks.

        Args:
            key: the key.
            decide: called once with whether the key exists and its value. It must not call the
                engine. If it raises, nothing has changed. Its result is returned unchanged, without
                an allocation after the write.
        """
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire((key,))
            decision = decide(key in self._data, self._data.get(key))
            self._carry_out(key, decision)
            return decision.result
        finally:
            self._lock.release()

    # --- Batches ---------------------------------------------------------------------------

    def mget(self, keys: Sequence[K]) -> list[V | None]:
        """The values of ``keys`` in their order, None where a key is absent."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire(keys)
            return list(map(self._data.get, keys))
        finally:
            self._lock.release()

    def mset(self, items: Mapping[K, V], ttl_ms: int = 0) -> None:
        """Store all of ``items`` with one TTL; replaces values and TTLs."""
        self._lock.acquire()
        try:
            ends = None
            if ttl_ms:
                ends = dict.fromkeys(items, deadline_ms(self._clock.now_ns(), ttl_ms))
            self._put_all(items if type(items) is dict else dict(items), ends)
        finally:
            self._lock.release()

    def mset_each(self, entries: Iterable[tuple[K, V, int]]) -> None:
        """Store (key, value, ttl_ms) entries, each with its own TTL; the last of a key wins."""
        items: dict[K, V] = {}
        ttls: dict[K, int] = {}
        for key, value, ttl_ms in entries:
            items[key] = value
            ttls[key] = ttl_ms
        self._lock.acquire()
        try:
            self._put_all(items, self._ends(ttls))
        finally:
            self._lock.release()

    def mdel(self, keys: Sequence[K]) -> int | None:
        """Remove ``keys``; returns how many were there. A repeated key counts once.

        None: they are removed, but memory was too short for the count.
        """
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire(keys)
            size = len(self._data)
            self._remove_all(keys)
            try:
                return size - len(self._data)
            except MemoryError:
                return None
        finally:
            self._lock.release()

    def mexists(self, keys: Sequence[K]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is not None:
                self._expire(keys)
            return list(map(self._data.__contains__, keys))
        finally:
            self._lock.release()

    # --- The whole store -------------------------------------------------------------------

    def __len__(self) -> int:
        """Number of live keys. While keys are due, one step for each distinct due deadline."""
        self._lock.acquire()
        try:
            if self._deadlines.next_ms is None:
                return len(self._data)
            return len(self._data) - self._deadlines.count_due(self._now_ms())
        finally:
            self._lock.release()

    def purge(self, limit: int = PURGE_STEP) -> int:
        """Remove up to ``limit`` due keys; returns how many. 0 means that none is left."""
        self._lock.acquire()
        try:
            return self._deadlines.take_due(self._now_ms(), limit, self._table)
        finally:
            self._lock.release()

    # --- Writing; the lock is held ---------------------------------------------------------

    def _put(self, key: K, value: V, ttl_ms: int) -> None:
        """Store a value with a TTL. Storing under an existing key cannot fail."""
        if not ttl_ms:
            if self._deadlines.next_ms is not None:
                self._deadlines.move(key, 0)
            self._data[key] = value
            return
        end_ms = deadline_ms(self._clock.now_ns(), ttl_ms)
        if key in self._data:
            self._deadlines.move(key, end_ms)
            self._data[key] = value
            return
        removed = self._table.removed + 1
        self._data[key] = value
        try:
            self._deadlines.move(key, end_ms)
        except BaseException:
            self._data.pop(key)
            self._table.removed = removed
            raise

    def _carry_out(self, key: K, decision: Update[V, R]) -> None:
        if decision.remove:
            self._remove(key)
        elif decision.write and decision.ttl_ms:
            self._put(key, decision.value, decision.ttl_ms)  # type: ignore[arg-type]
        elif decision.write:
            self._data[key] = decision.value  # type: ignore[assignment]  # V may hold None

    def _put_all(self, items: dict[K, V], ends: dict[K, int] | None) -> None:
        """Store ``items`` with their deadlines, without any where ``ends`` is None."""
        change = Change()
        try:
            self._table.store(items, change)
            if ends is not None:
                self._deadlines.assign(ends, change)
            elif self._deadlines.next_ms is not None:
                self._deadlines.discard(items.keys(), change)
        except BaseException:
            run(change.undo)
            raise
        run(change.commit)

    def _remove(self, key: K) -> bool:
        if key not in self._data:
            return False
        self._table.count_removal(1)
        if self._deadlines.next_ms is not None:
            self._deadlines.move(key, 0)
        self._data.pop(key)
        return True

    def _remove_all(self, keys: Collection[K]) -> None:
        # Nothing to undo: removal adds nothing before the commit.
        change = Change()
        self._table.remove(keys, change)
        if self._deadlines.next_ms is not None:
            self._deadlines.discard(keys, change)
        run(change.commit)

    # --- Expiry; the lock is held ----------------------------------------------------------

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

    def _ends(self, ttls: dict[K, int]) -> dict[K, int]:
        """The deadlines for the given TTLs."""
        now_ns = self._clock.now_ns()
        end_of = {ttl_ms: deadline_ms(now_ns, ttl_ms) for ttl_ms in set(ttls.values())}
        return dict(zip(ttls, map(end_of.__getitem__, ttls.values()), strict=True))

    def _left_ms(self, key: K) -> int:
        end_ms = self._deadlines.get(key)
        return -1 if end_ms is None else max(1, end_ms - -(-self._clock.now_ns() // NS_PER_MS))

    def _expire(self, keys: Collection[K]) -> None:
        """Make the data exact for ``keys``: a bounded purge, then remove due ones among them."""
        now_ms = self._now_ms()
        if self._deadlines.next_ms is None or self._deadlines.next_ms > now_ms:
            return
        self._deadlines.take_due(now_ms, PURGE_STEP, self._table)
        if self._deadlines.next_ms is None or self._deadlines.next_ms > now_ms:
            return
        deadline_of = self._deadlines.get
        due = {key for key in keys if (deadline_of(key) or now_ms + 1) <= now_ms}
        if due:
            self._remove_all(due)
