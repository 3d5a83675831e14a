"""Requests that are none: damaged payloads, damaged streams and noise.

What is drawn is sent to servers that may hold other people's keys. So every key that a drawn
request could write begins with the example's prefix, and opcodes without a meaning in the protocol
are not sent: on a server that gives them one, nobody knows what they do.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from kvbench.conformance.case import CaseFailed, wire_case
from kvbench.conformance.explore import explore
from kvbench.conformance.history import decode, encode
from kvbench.conformance.model import CORE, OPERATIONS, Action, shown
from kvbench.conformance.strategies import actions
from kvbench.conformance.wire import WireConnection, WireContext
from kvbench.errors import ProtocolError
from kvbench.protocol import requests
from kvbench.protocol.frames import HEADER_BYTES, FrameReader, frame
from kvbench.protocol.opcodes import Opcode, Status

_COUNTED_BY_FRAME = frozenset({"get", "del", "exists", "ttl"})
"""Their key is the whole payload: a shorter one is another key."""


@wire_case("FRAME-004")
def payloads_that_end_early_or_late(context: WireContext) -> None:
    """Every operation's payload, cut short anywhere or with bytes behind it: refused."""
    for name in sorted((CORE | OPERATIONS & context.capabilities) - _COUNTED_BY_FRAME):
        drawn = st.tuples(actions([name]), st.binary(min_size=1, max_size=9))
        explore(context, drawn, _ends_are_checked, examples=4)


def _ends_are_checked(context: WireContext, drawn: tuple[Action, bytes]) -> None:
    action, extra = drawn
    connection = context.connect()
    context.own([f"{context.prefix}{key}".encode() for key in "abc"])
    key = f"{context.prefix}a"
    context.stored(connection, key, "before")
    request = encode(action, context.prefix)
    payload = request[HEADER_BYTES:]
    for damaged in [payload[:end] for end in range(len(payload))] + [payload + extra]:
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


def _damaged(data: bytes, damages: list[Damage]) -> bytes:
    for kind, where, some in damages:
        place = where % (len(data) + 1)
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
        drawn = st.tuples(actions([name]), st.lists(_damages(), min_size=1, max_size=6))
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
        damaged = frame(request[0], _damaged(request[HEADER_BYTES:], damages))
        if not _is_ours(context, damaged):
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
    streams = st.one_of(
        st.tuples(st.lists(actions(names), min_size=1, max_size=4), _damages()),
        st.binary(max_size=64),
    )
    explore(context, streams, _stream_is_survived, examples=60)


def _stream_is_survived(
    context: WireContext, drawn: bytes | tuple[list[Action], list[Damage]]
) -> None:
    if isinstance(drawn, bytes):
        stream = drawn
    else:
        steps, damages = drawn
        stream = _damaged(b"".join([encode(one, context.prefix) for one in steps]), damages)
    if not _is_ours(context, stream):
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


def _is_ours(context: WireContext, stream: bytes) -> bool:
    """Whether the stream can write only keys with the context's prefix, which then owns them."""
    prefix = context.prefix.encode()
    for opcode, payload in FrameReader().feed(stream):
        if opcode and opcode not in list(Opcode):
            return False
        written = _keys_written(opcode, payload)
        if not all(key.startswith(prefix) for key in written):
            return False
        context.own(written)
    return True


def _keys_written(opcode: int, payload: bytes) -> list[bytes]:
    """The keys that a request may write; none when it is malformed, or only reads."""
    try:
        match opcode:
            case Opcode.DEL:
                return [requests.parse_key(payload)]
            case Opcode.SET | Opcode.SETNX:
                return [requests.parse_set(payload)[0]]
            case Opcode.INCR | Opcode.DECR:
                return [requests.parse_counter(payload)[0]]
            case Opcode.CAS:
                return [requests.parse_cas(payload)[0]]
            case Opcode.LOCK | Opcode.EXTEND:
                return [requests.parse_lock(payload)[0]]
            case Opcode.UNLOCK:
                return [requests.parse_unlock(payload)[0]]
            case Opcode.EXPIRE:
                return [requests.parse_expire(payload)[0]]
            case Opcode.MDEL:
                return requests.parse_keys(payload)
            case Opcode.MSET:
                return list(requests.parse_mset(payload)[1])
            case Opcode.MSETEX:
                return [key for key, _, _ in requests.parse_msetex(payload)]
            case _:
                return []
    except ProtocolError:
        return []
