"""Each rule about keys, values, TTLs and batches, through every operation that can reach it.

The operations, sizes of batches and places within them come from
:mod:`kvbench.conformance.wire.everywhere`; a rule is a case here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kvbench.conformance.findings import CaseFailed, evidence_of
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
from kvbench.conformance.wire.oracle import CORE, OPERATIONS
from kvbench.conformance.wire.suite import wire_case
from kvbench.conformance.wire.trace import WireReply
from kvbench.protocol.opcodes import TTL_MS_MAX, Opcode, Status

TEN_YEARS_MS = 315_576_000_000
"""Every server accepts so much (TTL-007)."""


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
        own = range(cell.keys)
        context.own([f"{context.prefix}:{number:05d}".encode() for number in own])
        # In a large batch one example of each rule shows that it is looked at.
        specials = rule.special if cell.keys <= 2 else rule.special[: 0 if is_strict else 2]
        try:
            for special in specials:
                if _play(context, connection, rule, cell, special, witness, is_strict=is_strict):
                    played.add(cell)
        except CaseFailed as error:
            # An operation that refuses plain requests as well shows nothing of the rule.
            if error.clauses or _accepts_plain(context, cell, witness):
                with evidence_of(*_accepted_anyway(context, rule, cell)):
                    raise
            connection = context.connect()
    return played


def _accepts_plain(context: WireContext, cell: Cell, witness: str) -> bool:
    """Whether a cell's request without anything special is answered, and not refused."""
    connection = context.connect()
    try:
        context.stored(connection, witness, 7)
        return not connection.exchange(request(cell, context.prefix)).is_refusal
    except CaseFailed:
        return False


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
    _expect_refused(reply, what, is_strict=is_strict)
    with evidence_of("STATUS-006"):
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


def _accepted_anyway(context: WireContext, rule: Rule, cell: Cell) -> tuple[str, ...]:
    """BATCH-004 for a batch that refuses nothing, not even a wrong count: it shows only that."""
    if not rule.is_refused or not cell.is_batch:
        return ()
    payload = request(cell, context.prefix)[HEADER_BYTES:]
    miscounted = frame(cell.opcode, struct.pack(">H", cell.keys + 1) + payload[2:])
    is_refused = context.connect().exchange(miscounted).is_refusal
    return () if is_refused else ("BATCH-004",)


@wire_case("LOCK-005", "LOCK-006", needs=("lock", "unlock", "extend"))
def owners_that_are_none(context: WireContext) -> None:
    """LOCK, UNLOCK and EXTEND with an owner that is empty or not UTF-8: refused."""
    _play_owners(context, is_strict=False)


def _play_owners(context: WireContext, *, is_strict: bool) -> None:
    connection, key = context.connect(), context.key()
    for opcode in (Opcode.LOCK, Opcode.UNLOCK, Opcode.EXTEND):
        for owner in (b"", *_BAD_TEXTS):
            parts = Parts([key.encode()], [ONE], [LONG_TTL_MS], owner)
            reply = connection.exchange(compose(opcode, parts))
            _expect_refused(reply, f"{opcode.name} by the owner {owner!r}", is_strict=is_strict)


def _expect_refused(reply: WireReply, what: str, *, is_strict: bool) -> None:
    if not reply.is_refusal or (is_strict and reply.status != Status.INVALID):
        raise CaseFailed(f"{'INVALID' if is_strict else 'a refusal'} for {what}", str(reply))


@wire_case("ERR-001")
def everything_malformed_is_invalid(context: WireContext) -> None:
    """What the rules refuse, through every operation: INVALID rather than ERROR."""
    for rule in RULES.values():
        if rule.is_refused:
            play_rule(context, rule, is_strict=True)
    if {"lock", "unlock", "extend"} <= context.capabilities:
        _play_owners(context, is_strict=True)
    if "hello" in context.capabilities:
        connection = context.connect()
        for name in _BAD_TEXTS:
            payload = struct.pack(">HHH", 1, 1, len(name)) + name
            reply = connection.request(Opcode.HELLO, payload)
            _expect_refused(reply, f"HELLO with the name {name!r}", is_strict=True)


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
            _expect_refused(reply, f"{cell} that counts {count}", is_strict=is_strict)
            with evidence_of("STATUS-006"):
                context.expect_value(connection, witness, 7)
