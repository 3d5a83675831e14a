"""Typed values to bytes and back: ``tag u8`` and what follows it (spec section "Values").

Three ways in, because three parties need different things from the same bytes: a client encodes
(:func:`encode_value`) and decodes (:func:`read_value`); a server only checks, for it stores the
bytes as they came (:func:`skip_value`), and compares now and then (:func:`values_equal`).

Rules: every read is checked against the end of the data before it happens; a declared count never
sizes anything; nesting is bounded, so bad input cannot exhaust the stack; whatever is wrong with
the *bytes* is a ProtocolError, whatever is wrong with a *Python value* a TypeError or ValueError.

This module is compiled by mypyc where a C compiler is there: plain loops, full types, no tricks.
"""

import re
import struct
from decimal import Decimal
from typing import Final, cast

from kvbench.errors import ProtocolError
from kvbench.model import Value

NESTING_DEPTH_MAX: Final = 64
"""Levels of lists and maps, twice what every implementation must accept (VALUE-012)."""

_NULL: Final = 0x00
_INT: Final = 0x01
_FLOAT: Final = 0x02
_DECIMAL: Final = 0x03
_STRING: Final = 0x04
_BYTES: Final = 0x05
_LIST: Final = 0x06
_MAP: Final = 0x07
_BOOL: Final = 0x08

_NULL_VALUE: Final = b"\x00"
_TRUE_VALUE: Final = b"\x08\x01"
_FALSE_VALUE: Final = b"\x08\x00"

_pack_int: Final = struct.Struct(">Bq").pack
_pack_float: Final = struct.Struct(">Bd").pack
_pack_sized16: Final = struct.Struct(">BH").pack
_pack_sized32: Final = struct.Struct(">BI").pack
_pack_u16: Final = struct.Struct(">H").pack
_unpack_i64: Final = struct.Struct(">q").unpack_from
_unpack_f64: Final = struct.Struct(">d").unpack_from

_decimal_text: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)"
).fullmatch


def encode_value(value: object, depth: int = 0) -> bytes:
    """One value as bytes, its tag first.

    Raises:
        TypeError: a type that the protocol has no tag for, or a map key that is no ``str``.
        ValueError: an int outside i64, a lone surrogate, a Decimal or map key too long, or lists
            and maps nested deeper than :data:`NESTING_DEPTH_MAX`.
    """
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _pack_sized32(_STRING, len(text)) + text
    if isinstance(value, bytes):
        return _pack_sized32(_BYTES, len(value)) + value
    if value is None:
        return _NULL_VALUE
    if value is True:
        return _TRUE_VALUE
    if value is False:
        return _FALSE_VALUE
    if isinstance(value, int):
        if not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
            raise ValueError("an int must fit in 64 bits with a sign")
        return _pack_int(_INT, value)
    if isinstance(value, float):
        return _pack_float(_FLOAT, value)
    if isinstance(value, Decimal):
        digits = str(value).encode("ascii")
        if len(digits) > 0xFFFF:
            raise ValueError(f"a Decimal of {len(digits)} characters is longer than 65,535")
        return _pack_sized16(_DECIMAL, len(digits)) + digits
    if isinstance(value, list | tuple | dict):
        return _encode_container(value, depth + 1)
    raise TypeError(f"values of type {type(value).__name__} cannot be stored")


def _encode_container(value: object, depth: int) -> bytes:
    if depth > NESTING_DEPTH_MAX:
        raise ValueError(f"lists and maps are nested deeper than {NESTING_DEPTH_MAX} levels")
    parts: list[bytes] = []
    if isinstance(value, dict):
        parts.append(_pack_sized32(_MAP, len(value)))
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the keys of a map must be str, not {type(key).__name__}")
            name = key.encode("utf-8")
            if len(name) > 0xFFFF:
                raise ValueError(f"a map key of {len(name)} bytes is longer than 65,535")
            parts.append(_pack_u16(len(name)))
            parts.append(name)
            parts.append(encode_value(item, depth))
    else:
        items = value if isinstance(value, list) else list(cast("tuple[object, ...]", value))
        parts.append(_pack_sized32(_LIST, len(items)))
        for item in items:
            parts.append(encode_value(item, depth))
    return b"".join(parts)


def decode_value(data: bytes) -> Value:
    """The one value that ``data`` holds, to its last byte.

    Raises:
        ProtocolError: ``data`` is no value, or is longer than one.
    """
    value, end = read_value(data, 0)
    if end != len(data):
        raise ProtocolError(f"{len(data) - end} bytes follow the value")
    return value


def read_value(data: bytes, start: int, depth: int = 0) -> tuple[Value, int]:
    """The value that begins at ``start``, and the offset behind it.

    Raises:
        ProtocolError: the bytes there are no value.
    """
    if start >= len(data):
        raise ProtocolError("truncated value: its tag is missing")
    tag = data[start]
    if tag == _STRING:
        begin, end = _sized32(data, start + 1)
        return _utf8(data[begin:end]), end
    if tag == _BYTES:
        begin, end = _sized32(data, start + 1)
        return data[begin:end], end
    if tag == _NULL:
        return None, start + 1
    if tag == _INT:
        end = _within(data, start + 1, 8)
        return cast(int, _unpack_i64(data, start + 1)[0]), end
    if tag == _FLOAT:
        end = _within(data, start + 1, 8)
        return cast(float, _unpack_f64(data, start + 1)[0]), end
    if tag == _BOOL:
        return _bool(data, start + 1), start + 2
    if tag == _DECIMAL:
        begin = start + 3
        end = _within(data, begin, read_u16(data, start + 1))
        return _decimal(data[begin:end]), end
    if tag == _LIST:
        return _read_list(data, start + 1, depth + 1)
    if tag == _MAP:
        return _read_map(data, start + 1, depth + 1)
    raise ProtocolError(f"unknown value tag 0x{tag:02x}")


def _read_list(data: bytes, start: int, depth: int) -> tuple[Value, int]:
    _check_depth(depth)
    count = read_u32(data, start)
    offset = start + 4
    items: list[Value] = []
    for _ in range(count):
        item, offset = read_value(data, offset, depth)
        items.append(item)
    return items, offset


def _read_map(data: bytes, start: int, depth: int) -> tuple[Value, int]:
    _check_depth(depth)
    count = read_u32(data, start)
    offset = start + 4
    items: dict[str, Value] = {}
    for _ in range(count):
        begin = offset + 2
        end = _within(data, begin, read_u16(data, offset))
        key = _utf8(data[begin:end])
        items[key], offset = read_value(data, end, depth)
    return items, offset


def skip_value(data: bytes, start: int, depth: int = 0) -> int:
    """Check the value that begins at ``start`` and return the offset behind it.

    Accepts exactly what :func:`read_value` accepts, and builds nothing.

    Raises:
        ProtocolError: the bytes there are no value.
    """
    if start >= len(data):
        raise ProtocolError("truncated value: its tag is missing")
    tag = data[start]
    if tag == _BYTES:
        _, end = _sized32(data, start + 1)
        return end
    if tag == _STRING:
        begin, end = _sized32(data, start + 1)
        check_utf8(data[begin:end])
        return end
    if tag == _NULL:
        return start + 1
    if tag in (_INT, _FLOAT):
        return _within(data, start + 1, 8)
    if tag == _BOOL:
        _bool(data, start + 1)
        return start + 2
    if tag == _DECIMAL:
        begin = start + 3
        end = _within(data, begin, read_u16(data, start + 1))
        _decimal(data[begin:end])
        return end
    if tag != _LIST and tag != _MAP:
        raise ProtocolError(f"unknown value tag 0x{tag:02x}")
    _check_depth(depth + 1)
    offset = start + 5
    for _ in range(read_u32(data, start + 1)):
        if tag == _MAP:
            begin = offset + 2
            end = _within(data, begin, read_u16(data, offset))
            check_utf8(data[begin:end])
            offset = end
        offset = skip_value(data, offset, depth + 1)
    return offset


def values_equal(left: Value, right: Value) -> bool:
    """Equality as CAS sees it (CAS-004): by type and value.

    1, 1.0 and true differ; the order of a map's keys does not matter; NaN equals nothing, wherever
    it is nested; Decimals compare as numbers, so 1.0 equals 1.00.
    """
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(values_equal(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, dict):
        if not isinstance(right, dict) or left.keys() != right.keys():
            return False
        return all(values_equal(item, right[key]) for key, item in left.items())
    if type(left) is not type(right):
        return False
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return not (left.is_nan() or right.is_nan()) and left == right
    return left == right


def read_u16(data: bytes, start: int) -> int:
    """The u16 at ``start``; ProtocolError when the data ends before it does."""
    if start + 2 > len(data):
        raise ProtocolError("truncated: a u16 is cut off")
    return (data[start] << 8) | data[start + 1]


def read_u32(data: bytes, start: int) -> int:
    """The u32 at ``start``; ProtocolError when the data ends before it does."""
    if start + 4 > len(data):
        raise ProtocolError("truncated: a u32 is cut off")
    return (data[start] << 24) | (data[start + 1] << 16) | (data[start + 2] << 8) | data[start + 3]


def check_utf8(text: bytes) -> None:
    """ProtocolError unless ``text`` is UTF-8."""
    if not text.isascii():
        _utf8(text)


def _utf8(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"text is not UTF-8: {error.reason} at byte {error.start}") from None


def _sized32(data: bytes, start: int) -> tuple[int, int]:
    """Begin and end of the bytes that a u32 at ``start`` counts."""
    begin = start + 4
    return begin, _within(data, begin, read_u32(data, start))


def _within(data: bytes, start: int, size: int) -> int:
    """The end of ``size`` bytes from ``start``; ProtocolError when the data ends before."""
    end = start + size
    if end > len(data):
        raise ProtocolError(f"truncated: {size} bytes declared, {max(0, len(data) - start)} there")
    return end


def _check_depth(depth: int) -> None:
    if depth > NESTING_DEPTH_MAX:
        raise ProtocolError(f"lists and maps are nested deeper than {NESTING_DEPTH_MAX} levels")


def _bool(data: bytes, start: int) -> bool:
    if start >= len(data):
        raise ProtocolError("truncated: a bool is cut off")
    if data[start] > 1:
        raise ProtocolError(f"a bool is 0 or 1, not {data[start]}")
    return data[start] == 1


def _decimal(digits: bytes) -> Decimal:
    try:
        text = digits.decode("ascii")
        if _decimal_text(text) is None:
            raise ValueError
        number = Decimal(text)
        # An exponent out of range, where the caller's context does not trap InvalidOperation.
        if number.is_nan() and "N" not in text:
            raise ValueError
        return number
    except (ValueError, ArithmeticError):
        raise ProtocolError(f"not a decimal number: {digits[:40]!r}") from None
