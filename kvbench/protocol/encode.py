"""Python values to bytes: ``tag u8`` and what follows it (spec section "Values").

Lists and maps are processed with a stack of iterators, not by recursion, and their parts are joined
once. An invalid value raises TypeError or ValueError. Compiled by mypyc if there is a C compiler.
"""

import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, cast

from kvbench.protocol.layout import (
    BYTES,
    DECIMAL,
    FLOAT,
    INT,
    LIST,
    MAP,
    NESTING_DEPTH_MAX,
    STRING,
)

_NULL_VALUE: Final = b"\x00"
_TRUE_VALUE: Final = b"\x08\x01"
_FALSE_VALUE: Final = b"\x08\x00"

_pack_int: Final = struct.Struct(">Bq").pack
_pack_float: Final = struct.Struct(">Bd").pack
_pack_sized16: Final = struct.Struct(">BH").pack
_pack_sized32: Final = struct.Struct(">BI").pack
_pack_u16: Final = struct.Struct(">H").pack


def encode_value(value: object) -> bytes:
    """One value as bytes, its tag first.

    Raises:
        TypeError: a type that the protocol has no tag for, or a map key that is not a ``str``.
        ValueError: an int outside i64, a lone surrogate, a Decimal or map key too long, or lists
            and maps nested deeper than :data:`~kvbench.protocol.layout.NESTING_DEPTH_MAX`.
    """
    return _encode_scalar(value) or _encode_container(value)


def _encode_scalar(value: object) -> bytes:
    """The bytes of a value that is not a list or map; empty for those."""
    if isinstance(value, str):
        text = value.encode("utf-8")
        return _pack_sized32(STRING, len(text)) + text
    if isinstance(value, bytes):
        return _pack_sized32(BYTES, len(value)) + value
    if value is None:
        return _NULL_VALUE
    if value is True:
        return _TRUE_VALUE
    if value is False:
        return _FALSE_VALUE
    if isinstance(value, int):
        if not -0x8000_0000_0000_0000 <= value <= 0x7FFF_FFFF_FFFF_FFFF:
            raise ValueError("an int must fit in 64 bits with a sign")
        return _pack_int(INT, value)
    if isinstance(value, float):
        return _pack_float(FLOAT, value)
    if isinstance(value, Decimal):
        digits = str(value).encode("ascii")
        if len(digits) > 0xFFFF:
            raise ValueError(f"a Decimal of {len(digits)} characters is longer than 65,535")
        return _pack_sized16(DECIMAL, len(digits)) + digits
    if isinstance(value, list | tuple | dict):
        return b""
    raise TypeError(f"values of type {type(value).__name__} cannot be stored")


def _encode_container(value: object) -> bytes:
    parts: list[bytes] = []
    items = _open(value, parts)
    in_map = isinstance(value, dict)
    outer: list[Iterator[object]] = []
    outer_maps: list[bool] = []
    while True:
        is_open = False
        for entry in items:
            item = entry
            if in_map:
                key, item = cast("tuple[object, object]", entry)
                _append_key(key, parts)
            data = _encode_scalar(item)
            if data:
                parts.append(data)
                continue
            if len(outer) + 2 > NESTING_DEPTH_MAX:
                raise ValueError(
                    f"lists and maps are nested deeper than {NESTING_DEPTH_MAX} levels"
                )
            outer.append(items)
            outer_maps.append(in_map)
            items = _open(item, parts)
            in_map = isinstance(item, dict)
            is_open = True
            break
        if is_open:
            continue
        if not outer:
            return b"".join(parts)
        items = outer.pop()
        in_map = outer_maps.pop()


def _open(value: object, parts: list[bytes]) -> Iterator[object]:
    """Write the head of a list or map, and return the items to write after it."""
    if isinstance(value, dict):
        parts.append(_pack_sized32(MAP, len(value)))
        return iter(value.items())
    items = cast("list[object] | tuple[object, ...]", value)
    parts.append(_pack_sized32(LIST, len(items)))
    return iter(items)


def _append_key(key: object, parts: list[bytes]) -> None:
    if not isinstance(key, str):
        raise TypeError(f"the keys of a map must be str, not {type(key).__name__}")
    name = key.encode("utf-8")
    if len(name) > 0xFFFF:
        raise ValueError(f"a map key of {len(name)} bytes is longer than 65,535")
    parts.append(_pack_u16(len(name)))
    parts.append(name)
