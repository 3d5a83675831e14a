"""Changes of several structures that happen completely or not at all when memory runs out.

Each operation has two parts. The first prepares all that is needed. It may fail at any allocation,
and then undoes what it has added. The second, the commit, cannot fail: it calls only C functions
that allocate nothing, with existing arguments. These allocate nothing:

- ``dict.pop``, ``set.discard``, ``set.pop`` (dicts and sets never shrink when keys are removed),
- storing under a key that a dict has, or a new one while its table has room (:class:`TrackedDict`),
- ``dict |= dict`` under the same conditions (``dict.update`` would allocate a tuple),
- ``setattr`` on a slot, and reading on from an iterator that exists.

An int over 256, an iterator, a bound method and even ``len`` of more than 256 items are
allocations: they belong to the first part. So does a call of a Python function, which may need
memory for its frame. Methods of :class:`TrackedDict` and :class:`Change` belong to the first part.

The engine never iterates over ``dict.items()``: CPython 3.11 crashes when it cannot allocate the
iterator's tuple.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, islice, repeat
from operator import ior
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

run: Final[Callable[[Iterable[object]], None]] = deque[object](maxlen=0).extend
"""Consume an iterator in C, storing nothing: this runs a commit."""

_EMPTY_BYTES = {}.__sizeof__()
_SLOT_BYTES_MIN = 11
"""A slot of a dict's table takes 11 2/3 to 20 bytes, by the kind of its keys and its size."""


class Change:
    """The commit of an operation, and the undo of what was prepared so far.

    Attributes:
        commit: an iterator; ``run`` it when all is prepared.
        undo: an iterator; ``run`` it instead when preparing failed.
    """

    __slots__ = ("_commit", "_undo", "commit", "undo")

    def __init__(self) -> None:
        self._commit: list[Iterable[object]] = []
        self._undo: list[Iterable[object]] = []
        # A list's iterator also finds items appended later.
        self.commit: Iterator[object] = chain.from_iterable(self._commit)
        self.undo: Iterator[object] = chain.from_iterable(self._undo)

    def on_commit(self, function: Callable[..., object], *columns: Iterable[object]) -> None:
        """Call ``function`` in the commit, like ``map``: for each row of ``columns``."""
        self._commit.append(map(function, *columns))

    def on_undo(self, function: Callable[..., object], *columns: Iterable[object]) -> None:
        """The same for the undo. Call this *before* the step that it undoes."""
        self._undo.append(map(function, *columns))


class TrackedDict(Generic[K, V]):
    """A dict that knows how many new keys fit without an allocation.

    CPython appends new keys to the table of a dict, and the slot of a removed key stays unusable
    until the table is full. Then the table is rebuilt, which needs an allocation. So the free room
    is the table's size, minus the keys, minus those removed since the last rebuild. The size
    follows from ``__sizeof__``. Where the exact room is unknown, this class assumes less.

    Attributes:
        rows: the dict. Call :meth:`count_removal` before removing keys from it; reading and storing
            need no call.
        removed: upper bound of the keys removed since the last rebuild.
    """

    __slots__ = ("_bytes", "_looked", "removed", "rows")

    def __init__(self) -> None:
        self.rows: dict[K, V] = {}
        self.removed = 0
        self._looked = 0
        self._bytes = 0

    def room(self) -> int:
        """Lower bound of the new keys that fit without an allocation; may be negative."""
        size = self.rows.__sizeof__()
        removed = self.removed
        if size != self._bytes:
            # The table was rebuilt since the last call: earlier removals no longer count.
            removed -= self._looked
        slots = 1 << ((size - _EMPTY_BYTES) // _SLOT_BYTES_MIN).bit_length() >> 1
        room = slots * 2 // 3 - len(self.rows) - removed
        self._bytes = size
        self._looked = self.removed = removed
        return room

    def count_removal(self, keys: int) -> None:
        """Record that up to ``keys`` keys are about to be removed."""
        self.removed += keys

    def remove(self, keys: Sequence[K] | Collection[K], change: Change) -> None:
        """Make the commit remove those of ``keys`` that exist."""
        self.count_removal(len(keys))
        change.on_commit(self.rows.pop, keys, repeat(None))

    def store(self, items: dict[K, V], change: Change) -> None:
        """Make the commit store ``items``, and ensure now that it can.

        As many keys as fit may be new, and need no check. Of the others, missing ones are inserted
        with None.

        Call this before :meth:`remove` in one change: keys counted as removed must be removed
        before the table is rebuilt here.
        """
        rows = self.rows
        change.on_commit(ior, (rows,), (items,))
        in_doubt = len(items) - self.room()
        if in_doubt <= 0 or all(map(rows.__contains__, islice(items, in_doubt))):
            return
        fresh = [key for key in items if key not in rows]
        change.on_undo(rows.pop, fresh, repeat(None))
        change.on_undo(setattr, (self,), ("removed",), (self.removed + len(fresh),))
        rows |= dict.fromkeys(fresh)  # type: ignore[arg-type]  # None until the commit
