"""Values as section 2.3 of the spec has them.

The suite's own codec, which follows the table of the spec line by line. It recurses, up to
:data:`LEVELS_MAX`, and builds what it reads: it is meant to be checked against the spec by eye.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from decimal import Decimal

from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol.opcodes import Tag

LEVELS_MAX = 256
"""Lists and Maps within each other that are read: as many as kvbench's own server accepts."""

_DECIMAL = re.compile(
    rb"[+-]?((\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|Infinity|s?NaN\d*)",
)


def encode_value(value: Value) -> bytes:
    """The bytes of a value, its tag first."""
    match value:
        case None:
            return bytes([Tag.NULL])
        case bool():
            return bytes([Tag.BOOL, value])
        case int():
            return struct.pack(">Bq", Tag.INT, value)
        case float():
            return struct.pack(">Bd", Tag.FLOAT, value)
        case Decimal():
            return bytes([Tag.DECIMAL]) + sized(str(value))
        case str():
            text = value.encode()
            return struct.pack(">BI", Tag.STRING, len(text)) + text
        case bytes():
            return struct.pack(">BI", Tag.BYTES, len(value)) + value
        case list():
            head = struct.pack(">BI", Tag.LIST, len(value))
            return head + b"".join([encode_value(item) for item in value])
        case _:
            head = struct.pack(">BI", Tag.MAP, len(value))
            entries = [sized(key) + encode_value(item) for key, item in value.items()]
            return head + b"".join(entries)


def sized(text: str) -> bytes:
    """A text with its length before it, as a u16: keys, owners, names and Decimals."""
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def decode_value(data: bytes) -> Value:
    """The one value that ``data`` holds, to its last byte.

    Raises:
        ProtocolError: it holds none, or more.
    """
    value, end = read_value(data, 0)
    if end != len(data):
        raise ProtocolError(f"{len(data) - end} bytes follow the value")
    return value


def read_value(data: bytes, start: int, level: int = 1) -> tuple[Value, int]:
    """The value that begins at ``start``, and the offset behind it.

    Raises:
        ProtocolError: the bytes there are no value.
    """
    tag, at = read_number(data, start, 1)
    match tag:
        case Tag.NULL:
            return None, at
        case Tag.BOOL:
            flag, at = read_number(data, at, 1)
            if flag > 1:
                raise ProtocolError(f"a Bool is 0 or 1, not {flag}")
            return flag == 1, at
        case Tag.INT:
            number: int = struct.unpack(">q", _part(data, at, 8))[0]
            return number, at + 8
        case Tag.FLOAT:
            real: float = struct.unpack(">d", _part(data, at, 8))[0]
            return real, at + 8
        case Tag.DECIMAL:
            size, at = read_number(data, at, 2)
            return _decimal(_part(data, at, size)), at + size
        case Tag.STRING | Tag.BYTES:
            size, at = read_number(data, at, 4)
            content = _part(data, at, size)
            return (_text(content) if tag == Tag.STRING else content), at + size
        case Tag.LIST | Tag.MAP:
            if level > LEVELS_MAX:
                raise ProtocolError(f"Lists and Maps are nested deeper than {LEVELS_MAX} levels")
            return (_read_list if tag == Tag.LIST else _read_map)(data, at, level)
        case _:
            raise ProtocolError(f"unknown value tag 0x{tag:02x}")


def read_number(data: bytes, start: int, size: int) -> tuple[int, int]:
    """The unsigned number of ``size`` bytes at ``start``, and the offset behind it."""
    return int.from_bytes(_part(data, start, size), "big"), start + size


def read_text(data: bytes, start: int) -> tuple[str, int]:
    """The sized text at ``start``, and the offset behind it."""
    size, at = read_number(data, start, 2)
    return _text(_part(data, at, size)), at + size


def _read_list(data: bytes, start: int, level: int) -> tuple[Value, int]:
    count, at = read_number(data, start, 4)
    items: list[Value] = []
    for _ in range(count):
        item, at = read_value(data, at, level + 1)
        items.append(item)
    return items, at


def _read_map(data: bytes, start: int, level: int) -> tuple[Value, int]:
    count, at = read_number(data, start, 4)
    items: dict[str, Value] = {}
    for _ in range(count):
        key, at = read_text(data, at)
        items[key], at = read_value(data, at, level + 1)
    return items, at


def _part(data: bytes, start: int, size: int) -> bytes:
    part = data[start : start + size]
    if len(part) < size:
        raise ProtocolError(f"truncated: {size} bytes declared, {len(part)} there")
    return part


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"a text is not UTF-8: {error}") from None


def _decimal(content: bytes) -> Decimal:
    if _DECIMAL.fullmatch(content):
        try:
            return Decimal(content.decode())
        except ArithmeticError:
            pass  # Its exponent is beyond what a Decimal holds.
    raise ProtocolError(f"{content[:40]!r} is no Decimal")


def types_in(value: Value) -> frozenset[str]:
    """The capabilities without which a target refuses a value: none for an Int and a String."""
    match value:
        case None:
            return frozenset({"type-null"})
        case bool():
            return frozenset({"type-bool"})
        case float():
            return frozenset({"type-float"})
        case Decimal():
            return frozenset({"type-decimal"})
        case bytes():
            return frozenset({"type-bytes"})
        case list():
            return frozenset({"type-list"}).union(*map(types_in, value))
        case dict():
            return frozenset({"type-map"}).union(*map(types_in, value.values()))
        case _:
            return frozenset()


def known_values(values: Iterable[Value], capabilities: frozenset[str]) -> tuple[Value, ...]:
    """Those of the values whose types a target has."""
    return tuple([value for value in values if types_in(value) <= capabilities])
