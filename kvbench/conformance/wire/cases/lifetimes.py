"""TTLs given in every way that there is: each operation, alone and in batches of every size."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping

from kvbench.conformance.findings import CaseFailed, evidence_of
from kvbench.conformance.wire.cases.everywhere import TEN_YEARS_MS, there
from kvbench.conformance.wire.cases.server import COUNTING_ROUNDS, counted, entries
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.everywhere import (
    LONG_TTL_MS,
    ONE,
    Cell,
    Parts,
    Subject,
    cells,
    compose,
    request,
)
from kvbench.conformance.wire.frames import HEADER_BYTES, frame
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.trace import WireReply
from kvbench.protocol.opcodes import Effect, Opcode, RequestLayout, Status

COUNTED_KEYS = 3000
"""More than a server is likely to remove within one request."""

SHORT_TTL_MS = 400
"""What is there at once, also on a busy machine, and gone soon."""

_PREPARED: Mapping[Opcode, Callable[[bytes], bytes]] = {
    Opcode.CAS: lambda key: _set(key, ONE, 0),
    Opcode.EXPIRE: lambda key: _set(key, ONE, 0),
    Opcode.EXTEND: lambda key: _set(key, b"\4\0\0\0\5owner", 0),
}
"""What must be there for an operation to give a key its TTL."""


def _set(key: bytes, value: bytes, ttl_ms: int) -> bytes:
    payload = struct.pack(">H", len(key)) + key + struct.pack(">Q", ttl_ms) + value
    return frame(Opcode.SET, payload)


def given_ttls(
    context: WireContext, connection: WireConnection, ttl_ms: int
) -> list[tuple[Cell, str]]:
    """Give a key a TTL in every way that there is; the cells with the keys that have it now."""
    given: list[tuple[Cell, str]] = []
    for number, cell in enumerate(cells(Subject.TTL, there(context))):
        prefix = f"{context.prefix}{ttl_ms}:{number}"
        context.own([f"{prefix}:{place:05d}".encode() for place in range(cell.keys)])
        key = f"{prefix}:{cell.place:05d}"
        if cell.opcode in _PREPARED:
            connection.exchange(_PREPARED[cell.opcode](key.encode())).expect(Status.OK, b"")
        reply = connection.exchange(request(cell, prefix, ttl_ms=ttl_ms))
        if reply.status != Status.OK:
            raise CaseFailed(f"OK to {cell} with a TTL of {ttl_ms} ms", str(reply))
        given.append((cell, key))
    return given


@wire_case("TTL-001", "TTL-004")
def every_way_to_give_a_ttl(context: WireContext) -> None:
    """Each operation with a TTL, alone and in batches: the key is there, and then it is not."""
    connection = context.connect()
    began = time.monotonic()
    given = given_ttls(context, connection, SHORT_TTL_MS)
    replies = _looked_at(connection, given)
    if (time.monotonic() - began) * 1000 < SHORT_TTL_MS:
        for (cell, _), reply in zip(given, replies, strict=True):
            if reply.status != Status.OK:
                raise CaseFailed(f"a key with a TTL from {cell}", str(reply))
    time.sleep(SHORT_TTL_MS / 1000 + 0.1)
    for (cell, _), reply in zip(given, _looked_at(connection, given), strict=True):
        if reply.status != Status.NULL:
            raise CaseFailed(f"no key after the TTL from {cell}", str(reply))


def _looked_at(connection: WireConnection, given: list[tuple[Cell, str]]) -> list[WireReply]:
    connection.send(b"".join([frame(Opcode.GET, key.encode()) for _, key in given]))
    return connection.read_many(len(given))


@wire_case("TTL-008", needs=("ttl",))
def every_way_keeps_a_long_ttl_whole(context: WireContext) -> None:
    """Each operation with a TTL above 2**32 ms, alone and in batches: TTL answers it."""
    connection = context.connect()
    for ttl_ms in (2**32 + 10_000_000, TEN_YEARS_MS):
        for cell, key in given_ttls(context, connection, ttl_ms):
            reply = connection.request(Opcode.TTL, key.encode()).expect(Status.OK)
            left_ms = int.from_bytes(reply.payload, "big", signed=True)
            if not ttl_ms - 600_000 < left_ms <= ttl_ms:
                raise CaseFailed(f"about {ttl_ms} ms left after {cell}", f"{left_ms} ms")


@wire_case("TTLOP-001", needs=("ttl",))
def the_last_milliseconds(context: WireContext) -> None:
    """TTL of keys that are about to expire, again and again: at least 1 while they are there."""
    connection, keys = context.connect(), context.keys(20)
    connection.send(
        b"".join([_set(key.encode(), ONE, 20 + place) for place, key in enumerate(keys)])
    )
    connection.read_many(len(keys))
    ask = b"".join([frame(Opcode.TTL, key.encode()) for key in keys])
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        connection.send(ask)
        replies = connection.read_many(len(keys))
        for place, reply in enumerate(replies):
            if reply.status == Status.OK:
                left_ms = int.from_bytes(reply.payload, "big", signed=True)
                if not 1 <= left_ms <= 20 + place:
                    raise CaseFailed(f"1 to {20 + place} ms left", f"{left_ms} ms")
        if all(reply.status == Status.NULL for reply in replies):
            return


@wire_case("TTL-010", "STATUS-006")
def refusals_in_every_operation_keep_keys(context: WireContext) -> None:
    """Each operation with a byte too many on a key with a TTL: value and TTL are as before."""
    connection = context.connect()
    for cell in cells(Subject.KEY, there(context)):
        if cell.opcode.request is RequestLayout.KEY or cell.opcode.effect is Effect.READS:
            continue
        if cell.place:
            continue
        context.own([f"{context.prefix}:{number:05d}".encode() for number in range(cell.keys)])
        key = context.key(":00000")
        context.stored(connection, key, 1, ttl_ms=2 * LONG_TTL_MS)
        payload = request(cell, context.prefix)[HEADER_BYTES:] + context.prefix.encode()
        if not context.may_send(frame(cell.opcode, payload)):
            payload = payload[: -len(context.prefix) - 1]
            if not context.may_send(frame(cell.opcode, payload)):
                continue
        with evidence_of("FRAME-004"):
            connection.request(cell.opcode, payload).expect_refusal()
        with evidence_of("STATUS-006"):
            context.expect_value(connection, key, 1)
        if "ttl" in context.capabilities:
            reply = connection.request(Opcode.TTL, key.encode()).expect(Status.OK)
            left_ms = int.from_bytes(reply.payload, "big", signed=True)
            if left_ms <= LONG_TTL_MS:
                expected = f"the TTL as it was before {cell}"
                raise CaseFailed(expected, f"{left_ms} ms", clauses=["TTL-010"])


@wire_case("TTL-001")
def the_same_ttl_again_and_again(context: WireContext) -> None:
    """Each operation that gives a TTL, fifty times at once with the same one: the keys expire."""
    connection = context.connect()
    given: list[tuple[Cell, str]] = []
    for number, cell in enumerate(cells(Subject.TTL, there(context))):
        if cell.keys > 2 or cell.place:
            continue
        prefix = f"{context.prefix}again{number}"
        context.own([f"{prefix}:{place:05d}".encode() for place in range(cell.keys)])
        key = f"{prefix}:00000"
        if cell.opcode in _PREPARED:
            connection.exchange(_PREPARED[cell.opcode](key.encode())).expect(Status.OK, b"")
        connection.send(50 * request(cell, prefix, ttl_ms=SHORT_TTL_MS))
        for reply in connection.read_many(50):
            if reply.status != Status.OK:
                raise CaseFailed(f"OK to {cell} with the same TTL again", str(reply))
        given.append((cell, key))
    time.sleep(SHORT_TTL_MS / 1000 + 0.1)
    for (cell, _), reply in zip(given, _looked_at(connection, given), strict=True):
        if reply.status != Status.NULL:
            raise CaseFailed(f"no key after the same TTL from {cell} 50 times", str(reply))


@wire_case("TTL-001", needs=("msetex",))
def several_ttls_at_once(context: WireContext) -> None:
    """MSETEX of three keys with two TTLs, for other keys again and again: all of them expire."""
    connection, keys = context.connect(), [key.encode() for key in context.keys(60)]
    ttls_ms = (SHORT_TTL_MS, SHORT_TTL_MS, SHORT_TTL_MS - 100)
    batches = [Parts(keys[at : at + 3], (ONE,) * 3, ttls_ms) for at in range(0, len(keys), 3)]
    connection.send(b"".join([compose(Opcode.MSETEX, batch) for batch in batches]))
    for reply in connection.read_many(len(batches)):
        reply.expect(Status.OK, b"")
    time.sleep(SHORT_TTL_MS / 1000 + 0.1)
    connection.send(b"".join([frame(Opcode.GET, key) for key in keys]))
    for key, reply in zip(keys, connection.read_many(len(keys)), strict=True):
        if reply.status != Status.NULL:
            raise CaseFailed(f"no {key!r} after its TTL from MSETEX", str(reply))


@wire_case("INFO-004", needs=("mset",))
def info_counts_none_that_has_just_expired(context: WireContext) -> None:
    """INFO right behind a GET that finds one of 3000 keys of an MSET expired: it counts none."""
    connection, keys = context.connect(), [key.encode() for key in context.keys(COUNTED_KEYS)]
    counts: list[tuple[int, int, int]] = []
    for _ in range(COUNTING_ROUNDS):
        context.trace.clear()
        before = entries(connection)
        batch = Parts(keys, (ONE,) * len(keys), (SHORT_TTL_MS,) * len(keys))
        connection.exchange(compose(Opcode.MSET, batch)).expect(Status.OK, b"")
        end = time.monotonic() + 5.0
        while time.monotonic() < end:
            connection.send(frame(Opcode.GET, keys[-1]) + frame(Opcode.INFO, b""))
            last, info = connection.read_many(2)
            if last.status == Status.NULL:
                break
            time.sleep(0.001)
        counts.append((before, counted(info), entries(connection)))
        if counts[-1][0] == counts[-1][1]:
            return
    raise CaseFailed("as many `entries` as before the keys", f"before, then, later: {counts}")


@wire_case("DEL-003")
def removed_keys_take_their_ttl_along(context: WireContext) -> None:
    """DEL, GETDEL and MDEL of a key with a TTL, then each operation that stores: it stays."""
    connection, number = context.connect(), 0
    stored: list[tuple[str, str]] = []
    for remover in sorted({"del", "getdel", "mdel"} & there(context)):
        for storer in sorted({"set", "setnx", "incr", "decr", "mset"} & there(context)):
            number += 1
            key = context.key(f"removed{number}")
            parts = Parts([key.encode()], [ONE], [0])
            connection.send(_set(key.encode(), ONE, SHORT_TTL_MS))
            connection.send(compose(Opcode[remover.upper()], parts))
            connection.send(compose(Opcode[storer.upper()], parts))
            if connection.read_many(3)[-1].status == Status.OK:
                stored.append((key, f"{storer.upper()} after {remover.upper()}"))
    time.sleep(SHORT_TTL_MS / 1000 + 0.1)
    for key, what in stored:
        reply = connection.request(Opcode.GET, key.encode())
        if reply.status != Status.OK:
            raise CaseFailed(f"a key without a TTL, from {what}", str(reply))
