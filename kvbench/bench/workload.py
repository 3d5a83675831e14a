"""Keys and values, generated from a seed before the timing starts.

Every run has a random key prefix, so two runs with one seed on one store do not interfere. Its
rounds share the prefix and keys, so a round removes the keys of an earlier one whose worker died. A
number follows the prefix. Numbers are scattered over their range, because with ascending ones a
store with ordered keys would only append.

A workload remembers how many keys it has generated, and :meth:`Workload.clean` removes exactly
those: there is no flush.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from itertools import cycle, islice

from kvbench.backend import Backend
from kvbench.bench.plan import PREFIX_LENGTH, Settings, ValueType
from kvbench.model import I64_MAX, I64_MIN, Value

_NUMBERS = 10**8
"""Maximum number of keys of a run: the digits that fit in the shortest key."""

_POOL_VALUES = 1000
_POOL_BYTES = 64 << 20
_BULK_KEYS = 10_000
_BULK_BYTES = 8 << 20
"""One storing request stays below 8 MiB: far from every frame limit, and cheap per key."""

SAFETY_TTL_S = 3600.0
"""TTL of keys in a store that outlives the run: stored again each round, which takes seconds."""

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def new_prefix() -> str:
    """A unique key prefix."""
    return f"kb:{secrets.token_hex(4)}:"


class Workload:
    """The keys and values of one run on one target.

    Args:
        settings: type and size of values, length of keys, seed.
        prefix: from :func:`new_prefix`; a new one by default.

    Attributes:
        prefix: of all keys, and of no other run's.
        value_size: bytes or characters of values that have a size.
        can_mset: whether the store's MSET was seen to work; until then keys are set singly.
        can_mdel: the same for MDEL and removing.
        safety_ttl_s: the TTL of stored keys, so that those of a killed run expire; None if not
            needed.
    """

    def __init__(self, settings: Settings, prefix: str = "") -> None:
        self.prefix = prefix or new_prefix()
        self.can_mset = False
        self.can_mdel = False
        self.safety_ttl_s: float | None = None
        self.value_size = settings.value_size
        self._width = settings.key_length - PREFIX_LENGTH
        rng = random.Random(f"workload/{settings.seed}")
        # A multiplier that shares no factor with 10**8 permutes the numbers: no key comes twice.
        self._multiplier = rng.randrange(10**6, 10**7) * 10 + 3
        self._offset = rng.randrange(_NUMBERS)
        self._pool = list(_make_values(settings, rng))
        self._keys_given = 0
        self._bulk = max(1, min(_BULK_KEYS, _BULK_BYTES // max(1, settings.value_size)))

    def keys(self, count: int, start: int = 0) -> list[str]:
        """``count`` distinct keys from the ``start``-th on; always the same ones."""
        self._keys_given = max(self._keys_given, start + count)
        prefix, width = self.prefix, self._width
        numbers = range(start, start + count)
        return [
            f"{prefix}{(i * self._multiplier + self._offset) % _NUMBERS:0{width}d}" for i in numbers
        ]

    def values(self, count: int, start: int = 0) -> list[Value]:
        """``count`` values from the ``start``-th on; up to 1000 of them are distinct."""
        first = start % len(self._pool)
        return list(islice(cycle(self._pool), first, first + count))

    def pairs(self, count: int, start: int = 0) -> dict[str, Value]:
        """Keys and values as MSET takes them."""
        return dict(zip(self.keys(count, start), self.values(count, start), strict=True))

    def fill(self, backend: Backend, pairs: dict[str, Value]) -> None:
        """Store ``pairs``, in parts that fit in one request."""
        if not self.can_mset:
            for key, value in pairs.items():
                backend.set(key, value, self.safety_ttl_s)
            return
        items = iter(pairs.items())
        while bulk := dict(islice(items, self._bulk)):
            backend.mset(bulk, self.safety_ttl_s)

    def clean(self, backend: Backend) -> None:
        """Remove every generated key.

        Raises:
            KvError: the store failed; the generated keys are still known.
        """
        for start in range(0, self._keys_given, _BULK_KEYS):
            keys = self.keys(min(_BULK_KEYS, self._keys_given - start), start)
            if self.can_mdel:
                backend.mdel(keys)
            else:
                for key in keys:
                    backend.delete(key)
        self._keys_given = 0


def _make_values(settings: Settings, rng: random.Random) -> Iterator[Value]:
    size = settings.value_size
    count = max(1, min(_POOL_VALUES, _POOL_BYTES // max(1, size)))
    kinds = [settings.value_type]
    if settings.value_type is ValueType.MIXED:
        kinds = [ValueType.BYTES, ValueType.STR, ValueType.INT, ValueType.FLOAT]
    for kind in islice(cycle(kinds), count):
        match kind:
            case ValueType.BYTES:
                yield rng.randbytes(size)
            case ValueType.STR:
                yield "".join(rng.choices(_LETTERS, k=size))
            case ValueType.INT:
                yield rng.randint(I64_MIN, I64_MAX)
            case _:
                yield rng.uniform(-1e9, 1e9)
