"""Checks values without building them: used by a server for everything that it stores.

:class:`ValueCheck` keeps counts of the open lists and maps, so nothing recurses, and it can stop
after a number of steps and continue later. Compiled by mypyc if there is a C compiler.
"""

import struct
from typing import Final

from kvbench.protocol.layout import (
    ALL_STEPS,
    BOOL,
    BYTES,
    BYTES_PER_STEP,
    DECIMAL,
    FLOAT,
    INT,
    LIST,
    MAP,
    NULL,
    STRING,
    TEXT_PIECE_BYTES,
    check_decimal,
    check_depth,
    check_utf8,
    end_of,
    read_bool,
    read_tag,
    read_u16,
    read_u32,
    unknown_tag,
)

_unpack_f64: Final = struct.Struct(">d").unpack_from


class ValueCheck:
    """Checks the value that begins at ``start``, and finds its end.

    Accepts exactly what :class:`~kvbench.protocol.decode.ValuesDecoder` accepts.

    Attributes:
        end: the offset after the value, once :meth:`advance` has returned True.
        has_nan: whether it contains a NaN, as a Float or a Decimal: such a value equals nothing.
        has_one_form: whether no other bytes encode an equal value. Decimals, Maps and Floats of
            zero have several forms.
    """

    def __init__(self, data: bytes, start: int) -> None:
        self.end = start
        self.has_nan = False
        self.has_one_form = True
        self._data = data
        self._left = 1
        self._in_map = False
        self._outer_left: list[int] = []
        self._outer_in_map: list[bool] = []
        self._text_left = 0

    def restart(self, start: int) -> None:
        """Restart with the value at ``start``: cheaper than a new object."""
        self.end = start
        self._left = 1

    def advance(self, steps: int) -> bool:
        """Continue for about ``steps`` small values; returns whether all is done.

        Raises:
            ProtocolError: the bytes are not a value. The check cannot be used any more.
        """
        data = self._data
        offset = self.end
        left = self._left
        in_map = self._in_map
        while steps > 0:
            if self._text_left > 0:
                steps -= TEXT_PIECE_BYTES // BYTES_PER_STEP
                offset = self._check_piece(offset)
                continue
            if left == 0:
                if not self._outer_left:
                    break
                left = self._outer_left.pop()
                in_map = self._outer_in_map.pop()
                continue
            left -= 1
            begin = offset
            if in_map:
                end = end_of(data, offset + 2, read_u16(data, offset))
                check_utf8(data[offset + 2 : end])
                offset = end
            tag = read_tag(data, offset)
            if tag in (LIST, MAP):
                check_depth(len(self._outer_left) + 1)
                count = read_u32(data, offset + 1)
                offset += 5
                if tag == MAP:
                    self.has_one_form = False
                if count > 0:
                    self._outer_left.append(left)
                    self._outer_in_map.append(in_map)
                    left = count
                    in_map = tag == MAP
            elif tag == STRING:
                end = end_of(data, offset + 5, read_u32(data, offset + 1))
                offset += 5
                if end - offset > TEXT_PIECE_BYTES:
                    self._text_left = end - offset
                else:
                    check_utf8(data[offset:end])
                    offset = end
            else:
                offset = self._check_scalar(offset, tag)
            steps -= 1 + (offset - begin) // BYTES_PER_STEP
        self.end = offset
        self._left = left
        self._in_map = in_map
        return left == 0 and self._text_left == 0 and not self._outer_left

    def _check_scalar(self, start: int, tag: int) -> int:
        """Check a value that is not a list, map or text; returns the offset after it."""
        data = self._data
        if tag == NULL:
            return start + 1
        if tag == INT:
            return end_of(data, start + 1, 8)
        if tag == BYTES:
            return end_of(data, start + 5, read_u32(data, start + 1))
        if tag == DECIMAL:
            end = end_of(data, start + 3, read_u16(data, start + 1))
            if check_decimal(data, start + 3, end):
                self.has_nan = True
            self.has_one_form = False
            return end
        if tag == FLOAT:
            end = end_of(data, start + 1, 8)
            number: float = _unpack_f64(data, start + 1)[0]
            if number != number:
                self.has_nan = True
            elif number == 0.0:
                self.has_one_form = False
            return end
        if tag == BOOL:
            read_bool(data, start + 1)
            return start + 2
        raise unknown_tag(tag)

    def _check_piece(self, start: int) -> int:
        """Check the next piece of a long text, cut between two characters; returns its end."""
        data = self._data
        end = start + min(self._text_left, TEXT_PIECE_BYTES)
        if end < start + self._text_left:
            for _ in range(3):  # A character has at most three bytes after its first.
                if data[end] & 0xC0 != 0x80:
                    break
                end -= 1
        check_utf8(data[start:end])
        self._text_left -= end - start
        return end


def skip_value(data: bytes, start: int) -> int:
    """Check the value that begins at ``start`` and return the offset after it.

    Raises:
        ProtocolError: the bytes are not a value.
    """
    end = skip_short_value(data, start)
    if end > 0:
        return end
    check = ValueCheck(data, start)
    check.advance(ALL_STEPS)
    return check.end


def skip_short_value(data: bytes, start: int) -> int:
    """Like :func:`skip_value`; 0, unchecked, for a list, a map, a Decimal or a long text.

    Raises:
        ProtocolError: the bytes are not a value.
    """
    tag = read_tag(data, start)
    if tag == STRING:
        end = end_of(data, start + 5, read_u32(data, start + 1))
        if end - start > TEXT_PIECE_BYTES:
            return 0
        check_utf8(data[start + 5 : end])
        return end
    if tag == BYTES:
        return end_of(data, start + 5, read_u32(data, start + 1))
    if tag in (INT, FLOAT):
        return end_of(data, start + 1, 8)
    if tag == NULL:
        return start + 1
    return 0
