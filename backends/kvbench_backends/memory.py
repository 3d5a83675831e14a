"""``memory://``: the in-process engine as a backend, holding Python objects.

Values behave as after encoding and decoding: containers are copied when they are stored and when
they are read, so that a list which the caller changes later does not change the store; tuples
become lists; everything else is immutable and shared. The checks that a wire client makes while
encoding are made here too, in C loops for batches, so that both targets refuse the same input.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Self, cast

from typing_extensions import override

from kvbench.backend import BATCH_OPERATIONS, Backend, ClosedStore
from kvbench.clock import Clock, SystemClock
from kvbench.engine import Engine, Update
from kvbench.errors import KvRefusedError, UrlError
from kvbench.model import (
    I64_MAX,
    I64_MIN,
    BatchKind,
    Capability,
    Pairs,
    Value,
    check_delta,
    check_key,
    check_keys,
    check_owner,
    lock_ttl_to_ms,
    pairs_to_dict,
    ttl_to_ms,
)
from kvbench.protocol.values import decode_value, encode_value, values_equal

_SHARED_TYPES = frozenset({type(None), bool, float, Decimal, bytes})
"""Immutable types that need neither a check nor a copy. Ints have a range, text has surrogates."""


class MemoryBackend(Backend):
    """The engine in this process. Two opened backends are two stores."""

    summary = "the in-process engine"
    url_example = "memory://"
    capabilities = frozenset(Capability) - {Capability.PIPELINING, Capability.SHARED}
    batch_kinds = dict.fromkeys(BATCH_OPERATIONS, BatchKind.NATIVE)

    def __init__(self, clock: Clock | None = None) -> None:
        self._engine: Engine[str, Value] = Engine(clock)
        self._holds_containers = False

    @classmethod
    def open(cls, url: str) -> Self:
        """A new, empty store. UsageError when the URL is more than ``memory://``."""
        return cls.open_on_clock(url, SystemClock())

    @classmethod
    def open_on_clock(cls, url: str, clock: Clock) -> Self:
        """The same, with TTLs on ``clock``."""
        if url.partition("://")[2].strip("/"):
            raise UrlError(url, "memory:// takes neither host nor path")
        return cls(clock)

    def close(self) -> None:
        """Forget all data. Later calls are refused: they would look like misses."""
        self._engine = cast("Engine[str, Value]", ClosedStore())

    def describe(self) -> Mapping[str, str]:
        """Names the engine."""
        return {"product": "kvbench engine"}

    @override
    def get(self, key: str) -> Value:
        check_key(key)
        value = self._engine.get(key)
        return _copy(value) if self._holds_containers else value

    @override
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        check_key(key)
        self._engine.set(key, self._own(key, value), ttl_to_ms(ttl) if ttl is not None else 0)

    @override
    def delete(self, key: str) -> bool:
        check_key(key)
        return self._engine.delete(key)

    @override
    def exists(self, key: str) -> bool:
        check_key(key)
        return self._engine.exists(key)

    @override
    def mget(self, keys: Sequence[str]) -> list[Value]:
        check_keys(keys)
        values = self._engine.mget(keys)
        return list(map(_copy, values)) if self._holds_containers else values

    @override
    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        items = pairs_to_dict(pairs)
        check_keys(items.keys())
        if not _is_plain(items.values()):
            items = {key: self._own(key, value) for key, value in items.items()}
        self._engine.mset(items, ttl_to_ms(ttl))

    @override
    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        owned = []
        for key, value, ttl in entries:
            check_key(key)
            owned.append((key, self._own(key, value), ttl_to_ms(ttl)))
        self._engine.mset_each(owned)

    @override
    def mdel(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        count = self._engine.mdel(keys)
        if count is None:
            raise MemoryError("the keys are deleted, but there was no memory to count them")
        return count

    @override
    def mexists(self, keys: Sequence[str]) -> list[bool]:
        check_keys(keys)
        return self._engine.mexists(keys)

    @override
    def expire(self, key: str, ttl: float | None) -> bool:
        check_key(key)
        return self._engine.expire(key, ttl_to_ms(ttl))

    @override
    def ttl(self, key: str) -> float | None:
        check_key(key)
        left_ms = self._engine.ttl(key)
        if left_ms is None:
            return None
        return left_ms / 1000 if left_ms > 0 else -1.0

    @override
    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        check_key(key)
        return self._engine.setnx(key, self._own(key, value), ttl_to_ms(ttl))

    @override
    def getdel(self, key: str) -> Value:
        check_key(key)

        def take(present: bool, value: Value) -> Update[Value, Value]:
            return Update(value, remove=True) if present else Update(None)

        return self._engine.update(key, take)

    @override
    def incr(self, key: str, delta: int = 1) -> int:
        check_key(key)
        check_delta(key, delta)
        return self._add(key, delta)

    @override
    def decr(self, key: str, delta: int = 1) -> int:
        check_key(key)
        check_delta(key, delta)
        return self._add(key, -delta)

    def _add(self, key: str, delta: int) -> int:
        def add(present: bool, value: Value) -> Update[Value, int]:
            if present and type(value) is not int:
                raise KvRefusedError(f"the value is no Int: {type(value).__name__}")
            total = (value if isinstance(value, int) else 0) + delta
            if not I64_MIN <= total <= I64_MAX:
                raise KvRefusedError("the result does not fit in 64 bits")
            return Update(total, write=True, value=total)

        return self._engine.update(key, add)

    @override
    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        check_key(key)
        wanted, owned, ttl_ms = self._own(key, expected), self._own(key, new), ttl_to_ms(ttl)

        def swap(present: bool, value: Value) -> Update[Value, bool | None]:
            if not present:
                return Update(None)
            if not values_equal(value, wanted):
                return Update(False)
            return Update(True, write=True, value=owned, ttl_ms=ttl_ms)

        return self._engine.update(key, swap)

    @override
    def lock(self, key: str, owner: str, ttl: float) -> bool:
        check_key(key)
        check_owner(owner)
        return self._engine.setnx(key, owner, lock_ttl_to_ms(ttl))

    @override
    def unlock(self, key: str, owner: str) -> bool:
        return self._held(key, Update(True, remove=True), owner)

    @override
    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        ttl_ms = lock_ttl_to_ms(ttl)
        return self._held(key, Update(True, write=True, value=owner, ttl_ms=ttl_ms), owner)

    def _held(self, key: str, change: Update[Value, bool], owner: str) -> bool:
        """Apply ``change`` to a lock that ``owner`` holds."""
        check_key(key)
        check_owner(owner)

        def decide(present: bool, value: Value) -> Update[Value, bool]:
            if not present:
                return Update(False)
            if value != owner or type(value) is not str:
                raise KvRefusedError("the lock is held by another owner")
            return change

        return self._engine.update(key, decide)

    def _own(self, key: str, value: Value) -> Value:
        """The value as the store keeps it: checked, and a copy where it could change."""
        kind = type(value)
        if kind in _SHARED_TYPES:
            return value
        if kind is int and I64_MIN <= value <= I64_MAX:  # type: ignore[operator]  # it is an int
            return value
        if kind is str and value.isascii():  # type: ignore[union-attr]  # it is a str
            return value
        try:
            owned = decode_value(encode_value(value))
        except UnicodeEncodeError:
            raise ValueError(f"value of key {key!r}: it holds a lone surrogate") from None
        except ValueError as error:
            raise ValueError(f"value of key {key!r}: {error}") from None
        except TypeError as error:
            raise TypeError(f"value of key {key!r}: {error}") from None
        if isinstance(owned, list | dict):
            self._holds_containers = True
        return owned


def _is_plain(values: Collection[Value]) -> bool:
    """Whether all values can be kept as they are, found out in C loops."""
    kinds = set(map(type, values))
    if kinds <= _SHARED_TYPES:
        return True
    if kinds == {int}:
        numbers = cast("Collection[int]", values)
        return min(numbers) >= I64_MIN and max(numbers) <= I64_MAX
    return kinds == {str} and "".join(cast("Collection[str]", values)).isascii()


def _copy(value: Value) -> Value:
    """The value, with its lists and dicts copied at every level."""
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return value
