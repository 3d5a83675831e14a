"""When two values are equal: to one who stored a value and reads it, and to CAS.

Each clause about what CAS compares can be left out of the comparison. A clause that changes the
answer when it is left out is one that the answer stands on (:func:`clauses_behind`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.grounds import PLAIN
from kvbench.conformance.wire.trace import WireReply
from kvbench.model import Value
from kvbench.protocol.opcodes import Status

_TYPES, _MAPS, _NAN = "CAS-005", "CAS-006", "CAS-007"
_DECIMALS, _FLOATS, _LISTS = "CAS-008", "CAS-009", "CAS-013"
CLAUSES = (_TYPES, _MAPS, _NAN, _DECIMALS, _FLOATS, _LISTS)
"""Those that say what CAS compares, beside the general one, CAS-004."""


def same_value(stored: Value, found: Value) -> bool:
    """Whether ``found`` is ``stored`` as it may come back (VALUE-016).

    Stricter than CAS: the sign of a zero counts, and NaN is NaN. The exponent of a Decimal, the
    order of a Map and the payload of a NaN may change on the way.
    """
    return _Equality(_is_same).match(stored, found)


def equal_to_cas(held: Value, expected: Value) -> bool:
    """Whether CAS finds two values equal (CAS-004): by type and value; NaN equals nothing."""
    return _Equality(_is_equal).match(held, expected)


def clauses_behind(held: Value, expected: Value) -> tuple[str, ...]:
    """The clauses without any one of which CAS would have answered otherwise.

    Without CAS-005 values of different types are equal, without CAS-006 Maps have an order, without
    CAS-007 NaN is NaN, without CAS-008 and CAS-009 numbers are compared as they are written, and
    without CAS-013 Lists as far as the shorter one goes.
    """
    answer = equal_to_cas(held, expected)
    return tuple(
        [one for one in CLAUSES if _Equality(_is_equal, one).match(held, expected) != answer]
    )


def expect_cas_answer(reply: WireReply, held: Value, expected: Value) -> None:
    """Fail unless a CAS that expects one value, where another is held, was answered right.

    The other answer is evidence of the clause that it stands on, where there is just one.

    Raises:
        CaseFailed: with what it is evidence of and stands on.
    """
    wanted = equal_to_cas(held, expected)
    if reply.status == Status.OK and reply.payload == bytes([wanted]):
        return
    behind = clauses_behind(held, expected)
    is_opposite = reply.status == Status.OK and reply.payload == bytes([not wanted])
    is_by_itself = is_opposite and len(behind) == 1
    raise CaseFailed(
        f"{int(wanted)} to CAS of {held!r:.80} that expects {expected!r:.80}",
        str(reply),
        clauses=behind if is_by_itself else (),
        stands_on=PLAIN["cas"] if is_by_itself else behind,
    )


@dataclass(frozen=True, slots=True)
class _Equality:
    """A comparison of values.

    Attributes:
        match_leaves: compares two values of one type that hold no others.
        without: the clause that is left out.
    """

    match_leaves: Callable[[Value, Value], bool]
    without: str = ""

    def match(self, left: Value, right: Value) -> bool:
        if type(left) is not type(right):
            return self.without == _TYPES
        if isinstance(left, list) and isinstance(right, list):
            if len(left) != len(right) and self.without != _LISTS:
                return False
            return all(self.match(*pair) for pair in zip(left, right, strict=False))
        if isinstance(left, dict) and isinstance(right, dict):
            if self.without == _MAPS and list(left) != list(right):
                return False
            return left.keys() == right.keys() and all(
                self.match(value, right[key]) for key, value in left.items()
            )
        if self.without == _NAN and _is_nan(left):
            return _is_nan(right)
        if self.without == _DECIMALS and isinstance(left, Decimal) and not _is_nan(left):
            return str(left) == str(right)
        if self.without == _FLOATS and isinstance(left, float) and left == 0:
            return _is_same(left, right)
        return self.match_leaves(left, right)


def _is_same(stored: Value, found: Value) -> bool:
    if _is_nan(stored) or _is_nan(found):
        return _is_nan(stored) and _is_nan(found)
    return stored == found and _is_negative(stored) == _is_negative(found)


def _is_equal(held: Value, expected: Value) -> bool:
    return not _is_nan(held) and not _is_nan(expected) and held == expected


def _is_nan(value: Value) -> bool:
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def _is_negative(value: Value) -> bool:
    """Whether a number has a minus sign; a zero can have one."""
    if isinstance(value, Decimal):
        return value.is_signed()
    return isinstance(value, float) and math.copysign(1, value) < 0
