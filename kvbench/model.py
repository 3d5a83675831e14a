"""The vocabulary shared by all layers: keys, values, TTLs, capabilities, batch kinds.

Rules of the whole project:

- A key is 1 to 256 bytes of UTF-8 (specs/wire-protocol.md, KEY-001), and a ``str`` in Python.
- A value is one of the types of :data:`Value`; anything else is rejected before it is sent.
- A TTL is given in seconds by people and sent as whole milliseconds; 0 ms means "none" on the
  wire, so a positive TTL never rounds down to it (TTL-002).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Self, TypeAlias, TypeVar, Union

Value: TypeAlias = Union[  # noqa: UP007 - a string in a recursive alias needs Union at run time
    bool, int, float, Decimal, str, bytes, list["Value"], dict[str, "Value"], None
]
"""Values of a typed store. Tuples are accepted and stored as lists."""

Pairs: TypeAlias = Mapping[str, Value] | Iterable[tuple[str, Value]]
"""Input of MSET: a mapping, or pairs in order; the last one for a key wins."""

KEY_BYTES_MAX = 256
"""Longest key in bytes of UTF-8, namespace prefix included. Set by the protocol family."""

_LEVELS_MAX = 64
"""Maximum nesting of lists and dicts, as in the wire protocol's codec."""

TTL_SECONDS_MAX = 10 * 365.25 * 86_400
"""Longest TTL that every part must support: ten years. Longer ones are rejected."""


I64_MIN, I64_MAX = -(2**63), 2**63 - 1
"""The range of integers in a store of typed values, and of counters."""

OWNER_BYTES_MAX = 65_535
"""Longest name of a lock's owner in bytes of UTF-8: its length is a u16 on the wire."""


class Capability(StrEnum):
    """What a backend declares that it can do. The conformance suite checks each declaration."""

    TYPED_VALUES = "typed-values"
    """Stores all of :data:`Value`; without it, values are ``bytes`` only."""
    TTL = "ttl"
    """Keys can expire: ``ttl=`` on set and mset, ``expire`` and ``ttl``."""
    TTL_EACH = "ttl-each"
    """One batch call can give each pair a different TTL."""
    ATOMIC_BATCH = "atomic-batch"
    """Other connections see a batch at one instant, completely or not at all."""
    SETNX = "setnx"
    GETDEL = "getdel"
    """Reads a value and removes its key atomically."""
    COUNTERS = "counters"
    """INCR and DECR of 64-bit integers."""
    CAS = "cas"
    LOCKS = "locks"
    """Locks with an owner and a deadline."""
    PIPELINING = "pipelining"
    """Single calls can be sent together: many requests, one flush, one reply for each."""
    SHARED = "shared"
    """Backends opened with the same URL concurrently see the same data."""


class BatchOperation(StrEnum):
    """A batch call of a backend, equivalent to single calls. To add one: its row here.

    Attributes:
        single: the method for one key.
    """

    single: str

    def __new__(cls, name: str, single: str = "") -> Self:
        """A member: the name of the method, with that of its single counterpart."""
        operation = str.__new__(cls, name)
        operation._value_, operation.single = name, single
        return operation

    MGET = "mget", "get"
    MSET = "mset", "set"
    MDEL = "mdel", "delete"
    MEXISTS = "mexists", "exists"


class BatchKind(StrEnum):
    """How a backend carries out a batch call."""

    NATIVE = "native"
    """One request, one reply, one command of the store."""
    PIPELINED = "pipelined"
    """Several commands sent together, replies read together."""
    TRANSACTION = "transaction"
    """Several commands inside one transaction of the store."""
    EMULATED = "emulated"
    """A loop of single calls: the interface exists, without the gain."""


def ttl_to_ms(ttl: float | None) -> int:
    """A TTL in seconds as whole milliseconds; ``None`` (no TTL) is 0.

    Rounds to the nearest millisecond, and up to 1 ms below that (TTL-002).

    Raises:
        TypeError: ``ttl`` is not a number.
        ValueError: ``ttl`` is zero, negative, NaN, infinite, or longer than ten years.
    """
    if ttl is None:
        return 0
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl must be a number of seconds or None, not {type(ttl).__name__}")
    if not 0 < ttl < math.inf:
        raise ValueError(f"ttl must be a positive number of seconds, not {ttl!r}; None means none")
    if ttl > TTL_SECONDS_MAX:
        raise ValueError(f"ttl of {ttl!r} s is longer than ten years; None means no expiry")
    return max(1, round(ttl * 1000))


def check_key(key: str) -> None:
    """Check a key.

    Raises:
        TypeError: ``key`` is not a ``str``.
        ValueError: it is empty, longer than 256 bytes, or holds a lone surrogate.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key must be a str, not {type(key).__name__}: {key!r}")
    try:
        size = len(key) if key.isascii() else len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"key {key!r} is not valid Unicode: it holds a lone surrogate") from None
    if not 1 <= size <= KEY_BYTES_MAX:
        raise ValueError(f"key {key[:40]!r} has {size} bytes of UTF-8, not 1 to {KEY_BYTES_MAX}")


def check_bytes(key: str, value: Value) -> bytes:
    """Check a value of a store of bytes; the TypeError for other values names the key."""
    if type(value) is not bytes:
        raise TypeError(f"value of key {key!r}: this store holds bytes, not {type(value).__name__}")
    return value


def check_value(key: str, value: Value, level: int = 0) -> None:
    """Check a value of a typed store; the error names the key.

    Raises:
        TypeError: ``value`` is or contains an object that is not a :data:`Value`.
        ValueError: an int outside 64 bits, a lone surrogate, or too many levels.
    """
    if isinstance(value, list | tuple | dict):
        if level == _LEVELS_MAX:
            raise ValueError(f"value of key {key!r}: nested deeper than {_LEVELS_MAX} levels")
        for name in value if isinstance(value, dict) else ():
            if not isinstance(name, str):
                kind = type(name).__name__
                raise TypeError(f"value of key {key!r}: the keys of a dict are str, not {kind}")
            check_value(key, name)
        for item in value.values() if isinstance(value, dict) else value:
            check_value(key, item, level + 1)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"value of key {key!r}: it holds a lone surrogate") from None
    elif isinstance(value, int):
        if not I64_MIN <= value <= I64_MAX:
            raise ValueError(f"value of key {key!r}: an int must fit in 64 bits with a sign")
    elif value is not None and not isinstance(value, float | Decimal | bytes):
        raise TypeError(f"value of key {key!r}: {type(value).__name__} cannot be stored")


def check_delta(key: str, delta: int) -> None:
    """Check a counter's delta; the error names the key.

    Raises:
        TypeError: ``delta`` is not an ``int``.
        ValueError: it does not fit in 64 bits with a sign.
    """
    if isinstance(delta, bool) or not isinstance(delta, int):
        raise TypeError(f"delta of key {key!r} must be an int, not {type(delta).__name__}")
    if not I64_MIN <= delta <= I64_MAX:
        raise ValueError(f"delta of key {key!r} must fit in 64 bits with a sign")


def check_owner(owner: str) -> None:
    """Check the name of a lock's owner.

    Raises:
        TypeError: ``owner`` is not a ``str``.
        ValueError: it is empty, longer than 65,535 bytes, or holds a lone surrogate.
    """
    if not isinstance(owner, str):
        raise TypeError(f"a lock's owner must be a str, not {type(owner).__name__}: {owner!r}")
    if not 1 <= len(owner.encode()) <= OWNER_BYTES_MAX:
        raise ValueError(f"a lock's owner has 1 to {OWNER_BYTES_MAX:,} bytes of UTF-8")


def lock_ttl_to_ms(ttl: float) -> int:
    """A lock's TTL in seconds as whole milliseconds; errors as :func:`ttl_to_ms`, also for None."""
    if ttl is None:
        raise TypeError("a lock needs a ttl in seconds: every lock expires")
    return ttl_to_ms(ttl)


def check_keys(keys: Collection[str]) -> None:
    """:func:`check_key` for a whole batch; the loops are in C unless a key is invalid.

    A single ``str`` is rejected: its characters would be taken for keys.
    """
    if isinstance(keys, str | bytes):
        raise TypeError(f"keys must be a list of str, not one {type(keys).__name__}: {keys!r}")
    try:
        plain = "".join(keys).isascii()
    except TypeError:
        plain = False
    if plain:
        sizes = set(map(len, keys))
        if not sizes or (min(sizes) >= 1 and max(sizes) <= KEY_BYTES_MAX):
            return
    for key in keys:
        check_key(key)


_V = TypeVar("_V")


def pair_list(pairs: Mapping[str, _V] | Iterable[tuple[str, _V]]) -> list[tuple[str, _V]]:
    """The pairs of a mapping or an iterable as tuples, including repeated keys.

    Tuples are checked by loops in C.

    Raises:
        TypeError: an element is not a pair.
    """
    if isinstance(pairs, Mapping):
        return [*pairs.items()]
    ready: list[tuple[str, _V]] = list(pairs)
    if frozenset(map(type, ready)) <= {tuple} and frozenset(map(len, ready)) <= {2}:
        return ready
    for pair in ready:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"pairs must be a mapping or (key, value) pairs, not {pair!r}")
    return [(key, value) for key, value in ready]


def pairs_to_dict(pairs: Mapping[str, _V] | Iterable[tuple[str, _V]]) -> dict[str, _V]:
    """The pairs of an MSET as a new dict; the last pair of a key wins.

    Raises:
        TypeError: an element is not a pair. Nothing was applied yet.
    """
    try:
        return dict(pairs)
    except (TypeError, ValueError) as error:
        raise TypeError(f"mset takes a mapping or (key, value) pairs: {error}") from None
