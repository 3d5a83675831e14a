"""How an operation changes several structures, wholly or not at all, when memory runs out.

Each operation has two parts. The first builds all that it needs and may fail at any allocation;
what it puts into a structure by then, it takes back. The second, the commit, cannot fail: it calls
functions of C that allocate nothing, over arguments that are there already. These allocate nothing:

- ``dict.pop``, ``set.discard``, ``set.pop`` (a dict or set never shrinks when it loses a key),
- storing under a key that a dict has, or a new one while its table has room (:class:`TrackedDict`),
- ``dict |= dict`` under the same conditions (``dict.update`` would allocate a tuple),
- ``setattr`` on a slot, and reading on from an iterator that exists.

An int over 256, an iterator, a bound method and even ``len`` of more than 256 items are
allocations: they belong to the first part. So does a call of a function in Python, which may need
room for its frame. Methods of :class:`TrackedDict` and :class:`Change` belong to the first part.

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
"""Take all items of an iterator, in C, and keep none: what carries out a commit."""

_EMPTY_BYTES = {}.__sizeof__()
_SLOT_BYTES_MIN = 11
"""A slot of a dict's table has 11 2/3 to 20 bytes, by the kind of its keys and its size."""


class Change:
    """What an operation will do, and how what it has prepared so far is taken back.

    Attributes:
        commit: an iterator; ``run`` it when all is prepared.
        undo: an iterator; ``run`` it instead when preparing failed.
    """

    __slots__ = ("_commit", "_undo", "commit", "undo")

    def __init__(self) -> None:
        self._commit: list[Iterable[object]] = []
        self._undo: list[Iterable[object]] = []
        # A list's iterator finds what is appended later.
        self.commit: Iterator[object] = chain.from_iterable(self._commit)
        self.undo: Iterator[object] = chain.from_iterable(self._undo)

    def on_commit(self, function: Callable[..., object], *columns: Iterable[object]) -> None:
        """Call ``function`` in the commit, as ``map`` would: for each row of ``columns``."""
        self._commit.append(map(function, *columns))

    def on_undo(self, function: Callable[..., object], *columns: Iterable[object]) -> None:
        """The same for the undo. Call this *before* what it takes back."""
        self._undo.append(map(function, *columns))


class TrackedDict(Generic[K, V]):
    """A dict that knows how many new keys it surely takes without an allocation.

    CPython appends a new key to the table of a dict, and a removed key leaves its place unusable,
    until the table is full: then it is built anew, for which an allocation is needed. So the room
    left is the table's size, less the keys, less those removed since the table was last built.
    The size follows from ``__sizeof__``. Where this class cannot know, it assumes too little.

    Attributes:
        rows: the dict. Whoever removes keys calls :meth:`count_removal` before; to read and to
            store is free.
        removed: keys removed, at most, since the table was built.
    """

    __slots__ = ("_bytes", "_looked", "removed", "rows")

    def __init__(self) -> None:
        self.rows: dict[K, V] = {}
        self.removed = 0
        self._looked = 0
        self._bytes = 0

    def room(self) -> int:
        """How many new keys fit without an allocation, at least; may be negative."""
        size = self.rows.__sizeof__()
        removed = self.removed
        if size != self._bytes:
            # The table was built anew since the last look: what was removed before left no trace.
            removed -= self._looked
        slots = 1 << ((size - _EMPTY_BYTES) // _SLOT_BYTES_MIN).bit_length() >> 1
        room = slots * 2 // 3 - len(self.rows) - removed
        self._bytes = size
        self._looked = self.removed = removed
        return room

    def count_removal(self, keys: int) -> None:
        """Note that up to ``keys`` keys are about to be removed."""
        self.removed += keys

    def remove(self, keys: Sequence[K] | Collection[K], change: Change) -> None:
        """Let the commit remove those of ``keys`` that are there."""
        self.count_removal(len(keys))
        change.on_commit(self.rows.pop, keys, repeat(None))

    def store(self, items: dict[K, V], change: Change) -> None:
        """Let the commit store ``items``, and make sure now that it can.

        As many keys as there is room for may be new without a look at them; of the others it must
        be known. When one of those is missing, the missing ones are put in with None.

        In one change this comes before :meth:`remove`: what is counted as removed by now must be
        removed before the table is built anew here.
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
