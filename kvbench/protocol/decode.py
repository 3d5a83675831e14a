"""Bytes to Python values, at once or in steps (spec section "Values").

:class:`ValuesDecoder` keeps a stack of the open lists and maps, so nothing recurses, and it can
stop after a number of steps and continue later. A client that must not block its event loop on a
reply of 64 MiB runs it in small steps; :func:`read_value` and :func:`decode_value` run it to the
end. Compiled by mypyc if there is a C compiler.
"""

import struct
from decimal import Decimal
from typing import Final, cast

from kvbench.errors import ProtocolError
from kvbench.model import Value
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
    check_decimal,
    check_depth,
    decode_utf8,
    end_of,
    read_bool,
    read_tag,
    read_u16,
    read_u32,
    unknown_tag,
)

_unpack_i64: Final = struct.Struct(">q").unpack_from
_unpack_f64: Final = struct.Struct(">d").unpack_from


class ValuesDecoder:
    """Decodes ``count`` consecutive values in ``data``, beginning at ``start``.

    Attributes:
        values: the decoded values; complete once :meth:`advance` has returned True.
        end: the offset after the last value, from then on.
    """

    def __init__(self, data: bytes, start: int = 0, count: int = 1) -> None:
        self.values: list[Value] = []
        self.end = start
        self._data = data
        self._left = count
        self._items: list[Value] = self.values
        self._map: dict[str, Value] | None = None
        self._outer_left: list[int] = []
        self._outer_items: list[list[Value]] = []
        self._outer_map: list[dict[str, Value] | None] = []

    def advance(self, steps: int) -> bool:
        """Continue for about ``steps`` small values; returns whether all is done.

        A text or bytes of any size is decoded in one step, and counts by its length.

        Raises:
            ProtocolError: the bytes are not values. The decoder cannot be used any more.
        """
        data = self._data
        offset = self.end
        left = self._left
        items = self._items
        table = self._map
        key = ""
        while steps > 0:
            if left == 0:
                if not self._outer_left:
                    break
                left = self._outer_left.pop()
                items = self._outer_items.pop()
                table = self._outer_map.pop()
                continue
            left -= 1
            begin = offset
            if table is not None:
                text_end = end_of(data, offset + 2, read_u16(data, offset))
                key = decode_utf8(data[offset + 2 : text_end])
                offset = text_end
            tag = read_tag(data, offset)
            if tag != LIST and tag != MAP:
                value, offset = _read_scalar(data, offset, tag)
                steps -= 1 + (offset - begin) // BYTES_PER_STEP
                if table is None:
                    items.append(value)
                else:
                    table[key] = value
                continue
            steps -= 1
            check_depth(len(self._outer_left) + 1)
            count = read_u32(data, offset + 1)
            offset += 5
            inner_items: list[Value] = []
            inner_map: dict[str, Value] | None = {} if tag == MAP else None
            inner = cast(Value, inner_items if inner_map is None else inner_map)
            if table is None:
                items.append(inner)
            else:
                table[key] = inner
            if count > 0:
                self._outer_left.append(left)
                self._outer_items.append(items)
                self._outer_map.append(table)
                left, items, table = count, inner_items, inner_map
        self.end = offset
        self._left = left
        self._items = items
        self._map = table
        return left == 0 and not self._outer_left


def read_value(data: bytes, start: int) -> tuple[Value, int]:
    """The value that begins at ``start``, and the offset after it.

    Raises:
        ProtocolError: the bytes are not a value.
    """
    tag = read_tag(data, start)
    if tag != LIST and tag != MAP:
        return _read_scalar(data, start, tag)
    decoder = ValuesDecoder(data, start)
    decoder.advance(ALL_STEPS)
    return decoder.values[0], decoder.end


def decode_value(data: bytes) -> Value:
    """The single value of ``data``.

    Raises:
        ProtocolError: ``data`` is not a value, or bytes follow it.
    """
    value, end = read_value(data, 0)
    if end != len(data):
        raise ProtocolError(f"{len(data) - end} bytes follow the value")
    return value


def _read_scalar(data: bytes, start: int, tag: int) -> tuple[Value, int]:
    """A value that is not a list or map, and the offset after it."""
    if tag == STRING:
        end = end_of(data, start + 5, read_u32(data, start + 1))
        return decode_utf8(data[start + 5 : end]), end
    if tag == BYTES:
        end = end_of(data, start + 5, read_u32(data, start + 1))
        return data[start + 5 : end], end
    if tag == NULL:
        return None, start + 1
    if tag == INT:
        end = end_of(data, start + 1, 8)
        return cast(int, _unpack_i64(data, start + 1)[0]), end
    if tag == FLOAT:
        end = end_of(data, start + 1, 8)
        return cast(float, _unpack_f64(data, start + 1)[0]), end
    if tag == BOOL:
        return read_bool(data, start + 1), start + 2
    if tag == DECIMAL:
        end = end_of(data, start + 3, read_u16(data, start + 1))
        check_decimal(data, start + 3, end)
        return Decimal(data[start + 3 : end].decode("ascii")), end
    raise unknown_tag(tag)
