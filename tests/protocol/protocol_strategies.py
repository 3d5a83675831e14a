"""Values and keys for the property tests, and what it means that two values are the same."""

from __future__ import annotations

import struct
from decimal import Decimal

from hypothesis import strategies as st

from kvbench.protocol.values import NESTING_DEPTH_MAX

I64_MIN, I64_MAX = -(2**63), 2**63 - 1

texts = st.text(max_size=20)  # Hypothesis leaves out surrogates and puts in astral characters.
keys = st.text(min_size=1, max_size=60)
ints = st.integers(I64_MIN, I64_MAX) | st.sampled_from([I64_MIN, I64_MAX, 0, -1])
ttls_ms = st.integers(0, 315_576_000_000)


@st.composite
def decimals(draw: st.DrawFn) -> Decimal:
    """Any sign, digits and exponent; infinities; NaNs, quiet or signalling, with digits."""
    sign = draw(st.integers(0, 1))
    digits = tuple(draw(st.lists(st.integers(0, 9), max_size=40)))
    exponent = draw(st.integers(-6000, 6000) | st.sampled_from(["F", "n", "N"]))
    return Decimal((sign, digits if exponent != "F" else (0,), exponent))


scalars = (
    st.none()
    | st.booleans()
    | ints
    | st.floats(width=64)
    | decimals()
    | texts
    | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=15,
)


def same(left: object, right: object) -> bool:
    """Equal and of the same type, to the last bit: NaN is itself, 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return struct.pack(">d", left) == struct.pack(">d", right)
    if isinstance(left, Decimal):
        return left.as_tuple() == right.as_tuple()
    return left == right


def nested(levels: int, kind: type) -> object:
    """``levels`` lists or maps around nothing."""
    value: object = kind()
    for _ in range(levels - 1):
        value = [value] if kind is list else {"k": value}
    return value


TOO_DEEP = NESTING_DEPTH_MAX + 1
