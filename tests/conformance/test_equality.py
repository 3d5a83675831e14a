"""What CAS compares, and the clauses that an answer of CAS stands on."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from kvbench.conformance.wire.equality import clauses_behind, equal_to_cas, same_value
from kvbench.model import Value

ONE = Decimal(1)


@pytest.mark.parametrize(
    ("held", "expected", "is_equal", "clauses"),
    [
        (1, 1, True, ()),
        (1, 2, False, ()),
        ("a", "A", False, ()),
        (1, 1.0, False, ("CAS-005",)),
        ([1, True], [1, 1], False, ("CAS-005",)),
        ("1", b"1", False, ("CAS-005",)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, ("CAS-006",)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 9}, False, ()),
        (math.nan, math.nan, False, ("CAS-007",)),
        ([Decimal("NaN")], [Decimal("NaN")], False, ("CAS-007",)),
        (ONE, Decimal("1.00"), True, ("CAS-008",)),
        (ONE, Decimal("1.01"), False, ()),
        (-0.0, 0.0, True, ("CAS-009",)),
        ([1], [1, 2], False, ("CAS-013",)),
        ([1, 2], [2, 1], False, ()),
        ([{"a": 1, "b": ONE}], [{"b": Decimal("1.0"), "a": 1}], True, ("CAS-006", "CAS-008")),
        ([1, math.nan], [1.0, math.nan], False, ()),
    ],
    ids=repr,
)
def test_an_answer_stands_on_what_would_change_it(
    held: Value, expected: Value, is_equal: bool, clauses: tuple[str, ...]
) -> None:
    assert equal_to_cas(held, expected) is is_equal
    assert clauses_behind(held, expected) == clauses
    assert clauses_behind(expected, held) == clauses


def test_a_value_that_came_back_keeps_what_cas_does_not_see() -> None:
    assert same_value(math.nan, math.nan)
    assert same_value({"a": ONE, "b": 1}, {"b": 1, "a": Decimal("1.0")})
    assert not same_value(0.0, -0.0)
    assert not same_value(1, True)
