"""What generated cases are made of: values, keys and actions, as hypothesis draws them.

Texts are drawn by code point rather than by hypothesis's own text(), which keeps a table of Unicode
in a directory that it makes wherever the user happens to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kvbench.conformance.history import TTL_UNIT_MS
from kvbench.conformance.model import Action
from kvbench.model import Value

_I64 = st.integers(-(2**63), 2**63 - 1)

SMALL_VALUES: Sequence[Value] = (1, True, 1.0, "1", None, b"1", [1], [True], 2**63 - 1, -(2**63))
"""Few and easily mistaken for each other: same digits, other types; and the ends of i64."""

_DELTAS = (1, -1, 0, 5, 2**63 - 1, -(2**63))
_TTLS_MS = (0, TTL_UNIT_MS, 3 * TTL_UNIT_MS)
_OWNERS = ("a", "b")


def texts(size_max: int, size_min: int = 0) -> SearchStrategy[str]:
    """Texts of any Unicode scalar values, ASCII more often than chance would have it."""
    point = st.one_of(st.integers(0x20, 0x7E), st.integers(0, 0xD7FF), st.integers(0xE000, 0x10FFFF))
    return st.lists(point, min_size=size_min, max_size=size_max).map(_text)


def _text(points: list[int]) -> str:
    return "".join(map(chr, points))


def _decimal(sign: int, digits: int, exponent: int) -> Decimal:
    return Decimal((sign, tuple(map(int, str(digits))), exponent))


def values() -> SearchStrategy[Value]:
    """Values of every type, nested ones too; decimals within what every server must keep."""
    decimals = st.builds(
        _decimal, st.integers(0, 1), st.integers(0, 10**34 - 1), st.integers(-6000, 6000)
    )
    leaf: SearchStrategy[Value] = st.one_of(
        st.none(),
        st.booleans(),
        _I64,
        st.floats(),
        decimals,
        texts(20),
        st.binary(max_size=40),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(texts(6), inner, max_size=4)
        ),
        max_leaves=8,
    )


def actions(names: Iterable[str]) -> SearchStrategy[Action]:
    """Actions of these operations on the keys a to c, with small values and long TTLs."""
    return st.one_of([_action(name) for name in names])


def _action(name: str) -> SearchStrategy[Action]:
    key = st.sampled_from("abc")
    one = key.map(lambda drawn: (drawn,))
    ttl_ms = st.sampled_from(_TTLS_MS)
    value = st.sampled_from(SMALL_VALUES)
    named = st.just(name)
    match name:
        case "set" | "setnx":
            return st.builds(Action, named, one, st.tuples(value), ttl_ms)
        case "incr" | "decr":
            return st.builds(Action, named, one, st.tuples(st.sampled_from(_DELTAS)))
        case "cas":
            return st.builds(Action, named, one, st.tuples(value, value), ttl_ms)
        case "lock" | "extend":
            owner = st.tuples(st.sampled_from(_OWNERS))
            return st.builds(Action, named, one, owner, st.sampled_from(_TTLS_MS[1:]))
        case "unlock":
            return st.builds(Action, named, one, st.tuples(st.sampled_from(_OWNERS)))
        case "expire":
            return st.builds(Action, named, one, st.just(()), ttl_ms)
        case "mget" | "mdel" | "mexists":
            return st.builds(Action, named, st.lists(key, max_size=4).map(tuple))
        case "mset" | "msetex":
            triples = st.lists(st.tuples(key, value, ttl_ms), max_size=4)
            return st.builds(_batch, named, triples, ttl_ms)
        case _:
            return st.builds(Action, named, one)


def _batch(name: str, triples: list[tuple[str, Value, int]], ttl_ms: int) -> Action:
    keys = tuple([key for key, _, _ in triples])
    values = tuple([value for _, value, _ in triples])
    if name == "mset":
        return Action(name, keys, values, ttl_ms)
    return Action(name, keys, values, ttls_ms=tuple([each_ms for _, _, each_ms in triples]))
