"""Actions over the wire: the bytes of a request, and what a reply means.

The suite's own reading of the spec's layouts; of kvbench.protocol it has only the table that says
which operation has which.
"""

from __future__ import annotations

import math
import struct
from typing import cast

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.oracle import Action, Answer, Result
from kvbench.conformance.wire.trace import WireReply
from kvbench.conformance.wire.values import (
    decode_value,
    encode_value,
    read_number,
    read_text,
    read_value,
    sized,
)
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol.opcodes import Opcode, ReplyLayout, RequestLayout, Status

TTL_UNIT_MS = 1_000_000
"""Recorded TTLs are rounded up to a multiple of this, almost 17 minutes: what a model where time
stands still can be compared with, as long as TTLs are multiples of it."""

HELLO_FRAME = frame(Opcode.HELLO, struct.pack(">HH", 1, 0))
"""HELLO of a client that speaks version 1 and names no extensions."""


def encode(action: Action, prefix: str = "") -> bytes:
    """The frame of an action; its keys begin with ``prefix`` on the wire."""
    opcode = Opcode[action.name.upper()]
    keys = [prefix + key for key in action.keys]
    if opcode.request is RequestLayout.KEY:
        return frame(opcode, keys[0].encode())
    names, ttl = [sized(key) for key in keys], _ttl(action.ttl_ms)
    count = struct.pack(">H", len(keys))
    match opcode.request:
        case RequestLayout.KEY_TTL_VALUE | RequestLayout.KEY_TTL_VALUES:
            parts = [names[0], ttl, *map(encode_value, action.values)]
        case RequestLayout.KEY_DELTA:
            parts = [names[0], struct.pack(">q", action.values[0])]
        case RequestLayout.KEY_OWNER_TTL:
            parts = [names[0], sized(cast(str, action.values[0])), ttl]
        case RequestLayout.KEY_OWNER:
            parts = [names[0], sized(cast(str, action.values[0]))]
        case RequestLayout.KEY_TTL:
            parts = [names[0], ttl]
        case RequestLayout.KEYS:
            parts = [count, *names]
        case RequestLayout.PAIRS:
            pairs = zip(names, action.values, strict=True)
            parts = [count, ttl, *[name + encode_value(value) for name, value in pairs]]
        case RequestLayout.ENTRIES:
            columns = zip(names, action.ttls_ms, action.values, strict=True)
            entries = [name + _ttl(ttl_ms) + encode_value(one) for name, ttl_ms, one in columns]
            parts = [count, *entries]
        case _:
            raise ValueError(f"{action.name} touches no keys")
    return frame(opcode, b"".join(parts))


def _ttl(ttl_ms: int) -> bytes:
    return struct.pack(">Q", ttl_ms)


def decode(action: Action, reply: WireReply) -> Result:
    """What a reply says.

    Raises:
        CaseFailed: it is none that the operation can have.
    """
    if reply.is_refusal:
        return Answer.REFUSED
    if reply.status == Status.NULL and not reply.payload:
        return Answer.ABSENT
    if reply.status != Status.OK:
        raise CaseFailed(f"an answer to {action}", str(reply))
    try:
        return _decode_ok(action, reply.payload)
    except ProtocolError as error:
        raise CaseFailed(f"the reply of {action.name.upper()}", f"{reply}: {error}") from None


def _decode_ok(action: Action, payload: bytes) -> Result:
    opcode, count = Opcode[action.name.upper()], len(action.keys)
    match opcode.reply:
        case ReplyLayout.VALUE:
            return decode_value(payload)
        case ReplyLayout.EMPTY:
            _expect_size(payload, 0)
            return Answer.OK
        case ReplyLayout.INTEGER:
            _expect_size(payload, 8)
            number = int.from_bytes(payload, "big", signed=True)
            if opcode is Opcode.TTL and number > 0:
                return math.ceil(number / TTL_UNIT_MS) * TTL_UNIT_MS
            return number
        case ReplyLayout.VALUES:
            return tuple([decode_value(value) for value in split_values(payload, count)])
        case ReplyLayout.FLAGS:
            _expect_size(payload, 2 + count)
            _expect_count(payload, count)
            return tuple([_flag(byte) for byte in payload[2:]])
        case ReplyLayout.COUNT:
            _expect_size(payload, 4)
            return int.from_bytes(payload, "big")
        case _:
            _expect_size(payload, 1)
            return _flag(payload[0])


def split_values(payload: bytes, count: int) -> list[bytes]:
    """The bytes of each value in an MGET's reply.

    Raises:
        ProtocolError: it does not hold so many, and nothing else.
    """
    at = _expect_count(payload, count)
    parts: list[bytes] = []
    for _ in range(count):
        _, end = read_value(payload, at)
        parts.append(payload[at:end])
        at = end
    _expect_size(payload, at)
    return parts


def values_of(payload: bytes) -> list[Value] | None:
    """The values of a GET's or an MGET's reply; None when the payload is neither."""
    try:
        return [decode_value(payload)]
    except ProtocolError:
        pass
    try:
        parts = split_values(payload, int.from_bytes(payload[:2], "big"))
    except ProtocolError:
        return None
    return [decode_value(part) for part in parts]


def decode_hello(payload: bytes) -> tuple[int, list[str]]:
    """The version and the extensions of a HELLO's reply.

    Raises:
        ProtocolError: it does not follow the layout.
    """
    version, at = read_number(payload, 0, 2)
    count, at = read_number(payload, at, 2)
    names: list[str] = []
    for _ in range(count):
        name, at = read_text(payload, at)
        names.append(name)
    _expect_size(payload, at)
    return version, names


def _expect_size(payload: bytes, size: int) -> None:
    if len(payload) != size:
        raise ProtocolError(f"{size} bytes were due, {len(payload)} came")


def _expect_count(payload: bytes, count: int) -> int:
    """Check a reply's count; the offset behind it."""
    declared, at = read_number(payload, 0, 2)
    if declared != count:
        raise ProtocolError(f"the reply counts {declared}, the request asked for {count}")
    return at


def _flag(byte: int) -> int:
    if byte > 1:
        raise ProtocolError(f"a flag is 0 or 1, not {byte}")
    return byte
