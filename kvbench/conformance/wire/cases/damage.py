"""Requests that are none: damaged payloads, damaged streams and noise.

What is drawn is sent to servers that may hold other people's keys. So only what the guard
(:mod:`kvbench.conformance.wire.guard`) lets pass is sent, and enough of what is drawn passes.
"""

from __future__ import annotations

import re
import struct

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.explore import explore
from kvbench.conformance.wire.frames import HEADER_BYTES, frame
from kvbench.conformance.wire.oracle import CORE, OPERATIONS, Action, shown
from kvbench.conformance.wire.strategies import actions
from kvbench.conformance.wire.suite import wire_case
from kvbench.protocol.opcodes import Opcode, RequestLayout, Status

_HARMLESS = (0x00, Opcode.GET, Opcode.EXISTS, Opcode.PING, Opcode.INFO, Opcode.MGET)
"""Opcodes that may come with any payload on any server, or with none."""

_ONE_KEY_MORE = b"one key more"
"""Stands for a key of the example's, with its length: what follows a batch may be read as that."""

_COUNTED_BY_FRAME = frozenset(op.word for op in Opcode if op.request is RequestLayout.KEY)
"""Their key is the whole payload: a shorter one is another key."""


@wire_case("FRAME-004")
def payloads_that_end_early_or_late(context: WireContext) -> None:
    """Every operation's payload, cut short anywhere or with bytes behind it: refused."""
    extra = st.sampled_from((b"\0", b"\xff", b"\0" * 9, _ONE_KEY_MORE, b"\xff" * 9))
    for name in sorted((CORE | OPERATIONS & context.capabilities) - _COUNTED_BY_FRAME):
        explore(
            context,
            st.tuples(actions([name], context.capabilities), extra),
            _ends_are_checked,
            examples=4,
        )


def _ends_are_checked(context: WireContext, drawn: tuple[Action, bytes]) -> None:
    action, extra = drawn
    connection = context.connect()
    context.own([f"{context.prefix}{key}".encode() for key in "abc"])
    key = f"{context.prefix}a"
    context.stored(connection, key, "before")
    request = encode(action, context.prefix)
    payload = request[HEADER_BYTES:]
    if extra == _ONE_KEY_MORE:
        extra = encode(Action("mdel", ("b",)), context.prefix)[HEADER_BYTES + 2 :]
    for damaged in [payload[:end] for end in range(len(payload))] + [payload + extra]:
        if not context.may_send(frame(request[0], damaged)):
            continue
        reply = connection.request(request[0], damaged)
        if not reply.is_refusal:
            raise CaseFailed(
                f"a refusal of {action} with {len(damaged)} bytes of payload, not {len(payload)}",
                str(reply),
            )
    context.expect_value(connection, key, "before")


Damage = tuple[str, int, bytes]
"""What is done to bytes: a kind, a place, and the bytes that it takes."""


def _damages() -> SearchStrategy[list[Damage]]:
    kinds = st.sampled_from(("flip", "insert", "delete", "replace"))
    return st.lists(
        st.tuples(kinds, st.integers(0, 400), st.binary(min_size=1, max_size=3)),
        min_size=1,
        max_size=3,
    )


def _damaged(data: bytes, damages: list[Damage], prefix: str) -> bytes:
    """The bytes with damages anywhere but within the prefix of a key, which would not be sent."""
    for kind, where, some in damages:
        inside = {
            place
            for key in re.finditer(re.escape(prefix.encode()), data)
            for place in range(key.start(), key.end())
        }
        places = [place for place in range(len(data) + 1) if place not in inside]
        place = places[where % len(places)]
        head, tail = data[:place], data[place:]
        match kind:
            case "flip":
                bit = 1 << some[0] % 8
                data = head + bytes([byte ^ bit for byte in tail[:1]]) + tail[1:]
            case "insert":
                data = head + some + tail
            case "delete":
                data = head + tail[len(some) :]
            case _:
                data = head + some + tail[len(some) :]
    return data


@wire_case("STATUS-006")
def what_is_refused_changes_nothing(context: WireContext) -> None:
    """Every operation with damaged payloads: when it is refused, keys and TTLs are as before."""
    for name in sorted(CORE | OPERATIONS & context.capabilities):
        drawn = st.tuples(
            actions([name], context.capabilities), st.lists(_damages(), min_size=1, max_size=6)
        )
        explore(context, drawn, _refusals_are_harmless, examples=5)


def _refusals_are_harmless(context: WireContext, drawn: tuple[Action, list[list[Damage]]]) -> None:
    action, attempts = drawn
    connection = context.connect()
    context.own([f"{context.prefix}{key}".encode() for key in "abc"])
    for held in (Action("set", ("a",), (7,), 10_000_000), Action("set", ("b",), ("text",))):
        connection.exchange(encode(held, context.prefix)).expect(Status.OK, b"")
    request = encode(action, context.prefix)
    before = _snapshot(context, connection)
    for damages in attempts:
        damaged = frame(request[0], _damaged(request[HEADER_BYTES:], damages, context.prefix))
        if not context.may_send(damaged):
            continue
        is_refused = connection.exchange(damaged).is_refusal
        after = _snapshot(context, connection)
        if is_refused and before != after:
            raise CaseFailed(f"{before}, as before the refusal", f"{after}")
        before = after


def _snapshot(context: WireContext, connection: WireConnection) -> dict[str, str]:
    """What the keys hold, and their TTLs where the target tells."""
    names = ("get", "ttl") if "ttl" in context.capabilities else ("get",)
    looks = [Action(name, (key,)) for key in "abc" for name in names]
    connection.send(b"".join([encode(look, context.prefix) for look in looks]))
    return {str(look): shown(decode(look, connection.read())) for look in looks}


@wire_case("ERR-003")
def any_bytes_are_survived(context: WireContext) -> None:
    """Noise, and damaged streams of requests: answered or closed in time, others undisturbed."""
    names = sorted(CORE | OPERATIONS & context.capabilities)
    steps = st.lists(actions(names, context.capabilities), min_size=1, max_size=4)
    streams = st.one_of(st.tuples(steps, _damages(), st.booleans()), _noise())
    explore(context, streams, _stream_is_survived, examples=120)


def _noise() -> SearchStrategy[bytes]:
    """Bytes of all kinds, each run of them behind an opcode that writes nothing, or 00."""
    length = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))
    run = st.builds(_run, st.sampled_from(_HARMLESS), length, st.binary(max_size=40))
    return st.one_of(st.binary(max_size=4), st.lists(run, min_size=1, max_size=3).map(b"".join))


def _run(opcode: int, length: int, content: bytes) -> bytes:
    return struct.pack(">BI", opcode, length) + content


def _stream(context: WireContext, drawn: bytes | tuple[list[Action], list[Damage], bool]) -> bytes:
    """Noise; requests with damages anywhere; or with the same damages in every payload."""
    if isinstance(drawn, bytes):
        return drawn
    steps, damages, is_in_payloads = drawn
    requests = [encode(one, context.prefix) for one in steps]
    if not is_in_payloads:
        return _damaged(b"".join(requests), damages, context.prefix)
    damaged = [
        frame(one[0], _damaged(one[HEADER_BYTES:], damages, context.prefix)) for one in requests
    ]
    return b"".join([one for one in damaged if context.may_send(one)])


def _stream_is_survived(
    context: WireContext, drawn: bytes | tuple[list[Action], list[Damage], bool]
) -> None:
    stream = _stream(context, drawn)
    if not context.may_send(stream):
        return
    witness = context.connect()
    key = context.key(":witness")
    context.stored(witness, key, "undisturbed")
    context.own([f"{context.prefix}{key}".encode() for key in "abc"])
    connection = context.connect()
    connection.send(stream)
    connection.finish()
    for reply in connection.drain():
        if reply.status not in list(Status):
            raise CaseFailed("responses, then a close", str(reply))
    context.expect_value(witness, key, "undisturbed")
    context.expect_value(context.connect(), key, "undisturbed")
