"""Shared by all readers of values: tags, fields, text and the grammar of Decimals.

Each function checks the end of the data before it reads, and raises a ProtocolError for bytes that
do not follow the spec (section "Values"). None of them builds more than it returns.

Compiled by mypyc if there is a C compiler: plain loops, full types, no tricks.
"""

import decimal
from typing import Final

from kvbench.errors import ProtocolError

NESTING_DEPTH_MAX: Final = 256
"""Levels of lists and maps. Every implementation must accept 32 (VALUE-012), and users of the
family store 100. Readers keep a stack of this size, so it bounds the memory for one value."""

ALL_STEPS: Final = 1 << 60
"""A number of steps that no value needs: a reader finishes in one call."""

BYTES_PER_STEP: Final = 128
"""Checking, copying or comparing this many bytes takes as long as one small value."""

TEXT_PIECE_BYTES: Final = 65_536
"""Longer texts and bytes are checked and compared in pieces of this size."""

NULL: Final = 0x00
INT: Final = 0x01
FLOAT: Final = 0x02
DECIMAL: Final = 0x03
STRING: Final = 0x04
BYTES: Final = 0x05
LIST: Final = 0x06
MAP: Final = 0x07
BOOL: Final = 0x08

_EXPONENT_DIGITS_MAX: Final = 19
_EXPONENT_MAX: Final[int] = decimal.MAX_EMAX
_EXPONENT_MIN: Final[int] = decimal.MIN_ETINY


def read_u16(data: bytes, start: int) -> int:
    """The u16 at ``start``; ProtocolError if the data ends inside it."""
    if start + 2 > len(data):
        raise ProtocolError("truncated: a u16 is cut off")
    return (data[start] << 8) | data[start + 1]


def read_u32(data: bytes, start: int) -> int:
    """The u32 at ``start``; ProtocolError if the data ends inside it."""
    if start + 4 > len(data):
        raise ProtocolError("truncated: a u32 is cut off")
    return (data[start] << 24) | (data[start + 1] << 16) | (data[start + 2] << 8) | data[start + 3]


def read_tag(data: bytes, start: int) -> int:
    """The tag at ``start``, not checked; ProtocolError if there is none."""
    if start >= len(data):
        raise ProtocolError("truncated value: its tag is missing")
    return data[start]


def read_bool(data: bytes, start: int) -> bool:
    """The u8 at ``start`` as a Bool; ProtocolError unless it is 0 or 1."""
    if start >= len(data):
        raise ProtocolError("truncated: a bool is cut off")
    if data[start] > 1:
        raise ProtocolError(f"a bool is 0 or 1, not {data[start]}")
    return data[start] == 1


def end_of(data: bytes, start: int, size: int) -> int:
    """The end of ``size`` bytes from ``start``; ProtocolError if the data ends before."""
    end = start + size
    if end > len(data):
        raise ProtocolError(f"truncated: {size} bytes declared, {max(0, len(data) - start)} there")
    return end


def check_depth(depth: int) -> None:
    """ProtocolError if ``depth`` nested lists and maps are too many."""
    if depth > NESTING_DEPTH_MAX:
        raise ProtocolError(f"lists and maps are nested deeper than {NESTING_DEPTH_MAX} levels")


def unknown_tag(tag: int) -> ProtocolError:
    """The error for an unknown tag."""
    return ProtocolError(f"unknown value tag 0x{tag:02x}")


def check_utf8(text: bytes) -> None:
    """ProtocolError unless ``text`` is UTF-8."""
    if not text.isascii():
        decode_utf8(text)


def decode_utf8(text: bytes) -> str:
    """``text`` as a str; ProtocolError unless it is UTF-8."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"text is not UTF-8: {error.reason} at byte {error.start}") from None


def check_decimal(data: bytes, begin: int, end: int) -> bool:
    """Check the text of a Decimal in ``data[begin:end]``; returns whether it is a NaN.

    Accepts what both the spec's grammar and :class:`decimal.Decimal` accept: an exponent that a
    Decimal cannot hold is rejected, never rounded.

    Raises:
        ProtocolError: the text is not a Decimal.
    """
    at = begin
    if at < end and (data[at] == 0x2B or data[at] == 0x2D):  # + or -
        at += 1
    if at < end and data[at] > 0x39:  # After the digits: a letter.
        return _check_word(data, begin, at, end)
    digits = 0
    significant = 0
    fraction = 0
    has_point = False
    while at < end:
        char = data[at]
        if 0x30 <= char <= 0x39:
            digits += 1
            if significant > 0 or char != 0x30:
                significant += 1
            if has_point:
                fraction += 1
        elif char == 0x2E and not has_point:
            has_point = True
        else:
            break
        at += 1
    if digits == 0:
        raise _no_decimal(data, begin, end)
    if at < end:
        exponent = _exponent(data, begin, at, end) - fraction
        if exponent < _EXPONENT_MIN or exponent + max(significant, 1) - 1 > _EXPONENT_MAX:
            raise _no_decimal(data, begin, end)
    return False


def _check_word(data: bytes, begin: int, at: int, end: int) -> bool:
    """``Infinity``, or a NaN with or without digits; returns whether it is a NaN."""
    word = data[at:end]
    if word == b"Infinity":
        return False
    digits = word[4:] if word.startswith(b"sNaN") else word[3:]
    if not word.startswith((b"NaN", b"sNaN")) or (digits and not digits.isdigit()):
        raise _no_decimal(data, begin, end)
    return True


def _exponent(data: bytes, begin: int, at: int, end: int) -> int:
    """Check an exponent from ``at`` on: ``e``, an optional sign, and digits to the end."""
    text = data[at + 1 : end]
    is_negative = text.startswith(b"-")
    digits = text[1:] if text.startswith((b"+", b"-")) else text
    if (data[at] != 0x45 and data[at] != 0x65) or not digits.isdigit():
        raise _no_decimal(data, begin, end)
    digits = digits.lstrip(b"0")
    if len(digits) > _EXPONENT_DIGITS_MAX:
        raise _no_decimal(data, begin, end)
    exponent = int(digits or b"0")
    return -exponent if is_negative else exponent


def _no_decimal(data: bytes, begin: int, end: int) -> ProtocolError:
    return ProtocolError(f"not a decimal number: {data[begin : min(end, begin + 40)]!r}")
