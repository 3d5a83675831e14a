"""What CAS compares, piece by piece: one difference anywhere, in long and nested values.

Values with a Decimal are used where a server may not simply compare bytes: such a value has more
than one encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.equality import expect_cas_answer
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.values import known_values, types_in
from kvbench.model import Value

MAPS = 24
"""Maps with other keys each: where a hash table puts them differs from run to run."""

EMPTY: tuple[Value, ...] = (None, False, 0, 0.0, Decimal(0), "", b"", [], {})
"""Of nine types, each equal to itself alone."""

LONG = 140_000
"""Bytes of a long text: more than two pieces of 64 KiB."""


def _expect_answers(
    context: WireContext, connection: WireConnection, held: Value, others: Sequence[Value]
) -> None:
    """Fail unless CAS distinguishes each of ``others`` from ``held``, or finds it equal.

    What has a type that the target lacks is left out.
    """
    key = context.key()
    if not types_in(held) <= context.capabilities:
        return
    context.stored(connection, key, held)
    for expected in known_values(others, context.capabilities):
        # It stores what is there already: the next question is about the same value.
        reply = connection.exchange(encode(Action("cas", (key,), (expected, held))))
        expect_cas_answer(reply, held, expected)


@wire_case("CAS-006", needs=("cas", "type-map"))
def maps_with_one_other_value(context: WireContext) -> None:
    """Maps of 1 to 40 keys, in another order: equal; with one value or key other: not."""
    connection = context.connect()
    for number in range(MAPS):
        count = (1, 2, 3, 4, 7, 8, 9, 16, 40)[number % 9]
        held: dict[str, Value] = {f"k{number}:{place}": place for place in range(count)}
        others: list[Value] = [dict(reversed(held.items())), {**held, "more": 1}]
        for key in list(held)[:16]:
            others.append({**held, key: -1})
            others.append({name: value for name, value in held.items() if name != key})
            others.append({(f"{name}'" if name == key else name): held[name] for name in held})
        _expect_answers(context, connection, held, others)
    # The Int has the bytes that the other Map's key and value begin with.
    mistakable: dict[str, Value] = {"ab": 0x0002_7879_0100_0000}
    _expect_answers(context, connection, mistakable, [{"xy": 0}, {"xy": mistakable["ab"]}])


@wire_case("CAS-013", needs=("cas", "type-list", "type-map"))
def lists_with_one_other_item(context: WireContext) -> None:
    """Lists that differ in one item, in length or in order, beside a Map: not equal."""
    connection = context.connect()
    # The Map has another order on each side, so the bytes are not equal even if the values are.
    one: dict[str, Value] = {"a": 1, "b": 2}
    two: dict[str, Value] = {"b": 2, "a": 1}
    plain: list[Value] = [1, "two", b"three", None, [4, [5]], {}]
    rest = [*known_values(plain, context.capabilities)]
    others: list[Value] = [[two, *rest], [*rest, two], [two, *rest[:-1]], [two, *rest, None], []]
    swapped: list[Value] = [7, "twp", b"thref", [4, [6]], [4, 5], {"a": 1}]
    for place in range(len(rest)):
        for other in swapped:
            others.append([two, *rest[:place], other, *rest[place + 1 :]])
    _expect_answers(context, connection, [one, *rest], others)


@wire_case("CAS-004", needs=("cas", "type-list", "type-map"))
def long_values_with_one_other_byte(context: WireContext) -> None:
    """Bytes and Strings over 128 KiB beside a Map, other in their first, an inner or last byte."""
    connection = context.connect()
    one: dict[str, Value] = {"a": 1, "b": 2}
    two: dict[str, Value] = {"b": 2, "a": 1}
    for text, other in ((b"x" * LONG, b"y"), ("x" * LONG, "y")):
        others: list[Value] = [[two, text], [two, text[:-1]], [two, text + other]]  # type: ignore[operator]
        for place in (0, 1, 65_535, 65_536, 65_537, 131_072, LONG - 1):
            changed = text[:place] + other + text[place + 1 :]  # type: ignore[operator]
            others.append([two, changed])
            others.append({"k": two, "l": changed})
        _expect_answers(context, connection, [one, text], others)


@wire_case("CAS-008", needs=("cas", "type-decimal"))
def decimals_beside_other_values(context: WireContext) -> None:
    """Decimals of one number in other forms, in Lists and Maps; numbers that are almost equal."""
    connection = context.connect()
    forms = ("1", "1.0", "1.000", "10E-1", "0.1E1")
    for held in (*forms[:2], "NaN", "sNaN"):
        others: list[Value] = []
        for text in (*forms, "-1", "1.01", "10", "1E1", "0.1", "NaN", "sNaN", "Infinity"):
            number = Decimal(text)
            others += [[number, 1], [number, 2], {"k": number}, [[number], 1], [number]]
        _expect_answers(context, connection, [Decimal(held), 1], others)
        _expect_answers(context, connection, {"k": Decimal(held)}, others)


@wire_case("CAS-005", needs=("cas", "type-list", "type-map"))
def numbers_with_one_other_byte(context: WireContext) -> None:
    """Ints, Floats and Bools beside a Map, other in any one byte: not equal. Empty values, too."""
    connection = context.connect()
    for empty in known_values(EMPTY, context.capabilities):
        _expect_answers(context, connection, empty, EMPTY)
        _expect_answers(context, connection, [empty], [[other] for other in EMPTY])
    one: dict[str, Value] = {"a": 1, "b": 2}
    two: dict[str, Value] = {"b": 2, "a": 1}
    base = 0x0102_0304_0506_0708
    ints: list[Value] = [[two, base ^ (1 << 8 * place)] for place in range(8)]
    _expect_answers(context, connection, [one, base], [[two, base], *ints, [two, float(base)]])
    floats: list[Value] = [[two, number] for number in (0.5, 0.25, -0.5, 0.5000000001)]
    _expect_answers(context, connection, [one, 0.5], floats)
    _expect_answers(context, connection, [one, True], [[two, True], [two, False], [two, 1]])
    _expect_answers(context, connection, [one, False], [[two, True], [two, False], [two, None]])
