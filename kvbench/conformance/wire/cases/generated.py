"""Generated examples: values, keys, ways to cut a stream of requests, and lifetimes.

Hypothesis draws them from the case's seed; see :mod:`kvbench.conformance.wire.explore`.
"""

from __future__ import annotations

import math
import time

from hypothesis import strategies as st

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.codec import decode, encode, split_values
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.equality import same_value
from kvbench.conformance.wire.explore import explore
from kvbench.conformance.wire.oracle import Action, State, apply, same_result, shown
from kvbench.conformance.wire.strategies import actions, texts, values
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.values import decode_value, encode_value
from kvbench.errors import ProtocolError
from kvbench.model import KEY_BYTES_MAX, Value
from kvbench.protocol.opcodes import Status

PLAIN = ("get", "set")
"""What cases about streams are made of: nothing else must work to show them."""

PIECE_PAUSE_S = 0.001
"""Between two pieces of a request: a server that reads at all has read the first by then."""


# --- Values and keys -----------------------------------------------------------------------------


@wire_case("VALUE-016")
def random_values_come_back_equal(context: WireContext) -> None:
    """Values of any type, nested, by SET and GET and by MSET and MGET: equal, of the same type."""
    explore(
        context,
        st.lists(values(context.capabilities), min_size=1, max_size=4),
        _values_survive,
        examples=60,
    )


def _values_survive(context: WireContext, stored: list[Value]) -> None:
    for value, found in _round_trip(context, stored):
        try:
            came = decode_value(found)
        except ProtocolError as error:
            raise CaseFailed(repr(value), f"{found.hex(' ')}: {error}") from None
        if not same_value(value, came):
            raise CaseFailed(repr(value), repr(came))


@wire_case("VALUE-017")
def random_values_come_back_as_the_same_bytes(context: WireContext) -> None:
    """Values of any type, nested: the very bytes that were stored."""
    explore(
        context,
        st.lists(values(context.capabilities), min_size=1, max_size=4),
        _bytes_survive,
        examples=60,
    )


def _bytes_survive(context: WireContext, stored: list[Value]) -> None:
    for value, found in _round_trip(context, stored):
        if found != encode_value(value):
            raise CaseFailed(encode_value(value).hex(" "), found.hex(" "))


def _round_trip(context: WireContext, stored: list[Value]) -> list[tuple[Value, bytes]]:
    """Each value with the bytes that it came back as, once or twice."""
    connection = context.connect()
    keys = context.keys(len(stored))
    pairs: list[tuple[Value, bytes]] = []
    for key, value in zip(keys, stored, strict=True):
        connection.send(encode(Action("set", (key,), (value,))))
        connection.send(encode(Action("get", (key,))))
        connection.read().expect(Status.OK, b"")
        pairs.append((value, connection.read().expect(Status.OK).payload))
    if {"mset", "mget"} <= context.capabilities:
        # The other way round, so that what SET left behind would be seen.
        batch = Action("mset", tuple(keys), tuple(reversed(stored)))
        connection.exchange(encode(batch)).expect(Status.OK, b"")
        reply = connection.exchange(encode(Action("mget", tuple(keys))))
        payload = reply.expect(Status.OK).payload
        try:
            found = split_values(payload, len(keys))
        except ProtocolError as error:
            came = f"{payload[:40].hex(' ')}: {error}"
            raise CaseFailed(f"{len(keys)} values", came) from None
        pairs += zip(reversed(stored), found, strict=True)
    return pairs


@wire_case("KEY-007")
def keys_of_any_characters(context: WireContext) -> None:
    """Keys of random Unicode, in both layouts: each names a different entry."""
    limit = KEY_BYTES_MAX - len(context.prefix)
    names = texts(60, 1).filter(lambda name: len(name.encode()) <= limit)
    explore(context, st.lists(names, min_size=1, max_size=4, unique=True), _names_hold, examples=50)


@wire_case("KEY-006")
def keys_that_look_alike(context: WireContext) -> None:
    """Keys of the same letters in other case, order and spacing: each names a different entry."""
    names = st.lists(st.sampled_from("aA bé\u0065\u0301ß"), min_size=1, max_size=3).map("".join)
    explore(context, st.lists(names, min_size=2, max_size=6, unique=True), _names_hold, examples=30)


def _names_hold(context: WireContext, names: list[str]) -> None:
    keys = [context.key(name) for name in names]
    connection = context.connect()
    for number, key in enumerate(keys):
        connection.exchange(encode(Action("set", (key,), (number,)))).expect(Status.OK)
    for number, key in enumerate(keys):
        context.expect_value(connection, key, number)


# --- Streams -------------------------------------------------------------------------------------


@wire_case("FRAME-005")
def requests_in_any_pieces(context: WireContext) -> None:
    """SET cut at every byte where it may be, and GET at all; then random requests and places."""
    connection = context.connect()
    key = context.key()
    for number, cut in enumerate(range(1, len(encode(Action("set", (key,), (0,)))))):
        request = encode(Action("set", (key,), (number,)))
        pieces = [request[:cut], request[cut:]]
        # A server that acts on half a key would touch another user's.
        if context.may_send(*pieces):
            _send_pieces(connection, pieces)
            connection.read().expect(Status.OK, b"")
            context.expect_value(connection, key, number)
    context.stored(connection, key, "in pieces")
    request = encode(Action("get", (key,)))
    for cut in range(1, len(request)):
        _send_pieces(connection, [request[:cut], request[cut:]])
        connection.read().expect(Status.OK, encode_value("in pieces"))
    cuts = st.lists(st.integers(1, 300), max_size=6)
    steps = st.lists(actions(PLAIN, context.capabilities), min_size=1, max_size=4)
    explore(context, st.tuples(steps, cuts), _pieces_are_understood, examples=30)


def _pieces_are_understood(context: WireContext, drawn: tuple[list[Action], list[int]]) -> None:
    steps, cuts = drawn
    stream = b"".join([encode(action, context.prefix) for action in steps])
    pieces = [stream]
    for cut in sorted({cut for cut in cuts if cut < len(stream)}):
        place = cut - len(stream) + len(pieces[-1])
        finer = [*pieces[:-1], pieces[-1][:place], pieces[-1][place:]]
        if context.may_send(*finer):
            pieces = finer
    connection = context.connect()
    _send_pieces(connection, pieces)
    _expect_model(context, connection, steps)


def _send_pieces(connection: WireConnection, pieces: list[bytes]) -> None:
    for place, piece in enumerate(pieces):
        if place:
            time.sleep(PIECE_PAUSE_S)
        connection.send(piece)


@wire_case("FRAME-006", "PIPE-002", "PIPE-003")
def many_requests_in_a_segment(context: WireContext) -> None:
    """Random requests sent at once: answered in order, each seeing what those before it did."""
    steps = st.lists(actions(PLAIN, context.capabilities), min_size=2, max_size=40)
    explore(context, steps, _segment_is_understood, examples=40)


def _segment_is_understood(context: WireContext, steps: list[Action]) -> None:
    connection = context.connect()
    connection.send(b"".join([encode(action, context.prefix) for action in steps]))
    _expect_model(context, connection, steps)


def _expect_model(context: WireContext, connection: WireConnection, steps: list[Action]) -> None:
    """Read the replies to ``steps``, which were sent on fresh keys: they must be the model's."""
    context.own([f"{context.prefix}{key}".encode() for action in steps for key in action.keys])
    state: State = {}
    for number, action in enumerate(steps, 1):
        effect = apply(state, action)
        found = decode(action, connection.read())
        if not same_result(effect.result, found):
            wanted = f"{shown(effect.result)} to request {number}, {action}"
            raise CaseFailed(wanted, shown(found))
        state = effect.state


# --- Lifetimes -----------------------------------------------------------------------------------

EARLY_MS = 2
"""What is gone so long before its TTL has gone too early: clocks may tick in milliseconds."""

LATE_MS = 100
"""What is there so long after its TTL has not expired: far more than a clock's tick."""


class _Life:
    """What was seen of one key: when it was stored, when it was last there and first absent.

    All times in ms; each event lies between the moment of asking and that of the answer.
    """

    def __init__(self, key: str, ttl_ms: int) -> None:
        self.key = key
        self.ttl_ms = ttl_ms
        self.stored_after = self.stored_before = 0.0
        self.there_after = 0.0
        self.absent_before = math.inf


@wire_case("TTL-004")
def keys_live_as_long_as_they_should(context: WireContext) -> None:
    """Keys with random short TTLs, watched until they are gone: none goes early."""
    for life in _watch(context):
        lived_ms = life.absent_before - life.stored_after
        if lived_ms < life.ttl_ms - EARLY_MS:
            raise CaseFailed(
                f"a key with a TTL of {life.ttl_ms} ms", f"gone after {lived_ms:.1f} ms"
            )


@wire_case("TTL-001")
def keys_end_when_they_should(context: WireContext) -> None:
    """Keys with random short TTLs, watched until they are gone: none stays."""
    for life in _watch(context):
        lived_ms = life.there_after - life.stored_before
        if lived_ms > life.ttl_ms + LATE_MS:
            raise CaseFailed(
                f"no key any more after a TTL of {life.ttl_ms} ms",
                f"it was there at {lived_ms:.1f} ms",
            )


def _watch(context: WireContext) -> list[_Life]:
    """Store keys with TTLs from the case's seed, and look at them until each is absent or late."""
    connection = context.connect()
    ttls_ms = [context.rng.randint(10, 300) for _ in range(20 * context.effort)]
    lives = [_Life(key, ttl) for key, ttl in zip(context.keys(len(ttls_ms)), ttls_ms, strict=True)]
    for life in lives:
        life.stored_after = context.now_ms()
        context.stored(connection, life.key, life.ttl_ms, life.ttl_ms)
        life.stored_before = context.now_ms()
    waiting = lives
    while waiting:
        time.sleep(0.005)
        for life in waiting:
            asked_at = context.now_ms()
            reply = connection.exchange(encode(Action("get", (life.key,))))
            if reply.status == Status.NULL:
                life.absent_before = context.now_ms()
            else:
                life.there_after = asked_at
        waiting = [
            life
            for life in waiting
            if life.absent_before == math.inf
            and life.there_after < life.stored_before + life.ttl_ms + LATE_MS
        ]
    return lives
