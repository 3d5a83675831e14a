"""Mutants that accept what is no value, or do not survive it."""

from __future__ import annotations

import sys
from decimal import Decimal

from kvbench.errors import ProtocolError
from kvbench.protocol import requests
from kvbench.protocol.opcodes import Tag
from kvbench.protocol.values import decode_value

from .parts import Forgiving, Keeping, breaks, depth


@breaks("VALUE-004")
class BoolsOfAnyByte(Forgiving):
    """SET takes any byte for a Bool."""

    complaint = "a bool is 0 or 1"


@breaks("VALUE-005")
class DecimalsOfAnyText(Forgiving):
    """SET takes any text for a Decimal."""

    complaint = "not a decimal number"


@breaks("VALUE-005")
class DecimalsAsPythonHasThem(Forgiving):
    """SET takes for a Decimal what Python's does: underscores, blanks, other digits."""

    complaint = "not a decimal number"

    def forgives(self, value: bytes) -> bool:
        try:
            Decimal(value[3:].decode())
        except (ArithmeticError, ValueError):
            return False
        return True


@breaks("VALUE-007")
class StringsOfAnyBytes(Forgiving):
    """SET takes any bytes for a String."""

    complaint = "not UTF-8"

    def forgives(self, value: bytes) -> bool:
        return value[0] == Tag.STRING


@breaks("VALUE-007")
class StringsWithSurrogates(Forgiving):
    """SET takes encoded surrogates in a String."""

    complaint = "not UTF-8"

    def forgives(self, value: bytes) -> bool:
        try:
            value[5:].decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return False
        return value[0] == Tag.STRING


@breaks("VALUE-010")
class MapKeysOfAnyBytes(Forgiving):
    """SET takes any bytes for a key in a Map."""

    complaint = "not UTF-8"

    def forgives(self, value: bytes) -> bool:
        return value[0] == Tag.MAP


@breaks("VALUE-013")
class NestingWithoutEnd(Forgiving):
    """SET keeps what is nested as deep as can be, unread."""

    complaint = "nested deeper"


@breaks("VALUE-012")
class DiesOfNesting(Keeping):
    """The server ends when a value has more than 30 levels."""

    def _set(self, payload: bytes) -> bytes:
        try:
            key, _, value = requests.parse_set(payload)
        except ProtocolError as error:
            if "nested deeper" in str(error):
                sys.exit()
            raise
        if key and depth(decode_value(value)) > 30:
            sys.exit()
        return super()._set(payload)


@breaks("VALUE-014")
class AnyTag(Forgiving):
    """SET keeps values whose tag it does not know."""

    complaint = "unknown value tag"


@breaks("VALUE-014")
class AnyTagInside(Forgiving):
    """SET keeps Lists and Maps that hold values whose tag it does not know."""

    complaint = "unknown value tag"

    def forgives(self, value: bytes) -> bool:
        return value[0] in (Tag.LIST, Tag.MAP)


@breaks("VALUE-015")
class CutValues(Forgiving):
    """SET keeps values that end before they should."""

    complaint = "truncated"

    def forgives(self, value: bytes) -> bool:
        return len(value) > 1
