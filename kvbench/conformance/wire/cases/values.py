"""Keys and values for which vectors would be long: of every length and type, in every place."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import product

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.equality import expect_cas_answer, same_value
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.grounds import MEANS
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.suite import WIRE, wire_case
from kvbench.conformance.wire.values import (
    decode_value,
    encode_value,
    known_values,
    types_in,
)
from kvbench.errors import ProtocolError
from kvbench.model import KEY_BYTES_MAX, Value
from kvbench.protocol.opcodes import Opcode, Status

OF_EACH_TYPE: Mapping[str, Value] = {
    "Null": None,
    "Int": -7,
    "Float": 0.5,
    "Decimal": Decimal("-12.50"),
    "String": "größe",
    "Bytes": b"\0\xff",
    "List": [1, "two"],
    "Map": {"": 1, "k": "two"},
    "Bool": False,
}
"""One value of each of the nine types."""

FLOATS = (0.0, -0.0, 1e-310, -5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan)
"""The corners of a binary64."""

DECIMALS = (
    "0", "-0", "-0.00", "1.50", "-1E-6143", "9.999999999999999999999999999999999E+6144",
    "-1234567890123456789012345678901234", "0.0000001", "1E+6144", "Infinity", "-Infinity", "NaN",
)  # fmt: skip
"""Signs, 34 digits, and the exponents at both ends of what every server keeps."""

MAP_KEYS = ("", " ", "\0", "k" * 257, "é" * 32_767 + "k", "𝄞", "\ufeff")
"""From none to 65,535 bytes: what is no key outside of a Map is one inside."""

ALIKE: tuple[Value, ...] = (
    0, 0.0, -0.0, Decimal("-0.00"), False, None, "", b"", [], {}, math.nan, Decimal("NaN"),
    1, 1.0, Decimal(1), Decimal("1.00"), True, "1", b"1", "1 ", 2**53, 2**53 + 1, 2.0**53,
    Decimal("1." + "0" * 32 + "1"),
)  # fmt: skip
"""Values that a careless comparison takes for each other."""

_STORING: Mapping[str, Callable[[str, Value], bytes]] = {
    "set": lambda key, value: encode(Action("set", (key,), (value,))),
    "setnx": lambda key, value: encode(Action("setnx", (key,), (value,))),
    "cas": lambda key, value: encode(Action("cas", (key,), ("before", value))),
    "mset": lambda key, value: encode(Action("mset", (key,), (value,))),
    "msetex": lambda key, value: encode(Action("msetex", (key,), (value,), ttls_ms=(0,))),
}
"""Requests that store a value, by the operation's name. CAS finds the String ``before``."""


# --- Keys ----------------------------------------------------------------------------------------


@wire_case("KEY-001")
def keys_of_every_length(context: WireContext) -> None:
    """Keys from the prefix's length up to 256 bytes are stored and found."""
    connection = context.connect()
    for length in range(len(context.prefix) + 1, KEY_BYTES_MAX + 1):
        key = context.key("k" * (length - len(context.prefix)))
        request = encode(Action("set", (key,), (length,), context.net_ttl_ms))
        stored = connection.exchange(request)
        if stored.status != Status.OK:
            raise CaseFailed(f"OK to SET of a key of {length} bytes", str(stored))
        _expect_same(connection, key, length)


@wire_case("KEY-001")
def keys_of_one_byte(context: WireContext) -> None:
    """GET of each key of one byte: never refused. Nothing is stored under them."""
    connection = context.connect()
    for byte in range(0x80):
        reply = connection.request(Opcode.GET, bytes([byte]))
        if reply.is_refusal:
            raise CaseFailed(f"an answer to GET of the key {byte:02x}", str(reply))


# --- Values --------------------------------------------------------------------------------------


@wire_case("VALUE-001")
def every_type_wherever_a_value_is_taken(context: WireContext) -> None:
    """SET, SETNX, CAS, MSET and MSETEX, as far as they are there, with each of the nine types."""
    connection = context.connect()
    for name in ["set", *sorted(set(_STORING) & context.capabilities)]:
        if not _stores_text(context, connection, name):
            continue  # It is wrong whatever the type: other clauses say so.
        for type_name, value in OF_EACH_TYPE.items():
            key = context.key(f"{name}:{type_name}")
            if name == "cas":
                context.stored(connection, key, "before")
            reply = connection.exchange(_STORING[name](key, value))
            if reply.status != Status.OK:
                raise CaseFailed(f"OK to {name.upper()} of a {type_name}", str(reply))
            _expect_same(connection, key, value)


def _stores_text(context: WireContext, connection: WireConnection, name: str) -> bool:
    """Whether an operation stores a String, which is the plainest type."""
    key = context.key(f"{name}:plain")
    if name == "cas":
        context.stored(connection, key, "before")
    connection.exchange(_STORING[name](key, "plain"))
    reply = connection.exchange(encode(Action("get", (key,))))
    return reply.status == Status.OK and reply.payload == encode_value("plain")


@wire_case("VALUE-001", needs=("cas",), after=(*WIRE.base, *MEANS["cas"]))
def every_type_is_expected_by_cas(context: WireContext) -> None:
    """CAS takes each of the nine types as the expected value, and finds it."""
    connection = context.connect()
    for type_name, value in OF_EACH_TYPE.items():
        if not types_in(value) <= context.capabilities:
            continue
        key = context.key(type_name)
        context.stored(connection, key, value)
        reply = connection.exchange(encode(Action("cas", (key,), (value, "after"))))
        reply.expect(Status.OK, b"\1")


@wire_case("CAS-004", needs=("cas",), after=(*WIRE.base, *MEANS["cas"]))
def cas_tells_apart_what_looks_alike(context: WireContext) -> None:
    """CAS of each of 24 values with each as the expected one, alone, in a List and in a Map."""
    connection, key = context.connect(), context.key()
    for one, other in product(known_values(ALIKE, context.capabilities), repeat=2):
        pairs: list[tuple[Value, Value]] = [
            (one, other),
            ([1, one], [1, other]),
            ({"k": one, "l": 1}, {"l": 1, "k": other}),
        ]
        pairs = [pair for pair in pairs if types_in(pair[0]) <= context.capabilities]
        for held, expected in pairs:
            connection.send(encode(Action("set", (key,), (held,))))
            connection.send(encode(Action("cas", (key,), (expected, 0))))
        for held, expected in pairs:
            connection.read().expect(Status.OK, b"")
            expect_cas_answer(connection.read(), held, expected)


@wire_case("VALUE-016", needs=("type-list", "type-map"))
def each_type_inside_of_others(context: WireContext) -> None:
    """A value of each type comes back in a List, in a Map, and at the second level of both."""
    for value in known_values(OF_EACH_TYPE.values(), context.capabilities):
        _expect_kept(context, ([value], {"k": value}, [1, {"k": [value]}], {"k": [{"l": value}]}))


@wire_case("VALUE-003", needs=("type-float",))
def floats_at_their_corners(context: WireContext) -> None:
    """Signed zeros, subnormal and largest numbers, infinities and NaN come back."""
    _expect_kept(context, FLOATS)


@wire_case("VALUE-006", needs=("type-decimal",))
def decimals_at_their_ends(context: WireContext) -> None:
    """Signed zeros, 34 digits and exponents from -6143 to 6144 come back as the same number."""
    _expect_kept(context, tuple([Decimal(text) for text in DECIMALS]))


@wire_case("VALUE-010", needs=("type-map",))
def maps_with_any_keys(context: WireContext) -> None:
    """Maps whose keys are empty, blank, U+0000 or 65,535 bytes long come back."""
    _expect_kept(context, tuple([{key: 1} for key in MAP_KEYS]))
    _expect_kept(context, ({}, dict.fromkeys(MAP_KEYS, 0)))


@wire_case("VALUE-011", needs=("type-map",))
def the_last_value_of_a_key_in_a_map(context: WireContext) -> None:
    """A Map with a key twice is accepted; what comes back, as it was or not, has the last value."""
    connection = context.connect()
    key = context.key()
    name = key.encode()
    entries = b"".join([struct.pack(">H1sBq", 1, b"k", 1, number) for number in (1, 2, 3)])
    twice = b"\7" + struct.pack(">I", 3) + entries
    payload = struct.pack(">H", len(name)) + name + bytes(8) + twice
    connection.send(frame(Opcode.SET, payload))
    connection.read().expect(Status.OK, b"")
    _expect_same(connection, key, {"k": 3})


def _expect_kept(context: WireContext, values: tuple[Value, ...]) -> None:
    """Fail unless SET accepts each value and GET answers it."""
    connection = context.connect()
    key = context.key()
    for value in values:
        reply = connection.exchange(_STORING["set"](key, value))
        if reply.status != Status.OK:
            raise CaseFailed(f"OK to SET of {value!r:.60}", str(reply))
        _expect_same(connection, key, value)


def _expect_same(connection: WireConnection, key: str, value: Value) -> None:
    """Fail unless GET answers ``value``, in whatever encoding."""
    reply = connection.exchange(encode(Action("get", (key,)))).expect(Status.OK)
    try:
        found = decode_value(reply.payload)
    except ProtocolError as error:
        raise CaseFailed(f"{value!r:.60}", f"{reply}: {error}") from None
    if not same_value(value, found):
        raise CaseFailed(f"{value!r:.60}", f"{found!r:.60}")
