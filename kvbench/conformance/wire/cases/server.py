"""What a server says at all: its operations, statuses, reply layouts, lengths and INFO.

Most of these clauses hold for every reply of every vector; here they are looked at one by one, over
a tour of all operations that the target declares. Opcodes that this document does not assign are
never sent: what a private one does is unknown.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterable
from contextlib import closing

from kvbench.conformance.findings import (
    CaseFailed,
    NoReply,
    SetupFailed,
    evidence_of,
)
from kvbench.conformance.wire.codec import HELLO_FRAME, decode, decode_hello, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.guard import UNASSIGNED_OPCODES
from kvbench.conformance.wire.oracle import CORE, Action
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.trace import WireReply
from kvbench.errors import ProtocolError
from kvbench.protocol.opcodes import EXTENSIONS, Opcode, Status

FAMILY = tuple([opcode for opcode in Opcode if opcode <= Opcode.MDEL])
"""The operations 01 to 10."""

COUNTED_KEYS = 2000
"""Keys stored to see INFO count them: more than other clients are likely to add concurrently."""

COUNTING_ROUNDS = 5
"""Attempts at counting, for other clients may come and go."""


# --- Operations ----------------------------------------------------------------------------------


def tour(capabilities: Iterable[str]) -> list[Action]:
    """Well-formed actions, every operation among them that touches keys and is there."""
    ttl_ms = 3_600_000
    stops = [
        Action("set", ("k",), (1,)),
        Action("set", ("k",), ("one",)),
        Action("get", ("k",)),
        Action("get", ("absent",)),
        Action("exists", ("k",)),
        Action("exists", ("absent",)),
        Action("incr", ("n",), (5,)),
        Action("incr", ("n",), (-7,)),
        Action("decr", ("n",), (2,)),
        Action("cas", ("k",), ("one", "two")),
        Action("cas", ("k",), (1, 3)),
        Action("cas", ("absent",), (1, 2)),
        Action("setnx", ("s",), ("x",), ttl_ms),
        Action("setnx", ("s",), ("y",)),
        Action("lock", ("l",), ("owner",), ttl_ms),
        Action("lock", ("l",), ("other",), ttl_ms),
        Action("extend", ("l",), ("owner",), ttl_ms),
        Action("unlock", ("l",), ("owner",)),
        Action("unlock", ("l",), ("owner",)),
        Action("mset", ("a", "b"), ("one", "two")),
        Action("mset", ("a", "b"), (1, 2)),
        Action("mget", ("a", "absent", "b")),
        Action("msetex", ("c", "d"), ("one", "two"), ttls_ms=(ttl_ms, 0)),
        Action("msetex", ("c", "d"), (1, 2), ttls_ms=(ttl_ms, 0)),
        Action("mexists", ("c", "absent", "d")),
        Action("expire", ("k",), ttl_ms=ttl_ms),
        Action("expire", ("absent",), ttl_ms=ttl_ms),
        Action("ttl", ("k",)),
        Action("getdel", ("k",)),
        Action("getdel", ("k",)),
        Action("ttl", ("absent",)),
        Action("mdel", ("a", "absent", "b")),
        Action("del", ("k",)),
        Action("del", ("absent",)),
    ]
    there = CORE | set(capabilities)
    names = ("k", "n", "s", "l", "a", "b", "c", "d", "absent")
    assert {key for stop in stops for key in stop.keys} == set(names)
    return [stop for stop in stops if stop.name in there]


def _own_tour(context: WireContext, capabilities: Iterable[str]) -> list[Action]:
    """A tour whose keys are deleted at the end."""
    stops = tour(capabilities)
    context.own([f"{context.prefix}{key}".encode() for stop in stops for key in stop.keys])
    return stops


def _reply(connection: WireConnection, request: bytes) -> WireReply:
    """The reply to a request of a tour: whether one comes is a separate clause."""
    try:
        return connection.exchange(request)
    except NoReply as error:
        raise CaseFailed(error.expected, error.actual, clauses=["CONN-002"]) from None


def _refused(context: WireContext, names: set[str]) -> list[str]:
    """The operations of ``names`` of which every well-formed request is refused."""
    connection = context.connect()
    refusals: dict[str, WireReply] = {}
    granted: set[str] = set()
    asked = [(stop.name, encode(stop, context.prefix)) for stop in _own_tour(context, names)]
    asked += [(opcode.word, frame(opcode, b"")) for opcode in (Opcode.PING, Opcode.INFO)]
    for name, request in asked:
        if name in names:
            reply = _reply(connection, request)
            if reply.is_refusal:
                refusals[name] = reply
            else:
                granted.add(name)
    bad = [name for name in refusals if name not in granted]
    return [f"{name.upper()}: {refusals[name]}" for name in bad]


@wire_case("OP-001", after=("CONN-001",))
def the_core_is_there(context: WireContext) -> None:
    """GET, SET, DEL, EXISTS, PING and INFO, each asked for in order: none is refused."""
    refused = _refused(context, {*CORE, "ping", "info"})
    if refused:
        expected, actual = "an answer to each operation of the core", "; ".join(refused)
        raise CaseFailed(expected, actual, clauses=["OP-001"])


@wire_case("OP-002")
def the_family_is_there(context: WireContext) -> None:
    """Every operation from 01 to 10, each asked for in order: none is refused."""
    refused = _refused(context, {opcode.name.lower() for opcode in FAMILY})
    if refused:
        expected, actual = "an answer to each operation of the family", "; ".join(refused)
        raise CaseFailed(expected, actual, clauses=["OP-002"])


@wire_case("EXT-002", needs=("hello",))
def what_is_announced_is_there(context: WireContext) -> None:
    """The extensions that HELLO names, each asked for in order: none is refused."""
    reply = context.connect().exchange(HELLO_FRAME)
    reply.expect(Status.OK)
    try:
        _, announced = decode_hello(reply.payload)
    except ProtocolError as error:
        raise SetupFailed(f"HELLO's reply cannot be read: {error}") from None
    # What a tour of the extensions stands on is in the core, and nothing else is needed.
    refused = _refused(context, set(announced) & set(EXTENSIONS))
    if refused:
        expected, actual = "an answer to each extension that is announced", "; ".join(refused)
        raise CaseFailed(expected, actual, clauses=["EXT-002"])


# --- Statuses and layouts ------------------------------------------------------------------------


@wire_case("STATUS-001", after=("CONN-001",))
def statuses_are_in_the_table(context: WireContext) -> None:
    """Well-formed, malformed and unknown requests: every status is one of the five."""
    connection = context.connect()
    for stop in _own_tour(context, context.capabilities):
        _expect_known(_reply(connection, encode(stop, context.prefix)), str(stop))
    key = context.prefix.encode() + b"\xff"
    context.own([key])
    sized = struct.pack(">H", len(key)) + key
    for opcode in (*sorted(UNASSIGNED_OPCODES), *Opcode):
        for payload in (b"", b"\0", b"\xff" * 3, key, sized + b"\xff" * 20):
            if context.may_send(frame(opcode, payload)):
                # On a new connection: one may be closed after a refusal, which is not the matter.
                with closing(context.connect()) as fresh:
                    _expect_known(fresh.request(opcode, payload), f"opcode {opcode:02x}")


def _expect_known(reply: WireReply, what: str) -> None:
    if reply.status not in list(Status):
        expected = f"a status from 00 to 04 for {what}"
        raise CaseFailed(expected, str(reply), clauses=["STATUS-001"])


@wire_case("STATUS-005")
def refusals_say_something(context: WireContext) -> None:
    """Refusals of several kinds: each has a message."""
    connection = context.connect()
    key = context.key()
    context.stored(connection, key, "no number")
    refused = [
        frame(0, b""),
        frame(Opcode.GET, b""),
        frame(Opcode.SET, b"\0\1"),
        frame(Opcode.PING, b"?"),
    ]
    if "incr" in context.capabilities:
        refused.append(encode(Action("incr", (key,), (1,))))
    for request in refused:
        reply = connection.exchange(request)
        if reply.is_refusal and not reply.payload.strip():
            raise CaseFailed("a message that says what was wrong", str(reply))


@wire_case("STATUS-007", needs=("cas",))
def cas_failed_is_never_sent(context: WireContext) -> None:
    """A CAS that does not match, and one of an absent key: neither is CAS_FAILED."""
    connection = context.connect()
    key = context.key()
    for stored in (None, "something else"):
        if stored is not None:
            context.stored(connection, key, stored)
        reply = connection.exchange(encode(Action("cas", (key,), (1, 2))))
        if reply.status == Status.CAS_FAILED:
            raise CaseFailed("any status but CAS_FAILED", str(reply), clauses=["STATUS-007"])


@wire_case("STATUS-002", after=("CONN-001",))
def replies_have_their_layout(context: WireContext) -> None:
    """Every operation that is there: its reply is read to its last byte, and holds no more."""
    connection = context.connect()
    for stop in _own_tour(context, context.capabilities):
        reply = _reply(connection, encode(stop, context.prefix))
        with evidence_of("STATUS-002"):
            decode(stop, reply)
    pong = connection.request(Opcode.PING)
    if pong.status == Status.OK and len(pong.payload) != 4:
        raise CaseFailed("four bytes for PING", str(pong))
    info = connection.request(Opcode.INFO)
    if info.status == Status.OK:
        _info(info)
    if "hello" in context.capabilities:
        hello = connection.exchange(HELLO_FRAME)
        try:
            if hello.status == Status.OK:
                decode_hello(hello.payload)
        except ProtocolError as error:
            raise CaseFailed("the layout of HELLO", f"{hello}: {error}") from None


@wire_case("CONN-002", after=("CONN-001",))
def every_operation_is_answered(context: WireContext) -> None:
    """Every operation that is there, on keys that are there and on absent ones: a response each."""
    connection = context.connect()
    for stop in _own_tour(context, context.capabilities):
        _reply(connection, encode(stop, context.prefix))


@wire_case("HELLO-001", needs=("hello",))
def hello_names_can_be_read(context: WireContext) -> None:
    """HELLO's reply holds version 1 and as many names as it counts, in UTF-8."""
    reply = context.connect().exchange(HELLO_FRAME)
    reply.expect(Status.OK)
    try:
        version, _ = decode_hello(reply.payload)
    except ProtocolError as error:
        raise CaseFailed("a version, a count, and so many names", f"{reply}: {error}") from None
    if version != 1:
        raise CaseFailed("version 1", f"version {version}")


@wire_case("HELLO-004", needs=("hello",), after=("CONN-001",))
def hello_is_not_required(context: WireContext) -> None:
    """Every operation that is there: without a HELLO it is refused no more than after one."""
    greeted, silent = context.connect(), context.connect()
    greeted.exchange(HELLO_FRAME)
    for stop in _own_tour(context, context.capabilities):
        request = encode(stop, context.prefix)
        if _reply(silent, request).is_refusal and not _reply(greeted, request).is_refusal:
            raise CaseFailed(f"no refusal of {stop}, which is answered after a HELLO", "a refusal")


# --- Numbers and lengths -------------------------------------------------------------------------


@wire_case("FRAME-001", needs=("incr",))
def sums_carry_from_byte_to_byte(context: WireContext) -> None:
    """Counters over 255 and below 0: only big-endian two's complement adds up like this."""
    connection = context.connect()
    name = context.key()
    context.stored(connection, name, 0)
    key = name.encode()
    head = struct.pack(">H", len(key)) + key
    steps = ("00000000000000ff", "0000000000000001", "fffffffffffffdff", "ffffffffffffffff")
    sums = ("00000000000000ff", "0000000000000100", "fffffffffffffeff", "fffffffffffffefe")
    for step, total in zip(steps, sums, strict=True):
        reply = connection.request(Opcode.INCR, head + bytes.fromhex(step))
        reply.expect(Status.OK, bytes.fromhex(total))


# --- INFO ----------------------------------------------------------------------------------------


def _info(reply: WireReply) -> dict[str, object]:
    """The object of an INFO's reply."""
    try:
        found = json.loads(reply.payload.decode())
    except (ValueError, RecursionError) as error:
        raise CaseFailed("one JSON object in UTF-8", f"{reply}: {error}") from None
    if not isinstance(found, dict):
        raise CaseFailed("one JSON object", str(reply))
    return found


def entries(connection: WireConnection) -> int:
    """INFO's ``entries``."""
    return counted(connection.request(Opcode.INFO))


def counted(reply: WireReply) -> int:
    """The ``entries`` of an INFO's reply, which is a JSON integer."""
    found = _info(reply.expect(Status.OK)).get("entries")
    if type(found) is not int or found < 0:
        raise CaseFailed("a member `entries`, a JSON integer", str(reply.payload))
    return found


def _count_of_stored(
    connection: WireConnection, keys: list[str], ttl_ms: int, wait_s: float
) -> tuple[int, bool]:
    """How INFO's count changes when ``keys`` are stored, and whether no other client changed it."""
    connection.send(b"".join([encode(Action("del", (key,))) for key in keys]))
    connection.read_many(len(keys))
    before, again = entries(connection), entries(connection)
    connection.send(b"".join([encode(Action("set", (key,), (1,), ttl_ms)) for key in keys]))
    stored = [reply.status == Status.OK for reply in connection.read_many(len(keys))]
    if not all(stored):
        raise SetupFailed("SET before the count was not OK")
    time.sleep(wait_s)
    after, once_more = entries(connection), entries(connection)
    return after - before, before == again and after == once_more


def _expect_counted(context: WireContext, expected: int, ttl_ms: int, wait_s: float = 0.0) -> None:
    """Fail unless INFO counts ``expected`` keys more, exactly where no other client is active."""
    connection = context.connect()
    keys = context.keys(COUNTED_KEYS)
    counts = []
    for _ in range(COUNTING_ROUNDS):
        context.trace.clear()
        count, is_quiet = _count_of_stored(connection, keys, ttl_ms, wait_s)
        counts.append(count)
        if count == expected or (not is_quiet and abs(count - expected) < COUNTED_KEYS // 2):
            return
    what = f"{COUNTED_KEYS} keys stored" + (" and expired" if wait_s else "")
    raise CaseFailed(f"{expected} more `entries` after {what}", f"{counts} more, in as many tries")


@wire_case("INFO-002")
def info_counts_keys(context: WireContext) -> None:
    """After 2000 keys were stored, `entries` is a JSON integer and higher by 2000."""
    _expect_counted(context, COUNTED_KEYS, context.net_ttl_ms)


@wire_case("INFO-004")
def info_does_not_count_expired_keys(context: WireContext) -> None:
    """After 2000 keys were stored and have expired, `entries` is what it was."""
    _expect_counted(context, 0, 100, wait_s=0.2)
