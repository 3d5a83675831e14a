"""Values and TTLs where every operation that takes them has to be asked, or time has to pass."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Mapping
from decimal import Decimal

from kvbench.conformance.case import CaseFailed, wire_case
from kvbench.conformance.wire import WireConnection, WireContext
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol import requests
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import decode_value, values_equal

OF_EACH_TYPE: Mapping[str, Value] = {
    "Null": None,
    "Int": -7,
    "Float": 0.5,
    "Decimal": Decimal("-12.50"),
    "String": "größe",
    "Bytes": b"\0\xff",
    "List": [1, "two", [None]],
    "Map": {"": 1, "k": {"l": True}},
    "Bool": False,
}
"""One value of each of the nine types."""

_STORING: Mapping[str, Callable[[str, Value], bytes]] = {
    "set": lambda key, value: requests.set_request(Opcode.SET, b"", key, value, 0),
    "setnx": lambda key, value: requests.set_request(Opcode.SETNX, b"", key, value, 0),
    "cas": lambda key, value: requests.cas_request(b"", key, "before", value, 0),
    "mset": lambda key, value: requests.mset_request(b"", [(key, value)], 0),
    "msetex": lambda key, value: requests.msetex_request(b"", [(key, value, 0)]),
}
"""Requests that store a value, by the operation's name. CAS finds the String ``before``."""

LONG_TTLS_MS = tuple(
    [2**bits + 50 for bits in range(20, 39)] + [86_400_000, 31_557_600_000, 315_576_000_000]
)
"""Whatever number of bits a TTL is cut to: 50 ms are left of some. All are within ten years."""

TTL_SLACK_MS = 60_000
"""A TTL is read this much later than it was given, at most."""


@wire_case("VALUE-001")
def every_type_wherever_a_value_is_taken(context: WireContext) -> None:
    """SET, SETNX, CAS, MSET and MSETEX, as far as they are there, with each of the nine types."""
    connection = context.connect()
    for name in ["set", *sorted(set(_STORING) & context.capabilities)]:
        for type_name, value in OF_EACH_TYPE.items():
            key = context.key(f"{name}:{type_name}")
            if name == "cas":
                context.stored(connection, key, "before")
            reply = connection.exchange(_STORING[name](key, value))
            if reply.status != Status.OK:
                raise CaseFailed(f"OK to {name.upper()} of a {type_name}", str(reply))
            _expect_equal(connection, key, value)


@wire_case("VALUE-001", needs=("cas",))
def every_type_is_expected_by_cas(context: WireContext) -> None:
    """CAS takes each of the nine types as the expected value, and finds it."""
    connection = context.connect()
    for type_name, value in OF_EACH_TYPE.items():
        key = context.key(type_name)
        context.stored(connection, key, value)
        reply = connection.exchange(requests.cas_request(b"", key, value, "after", 0))
        reply.expect(Status.OK, b"\1")


@wire_case("VALUE-011")
def the_last_value_of_a_key_in_a_map(context: WireContext) -> None:
    """A Map with a key twice is accepted; what comes back, as it was or not, has the last value."""
    connection = context.connect()
    key = context.key()
    name = key.encode()
    entries = b"".join([struct.pack(">H1sBq", 1, b"k", 1, number) for number in (1, 2, 3)])
    twice = b"\7" + struct.pack(">I", 3) + entries
    payload = struct.pack(">H", len(name)) + name + bytes(8) + twice
    connection.request(Opcode.SET, payload).expect(Status.OK, b"")
    _expect_equal(connection, key, {"k": 3})


def _expect_equal(connection: WireConnection, key: str, value: Value) -> None:
    """Fail unless GET answers a value equal to ``value``, in whatever encoding."""
    reply = connection.exchange(requests.key_request(Opcode.GET, b"", key)).expect(Status.OK)
    try:
        found = decode_value(reply.payload)
    except ProtocolError as error:
        raise CaseFailed(repr(value), f"{reply}: {error}") from None
    if not values_equal(found, value):
        raise CaseFailed(repr(value), repr(found))


# --- TTLs ----------------------------------------------------------------------------------------


@wire_case("TTL-008")
def long_ttls_do_not_end_soon(context: WireContext) -> None:
    """TTLs of powers of two and 50 ms: where they are not refused, the keys are there later."""
    connection = context.connect()
    accepted = []
    for ttl_ms in LONG_TTLS_MS:
        key = context.key(f"{ttl_ms}")
        reply = connection.exchange(requests.set_request(Opcode.SET, b"", key, 1, ttl_ms))
        if reply.status == Status.OK:
            accepted.append((key, ttl_ms))
    time.sleep(0.15)
    for key, ttl_ms in accepted:
        reply = connection.exchange(requests.key_request(Opcode.GET, b"", key))
        if reply.status != Status.OK:
            raise CaseFailed(f"a key with a TTL of {ttl_ms} ms, 150 ms later", str(reply))


@wire_case("TTL-008", needs=("ttl",))
def long_ttls_are_kept_whole(context: WireContext) -> None:
    """TTLs up to u64: where they are not refused, TTL answers no less than was given."""
    connection = context.connect()
    key = context.key()
    for ttl_ms in (*LONG_TTLS_MS, 3_155_760_000_000, 2**63 - 1, 2**63, 2**64 - 1):
        reply = connection.request(Opcode.SET, _set_payload(key, ttl_ms))
        if reply.status != Status.OK:
            continue
        left = connection.exchange(requests.key_request(Opcode.TTL, b"", key)).expect(Status.OK)
        (left_ms,) = struct.unpack(">q", left.payload) if len(left.payload) == 8 else (-math.inf,)
        if left_ms < min(ttl_ms, 2**63 - 1) - TTL_SLACK_MS:
            raise CaseFailed(f"{ttl_ms} ms left, or a refusal", f"{left_ms} ms left")


def _set_payload(key: str, ttl_ms: int) -> bytes:
    """SET with any TTL, also with one that our own codec would refuse to send."""
    name = key.encode()
    return struct.pack(">H", len(name)) + name + struct.pack(">Q", ttl_ms) + b"\0"


@wire_case("TTL-010")
def refusals_keep_ttls(context: WireContext) -> None:
    """Requests on a key with a TTL that are refused: it ends when it was going to end."""
    connection = context.connect()
    key = context.key()
    context.stored(connection, key, "text", ttl_ms=400)
    name = key.encode()
    sized = struct.pack(">H", len(name)) + name
    bad = b"\xff" * 9
    refused = [frame(opcode, sized + bad) for opcode in _TOUCHING if _is_there(context, opcode)]
    for request in refused:
        connection.exchange(request)
    time.sleep(0.1)
    context.expect_value(connection, key, "text")
    time.sleep(0.5)
    context.expect_value(connection, key, ...)


_TOUCHING = (
    Opcode.SET, Opcode.SETNX, Opcode.INCR, Opcode.DECR, Opcode.CAS, Opcode.LOCK, Opcode.UNLOCK,
    Opcode.EXTEND, Opcode.EXPIRE,
)  # fmt: skip
"""Operations whose payload begins with a key, and that could touch its TTL."""


def _is_there(context: WireContext, opcode: Opcode) -> bool:
    return opcode is Opcode.SET or opcode.name.lower() in context.capabilities
