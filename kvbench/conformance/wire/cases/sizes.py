"""Values are kept whole: sizes around each power of two, texts of every awkward character, numbers.

What comes back is compared with what was sent. Contents have no pattern, so a piece that is lost,
doubled or out of place shows.
"""

from __future__ import annotations

import itertools
import math
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from random import Random

from kvbench.conformance.findings import CaseFailed, DoesNotApply
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.equality import same_value
from kvbench.conformance.wire.everywhere import Parts, compose
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.values import (
    decode_value,
    encode_value,
    known_values,
)
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol.opcodes import BATCH_KEYS_MAX, PAYLOAD_BYTES_MAX, Opcode, Status

EVERY_SERVERS_BYTES = 1_000_000
"""A value of this size must be accepted: no limit should be below 1 MiB (LIMIT-003)."""

POWERS = range(4, 23)
"""Values have sizes around 2**4 to 2**22 bytes (4 MiB)."""

LARGE_BYTES = (1 << 24) + (1 << 16) + (1 << 8) + 3
"""Each of the four bytes of this size, in its u32, is another one and none is zero."""

PIPELINED = 200
"""Requests sent before their replies are read: few enough to fit the buffers on the way."""

INTS = tuple(
    sorted(
        {
            sign * (1 << power) + step
            for power in range(64)
            for sign in (1, -1)
            for step in (-1, 0, 1)
            if -(2**63) <= sign * (1 << power) + step < 2**63
        }
    )
)
"""All around the powers of two, down to -2**63 and up to 2**63 - 1."""

FLOATS = (
    *[sign * math.ldexp(1.0, power) for power in range(-1074, 1024, 19) for sign in (1, -1)],
    *[float(2**53 + step) for step in (-1, 0, 2)], 2.2250738585072014e-308, 2.225073858507201e-308,
    1.7976931348623157e308, -1.7976931348623157e308, math.inf, -math.inf, math.nan, 0.0, -0.0,
    0.1, 1 / 3, math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0),
)  # fmt: skip
"""Powers of two from the smallest subnormal number on, and the neighbours of special ones."""

DECIMALS = (
    "0", "-0", "0.0", "-0.000", "1E0", "1E00", "1e+0", "1E-0", "+1", "5.", ".5", "-.5E1", "00012",
    "0E6144", "0E-6143", "1E6144", "1E-6143", "-1E-6143", "9.9E6144", "1E+6144", "1e0006144",
    "9999999999999999999999999999999999", "0.9999999999999999999999999999999999",
    "1.000000000000000000000000000000001E-6110", "1234567890.123456789012345678901234",
    "Infinity", "+Infinity", "-Infinity", "NaN", "-NaN", "NaN0", "NaN123", "sNaN", "sNaN1",
)  # fmt: skip
"""Each way to write a number, exponents at both ends, 34 digits, and what is no number."""


# --- Sizes ---------------------------------------------------------------------------------------


def _content(size: int, salt: int = 0) -> bytes:
    """Bytes without a pattern, the same ones in each run."""
    return Random(salt).randbytes(size)


def _text(size: int, salt: int = 0) -> str:
    """As :func:`_content`, as a String: the plainest type, so that no other has to be there."""
    return _content(size // 2 + 1, salt).hex()[:size]


def _set(key: str, value: bytes, ttl_ms: int) -> bytes:
    """SET of a value that is encoded already, rightly or not."""
    return compose(Opcode.SET, Parts([key.encode()], [value], [ttl_ms]))


def _sizes() -> Iterator[int]:
    for power in POWERS:
        yield from ((1 << power) - 1, 1 << power, (1 << power) + 1)


def _is_stored(connection: WireConnection, request: bytes, size: int) -> bool:
    """Whether a value of ``size`` bytes was stored.

    A server may refuse it beyond its limit, and then closes (LIMIT-001), or for lack of memory.
    """
    reply = connection.exchange(request)
    if reply.is_refusal and size > EVERY_SERVERS_BYTES:
        if reply.status == Status.INVALID:
            connection.expect_closed()
        return False
    reply.expect(Status.OK, b"")
    return True


def _expect_kept(connection: WireConnection, key: str, stored: bytes) -> None:
    """Fail unless GET answers these very bytes; says where the first other one is."""
    reply = connection.exchange(encode(Action("get", (key,))))
    if reply.status != Status.OK or reply.payload != stored:
        pairs = enumerate(zip(stored, reply.payload, strict=False))
        place = next((at for at, (one, other) in pairs if one != other), len(reply.payload))
        raise CaseFailed(f"the {len(stored)} bytes that were stored", f"{reply}, other at {place}")


@wire_case("VALUE-018")
def sizes_around_powers_of_two(context: WireContext) -> None:
    """Strings of sizes around 2**4 to 2**22, and Bytes, by SET and GET: whole."""
    connection, key = context.connect(), context.key()
    for size in _sizes():
        values: tuple[Value, ...] = (_text(size), *([_content(size)] if size < 300_000 else []))
        for value in known_values(values, context.capabilities):
            request = encode(Action("set", (key,), (value,), context.net_ttl_ms))
            if not _is_stored(connection, request, size):
                return
            _expect_kept(connection, key, encode_value(value))


@wire_case("VALUE-018")
def a_value_of_more_than_16_mib(context: WireContext) -> None:
    """A String whose length needs all four bytes of its field: whole, if it is not refused."""
    connection, key = context.connect(), context.key()
    value = _text(LARGE_BYTES)
    request = encode(Action("set", (key,), (value,), context.net_ttl_ms))
    if not _is_stored(connection, request, LARGE_BYTES):
        raise DoesNotApply(f"the server takes no value of {LARGE_BYTES} bytes")
    _expect_kept(connection, key, encode_value(value))


@wire_case("VALUE-018", needs=("mset", "mget"))
def batches_around_powers_of_two(context: WireContext) -> None:
    """MSET and MGET of three values around 2**4 to 2**20 bytes: each whole, in its place."""
    connection = context.connect()
    for power in range(4, 21):
        keys = tuple([context.key(f"{power}:{step}") for step in range(3)])
        values = tuple([_text((1 << power) + step, salt=step + 1) for step in (-1, 0, 1)])
        request = encode(Action("mset", keys, values, context.net_ttl_ms))
        if not _is_stored(connection, request, len(request)):
            return
        reply = connection.exchange(encode(Action("mget", keys)))
        expected = b"\0\3" + b"".join(map(encode_value, values))
        if reply.status != Status.OK or reply.payload != expected:
            raise CaseFailed(f"three values of about {1 << power} bytes", str(reply))


@wire_case("VALUE-018")
def long_texts_of_wide_characters(context: WireContext) -> None:
    """Strings over 128 KiB of characters of 2, 3 and 4 bytes, at every offset: whole."""
    connection = context.connect()
    requests = {"set"} | {"mset", "msetex"} & context.capabilities
    for char in "é€𝄞":
        for offset in range(len(char.encode())):
            text = "x" * offset + char * (140_000 // len(char.encode()))
            for name in sorted(requests):
                key = context.key(f"{name}:{offset}:{ord(char)}")
                ttl_ms = context.net_ttl_ms
                ttls_ms = (ttl_ms,) if name == "msetex" else ()
                action = Action(name, (key,), (text,), 0 if ttls_ms else ttl_ms, ttls_ms)
                connection.exchange(encode(action)).expect(Status.OK, b"")
                _expect_kept(connection, key, encode_value(text))


@wire_case("VALUE-007")
def long_texts_with_one_bad_byte(context: WireContext) -> None:
    """Strings over 64 KiB with a byte that is not UTF-8 anywhere: refused, nothing stored."""
    connection, key = context.connect(), context.key()
    size = 140_000
    for place in (0, 65_530, 65_535, 65_536, 65_537, 131_071, 131_072, size - 1):
        for bad in (b"\xff", b"\x80", b"\xc3"):
            text = b"x" * place + bad + b"x" * (size - place - 1)
            value = b"\4" + len(text).to_bytes(4, "big") + text
            connection.send(_set(key, value, 0))
            connection.read().expect_refusal()
    context.expect_value(connection, key, ...)


@wire_case("BATCH-002", needs=("mget",))
def short_replies_from_a_store_with_a_long_value(context: WireContext) -> None:
    """MGET of 65,535 keys that are absent, beside a value of 1 MB: answered."""
    connection, keys = context.connect(), context.keys(2)
    context.stored(connection, keys[0], _text(EVERY_SERVERS_BYTES - 100))
    action = Action("mget", (keys[1],) * BATCH_KEYS_MAX)
    expected = b"\xff\xff" + bytes(BATCH_KEYS_MAX)
    connection.exchange(encode(action)).expect(Status.OK, expected)


@wire_case("MGET-003", needs=("mget",))
def a_reply_of_64_mib(context: WireContext) -> None:
    """MGET whose reply has exactly 64 MiB: no limit of replies may be lower (LIMIT-011)."""
    connection, keys = context.connect(), context.keys(1)
    # The count has two bytes, and each value five before its content.
    value = _text((PAYLOAD_BYTES_MAX - 2) // 2 - 5)
    request = encode(Action("set", (keys[0],), (value,), context.net_ttl_ms))
    if not _is_stored(connection, request, len(request)):
        raise DoesNotApply(f"the server takes no value of {len(value)} bytes")
    reply = connection.exchange(encode(Action("mget", (keys[0], keys[0]))))
    if reply.status != Status.OK or reply.payload != b"\0\2" + 2 * encode_value(value):
        raise CaseFailed("a reply of 64 MiB", str(reply))


# --- Contents ------------------------------------------------------------------------------------


def _expect_all_back(context: WireContext, stored: Sequence[bytes], names: Sequence[str]) -> None:
    """SET each encoded value under its own key, and GET them all: each the same value."""
    connection = context.connect()
    keys = [context.key(name) for name in names]
    for start in range(0, len(keys), PIPELINED):
        part = slice(start, start + PIPELINED)
        heads = [
            encode(Action("set", (key,), (None,), context.net_ttl_ms))[5:-1] for key in keys[part]
        ]
        payloads = [head + value for head, value in zip(heads, stored[part], strict=True)]
        frames = [b"\2" + len(payload).to_bytes(4, "big") + payload for payload in payloads]
        connection.send(b"".join(frames))
        for value, reply in zip(stored[part], connection.read_many(len(frames)), strict=True):
            if reply.status != Status.OK:
                raise CaseFailed(f"OK to SET of {value[:60]!r}", str(reply))
    for start in range(0, len(keys), PIPELINED):
        part = slice(start, start + PIPELINED)
        connection.send(b"".join([encode(Action("get", (key,))) for key in keys[part]]))
        for value, reply in zip(stored[part], connection.read_many(len(keys[part])), strict=True):
            _expect_same(value, reply.expect(Status.OK).payload)


def _expect_same(stored: bytes, found: bytes) -> None:
    """Fail unless both are encodings of one value, as it may come back."""
    try:
        is_same = same_value(decode_value(stored), decode_value(found))
    except ProtocolError as error:
        raise CaseFailed(f"{stored[:60]!r}", f"{found[:60]!r}: {error}") from None
    if not is_same:
        raise CaseFailed(f"{stored[:60]!r}", f"{found[:60]!r}")


def _awkward() -> list[str]:
    """Whitespace, controls, combining marks, bidi signs, and the last code points."""
    points = itertools.chain(range(0x1_E000), range(0xE_0000, 0xE_0200))
    kinds = ("Cc", "Cf", "Me", "Mn", "Zl", "Zp", "Zs")
    found = [char for char in map(chr, points) if unicodedata.category(char) in kinds]
    return [*found, "\ufffd", "\ufffe", "\uffff", "\U0010ffff"]


def _numbered(values: Sequence[object]) -> list[str]:
    return [f":{number}" for number in range(len(values))]


@wire_case("VALUE-016")
def texts_with_awkward_characters(context: WireContext) -> None:
    """Whitespace, controls, combining and bidi characters, first, inside and last in a String."""
    texts = [encode_value(f"{char}x{char}y{char}") for char in _awkward()]
    _expect_all_back(context, texts, _numbered(texts))


@wire_case("KEY-007")
def keys_with_awkward_characters(context: WireContext) -> None:
    """The same characters inside and at the end of keys: each key holds its own value."""
    names = ["x", *[f"{char}x{char}" for char in _awkward()]]
    _expect_all_back(context, list(map(encode_value, range(len(names)))), names)


@wire_case("VALUE-002")
def ints_around_powers_of_two(context: WireContext) -> None:
    """Ints around each power of two, from -2**63 to 2**63 - 1, come back."""
    values = list(map(encode_value, INTS))
    _expect_all_back(context, values, _numbered(values))


@wire_case("VALUE-003", needs=("type-float",))
def floats_of_every_magnitude(context: WireContext) -> None:
    """Floats from the smallest subnormal number to the largest, and special ones, come back."""
    values = list(map(encode_value, FLOATS))
    _expect_all_back(context, values, _numbered(values))


@wire_case("VALUE-006", needs=("type-decimal",))
def decimals_in_every_form(context: WireContext) -> None:
    """Decimals in each form of the grammar, at both ends of the exponents, come back."""
    values = [b"\3" + len(text).to_bytes(2, "big") + text.encode() for text in DECIMALS]
    assert all(str(Decimal(text)) for text in DECIMALS)
    _expect_all_back(context, values, _numbered(values))
