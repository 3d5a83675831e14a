"""What generated cases are made of: values, keys and actions, as hypothesis draws them.

Texts are drawn by code point rather than by hypothesis's own text(), which keeps a table of Unicode
in a directory that it makes wherever the user happens to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import product

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kvbench.conformance.wire.codec import TTL_UNIT_MS
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.values import known_values
from kvbench.model import Value
from kvbench.protocol.opcodes import Opcode, RequestLayout

_I64 = st.integers(-(2**63), 2**63 - 1)

SMALL_VALUES: Sequence[Value] = (1, True, None, "1")
"""Few, and easily mistaken for each other: the same digits, other types."""

_DELTAS = (1, -1, 0, 5, 2**63 - 1, -(2**63))
_TTLS_MS = (0, TTL_UNIT_MS, 3 * TTL_UNIT_MS)
_OWNERS = ("a", "b")


def texts(size_max: int, size_min: int = 0) -> SearchStrategy[str]:
    """Texts of any Unicode scalar values, ASCII more often than chance would have it."""
    point = st.one_of(
        st.integers(0x20, 0x7E), st.integers(0, 0xD7FF), st.integers(0xE000, 0x10FFFF)
    )
    return st.lists(point, min_size=size_min, max_size=size_max).map(_text)


def _text(points: list[int]) -> str:
    return "".join(map(chr, points))


def _decimal(sign: int, digits: int, exponent: int) -> Decimal:
    return Decimal((sign, tuple(map(int, str(digits))), exponent))


def values(capabilities: frozenset[str]) -> SearchStrategy[Value]:
    """Values of every type that the target has, nested ones too.

    Decimals are within what every server must keep.
    """
    decimals = st.builds(
        _decimal, st.integers(0, 1), st.integers(0, 10**34 - 1), st.integers(-6000, 6000)
    )
    leaves: dict[str, SearchStrategy[Value]] = {
        "type-null": st.none(),
        "type-bool": st.booleans(),
        "": _I64,
        "type-float": st.floats(),
        "type-decimal": decimals,
        "type-string": texts(20),
        "type-bytes": st.binary(max_size=40),
    }
    there = capabilities | {"", "type-string"}
    leaf = st.one_of([leaves[name] for name in leaves if name in there])
    containers: dict[str, Callable[[SearchStrategy[Value]], SearchStrategy[Value]]] = {
        "type-list": lambda inner: st.lists(inner, max_size=4),
        "type-map": lambda inner: st.dictionaries(texts(6), inner, max_size=4),
    }
    makers = [containers[name] for name in containers if name in there]
    if not makers:
        return leaf
    return st.recursive(
        leaf, lambda inner: st.one_of([make(inner) for make in makers]), max_leaves=8
    )


def actions(names: Iterable[str], capabilities: frozenset[str]) -> SearchStrategy[Action]:
    """Actions of these operations, a name that comes twice being twice as likely.

    Args:
        names: of operations that the model knows.
        capabilities: of the target; only values of types that it has are stored and expected.
    """
    pool = known_values(SMALL_VALUES, capabilities)
    return st.one_of([st.sampled_from(menu(name, pool)) for name in sorted(names)])


def menu(name: str, pool: Sequence[Value]) -> tuple[Action, ...]:
    """All that is asked of one operation, simplest first: drawing an action is drawing a number.

    One key is a or b; a batch has up to three of a, b and c, in any order, repeated ones included.
    """
    request = Opcode[name.upper()].request
    if Opcode[name.upper()].is_batch:
        return tuple([_batch(name, keys, pool, turn) for turn, keys in enumerate(_BATCHES)])
    value_lists: list[tuple[Value, ...]] = [()]
    ttls_ms: Sequence[int] = (0,)
    match request:
        case RequestLayout.KEY_TTL_VALUE:
            value_lists, ttls_ms = [(value,) for value in pool], _TTLS_MS
        case RequestLayout.KEY_DELTA:
            value_lists = [(delta,) for delta in _DELTAS]
        case RequestLayout.KEY_TTL_VALUES:
            value_lists, ttls_ms = list(product(pool, pool)), _TTLS_MS
        case RequestLayout.KEY_OWNER_TTL:
            value_lists, ttls_ms = [(owner,) for owner in _OWNERS], _TTLS_MS[1:]
        case RequestLayout.KEY_OWNER:
            value_lists = [(owner,) for owner in _OWNERS]
        case RequestLayout.KEY_TTL:
            ttls_ms = _TTLS_MS
    return tuple(
        [
            Action(name, (key,), values, ttl_ms)
            for values, ttl_ms, key in product(value_lists, ttls_ms, "ab")
        ]
    )


_BATCHES = [keys for size in range(4) for keys in product("abc", repeat=size)]


def _batch(name: str, keys: tuple[str, ...], pool: Sequence[Value], turn: int) -> Action:
    """One batch; each turn takes other values and TTLs."""
    values = tuple([pool[(turn + place) % len(pool)] for place in range(len(keys))])
    ttls_ms = tuple([_TTLS_MS[(turn // 2 + place) % len(_TTLS_MS)] for place in range(len(keys))])
    request = Opcode[name.upper()].request
    if request is RequestLayout.PAIRS:
        return Action(name, keys, values, _TTLS_MS[turn % len(_TTLS_MS)])
    if request is RequestLayout.ENTRIES:
        return Action(name, keys, values, ttls_ms=ttls_ms)
    return Action(name, keys)
