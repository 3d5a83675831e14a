"""What is looked at before everything else: whether a response is the answer to what was asked.

A target that speaks unasked, or counts the bytes of frames in another way, fails all other cases.
"""

from __future__ import annotations

import struct

from kvbench.conformance.findings import CaseFailed, NoReply, SetupFailed
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.values import encode_value
from kvbench.protocol.opcodes import Opcode, Status

SILENCE_S = 0.2
"""What has not come after so long was not going to come by itself."""

EDGES = (255, 256, 257, 65_535, 65_536, 65_537)
"""Lengths around those where a field of one or two bytes ends."""

_PING = frame(Opcode.PING, b"")


@wire_case("CONN-001", after=())
def silence_before_a_request(context: WireContext) -> None:
    """A new connection is silent, also after half a request, and after a response."""
    connection = context.connect()
    connection.expect_silence(SILENCE_S)
    connection.send(_PING[:3])
    connection.expect_silence(SILENCE_S)
    connection.send(_PING[3:])
    try:
        connection.read()
    except NoReply:
        return  # What is not answered has separate clauses.
    connection.expect_silence(SILENCE_S)


@wire_case("FRAME-002", after=("CONN-001",))
def requests_of_any_length(context: WireContext) -> None:
    """SETs around 255 and 65,535 bytes, each with a PING behind it: both are understood."""
    connection = context.connect()
    key = context.key().encode()
    head = struct.pack(">HQ", len(key), 0)
    head = head[:2] + key + head[2:]
    for size in EDGES:
        content = size - len(head) - 5
        payload = head + b"\4" + struct.pack(">I", content) + b"x" * content
        _expect_two(connection, frame(Opcode.SET, payload), b"", "FRAME-002")


@wire_case("FRAME-003", after=("CONN-001",))
def replies_of_any_length(context: WireContext) -> None:
    """GETs of values around 255 and 65,535 bytes, each with a PING behind it: both come whole."""
    connection = context.connect()
    key = context.key()
    for size in EDGES:
        value = "y" * (size - 5)
        # On a new connection: the one that is looked at has nothing but what is judged.
        context.stored(context.connect(), key, value)
        get = encode(Action("get", (key,)))
        _expect_two(connection, get, encode_value(value), "FRAME-003")


def _expect_two(connection: WireConnection, request: bytes, payload: bytes, clause: str) -> None:
    """Fail the clause unless the replies to a request and to a PING behind it are whole.

    Raises:
        SetupFailed: the request was refused, and the lengths are right all the same.
    """
    try:
        first, second = connection.exchange(request), connection.request(Opcode.PING)
        if first.is_refusal and second.status == Status.OK:
            raise SetupFailed(f"a request before the check was refused: {first}")
        first.expect(Status.OK, payload)
        if second.status not in list(Status):
            raise CaseFailed("an answer to PING", str(second))
    except CaseFailed as error:
        wanted = error.wanted
        raise CaseFailed(error.expected, error.actual, wanted=wanted, clauses=[clause]) from None
