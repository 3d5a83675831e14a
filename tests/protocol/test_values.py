"""The value codec: everything comes back, and nothing but its own errors ever comes out."""

from __future__ import annotations

import decimal
import math
import struct
import tracemalloc
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench import specs
from kvbench.errors import ProtocolError
from kvbench.protocol.values import (
    NESTING_DEPTH_MAX,
    decode_value,
    encode_value,
    read_value,
    skip_value,
    values_equal,
)
from tests.protocol.protocol_strategies import TOO_DEEP, nested, same, scalars, values

VALUES = [entry for file in specs.vector_files() for entry in file.values]
INVALID = [entry for file in specs.vector_files() for entry in file.invalid_values]
NAN = float("nan")


def accepted(data: bytes) -> bool:
    """Whether ``data`` is a value; fails unless all three ways to read it agree."""
    ends = []
    for read in (lambda: read_value(data, 0)[1], lambda: skip_value(data, 0)):
        try:
            ends.append(read())
        except ProtocolError:
            ends.append(None)
    assert ends[0] == ends[1], "skip_value accepts exactly what read_value accepts"
    return ends[0] == len(data)


# --- There and back ----------------------------------------------------------------------------


@given(values)
def test_round_trip(value):
    data = encode_value(value)
    assert same(decode_value(data), value)
    assert skip_value(data, 0) == len(data)


@given(values, st.binary(max_size=8), st.binary(max_size=8))
def test_round_trip_in_the_middle_of_data(value, before, after):
    data = before + encode_value(value) + after
    end = len(data) - len(after)
    decoded, read_end = read_value(data, len(before))
    assert same(decoded, value)
    assert read_end == skip_value(data, len(before)) == end


@given(values)
def test_encoding_what_was_decoded_gives_the_same_bytes(value):
    data = encode_value(value)
    assert encode_value(decode_value(data)) == data


@pytest.mark.parametrize("entry", VALUES, ids=lambda entry: entry.id)
def test_vector_round_trip(entry):
    data = specs.unhex(entry.bytes)
    value = entry.value.to_python()
    decoded = decode_value(data)
    # The dict of a map with a repeated key is ordered by the first, so its order is not compared.
    assert same(decoded, value) or (isinstance(value, dict) and decoded == value)
    assert skip_value(data, 0) == len(data)
    if not entry.decode_only:
        assert encode_value(value) == data


@pytest.mark.parametrize("entry", INVALID, ids=lambda entry: entry.id)
def test_vector_is_refused(entry):
    data = specs.unhex(entry.bytes)
    assert not accepted(data)
    with pytest.raises(ProtocolError):
        decode_value(data)


@pytest.mark.parametrize("size", [0, 1, 255, 65_535, 65_536, 1_000_000])
def test_sizes_round_trip(size):
    for value in ("x" * size, b"\xff" * size, [None] * min(size, 100_000)):
        assert decode_value(encode_value(value)) == value


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("levels", [1, 32, NESTING_DEPTH_MAX])
def test_nesting_round_trip(kind, levels):
    value = nested(levels, kind)
    assert same(decode_value(encode_value(value)), value)


def test_subclasses_and_tuples_are_sent_as_their_base():
    class Level(IntEnum):
        HIGH = 3

    class Name(str):
        pass

    assert same(decode_value(encode_value(Level.HIGH)), 3)
    assert same(decode_value(encode_value(Name("x"))), "x")
    assert same(decode_value(encode_value((1, (2, ())))), [1, [2, []]])


def test_a_decimal_does_not_depend_on_the_context():
    digits = Decimal("1." + "7" * 200)
    with decimal.localcontext() as context:
        context.prec = 3
        assert same(decode_value(encode_value(digits)), digits)
        context.traps[decimal.InvalidOperation] = False
        assert not accepted(b"\x03\x00\x19" + b"1E+9999999999999999999999")


# --- Bad bytes ---------------------------------------------------------------------------------


@given(values)
def test_truncation_at_every_byte_is_a_protocol_error(value):
    data = encode_value(value)
    for size in range(len(data)):
        assert not accepted(data[:size])
        with pytest.raises(ProtocolError):
            decode_value(data[:size])


@given(values, st.binary(min_size=1, max_size=4))
def test_bytes_behind_a_value_are_a_protocol_error(value, more):
    with pytest.raises(ProtocolError):
        decode_value(encode_value(value) + more)


@given(st.binary(max_size=60))
def test_garbage_is_a_value_or_a_protocol_error(data):
    if accepted(data):
        assert same(decode_value(data), decode_value(encode_value(decode_value(data))))


@given(st.integers(0, 9), st.binary(max_size=40))
def test_garbage_behind_a_tag(tag, data):
    accepted(bytes([tag]) + data)


@given(values, st.data())
def test_a_flipped_bit_is_a_value_or_a_protocol_error(value, data):
    encoded = bytearray(encode_value(value))
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    accepted(bytes(encoded))


@pytest.mark.parametrize("head", ["06 00000001", "07 00000001 0000"])
@pytest.mark.parametrize("levels", [TOO_DEEP, 1000, 200_000])
def test_deeper_nesting_is_a_protocol_error(head, levels):
    data = bytes.fromhex(head) * levels + b"\x00"
    assert not accepted(data)


LIES = {
    "string": "04 ffffffff",
    "bytes": "05 ffffffff",
    "list": "06 ffffffff",
    "map": "07 ffffffff",
    "map key": "07 00000001 ffff",
    "decimal": "03 ffff",
    "list of lists": "06 ffffffff 06 ffffffff",
    "list of some": "06 7fffffff" + " 00" * 50,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_declared_count_never_sizes_an_allocation(lie):
    data = bytes.fromhex(lie)
    accepted(data)  # Whatever is made once only, an error's text for one, is made now.
    tracemalloc.start()
    try:
        for _ in range(20):
            accepted(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000


# --- Values that cannot be sent ------------------------------------------------------------------


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30, "\ud800", "a\udfffb", ["\ud800"]])
def test_what_does_not_fit_is_a_value_error(value):
    with pytest.raises(ValueError):
        encode_value(value)


@pytest.mark.parametrize(
    "value",
    [object(), 1j, {1, 2}, bytearray(b"x"), memoryview(b"x"), range(3), [object()], {"k": {1: 2}}],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_what_has_no_tag_is_a_type_error(value):
    with pytest.raises(TypeError):
        encode_value(value)


@pytest.mark.parametrize("key", [1, None, b"k", ("k",), True])
def test_a_map_key_that_is_no_text_is_a_type_error(key):
    with pytest.raises(TypeError, match="map"):
        encode_value({key: 1})


def test_lengths_that_do_not_fit_are_value_errors():
    assert decode_value(encode_value({"k" * 65_535: None}))
    with pytest.raises(ValueError, match="65,535"):
        encode_value({"k" * 65_536: None})
    with pytest.raises(ValueError, match="65,535"):
        encode_value(Decimal("1" * 65_536))


@pytest.mark.parametrize("kind", [list, dict])
def test_deeper_nesting_is_a_value_error(kind):
    with pytest.raises(ValueError, match="nested deeper"):
        encode_value(nested(TOO_DEEP, kind))


def test_a_list_that_holds_itself_is_a_value_error():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested deeper"):
        encode_value(endless)


# --- Equality as CAS sees it -------------------------------------------------------------------


def has_nan(value):
    if isinstance(value, list):
        return any(map(has_nan, value))
    if isinstance(value, dict):
        return any(map(has_nan, value.values()))
    return (isinstance(value, float) and math.isnan(value)) or (
        isinstance(value, Decimal) and value.is_nan()
    )


@given(values)
def test_a_value_equals_its_copy_unless_it_holds_nan(value):
    copy = decode_value(encode_value(value))
    assert values_equal(copy, decode_value(encode_value(value))) is not has_nan(value)
    assert values_equal(value, value) is not has_nan(value)


@given(scalars, scalars)
def test_equality_is_symmetric_and_asks_for_one_type(left, right):
    equal = values_equal(left, right)
    assert equal == values_equal(right, left)
    assert values_equal([left], [right]) == values_equal({"k": left}, {"k": right}) == equal
    if type(left) is not type(right):
        assert not equal


@given(st.dictionaries(st.text(max_size=5), st.integers(-3, 3), max_size=6))
def test_the_order_of_a_map_does_not_matter(value):
    backwards = dict(reversed(value.items()))
    assert values_equal(value, backwards)
    assert not values_equal(value, {**backwards, "one more": 1})


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (1, True, False),
        (0, False, False),
        (1, 1.0, False),
        (1, Decimal(1), False),
        (1.0, Decimal(1), False),
        ("1", b"1", False),
        (None, False, False),
        ([], {}, False),
        ([1], [1.0], False),
        ({"k": 0}, {"k": False}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        (-0.0, 0.0, True),
        (NAN, NAN, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (Decimal("1.0"), Decimal("1.00"), True),
        (Decimal("-0"), Decimal("0E+5"), True),
        (Decimal("1E+2"), Decimal(100), True),
        (Decimal("NaN"), Decimal("NaN"), False),
        (Decimal("sNaN"), Decimal("sNaN"), False),
        (Decimal("Infinity"), Decimal("Infinity"), True),
        (Decimal("1E+999999999999999999"), Decimal("1E-999999999"), False),
        ("é", "e\u0301", False),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_equality_by_example(left, right, equal):
    assert values_equal(left, right) is equal
    assert values_equal(right, left) is equal


def test_a_nan_keeps_its_bits():
    for bits in ("7ff8000000000000", "fff8000000000001", "7ff0000000000001"):
        data = b"\x02" + bytes.fromhex(bits)
        decoded = decode_value(data)
        assert math.isnan(decoded)
        assert struct.pack(">d", decoded)[0] == data[1]
