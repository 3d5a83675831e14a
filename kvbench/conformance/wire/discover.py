"""What a server can do: found out by asking.

First an unassigned opcode (3F): a server that accepts that would accept anything, and what is
found then is reported as unreliable. Then HELLO, whose answer counts whatever else is seen: what is
announced is checked. Then each operation outside the core, on isolated keys, with requests that no
server has a reason to refuse; one that is granted shows that the operation is there.

``atomic-batch`` cannot be seen from outside, only announced or declared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal

from kvbench.conformance.findings import CaseFailed, SetupFailed, TargetLost
from kvbench.conformance.wire.codec import HELLO_FRAME, decode_hello, encode
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.grounds import NET_TTL_MS
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.trace import WireReply
from kvbench.errors import ProtocolError
from kvbench.model import Capability, Value
from kvbench.protocol.opcodes import Effect, Opcode, RequestLayout, Status

_CORE = {Opcode.GET, Opcode.SET, Opcode.DEL, Opcode.EXISTS, Opcode.PING, Opcode.INFO}

OPTIONAL_TYPES: Mapping[str, Value] = {
    "type-null": None,
    "type-float": 0.5,
    "type-decimal": Decimal("1.5"),
    "type-bytes": b"bytes",
    "type-list": [1],
    "type-map": {"k": 1},
    "type-bool": True,
}
"""The types that a case needs only where it is about them, each with a value.

A server must have all nine (VALUE-001). A missing type is reported once: every other clause
that cannot be seen without that type is unsupported.
"""

VOCABULARY = (
    frozenset(opcode.word for opcode in set(Opcode) - _CORE)
    | {Capability.ATOMIC_BATCH.value}
    | frozenset(OPTIONAL_TYPES)
)
"""What a server may be able to do (section 1 of the protocol)."""

UNASSIGNED_OPCODE = 0x3F
"""The last one that the family has not given out, and extensions must not use (appendix A)."""

_REPLY_TIMEOUT_S = 1.0
"""A server that neither answers nor closes within this does not have the operation."""

_SILENT_MAX = 4
"""A server that is silent so often is not asked any more: the cases say what is wrong."""

_NO_ANSWER = "no answer"

_FACTS_MAX = 8
_FACT_CHARS_MAX = 80


def discover_wire(host: str, port: int) -> tuple[frozenset[str], dict[str, str]]:
    """Capabilities of a server that is there, and facts about it."""
    facts: dict[str, str] = {}
    refusals: dict[str, str] = {}
    found: set[str] = set()
    doubt, ending, announced = "", "", None
    context = WireContext(
        host, port, capabilities=frozenset(), seed="", reply_timeout_s=_REPLY_TIMEOUT_S
    )
    try:
        with context:
            facts = _tell_itself(context)
            doubt = _doubt(context)
            announced = _announced(context)
            for name, frames in _probes(context).items():
                if not _refusals_of(context, name, frames, refusals):
                    found.add(name)
    except TargetLost as error:
        ending = error.actual
        # Of what was not answered nothing is known: its cases tell.
        found |= {name for name in refusals if refusals[name] == _NO_ANSWER}
    if announced is not None:
        found |= (VOCABULARY - OPTIONAL_TYPES.keys()) & {*announced, "hello"}
    facts["wire capabilities"] = (
        "found by asking for each" if announced is None else "announced by HELLO or found by asking"
    )
    if ending:
        facts["wire capabilities"] += f"; {ending}"
    if context.silent_count >= _SILENT_MAX:
        facts["wire capabilities"] += f"; no more was asked after {_SILENT_MAX} times no answer"
    if doubt:
        facts["wire capabilities"] += f"; unreliable: {doubt}"
    missing = [f"{name} ({refusals[name]})" for name in refusals if name not in found]
    if missing:
        facts["not found"] = ", ".join(missing)
    return frozenset(found), facts


def net_ttl_ms(host: str, port: int, reply_timeout_s: float = _REPLY_TIMEOUT_S) -> int:
    """NET_TTL_MS where a key that is stored with it is there; 0 where TTLs do not work."""
    with WireContext(
        host, port, capabilities=frozenset(), seed="", reply_timeout_s=reply_timeout_s
    ) as context:
        try:
            connection, key = context.connect(), context.key("net")
            context.stored(connection, key, "there", NET_TTL_MS)
            context.expect_value(connection, key, "there")
        except (CaseFailed, SetupFailed):
            return 0
    return NET_TTL_MS


def _tell_itself(context: WireContext) -> dict[str, str]:
    """The texts that INFO has, such as product and version; nothing when it is invalid."""
    reply = _ask(context, frame(Opcode.INFO, b""))
    try:
        members = json.loads(reply.payload) if reply is not None else {}
    except (ValueError, RecursionError):
        return {}
    if not isinstance(members, dict):
        return {}
    texts = [(name, text) for name, text in members.items() if isinstance(text, str) and text]
    return {str(name): text[:_FACT_CHARS_MAX] for name, text in texts[:_FACTS_MAX]}


def _doubt(context: WireContext) -> str:
    """Why granted requests prove nothing of this server; empty when they do."""
    reply = _ask(context, frame(UNASSIGNED_OPCODE, b""))
    if reply is None or reply.is_refusal:
        return ""
    return f"it does not refuse opcode {UNASSIGNED_OPCODE:02X}, which is unassigned (OP-003)"


def _announced(context: WireContext) -> list[str] | None:
    """The names that HELLO announces; None when there is no HELLO, or its answer is no list."""
    reply = _ask(context, HELLO_FRAME)
    if reply is None or reply.status != Status.OK:
        return None
    try:
        return decode_hello(reply.payload)[1]
    except ProtocolError:
        return []  # It has HELLO, and answers it wrongly: its own case reports that.


def _probes(context: WireContext) -> dict[str, list[bytes]]:
    """For each operation outside the core, requests that a server with it has to grant."""
    absent, number, lock = context.key("absent"), context.key("number"), context.key("lock")
    _ask(context, encode(Action("set", (number,), (5,))))
    probes = {
        opcode.word: [encode(action) for action in _asked(opcode, absent, number, lock)]
        for opcode in Opcode
        if not opcode.is_core and opcode.effect is not Effect.NONE
    }
    typed = context.key("typed")
    for name, value in OPTIONAL_TYPES.items():
        probes[name] = [encode(Action("set", (typed,), (value,)))]
    return probes | {"hello": [HELLO_FRAME]}


def _asked(opcode: Opcode, absent: str, number: str, lock: str) -> list[Action]:
    """Two actions of an operation, so that it has to grant one whatever those before have done."""
    name, both, hour_ms = opcode.word, (absent, number), 3_600_000
    match opcode.request:
        case RequestLayout.KEY_OWNER | RequestLayout.KEY_OWNER_TTL:
            keys = (absent, lock) if opcode is Opcode.UNLOCK else (lock, absent)
            ttl_ms = 0 if opcode.request is RequestLayout.KEY_OWNER else hour_ms
            return [Action(name, (key,), ("kvbench",), ttl_ms) for key in keys]
        case RequestLayout.KEY_DELTA | RequestLayout.KEY_TTL_VALUE:
            return [Action(name, (key,), (1,)) for key in both]
        case RequestLayout.KEY_TTL_VALUES:
            return [Action(name, (key,), (5, 5)) for key in both]
        case RequestLayout.KEY_TTL:
            return [Action(name, (key,), (), hour_ms) for key in both]
        case RequestLayout.PAIRS:
            return [Action(name, (number,), (5,), ttl_ms) for ttl_ms in (0, hour_ms)]
        case RequestLayout.ENTRIES:
            return [Action(name, (number,), (5,), ttls_ms=(ttl_ms,)) for ttl_ms in (0, hour_ms)]
        case _:
            return [Action(name, (key,)) for key in both]


def _refusals_of(
    context: WireContext, name: str, frames: list[bytes], refusals: dict[str, str]
) -> bool:
    """Whether all of an operation's requests are refused; the last refusal is noted."""
    for request in frames:
        reply = _ask(context, request)
        if reply is not None and not reply.is_refusal:
            return False
        text = "" if reply is None else reply.payload[:60].decode("utf-8", "replace")
        refusals[name] = _NO_ANSWER if reply is None else text or "refused"
    return True


def _ask(context: WireContext, request: bytes) -> WireReply | None:
    """The reply, None when none came. Each question has its own connection."""
    if context.silent_count >= _SILENT_MAX:
        return None
    try:
        with closing(context.connect()) as connection:
            return connection.exchange(request)
    except (CaseFailed, SetupFailed):
        return None
