"""TTLs: how long they may be, what expired keys are to each operation, what leaves a TTL alone.

These cases wait. A key that must be gone has expired 100 ms ago at least. One that must be there
has 200 ms left; where a busy machine was later, nothing was seen, and it is looked at again.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable

from kvbench.conformance.findings import CaseFailed, NoReply, SetupFailed
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.oracle import Action, Answer, Result, shown
from kvbench.conformance.wire.suite import WIRE, wire_case
from kvbench.conformance.wire.values import encode_value
from kvbench.model import Value
from kvbench.protocol.opcodes import TTL_MS_MAX, Effect, Opcode, Status

LONG_TTLS_MS = tuple(
    [2**bits + 50 for bits in range(20, 39)] + [86_400_000, 31_557_600_000, 315_576_000_000]
)
"""Whatever number of bits a TTL is cut to: 50 ms are left of some. All are within ten years."""

TTL_SLACK_MS = 60_000
"""A TTL is read this much later than it was given, at most."""

TIMED = (*WIRE.base, "TTL-001", "TTL-005")
"""What these cases stand on: keys with a TTL end, and those without one do not."""

GONE_MS = 100
"""After so long an expired key is expired on a busy machine, too."""

LEFT_MS = 200
"""With so much left a key is there on most busy machines, too."""

ATTEMPTS = 3
"""How often a case looks that has come too late for a TTL."""


def _look_in_time(look: Callable[[WireContext, str], bool], context: WireContext) -> None:
    """Have something looked at while a key is there, again with another key if that came too late.

    Args:
        look: takes the end of its keys; False where it has seen nothing, because it was late.
        context: of the case.

    Raises:
        SetupFailed: it was late each time.
    """
    if not any(look(context, f"{attempt}") for attempt in range(ATTEMPTS)):
        raise SetupFailed(f"the machine was too late for a TTL, {ATTEMPTS} times")


def _is_there_in_time(
    context: WireContext, connection: WireConnection, key: str, value: Value, until: float
) -> bool:
    """Whether a key that must be there until a moment is seen; False where the moment has passed.

    Raises:
        CaseFailed: it is not there, and the answer came before the moment.
    """
    try:
        context.expect_value(connection, key, value)
    except CaseFailed:
        if time.monotonic() < until:
            raise
        return False
    return True


# --- Expired keys --------------------------------------------------------------------------------

AFTER_THE_END: tuple[tuple[Action, Result], ...] = (
    (Action("get", ("k",)), Answer.ABSENT),
    (Action("exists", ("k",)), 0),
    (Action("del", ("k",)), 0),
    (Action("incr", ("k",), (5,)), 5),
    (Action("decr", ("k",), (5,)), -5),
    (Action("cas", ("k",), (1, 2)), Answer.ABSENT),
    (Action("setnx", ("k",), (2,)), 1),
    (Action("lock", ("k",), ("owner",), 60_000), 1),
    (Action("unlock", ("k",), ("owner",)), 0),
    (Action("extend", ("k",), ("owner",), 60_000), 0),
    (Action("mget", ("k",)), (None,)),
    (Action("mdel", ("k",)), 0),
    (Action("mexists", ("k",)), (0,)),
    (Action("expire", ("k",), ttl_ms=60_000), 0),
    (Action("ttl", ("k",)), Answer.ABSENT),
)
"""What each operation says to a key that held the Int 1 and has expired."""


@wire_case("TTL-003", after=(*WIRE.base, "TTL-005"))
def expired_keys_are_absent_to_every_operation(context: WireContext) -> None:
    """A key for each operation, which is the first to touch it after its end: it is absent."""
    there = [
        (action, answer)
        for action, answer in AFTER_THE_END
        if action.name in ("get", "exists", "del") or action.name in context.capabilities
    ]
    connection = context.connect()
    never = f"{context.prefix}never:"
    context.own([f"{never}k".encode()])
    # What an operation says wrongly to any absent key other clauses judge.
    there = [one for one in there if _is_right_about_absent_keys(connection, *one, never)]
    # A key ends when the one before it was looked at: a server may clean up whenever it is asked.
    ends_ms = [GONE_MS + (GONE_MS + 20) * place for place in range(len(there))]
    prefixes = [f"{context.prefix}{action.name}:" for action, _ in there]
    context.own([f"{prefix}k".encode() for prefix in prefixes])
    gone_at = []
    for prefix, end_ms in zip(prefixes, ends_ms, strict=True):
        context.stored(connection, f"{prefix}k", 1, ttl_ms=end_ms)
        # From the answer on: a busy machine may store the last key long after the first.
        gone_at.append(time.monotonic() + (end_ms + GONE_MS) / 1000)
    for (action, answer), prefix, moment in zip(there, prefixes, gone_at, strict=True):
        _sleep_until(moment)
        found = decode(action, connection.exchange(encode(action, prefix)))
        if found != answer:
            wanted = f"{shown(answer)} to {action} of a key that has expired"
            raise CaseFailed(wanted, shown(found))


def _is_right_about_absent_keys(
    connection: WireConnection, action: Action, answer: Result, prefix: str
) -> bool:
    """Whether a key that is not there gets the answer that an expired one should get."""
    remove = encode(Action("del", action.keys), prefix)
    try:
        connection.exchange(remove)
        found = decode(action, connection.exchange(encode(action, prefix)))
        connection.exchange(remove)
    except CaseFailed:
        return False
    return found == answer


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


# --- What leaves TTLs alone ----------------------------------------------------------------------

TOUCHED_TTL_MS = LEFT_MS + 2 * GONE_MS
"""Of a key that must not be touched: looked at after 100 ms, and 100 ms after its end."""


def _ask(connection: WireConnection, request: bytes) -> None:
    """Ask, whatever comes: that something comes is a separate clause."""
    try:
        connection.exchange(request)
    except NoReply as error:
        raise SetupFailed(str(error)) from None


def _expect_only_read(context: WireContext, read: Callable[[str], bytes]) -> None:
    """Fail unless keys with and without a TTL live as if they had not been read."""

    def look(context: WireContext, end: str) -> bool:
        connection = context.connect()
        short, endless, absent = map(context.key, (f"short{end}", f"endless{end}", f"absent{end}"))
        context.stored(connection, endless, 2, ttl_ms=0)
        until = time.monotonic() + TOUCHED_TTL_MS / 1000
        context.stored(connection, short, 1, ttl_ms=TOUCHED_TTL_MS)
        began = time.monotonic()
        for _ in range(3):
            for key in (short, endless, absent):
                _ask(connection, read(key))
        _sleep_until(began + GONE_MS / 1000)
        if not _is_there_in_time(context, connection, short, 1, until):
            return False
        connection.exchange(read(short))
        _sleep_until(began + (TOUCHED_TTL_MS + GONE_MS) / 1000)
        context.expect_value(connection, short, ...)
        context.expect_value(connection, endless, 2)
        context.expect_value(connection, absent, ...)
        return True

    _look_in_time(look, context)


@wire_case("GET-004", after=TIMED)
def get_only_reads(context: WireContext) -> None:
    """GET, again and again: keys live as long as they would have."""
    _expect_only_read(context, lambda key: encode(Action("get", (key,))))


@wire_case("EXISTS-003", after=TIMED)
def exists_only_reads(context: WireContext) -> None:
    """EXISTS, again and again: keys live as long as they would have."""
    _expect_only_read(context, lambda key: encode(Action("exists", (key,))))


@wire_case("MGET-004", needs=("mget",), after=TIMED)
def mget_only_reads(context: WireContext) -> None:
    """MGET, again and again: keys live as long as they would have."""
    _expect_only_read(context, lambda key: encode(Action("mget", (key, key))))


@wire_case("TTLOP-004", needs=("ttl",), after=TIMED)
def ttl_only_reads(context: WireContext) -> None:
    """TTL, again and again: keys live as long as they would have."""
    _expect_only_read(context, lambda key: encode(Action("ttl", (key,))))


_TOUCHING = [
    opcode
    for opcode in Opcode
    if opcode.request.name.startswith("KEY_") and opcode.effect is not Effect.READS
]
"""Operations whose payload begins with a key, and that could touch its TTL."""


@wire_case("TTL-010", after=TIMED)
def refusals_keep_ttls(context: WireContext) -> None:
    """Requests on a key with a TTL that are refused: it ends when it was going to end."""
    _look_in_time(_refusals_keep_ttl, context)


def _refusals_keep_ttl(context: WireContext, end: str) -> bool:
    connection = context.connect()
    key = context.key(end)
    until = time.monotonic() + TOUCHED_TTL_MS / 1000
    context.stored(connection, key, "text", ttl_ms=TOUCHED_TTL_MS)
    began = time.monotonic()
    for opcode in _TOUCHING:
        if opcode is Opcode.SET or opcode.name.lower() in context.capabilities:
            # On a new connection: one may be closed after a refusal, which is not the matter.
            context.connect().request(opcode, _sized(key) + b"\xff" * 9)
    _sleep_until(began + GONE_MS / 1000)
    if not _is_there_in_time(context, connection, key, "text", until):
        return False
    _sleep_until(began + (TOUCHED_TTL_MS + GONE_MS) / 1000)
    context.expect_value(connection, key, ...)
    return True


# --- Long ones -----------------------------------------------------------------------------------


@wire_case("TTL-006")
def ttls_beyond_a_century_are_refused(context: WireContext) -> None:
    """SET with more than 100 years is refused, by a millisecond or by far."""
    connection = context.connect()
    key = context.key()
    for ttl_ms in (TTL_MS_MAX + 1, 2**63 - 1, 2**63, 2**64 - 1):
        connection.send(_set_frame(key, ttl_ms))
        connection.read().expect_refusal()


@wire_case("TTL-008")
def long_ttls_do_not_end_soon(context: WireContext) -> None:
    """TTLs of powers of two and 50 ms: where they are not refused, the keys are there later."""
    connection = context.connect()
    accepted = []
    for ttl_ms in LONG_TTLS_MS:
        key = context.key(f"{ttl_ms}")
        reply = context.connect().exchange(encode(Action("set", (key,), (1,), ttl_ms)))
        if reply.status == Status.OK:
            accepted.append((key, ttl_ms))
    time.sleep(0.15)
    for key, ttl_ms in accepted:
        reply = connection.exchange(encode(Action("get", (key,))))
        if reply.status != Status.OK:
            raise CaseFailed(f"a key with a TTL of {ttl_ms} ms, 150 ms later", str(reply))


@wire_case("TTL-008", needs=("ttl",))
def long_ttls_are_kept_whole(context: WireContext) -> None:
    """TTLs up to u64: where they are not refused, TTL answers no less than was given."""
    connection = context.connect()
    key = context.key()
    for ttl_ms in (*LONG_TTLS_MS, TTL_MS_MAX, TTL_MS_MAX + 1, 2**63 - 1, 2**63, 2**64 - 1):
        if context.connect().exchange(_set_frame(key, ttl_ms)).status == Status.OK:
            left_ms = _left_ms(connection, key)
            # An i64 cannot say more; a key without a TTL (-1) outlives every one.
            if left_ms != -1 and left_ms < min(ttl_ms, 2**63 - 1) - TTL_SLACK_MS:
                raise CaseFailed(f"{ttl_ms} ms left, or a refusal", f"{left_ms} ms left")


def _left_ms(connection: WireConnection, key: str) -> float:
    reply = connection.exchange(encode(Action("ttl", (key,)))).expect(Status.OK)
    if len(reply.payload) != 8:
        return -math.inf
    left_ms: int = struct.unpack(">q", reply.payload)[0]
    return left_ms


def _sized(key: str) -> bytes:
    name = key.encode()
    return struct.pack(">H", len(name)) + name


def _set_frame(key: str, ttl_ms: int) -> bytes:
    """SET of 0 with any TTL, also with one that our own codec would refuse to send."""
    return frame(Opcode.SET, _sized(key) + struct.pack(">Q", ttl_ms) + encode_value(0))
