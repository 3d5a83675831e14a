"""Connections: their silence, their ends, and what one may not do to another.

Time plays a part here: a server that is silent is waited for, a short while, and one that keeps
others waiting is noticed by the timeout of a reply. How TCP ends does not matter: FIN and RST are
both an end.
"""

from __future__ import annotations

import struct
import time
from contextlib import suppress

from kvbench.conformance.findings import CaseFailed, NoReply, SetupFailed
from kvbench.conformance.wire.cases.first import SILENCE_S
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.grounds import AT_ONCE
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.suite import WIRE, wire_case
from kvbench.conformance.wire.values import encode_value
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Opcode, Status

UNREAD_VALUE_BYTES = 64 * 1024
"""Of the value that a client asks for again and again, without reading."""

UNREAD_GETS = 400
"""26 MB of replies in all: more than the buffers of two kernels and a server hold."""

_PING = frame(Opcode.PING, b"")


# --- One request, one response -------------------------------------------------------------------


@wire_case("CONN-002")
def as_many_responses_as_requests(context: WireContext) -> None:
    """Requests of all sorts, refused ones too: as many responses come, and no more."""
    connection = context.connect()
    key = context.key()
    name = key.encode()
    asked = [
        _PING,
        encode(Action("set", (key,), ("value",))),
        encode(Action("get", (key,))),
        frame(Opcode.GET, b""),
        frame(Opcode.SET, struct.pack(">H", len(name)) + name),
        encode(Action("exists", (key,))),
        frame(0, name),
        encode(Action("del", (key,))),
        encode(Action("get", (key,))),
        frame(Opcode.INFO, b""),
    ]
    connection.send(b"".join(asked) * 3)
    connection.read_many(3 * len(asked))
    connection.expect_silence(SILENCE_S)


# --- Ends ----------------------------------------------------------------------------------------


@wire_case("CONN-005", after=(*WIRE.base, *AT_ONCE))
def answers_after_the_last_request(context: WireContext) -> None:
    """Requests whose replies take 26 MB, then FIN, then reading: all replies, then the end."""
    connection = context.connect()
    expected = _ask_without_reading(context, connection)
    connection.finish()
    # What the kernels hold is safe by now; the rest is up to the server.
    time.sleep(SILENCE_S)
    replies = connection.drain()
    if len(replies) != UNREAD_GETS:
        raise CaseFailed(f"{UNREAD_GETS} replies, then the end", f"{len(replies)}, then the end")
    for reply in replies:
        reply.expect(Status.OK, expected)


def _end(connection: WireConnection) -> None:
    """Close the sending side; a target that does not close then breaks CONN-005, and only that."""
    connection.finish()
    with suppress(NoReply):
        connection.expect_closed()


@wire_case("CONN-006")
def cut_off_anywhere(context: WireContext) -> None:
    """A SET that is cut off before its header, key, TTL or value ends, by FIN or RST: no trace."""
    key = context.key("cut off")
    request = encode(Action("set", (key,), ("value",)))
    inside_key = request.index(b"cut off") + 3
    observer = context.connect()
    for length in (3, 5, inside_key, len(request) - 12, len(request) - 5, len(request) - 1):
        for is_orderly in (True, False):
            connection = context.connect()
            connection.send(request[:length])
            if is_orderly:
                _end(connection)
            else:
                connection.reset()
            for trace in (context.key("cut"), key):
                context.expect_value(observer, trace, ...)


@wire_case("CONN-011")
def values_outlive_a_broken_connection(context: WireContext) -> None:
    """What was stored stays when its connection is closed, and when it breaks."""
    _expect_outlived(context, Opcode.SET)


@wire_case("CONN-011", needs=("lock",))
def locks_outlive_their_connection(context: WireContext) -> None:
    """A lock stays locked when its owner's connection is closed, and when it breaks."""
    _expect_outlived(context, Opcode.LOCK)


def _expect_outlived(context: WireContext, opcode: Opcode) -> None:
    observer = context.connect()
    for end in ("close", "reset"):
        key = context.key(end)
        if opcode is Opcode.LOCK:
            request = encode(Action(opcode.word, (key,), ("owner",), 3_600_000))
        else:
            request = encode(Action(opcode.word, (key,), ("owner",)))
        connection = context.connect()
        if connection.exchange(request).status != Status.OK:
            raise SetupFailed(f"{opcode.name} before the end of the connection was not OK")
        if end == "close":
            _end(connection)
        else:
            connection.reset()
            # The server learns of a reset when it next looks; a round trip gives it the occasion.
            observer.request(Opcode.PING)
        context.expect_value(observer, key, "owner")


# --- Neighbours ----------------------------------------------------------------------------------


def _ask_without_reading(context: WireContext, connection: WireConnection) -> bytes:
    """Ask for a large value many times; returns the payload that each reply should have."""
    key = context.key("large")
    value = "x" * UNREAD_VALUE_BYTES
    context.stored(connection, key, value)
    connection.send(encode(Action("get", (key,))) * UNREAD_GETS)
    return encode_value(value)


@wire_case("CONN-007", after=(*WIRE.base, "CONN-011"))
def clients_that_stall_or_break(context: WireContext) -> None:
    """Clients stop inside a header or a payload, and break off: others are served."""
    other = context.connect()
    request = encode(Action("set", (context.key("stalled"),), ("value",)))
    for length in (1, 4, 5, len(request) - 1):
        stalled, broken = context.connect(), context.connect()
        stalled.send(request[:length])
        broken.send(request[:length])
        broken.reset()
        _expect_served(context, other)


@wire_case("CONN-007", after=(*WIRE.base, "CONN-011"))
def a_client_that_does_not_read(context: WireContext) -> None:
    """One client asks for 26 MB and reads nothing: others are served, old ones and new ones."""
    other = context.connect()
    _ask_without_reading(context, context.connect())
    _expect_served(context, other)


def _expect_served(context: WireContext, other: WireConnection) -> None:
    """Fail unless ``other`` and a new connection are answered."""
    key = context.key("served")
    for connection in (other, context.connect()):
        stored = connection.exchange(encode(Action("set", (key,), ("value",))))
        stored.expect(Status.OK, b"")
        context.expect_value(connection, key, "value")


# --- The limit -----------------------------------------------------------------------------------


@wire_case("LIMIT-002")
def the_limit_is_64_mib(context: WireContext) -> None:
    """A header that declares 64 MiB is waited for, one that declares a byte more is not."""
    at_the_limit = context.connect()
    at_the_limit.send(struct.pack(">BI", Opcode.SET, PAYLOAD_BYTES_MAX))
    at_the_limit.expect_silence(SILENCE_S)
    at_the_limit.reset()
    over = context.connect()
    over.send(struct.pack(">BI", Opcode.SET, PAYLOAD_BYTES_MAX + 1))
    reply = over.read_or_end()  # That a refusal comes before the close is LIMIT-001.
    if reply is not None:
        reply.expect_refusal()
