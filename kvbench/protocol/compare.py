"""Equality for CAS (CAS-004), of Python values and of encoded values.

1, 1.0 and true differ; the order of a map's keys does not matter; NaN equals nothing, wherever it
is nested; Decimals compare as numbers, so 1.0 equals 1.00.

A server compares bytes (:class:`ValueComparison`): it builds no value, keeps a stack of the open
lists and maps, and can stop after a number of steps and continue later. Usually it needs no walk:
equal bytes are equal values unless they contain a NaN, and different bytes differ unless they
contain a type with several forms. Compiled by mypyc if there is a C compiler.
"""

import struct
from array import array
from decimal import Decimal
from typing import Final

from kvbench.model import Value
from kvbench.protocol.check import ValueCheck
from kvbench.protocol.layout import (
    BOOL,
    BYTES,
    BYTES_PER_STEP,
    DECIMAL,
    FLOAT,
    INT,
    LIST,
    MAP,
    STRING,
    TEXT_PIECE_BYTES,
    read_u16,
    read_u32,
)

_unpack_f64: Final = struct.Struct(">d").unpack_from

_STEPS_PER_KEY: Final = 4
"""Inserting a key into a :class:`MapIndex` takes as long as this many small values."""

_SLOTS_AT_ONCE: Final = 32
"""Slots of a :class:`MapIndex` read in one step: most are empty where keys repeat."""


def values_equal(left: Value, right: Value) -> bool:
    """Whether two Python values are equal, by type and value."""
    lefts: list[Value] = [left]
    rights: list[Value] = [right]
    while lefts:
        one = lefts.pop()
        other = rights.pop()
        if isinstance(one, list):
            if not isinstance(other, list) or len(one) != len(other):
                return False
            lefts.extend(one)
            rights.extend(other)
        elif isinstance(one, dict):
            if not isinstance(other, dict) or one.keys() != other.keys():
                return False
            for key, item in one.items():
                lefts.append(item)
                rights.append(other[key])
        elif type(one) is not type(other):
            return False
        elif isinstance(one, Decimal) and isinstance(other, Decimal):
            if one.is_nan() or other.is_nan() or one != other:
                return False
        elif one != other:
            return False
    return True


class ValueComparison:
    """Compares two encoded values that were both checked before.

    Args:
        left: a value, its tag first.
        right: another.
        right_check: the completed check of ``right``.

    Attributes:
        is_equal: the result, once :meth:`advance` has returned True.
    """

    def __init__(self, left: bytes, right: bytes, right_check: ValueCheck) -> None:
        self.is_equal = False
        self._left = left
        self._right = right
        self._left_at = 0
        self._right_at = 0
        self._run = 0
        """Number of following bytes, on both sides, that must be equal."""
        self._open: list[_OpenContainer] = [_OpenContainer(1)]
        self._is_done = True
        if right_check.has_one_form or left[0] != right[0]:
            self.is_equal = left == right and not right_check.has_nan
        elif left == right and not right_check.has_nan:
            self.is_equal = True
        else:
            self._is_done = False

    def advance(self, steps: int) -> bool:
        """Continue for about ``steps`` small values; returns whether the result is known."""
        while steps > 0 and not self._is_done:
            steps -= 1
            if self._run > 0:
                steps -= self._compare_run()
                continue
            container = self._open[-1]
            if container.left_index is not None:
                steps -= self._advance_map(container, steps + 1)
                continue
            if container.items_left == 0:
                self._open.pop()
                if not self._open:
                    self._answer(True)
                continue
            container.items_left -= 1
            self._compare_here()
        return self._is_done

    def _answer(self, is_equal: bool) -> None:
        self.is_equal = is_equal
        self._is_done = True

    def _compare_run(self) -> int:
        """Compare the next piece of bytes; returns the steps used."""
        size = min(self._run, TEXT_PIECE_BYTES)
        left_end = self._left_at + size
        right_end = self._right_at + size
        if self._left[self._left_at : left_end] != self._right[self._right_at : right_end]:
            self._answer(False)
        self._left_at = left_end
        self._right_at = right_end
        self._run -= size
        return size // BYTES_PER_STEP

    def _compare_here(self) -> None:
        """Compare the two values that begin here, or enter them."""
        left = self._left
        right = self._right
        tag = left[self._left_at]
        if tag != right[self._right_at]:
            self._answer(False)
            return
        self._left_at += 1
        self._right_at += 1
        if tag == INT:
            self._run = 8
        elif tag == BOOL:
            self._run = 1
        elif tag == DECIMAL:
            self._compare_decimals()
        elif tag == FLOAT:
            one: float = _unpack_f64(left, self._left_at)[0]
            other: float = _unpack_f64(right, self._right_at)[0]
            self._left_at += 8
            self._right_at += 8
            if one != other:
                self._answer(False)
        elif tag in (STRING, BYTES, LIST, MAP):
            left_count = read_u32(left, self._left_at)
            right_count = read_u32(right, self._right_at)
            if tag == MAP:
                # A key may occur twice in a map, so the counts may differ.
                keys_max = min(left_count, right_count)
                self._open.append(
                    _OpenContainer(
                        0,
                        MapIndex(left, self._left_at, keys_max),
                        MapIndex(right, self._right_at, keys_max),
                    )
                )
                return
            self._left_at += 4
            self._right_at += 4
            if left_count != right_count:
                self._answer(False)
            elif tag == LIST:
                self._open.append(_OpenContainer(left_count))
            else:
                self._run = left_count

    def _compare_decimals(self) -> None:
        left_begin = self._left_at + 2
        right_begin = self._right_at + 2
        self._left_at = left_begin + read_u16(self._left, self._left_at)
        self._right_at = right_begin + read_u16(self._right, self._right_at)
        one = self._left[left_begin : self._left_at]
        other = self._right[right_begin : self._right_at]
        if (
            b"N" in one
            or b"N" in other
            or (one != other and Decimal(one.decode("ascii")) != Decimal(other.decode("ascii")))
        ):
            self._answer(False)

    def _advance_map(self, container: "_OpenContainer", steps: int) -> int:
        """Index both maps, then look up the next key of one in the other; returns the steps."""
        left = container.left_index
        right = container.right_index
        assert left is not None and right is not None
        if not right.is_done:
            return right.advance(steps)
        if not left.is_done:
            left.keys_max = min(left.keys_max, right.keys)
            return left.advance(steps)
        if left.keys != right.keys:
            self._answer(False)
            return 1
        key_at = left.next_key()
        if key_at == 0:
            if left.has_no_more_keys:
                self._open.pop()
                self._left_at = left.end
                self._right_at = right.end
            return _STEPS_PER_KEY
        key = left.key(key_at)
        twin_at = right.find(key)
        if twin_at == 0:
            self._answer(False)
            return 1
        self._left_at = key_at + 2 + len(key)
        self._right_at = twin_at + 2 + len(key)
        self._compare_here()
        return _STEPS_PER_KEY


class _OpenContainer:
    """A pair of lists or maps whose end the comparison has not reached."""

    def __init__(
        self,
        items_left: int,
        left_index: "MapIndex | None" = None,
        right_index: "MapIndex | None" = None,
    ) -> None:
        self.items_left = items_left
        self.left_index = left_index
        self.right_index = right_index


class MapIndex:
    """The offsets of a map's keys in its bytes; of repeated keys, the last one counts.

    A hash table of offsets, four bytes each: an index of Python objects would need thirty times the
    memory of the map. Python's hash of bytes has a random seed, which prevents forced collisions.

    Args:
        data: contains the map, checked before.
        start: the offset of the map's count.
        keys_max: with more distinct keys than this, indexing stops.

    Attributes:
        is_done: whether all keys are indexed, or there are too many.
        keys: number of distinct keys so far.
        end: the offset after the map, once all keys are indexed.
    """

    def __init__(self, data: bytes, start: int, keys_max: int) -> None:
        self.keys_max = keys_max
        self.keys = 0
        self.end = start + 4
        self._data = data
        self._left = read_u32(data, start)
        self.is_done = self._left == 0
        self._value: ValueCheck | None = None
        slots = 8
        while slots < 2 * keys_max:
            slots *= 2
        self._mask = slots - 1
        self._slots = array("I", bytes(4 * slots))
        self._next_slot = 0

    def advance(self, steps: int) -> int:
        """Index more keys, for about ``steps`` small values; returns the steps used."""
        taken = 0
        while taken < steps and not self.is_done:
            if self._value is None:
                key_at = self.end
                slot = self._slot(self.key(key_at))
                if self._slots[slot] == 0:
                    self.keys += 1
                    if self.keys > self.keys_max:
                        self.is_done = True
                        return taken
                self._slots[slot] = key_at
                self._value = ValueCheck(self._data, key_at + 2 + read_u16(self._data, key_at))
                taken += _STEPS_PER_KEY
            value = self._value
            before = value.end
            if value.advance(steps):
                self._value = None
                self._left -= 1
                self.is_done = self._left == 0
            self.end = value.end
            taken += (self.end - before) // 8
        return taken

    def key(self, at: int) -> bytes:
        """The key whose length is at ``at``."""
        begin = at + 2
        return self._data[begin : begin + read_u16(self._data, at)]

    def find(self, key: bytes) -> int:
        """The offset of the last entry with ``key``, or 0."""
        offset: int = self._slots[self._slot(key)]
        return offset

    @property
    def has_no_more_keys(self) -> bool:
        """Whether :meth:`next_key` has read all slots."""
        return self._next_slot > self._mask

    def next_key(self) -> int:
        """The offset of an entry not returned before, or 0 if there was none in some slots."""
        for _ in range(_SLOTS_AT_ONCE):
            if self._next_slot > self._mask:
                break
            offset: int = self._slots[self._next_slot]
            self._next_slot += 1
            if offset != 0:
                return offset
        return 0

    def _slot(self, key: bytes) -> int:
        """The slot of ``key``, or the free slot for it."""
        at = hash(key) & self._mask
        while True:
            offset: int = self._slots[at]
            if offset == 0 or self.key(offset) == key:
                return at
            at = (at + 1) & self._mask
