"""Each rule about keys, values, TTLs and batches, through every operation that can reach it.

The operations, sizes of batches and places within them come from
:mod:`kvbench.conformance.wire.everywhere`; a rule is a case here.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.everywhere import LONG_TTL_MS, ONE, Cell, Subject, cells, request
from kvbench.conformance.wire.frames import HEADER_BYTES, frame
from kvbench.conformance.wire.oracle import (
    CORE,
    OPERATIONS,
    Action,
    State,
    apply,
    same_result,
    shown,
)  # fmt: skip
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.trace import WireReply
from kvbench.model import Value
from kvbench.protocol.opcodes import TTL_MS_MAX, Effect, Opcode, RequestLayout, Status

TEN_YEARS_MS = 315_576_000_000
"""Every server accepts so much (TTL-007)."""

SHORT_TTL_MS = 400
"""What is there at once, also on a busy machine, and gone soon."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that every operation keeps which takes what it is about.

    Attributes:
        clause: its id.
        subject: keys, values, TTLs or batches.
        special: keys, values or TTLs that are refused, or accepted.
        is_refused: which of both.
    """

    clause: str
    subject: Subject
    special: Sequence[bytes | int]
    is_refused: bool = True


def _bytes_of(tag: int, text: bytes, width: int, more: int = 0) -> bytes:
    return bytes([tag]) + (len(text) + more).to_bytes(width, "big") + text


_BAD_TEXTS = (b"\xff", b"a\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")
"""No UTF-8: a byte that never occurs, a lone one, an overlong form, a surrogate, too far, cut."""

_BAD_DECIMALS = (
    b"", b"+", b"-", b".", b"1.2.3", b"1E", b"1E+", b"1E-", b"E5", b"1E5E5", b"1E1.5", b"--1",
    b"1-", b"1 ", b" 1", b"1_0", b"0x1", b"1,5", b"NaNx", b"NaN-1", b"sNaNx", b"qNaN", b"nan",
    b"NAN", b"Na", b"Inf", b"infinity", b"Infinity1", b"Infinit", b"1Infinity", b"1NaN", b"1\0",
    b"\xef\xbc\x91", b"/", b"1/", b":", b"1:", b"1e5x", b"1f5", b"1d5", b"1\xb2", b"e", b".e1",
    b"+.", b"1e\xb2", b"NaN\xb2",
)  # fmt: skip
"""Texts that the grammar of section 2.3 does not have."""

RULES: Mapping[str, Rule] = {
    rule.clause: rule
    for rule in (
        Rule("KEY-002", Subject.KEY, (b"",)),
        Rule("KEY-003", Subject.KEY, (b"k" * 257, b"k" * 300, b"\xc3\xa9" * 129, b"k" * 65_535)),
        Rule("KEY-004", Subject.KEY, _BAD_TEXTS),
        Rule("KEY-001", Subject.KEY, (b"k" * 256, b"\xc3\xa9" * 128), is_refused=False),
        Rule("KEY-007", Subject.KEY, (b"\0", b" ", b"\t/:", b"\xf0\x9d\x84\x9e"), is_refused=False),
        Rule("VALUE-004", Subject.VALUE, (b"\x08\x02", b"\x08\xff")),
        Rule("VALUE-005", Subject.VALUE, [_bytes_of(3, text, 2) for text in _BAD_DECIMALS]),
        Rule("VALUE-007", Subject.VALUE, [_bytes_of(4, text, 4) for text in _BAD_TEXTS]),
        Rule("VALUE-014", Subject.VALUE, (b"\x09", b"\xff", b"\x06\0\0\0\1\x09")),
        Rule(
            "VALUE-015",
            Subject.VALUE,
            [_bytes_of(tag, b"", 4, 2**32 - 1) for tag in (4, 5, 6, 7)],
        ),
        Rule("TTL-006", Subject.TTL, (TTL_MS_MAX + 1, 2**63 - 1, 2**63, 2**64 - 1)),
        Rule("TTL-007", Subject.TTL, (1, 2**31, 2**32, TEN_YEARS_MS), is_refused=False),
    )
}  # fmt: skip
"""Rules that one request shows, by clause."""

_ARGUMENT = {Subject.KEY: "key", Subject.VALUE: "value", Subject.TTL: "ttl_ms"}


def there(context: WireContext) -> frozenset[str]:
    """The operations with keys that the target has."""
    return CORE | OPERATIONS & context.capabilities


def play_rule(context: WireContext, rule: Rule, *, is_strict: bool = False) -> set[Cell]:
    """Play a rule in every cell that it has on this target.

    Args:
        context: the case's.
        rule: what to play.
        is_strict: only INVALID is a refusal.

    Returns:
        The cells in which something was sent: the guard keeps some requests back.
    """
    played: set[Cell] = set()
    connection = context.connect()
    witness = context.key(":00000")
    for cell in cells(rule.subject, there(context)):
        own = range(cell.keys if rule.is_refused else 0)
        context.own([f"{context.prefix}:{number:05d}".encode() for number in own])
        # In a large batch one example of each rule shows that it is looked at.
        for special in rule.special if cell.keys < 1000 else rule.special[:2]:
            if _play(context, connection, rule, cell, special, witness, is_strict=is_strict):
                played.add(cell)
    return played


def _play(
    context: WireContext, connection: WireConnection, rule: Rule, cell: Cell,
    special: bytes | int, witness: str, *, is_strict: bool,
) -> bool:  # fmt: skip
    """Send one request, and fail unless it is answered as the rule says; whether it was sent."""
    if rule.subject is Subject.KEY and special:
        special = _own_key(context, rule, special)
    data = request(cell, context.prefix, **{_ARGUMENT[rule.subject]: special})
    if not context.may_send(data):
        return False
    if rule.is_refused:
        context.stored(connection, witness, 7)
    reply = connection.exchange(data)
    what = f"{cell} with {special if isinstance(special, int) else special[-20:]!r}"
    if not rule.is_refused:
        if reply.is_refusal and not _is_about_the_value(cell):
            raise CaseFailed(f"no refusal of {what}", str(reply))
        return True
    if not reply.is_refusal or (is_strict and reply.status != Status.INVALID):
        raise CaseFailed(f"{'INVALID' if is_strict else 'a refusal'} for {what}", str(reply))
    context.expect_value(connection, witness, 7)
    return True


def _own_key(context: WireContext, rule: Rule, key: bytes | int) -> bytes:
    """The key behind the prefix, as long as it was: what is cut off are its first characters."""
    assert isinstance(key, bytes)
    prefix = context.prefix.encode()
    is_long = len(key) > 200
    own = prefix + (key[len(prefix) :] if is_long else key)
    if is_long and key[0] >= 0x80 and len(prefix) % 2:
        own = prefix + b"k" + key[len(prefix) + 1 :]
    if not rule.is_refused:
        context.own([own])
    return own


def _is_about_the_value(cell: Cell) -> bool:
    """Whether what is stored may be refused: a counter's, or another owner's lock."""
    return cell.opcode in (Opcode.INCR, Opcode.DECR, Opcode.UNLOCK, Opcode.EXTEND)


def _register(rule: Rule) -> None:
    def check(context: WireContext) -> None:
        play_rule(context, rule)

    verb = "refused" if rule.is_refused else "accepted"
    check.__name__ = f"{rule.clause.lower().replace('-', '_')}_everywhere"
    check.__doc__ = f"{rule.clause} through every operation, alone and in batches: {verb}."
    wire_case(rule.clause)(check)


for _rule in RULES.values():
    _register(_rule)


@wire_case("ERR-001")
def everything_malformed_is_invalid(context: WireContext) -> None:
    """What the rules refuse, through every operation: INVALID rather than ERROR."""
    for rule in RULES.values():
        if rule.is_refused:
            play_rule(context, rule, is_strict=True)


# --- Batches -------------------------------------------------------------------------------------


@wire_case("BATCH-004")
def counts_that_do_not_match(context: WireContext) -> None:
    """Every batch operation with a count one too high, one too low and far off: refused."""
    _play_counts(context, is_strict=False)


@wire_case("ERR-001")
def counts_that_do_not_match_are_invalid(context: WireContext) -> None:
    """Every batch operation with a count that does not match: INVALID rather than ERROR."""
    _play_counts(context, is_strict=True)


def _play_counts(context: WireContext, *, is_strict: bool) -> None:
    connection, witness = context.connect(), context.key(":00000")
    for cell in cells(Subject.BATCH, there(context)):
        if cell.place:
            continue
        context.own([f"{context.prefix}:{number:05d}".encode() for number in range(cell.keys)])
        context.stored(connection, witness, 7)
        payload = request(cell, context.prefix)[HEADER_BYTES:]
        for count in (cell.keys + 1, cell.keys - 1, 65_535, cell.keys + 256):
            damaged = frame(cell.opcode, struct.pack(">H", count) + payload[2:])
            reply = connection.exchange(damaged)
            if not reply.is_refusal or (is_strict and reply.status != Status.INVALID):
                wanted = "INVALID" if is_strict else "a refusal"
                raise CaseFailed(f"{wanted} for {cell} that counts {count}", str(reply))
            context.expect_value(connection, witness, 7)


MODEL_SIZES = (0, 1, 2, 3, 127, 128, 255, 256, 257, 1000, 4097)
"""Sizes of batches around those where a count or a length needs one bit or byte more."""


@wire_case("BATCH-002")
def batches_of_every_size(context: WireContext) -> None:
    """Each batch operation with keys that are there, absent or repeated: what a model says."""
    connection = context.connect()
    for size in MODEL_SIZES:
        names = [f":{size}:{number}" for number in range(size)]
        stored = tuple(names[::2])
        state: State = {}
        steps = [Action("set", (name,), (place,)) for place, name in enumerate(stored[:300])]
        asked = (*names, *names[: size // 3])
        values: tuple[Value, ...] = tuple(range(len(asked)))
        ttls_ms = tuple([(0, LONG_TTL_MS)[place % 2] for place in range(len(asked))])
        batches = [
            Action("mget", asked), Action("mexists", asked), Action("mdel", asked),
            Action("mset", asked, values), Action("mget", asked), Action("mexists", asked),
            Action("mdel", asked[1:]), Action("msetex", asked, values, ttls_ms=ttls_ms),
            Action("mget", asked), Action("mdel", asked), Action("mget", asked),
        ]  # fmt: skip
        steps += [action for action in batches if action.name in context.capabilities]
        expect_model(context, connection, steps, state)


def expect_model(
    context: WireContext, connection: WireConnection, steps: Sequence[Action], state: State
) -> State:
    """Send actions one by one; fail unless each answer is the model's. The state afterwards."""
    context.own([f"{context.prefix}{key}".encode() for step in steps for key in step.keys])
    for action in steps:
        transition = apply(state, action)
        found = decode(action, connection.exchange(encode(action, context.prefix)))
        if not same_result(transition.result, found):
            wanted = f"{shown(transition.result):.200} to {action}"
            raise CaseFailed(wanted, f"{shown(found):.200}")
        state = transition.state
    return state


# --- Which key -----------------------------------------------------------------------------------

ALIKE_KEYS = (
    "k", "K", "k ", " k", "k\0", "kk", "k\n", "k\u200b", "k\ufeff", "\u212a", "ｋ", "k/", "k:",
    "é", "e\u0301", "ß", "ss", "ﬁ", "fi", "İ", "i̇", "1", "01", "1.0", "true", "null", "*", "?",
    "%6b", "\\x6b", "x" * 200, "x" * 199 + "y", "y" + "x" * 199, "x" * 100 + "y" + "x" * 99,
)  # fmt: skip
"""Alike but for case, white space, form, a prefix, a suffix or their length."""


@wire_case("KEY-006")
def keys_that_look_alike_in_every_operation(context: WireContext) -> None:
    """Each operation on every second of many keys that look alike: the others are as before."""
    connection = context.connect()
    for name in sorted(there(context)):
        prefix = f"{name}:"
        keys = tuple([prefix + key for key in ALIKE_KEYS])
        state = expect_model(
            context,
            connection,
            [Action("set", (key,), (place,)) for place, key in enumerate(keys)],
            {},
        )
        state = expect_model(context, connection, _touching(name, keys[::2]), state)
        reads = [Action("get", (key,)) for key in keys]
        reads += [Action("mget", keys)] if "mget" in context.capabilities else []
        expect_model(context, connection, reads, state)


def _touching(name: str, keys: tuple[str, ...]) -> list[Action]:
    """The operation on each of the keys, or on all at once."""
    opcode = Opcode[name.upper()]
    many: tuple[Value, ...] = tuple(range(1000, 1000 + len(keys)))
    match opcode.request:
        case RequestLayout.KEYS:
            return [Action(name, keys)]
        case RequestLayout.PAIRS:
            return [Action(name, keys, many)]
        case RequestLayout.ENTRIES:
            return [Action(name, keys, many, ttls_ms=(0,) * len(keys))]
        case RequestLayout.KEY_DELTA:
            return [Action(name, (key,), (5,)) for key in keys]
        case RequestLayout.KEY_TTL_VALUES:
            # The values are the places: every second key, so twice its place here.
            return [Action(name, (key,), (2 * at, -at)) for at, key in enumerate(keys)]
        case RequestLayout.KEY_TTL_VALUE:
            return [Action(name, (key,), (-1,)) for key in keys]
        case RequestLayout.KEY_OWNER | RequestLayout.KEY_OWNER_TTL:
            ttl_ms = LONG_TTL_MS if opcode.request is RequestLayout.KEY_OWNER_TTL else 0
            return [Action(name, (key,), ("owner",), ttl_ms) for key in keys]
        case _:
            return [Action(name, (key,)) for key in keys]


# --- TTLs ----------------------------------------------------------------------------------------

_PREPARED: Mapping[Opcode, Callable[[bytes], bytes]] = {
    Opcode.CAS: lambda key: _set(key, ONE, 0),
    Opcode.EXPIRE: lambda key: _set(key, ONE, 0),
    Opcode.EXTEND: lambda key: _set(key, _bytes_of(4, b"owner", 4), 0),
}
"""What must be there for an operation to give a key its TTL."""


def _set(key: bytes, value: bytes, ttl_ms: int) -> bytes:
    payload = struct.pack(">H", len(key)) + key + struct.pack(">Q", ttl_ms) + value
    return frame(Opcode.SET, payload)


def _given(context: WireContext, connection: WireConnection, ttl_ms: int) -> list[tuple[Cell, str]]:
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
    given = _given(context, connection, SHORT_TTL_MS)
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
        for cell, key in _given(context, connection, ttl_ms):
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
        connection.request(cell.opcode, payload).expect_refusal()
        context.expect_value(connection, key, 1)
        if "ttl" in context.capabilities:
            reply = connection.request(Opcode.TTL, key.encode()).expect(Status.OK)
            left_ms = int.from_bytes(reply.payload, "big", signed=True)
            if left_ms <= LONG_TTL_MS:
                raise CaseFailed(f"the TTL as it was before {cell}", f"{left_ms} ms")
