"""The walkers over values: in any steps they give what they give at once, and nothing recurses.

Each is compared with an independent judge: Decimals with :class:`decimal.Decimal`, comparisons of
bytes with a recursive one of Python values.
"""

from __future__ import annotations

import decimal
import sys
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.layout import TEXT_PIECE_BYTES, check_decimal
from kvbench.protocol.parsers import EntriesParser, KeysParser, PairsParser, ValuesParser
from kvbench.protocol.values import (
    NESTING_DEPTH_MAX,
    ValueCheck,
    ValueComparison,
    ValuesDecoder,
    decode_value,
    encode_value,
    skip_value,
    values_equal,
)
from tests.protocol.protocol_strategies import nested, same, values

steps = st.integers(1, 5)
WALKS_MAX = 100_000


def run(walker, step):
    """Drive a walker to its end; how many calls that took."""
    for calls in range(1, WALKS_MAX):
        if walker.advance(step):
            return calls
    raise AssertionError("it does not come to an end")


def equal_in_bytes(left: bytes, right: bytes, step: int = 1 << 40) -> bool:
    check = ValueCheck(right, 0)
    run(check, step)
    comparison = ValueComparison(left, right, check)
    run(comparison, step)
    return comparison.is_equal


def equal(left, right):
    """What the spec says about equality, by recursion."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, Decimal) and (left.is_nan() or right.is_nan()):
        return False
    return left == right


# --- In steps ------------------------------------------------------------------------------------


@given(st.lists(values, max_size=4), steps)
def test_decoding_in_steps(items, step):
    data = b"ab" + b"".join(map(encode_value, items)) + b"c"
    decoder = ValuesDecoder(data, 2, len(items))
    run(decoder, step)
    assert same(decoder.values, items)
    assert decoder.end == len(data) - 1


@given(values, steps)
def test_checking_in_steps(value, step):
    data = encode_value(value)
    check = ValueCheck(b"ab" + data + b"c", 2)
    run(check, step)
    assert check.end == 2 + len(data)


def test_one_call_takes_a_bounded_number_of_steps():
    """A list of 10,000 values is not finished by a few steps, whatever is in it."""
    for item in (None, 1, 1.5, "text", b"bytes", Decimal("1.5"), [], {}, {"k": None}):
        data = encode_value([item] * 10_000)
        for walker in (ValueCheck(data, 0), ValuesDecoder(data)):
            assert run(walker, 100) >= 100


@given(st.lists(st.tuples(st.text(min_size=1, max_size=9), values, st.integers(0, 9)), max_size=5))
def test_parsing_in_steps(entries):
    keys = requests.keys_request(14, b"", [key for key, _, _ in entries])[5:]
    parser = KeysParser(keys)
    run(parser, 1)
    assert parser.keys == requests.parse_keys(keys) == [key.encode() for key, _, _ in entries]
    pairs = requests.mset_request(b"", [(key, value) for key, value, _ in entries], 7)[5:]
    parser = PairsParser(pairs)
    run(parser, 1)
    encoded = {key.encode(): encode_value(value) for key, value, _ in entries}
    assert (parser.ttl_ms, parser.items) == requests.parse_mset(pairs) == (7, encoded)
    each = requests.msetex_request(b"", [(key, value, ttl) for key, value, ttl in entries])[5:]
    parser = EntriesParser(each)
    run(parser, 1)
    assert parser.entries == requests.parse_msetex(each)
    for key, value, ttl in entries:
        cas = requests.cas_request(b"", key, value, [value], ttl)[5:]
        parser = ValuesParser(cas, 2)
        run(parser, 1)
        assert (parser.key, parser.ttl_ms, *parser.values) == requests.parse_cas(cas)


@given(st.binary(max_size=40), steps)
def test_damage_is_found_in_steps_as_at_once(tail, step):
    payload = b"\x00\x02\x00\x01k" + tail
    for parse, parser in (
        (requests.parse_keys, KeysParser),
        (requests.parse_mset, PairsParser),
        (requests.parse_msetex, EntriesParser),
        (lambda data: responses.parse_values(data, 2), None),
    ):
        try:
            parse(payload)
        except ProtocolError:
            if parser is not None:
                with pytest.raises(ProtocolError):
                    run(parser(payload), step)
        else:
            assert parser is None or run(parser(payload), step)


@pytest.mark.parametrize("character", ["x", "é", "€", "𝄞"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_text_is_checked_in_pieces(character, shift):
    """Pieces are cut between characters, wherever the limit of a piece falls."""
    data = encode_value("x" * shift + character * (3 * TEXT_PIECE_BYTES // len(character.encode())))
    check = ValueCheck(data, 0)
    assert run(check, 1) >= 3
    assert check.end == len(data)
    for at in (7 + TEXT_PIECE_BYTES, len(data) - 1):
        damaged = data[:at] + b"\xff" + data[at + 1 :]
        with pytest.raises(ProtocolError, match="UTF-8"):
            skip_value(damaged, 0)
    with pytest.raises(ProtocolError, match="UTF-8"):
        skip_value(data[:-4] + b"\x80" * 4, 0)


# --- Nesting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [list, dict])
def test_the_deepest_value_needs_no_stack(kind):
    """256 levels are encoded, decoded, checked and compared with 60 frames left; 257 are refused.

    A walker that recurses would need a frame for each level (tests/server has the server's half).
    """
    deepest = nested(NESTING_DEPTH_MAX, kind)
    too_deep = b"\x06\x00\x00\x00\x01" * NESTING_DEPTH_MAX + b"\x06\x00\x00\x00\x00"
    frames, frame = 0, sys._getframe()
    while frame is not None:
        frames, frame = frames + 1, frame.f_back
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(frames + 60)
    try:
        data = encode_value(deepest)
        copy = decode_value(data)
        assert skip_value(data, 0) == len(data)
        assert values_equal(copy, deepest)
        is_equal = equal_in_bytes(data, data)
        with pytest.raises(ProtocolError, match="nested deeper"):
            skip_value(too_deep, 0)
    finally:
        sys.setrecursionlimit(limit)
    assert is_equal
    assert NESTING_DEPTH_MAX == 256


# --- Decimals by grammar -------------------------------------------------------------------------


def is_decimal(text: bytes) -> bool:
    """What the spec's grammar leaves of Python's: ASCII, no underscores, no spaces, exact case."""
    words = text.lstrip(b"+-s")
    if any(letter not in b"0123456789+-.eEsNaInfity" for letter in text):
        return False
    if words[:1] in (b"i", b"n") or (words[:3].lower() == b"inf" and words != b"Infinity"):
        return False
    if words[:3].lower() == b"nan" and words[:3] != b"NaN":
        return False
    try:
        with decimal.localcontext() as context:
            context.traps[decimal.InvalidOperation] = True
            Decimal(text.decode("ascii"))
    except (ArithmeticError, ValueError):
        return False
    return True


DIGITS = b"0 00 1 9 0000 55555555555555555555 999999999999999999 1000000000000000000".split()
EXPONENTS = b"-1999999999999999997 -1999999999999999998 99999999999999999999".split()
SIGNS = b". + - e E N NaN s sNaN Infinity Inf _".split()
pieces = st.sampled_from([*DIGITS, *EXPONENTS, *SIGNS, b" ", "²".encode()])


@given(st.lists(pieces, max_size=7).map(b"".join))
@example(b"1e999999999999999999")
@example(b"10e999999999999999999")
@example(b"0.001e1000000000000000002")
@example(b"0e1000000000000000000")
@example(b"000e999999999999999999")
@example(b"1e-1999999999999999997")
@example(b"1.0e-1999999999999999997")
@example(b"1e" + b"0" * 70 + b"9")
@example(b"+sNaN")
@example(b"-Infinity")
@example(b"")
@example(b"-")
@example(b".")
@example(b"1.")
@example(b".e1")
def test_a_decimal_is_checked_as_decimal_would(text):
    try:
        is_nan = check_decimal(b"ab" + text + b"7", 2, 2 + len(text))
    except ProtocolError:
        assert not is_decimal(text)
    else:
        assert is_decimal(text)
        assert is_nan == Decimal(text.decode("ascii")).is_nan()


def test_no_text_makes_an_expensive_number():
    """An exponent of 65,000 digits is refused by its length, before it is a number."""
    for text in (b"1e" + b"9" * 65_000, b"1e-" + b"9" * 65_000):
        with pytest.raises(ProtocolError):
            check_decimal(text, 0, len(text))


# --- Equality of bytes ---------------------------------------------------------------------------


NUMBERS = [0, 1, 0.0, -0.0, 1.0, float("nan"), *map(Decimal, ("1.0", "1.00", "NaN", "0", "-0E+9"))]
variants = st.recursive(
    st.sampled_from([True, False, None, "", "a", b"", b"a", *NUMBERS]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["", "a", "b", "c"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(variants, variants, steps)
def test_bytes_are_equal_when_values_are(left, right, step):
    for one, other in ((left, right), (left, left)):
        expected = equal(one, other)
        assert values_equal(one, other) == expected
        assert equal_in_bytes(encode_value(one), encode_value(other), step) == expected


def shuffled(value, chance):
    """The same value in other bytes: maps in another order, Decimals with another exponent."""
    if isinstance(value, list):
        return [shuffled(item, chance) for item in value]
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: shuffled(value[key], chance) for key in keys}
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < 90:
        return value.quantize(value.scaleb(-3), context=decimal.Context(prec=200))
    return value


@given(values, steps, st.randoms(use_true_random=False))
def test_other_bytes_of_the_same_value_are_equal(value, step, chance):
    other = shuffled(value, chance)
    expected = equal(value, other)
    assert equal_in_bytes(encode_value(value), encode_value(other), step) == expected
    assert equal_in_bytes(encode_value([value, 1]), encode_value([other, 2]), step) is False


def repeated(*pairs: tuple[bytes, bytes]) -> bytes:
    body = b"".join(len(key).to_bytes(2, "big") + key + value for key, value in pairs)
    return b"\x07" + len(pairs).to_bytes(4, "big") + body


@pytest.mark.parametrize("step", [1, 7, 1 << 40])
def test_of_a_repeated_key_the_last_counts(step):
    one, two, nan = encode_value(1), encode_value(2), encode_value(float("nan"))
    left = repeated((b"a", one), (b"b", two), (b"a", two))
    assert equal_in_bytes(left, repeated((b"b", two), (b"a", two)), step)
    assert equal_in_bytes(repeated((b"b", two), (b"a", two)), left, step)
    assert not equal_in_bytes(left, repeated((b"b", two), (b"a", one)), step)
    assert not equal_in_bytes(left, repeated((b"a", two)), step)
    assert not equal_in_bytes(repeated((b"a", two)), left, step)
    hidden_nan = repeated((b"a", nan), (b"a", one))
    assert equal_in_bytes(hidden_nan, hidden_nan, step)
    assert equal_in_bytes(repeated(*[(b"k", one)] * 5000), repeated((b"k", one)), step)


def test_large_maps_in_another_order():
    """More keys than one step of an index takes, in reverse."""
    pairs = [(f"key {number}".encode(), encode_value(number)) for number in range(20_000)]
    left, right = repeated(*pairs), repeated(*reversed(pairs))
    assert equal_in_bytes(left, right, 1000)
    assert not equal_in_bytes(left, repeated(*reversed(pairs[1:]), pairs[1]), 1000)
