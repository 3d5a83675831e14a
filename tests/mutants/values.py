"""Mutants that do not accept a value, or do not keep it as it was."""

from __future__ import annotations

import math
import struct
import sys
from decimal import Decimal, localcontext

from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol import requests
from kvbench.protocol.opcodes import Tag
from kvbench.protocol.values import decode_value, encode_value
from kvbench.server.dispatch import Dispatcher

from .parts import Keeping, breaks, depth, ok


class _Decoding(Keeping):
    """SET keeps what a value means to it."""

    def mean(self, value: Value) -> Value:
        return value

    def keep(self, value: bytes) -> bytes:
        before = decode_value(value)
        after = self.mean(before)
        return value if after is before else encode_value(after)


# --- What must be accepted -----------------------------------------------------------------------


class _Narrow(Keeping):
    """SET refuses values that begin like this."""

    refused: tuple[bytes, ...] = ()

    def keep(self, value: bytes) -> bytes:
        if value.startswith(self.refused):
            raise ProtocolError("no such values here")
        return value


@breaks("VALUE-001")
class NoDecimals(_Narrow):
    """SET refuses Decimals."""

    refused = (b"\3",)


@breaks("VALUE-001")
class NullIsNothing(_Narrow):
    """SET refuses Null."""

    refused = (b"\0",)


@breaks("VALUE-001")
class NoMapsInBatches(Dispatcher):
    """MSET refuses Maps."""

    def _mset(self, payload: bytes) -> bytes:
        _, items = requests.parse_mset(payload)
        if any(value[0] == Tag.MAP for value in items.values()):
            raise ProtocolError("no maps in batches")
        return super()._mset(payload)


@breaks("VALUE-001")
class NoListsInCas(Dispatcher):
    """CAS refuses Lists as the new value."""

    def _cas(self, payload: bytes) -> bytes:
        if requests.parse_cas(payload)[3][0] == Tag.LIST:
            raise ProtocolError("no lists in CAS")
        return super()._cas(payload)


@breaks("VALUE-009")
class NoEmptyLists(_Narrow):
    """SET refuses an empty List."""

    refused = (b"\6\0\0\0\0",)


@breaks("VALUE-010")
class NoEmptyMaps(_Narrow):
    """SET refuses an empty Map."""

    refused = (b"\7\0\0\0\0",)


@breaks("VALUE-010")
class ShortMapKeys(Keeping):
    """SET refuses keys of more than 256 bytes in a Map, as it does outside of one."""

    def keep(self, value: bytes) -> bytes:
        if value[0] == Tag.MAP and any(len(key.encode()) > 256 for key in decode_value(value)):
            raise ProtocolError("a key has up to 256 bytes")
        return value


@breaks("VALUE-010")
class NoEmptyMapKeys(Keeping):
    """SET refuses an empty key in a Map."""

    def keep(self, value: bytes) -> bytes:
        if value[0] == Tag.MAP and "" in decode_value(value):
            raise ProtocolError("a key cannot be empty")
        return value


@breaks("VALUE-011")
class NoKeysTwice(Keeping):
    """SET refuses a Map that holds a key twice."""

    def keep(self, value: bytes) -> bytes:
        if value[0] == Tag.MAP and len(decode_value(value)) < int.from_bytes(value[1:5], "big"):
            raise ProtocolError("a key comes twice")
        return value


@breaks("VALUE-011")
class FirstKeyCounts(Keeping):
    """SET keeps the first value of a key that a Map of Ints holds twice."""

    def keep(self, value: bytes) -> bytes:
        found = decode_value(value)
        if not isinstance(found, dict) or any(type(item) is not int for item in found.values()):
            return value
        first: dict[str, int] = {}
        offset = 5
        for _ in range(int.from_bytes(value[1:5], "big")):
            end = offset + 2 + int.from_bytes(value[offset : offset + 2], "big")
            (number,) = struct.unpack_from(">q", value, end + 1)
            first.setdefault(value[offset + 2 : end].decode(), number)
            offset = end + 9
        return encode_value(first)


@breaks("VALUE-012")
class SixteenLevels(Keeping):
    """SET refuses more than 16 levels."""

    levels = 16

    def keep(self, value: bytes) -> bytes:
        if depth(decode_value(value)) > self.levels:
            raise ProtocolError("nested deeper than I like")
        return value


@breaks("VALUE-012")
class ThirtyOneLevels(SixteenLevels):
    """SET refuses 32 levels: one off."""

    levels = 31


@breaks("VALUE-019")
class NinetyNineLevels(SixteenLevels):
    """SET refuses 100 levels: one off."""

    levels = 99


# --- What must come back -------------------------------------------------------------------------


@breaks("VALUE-002", "VALUE-016")
class IntsOf53Bits(_Decoding):
    """Keeps Ints as floating-point numbers, and makes Ints of them."""

    def mean(self, value: Value) -> Value:
        if type(value) is int:
            return max(-(2**63), min(2**63 - 1, int(float(value))))
        return value


@breaks("VALUE-002")
class IntsOf32Bits(_Decoding):
    """Keeps the lower 32 bits of an Int."""

    def mean(self, value: Value) -> Value:
        return (value + 2**31) % 2**32 - 2**31 if type(value) is int else value


@breaks("VALUE-003", "VALUE-016")
class FloatsOf32Bits(_Decoding):
    """Keeps Floats in 32 bits."""

    def mean(self, value: Value) -> Value:
        if isinstance(value, float) and math.isfinite(value):
            try:
                return struct.unpack(">f", struct.pack(">f", value))[0]
            except OverflowError:
                return math.copysign(math.inf, value)
        return value


@breaks("VALUE-003")
class ZeroWithoutSign(_Decoding):
    """Keeps negative zero as zero."""

    def mean(self, value: Value) -> Value:
        return 0.0 if isinstance(value, float) and value == 0 else value


@breaks("VALUE-003")
class FiniteFloats(Keeping):
    """SET refuses NaN and the infinities."""

    def keep(self, value: bytes) -> bytes:
        if value[0] == Tag.FLOAT and not math.isfinite(decode_value(value)):
            raise ProtocolError("not a finite number")
        return value


@breaks("VALUE-003")
class NoSubnormals(_Decoding):
    """Keeps subnormal Floats as zero."""

    def mean(self, value: Value) -> Value:
        is_tiny = isinstance(value, float) and 0 < abs(value) < sys.float_info.min
        return math.copysign(0.0, value) if is_tiny else value


class _Rounding(_Decoding):
    """Keeps a Decimal as another one."""

    def other(self, number: Decimal) -> Decimal:
        return number

    def mean(self, value: Value) -> Value:
        if not isinstance(value, Decimal) or not value.is_finite():
            return value
        with localcontext() as context:
            context.prec = 60
            return self.other(value)


@breaks("VALUE-006", "VALUE-016")
class DecimalsOf28Digits(_Rounding):
    """Rounds Decimals to 28 digits."""

    def other(self, number: Decimal) -> Decimal:
        with localcontext() as context:
            context.prec = 28
            return +number


@breaks("VALUE-006", "VALUE-016")
class DecimalsAsFloats(_Rounding):
    """Keeps Decimals as floating-point numbers."""

    def other(self, number: Decimal) -> Decimal:
        return Decimal(repr(float(number)))


@breaks("VALUE-006")
class DecimalsOfSmallExponents(Keeping):
    """SET refuses Decimals with exponents beyond 383."""

    def keep(self, value: bytes) -> bytes:
        number = decode_value(value) if value[0] == Tag.DECIMAL else None
        if isinstance(number, Decimal) and number.is_finite() and abs(number.adjusted()) > 383:
            raise ProtocolError("an exponent out of range")
        return value


@breaks("VALUE-006")
class DecimalsWithoutSign(_Rounding):
    """Drops the sign of a Decimal that is zero."""

    def other(self, number: Decimal) -> Decimal:
        return number.copy_abs() if number.is_zero() else number


@breaks("VALUE-008", "VALUE-016")
class BytesAsText(_Decoding):
    """Keeps Bytes that happen to be text as a String."""

    def mean(self, value: Value) -> Value:
        try:
            return value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            return value


@breaks("VALUE-008")
class EmptyBytesAreNull(_Decoding):
    """Keeps empty Bytes as Null."""

    def mean(self, value: Value) -> Value:
        return None if value == b"" else value


@breaks("VALUE-008")
class BytesEndAtZero(_Decoding):
    """Takes a zero for the end of Bytes."""

    def mean(self, value: Value) -> Value:
        is_longer = isinstance(value, bytes) and b"\0" in value
        return value.split(b"\0")[0] if is_longer else value


@breaks("VALUE-009")
class ListsAreSorted(_Decoding):
    """Keeps a List sorted."""

    def mean(self, value: Value) -> Value:
        return sorted(value, key=repr) if isinstance(value, list) else value


@breaks("VALUE-009")
class ListsOfOneType(Keeping):
    """SET refuses Lists with items of different types."""

    def keep(self, value: bytes) -> bytes:
        found = decode_value(value)
        if isinstance(found, list) and len({type(item) for item in found}) > 1:
            raise ProtocolError("items of different types")
        return value


@breaks("VALUE-016")
class BoolsAsInts(_Decoding):
    """Keeps a Bool as an Int."""

    def mean(self, value: Value) -> Value:
        return int(value) if isinstance(value, bool) else value


@breaks("VALUE-016")
class IntsAsFloatsInside(_Decoding):
    """Keeps Ints in a List as Floats."""

    def mean(self, value: Value) -> Value:
        if isinstance(value, list):
            return [float(item) if type(item) is int else item for item in value]
        return value


@breaks("VALUE-017")
class MapsAreSorted(_Decoding):
    """Keeps a Map sorted by its keys, as some hash tables would."""

    def mean(self, value: Value) -> Value:
        return dict(sorted(value.items())) if isinstance(value, dict) else value


@breaks("VALUE-018")
class LongValuesAreCut(_Decoding):
    """Keeps the first 65,535 bytes of a String or of Bytes."""

    def mean(self, value: Value) -> Value:
        is_long = isinstance(value, str | bytes) and len(value) > 65_535
        return value[:65_535] if is_long else value


@breaks("VALUE-018")
class NoLongValues(Dispatcher):
    """SET refuses values over 64 KiB."""

    def _set(self, payload: bytes) -> bytes:
        return super()._set(payload if len(payload) <= 65_536 else b"")


@breaks("VALUE-018")
class VeryLongValuesAreCut(_Decoding):
    """Keeps the first 999,999 bytes of a String or of Bytes."""

    def mean(self, value: Value) -> Value:
        is_long = isinstance(value, str | bytes) and len(value) > 999_999
        return value[:999_999] if is_long else value


@breaks("VALUE-018")
class LastBytesAreLost(Dispatcher):
    """GET answers a value without its last byte when it is a long one."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        return reply if len(reply) < 4096 else ok(reply[5:-1])
