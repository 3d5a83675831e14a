"""What a conversation stands on: the clauses without which it is evidence of nothing else.

A case is a conversation of many requests. When one of its operations does not do at all what it is
for, or the server does not take several requests at once, the conversation goes wrong whatever it
was about. So a failure counts only where these clauses are kept. They are read from the
conversation itself, so no case has to list them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from kvbench.conformance.wire.frames import declared_bytes, take_frames
from kvbench.conformance.wire.trace import TraceEvent
from kvbench.protocol.opcodes import Opcode, RequestLayout, Status

MEANS: Mapping[str, tuple[str, ...]] = {
    "del": ("DEL-001",),
    "exists": ("EXISTS-001",),
    "incr": ("INCR-001", "INCR-002"),
    "decr": ("DECR-001",),
    "cas": ("CAS-001", "CAS-002"),
    "setnx": ("SETNX-001",),
    "lock": ("LOCK-001",),
    "mget": ("MGET-001",),
    "mset": ("MSET-001",),
    "mdel": ("MDEL-001",),
    "mexists": ("MEXISTS-001",),
    "msetex": ("MSETEX-001",),
    "getdel": ("GETDEL-001",),
    "hello": ("HELLO-001",),
    "ttl": ("TTLOP-001", "TTLOP-002"),
    "expire": ("EXPIRE-001",),
}
"""What an operation does at all: a case that is about a finer point of it stands on that."""

PLAIN: Mapping[str, tuple[str, ...]] = {
    **MEANS,
    "get": ("GET-001", "GET-002", "GET-004"),
    "set": ("SET-001",),
    "set ttl": ("TTL-001", "TTL-004"),
    "setnx ttl": ("SETNX-001",),
    "cas ttl": ("CAS-010",),
    "mset ttl": ("MSET-002",),
    "msetex ttl": ("MSETEX-001",),
    "del": ("DEL-001", "DEL-002"),
    "ping": ("PING-001",),
    "info": ("INFO-001", "INFO-002"),
    "incr": ("INCR-001", "INCR-002", "INCR-003"),
    "decr": ("DECR-001", "DECR-002"),
    "cas": ("CAS-001", "CAS-002", "CAS-003", "CAS-004"),
    "setnx": ("SETNX-001", "SETNX-002"),
    "lock": ("LOCK-001", "LOCK-002"),
    "unlock": ("UNLOCK-001", "UNLOCK-002"),
    "extend": ("EXTEND-001", "EXTEND-002"),
    "mget": ("MGET-001", "MGET-002", "MGET-003", "MGET-004"),
    "exists": ("EXISTS-001", "EXISTS-003"),
    "mset": ("MSET-001", "MSET-003"),
    "mdel": ("MDEL-001", "MDEL-002", "MDEL-003"),
    "mexists": ("MEXISTS-001", "MEXISTS-002", "MEXISTS-003"),
    "msetex": ("MSETEX-001", "MSETEX-002"),
    "getdel": ("GETDEL-001", "GETDEL-002"),
    "expire": ("EXPIRE-001", "EXPIRE-002"),
    "ttl": ("TTLOP-001", "TTLOP-002", "TTLOP-003"),
}
"""What a conversation takes for granted of each operation that it uses, and of a TTL in it."""

NET_TTL_MS = 3_600_000
"""How long a key is there at most that a killed run has left; no case is about this TTL."""

AT_ONCE = ("PIPE-001", "PIPE-002", "PIPE-003")
"""What a conversation stands on that sends several requests at once."""

LARGE_BYTES = 1 << 20
"""A payload that a server with a lower limit than it should have refuses (LIMIT-003)."""

LARGE = ("LIMIT-002",)
"""What a conversation stands on that sends such a payload."""

AFTER_A_REFUSAL = ("CONN-003",)
"""What a conversation stands on in which the target closes a connection after a refusal."""

BESIDE_HALF_A_REQUEST = ("CONN-007",)
"""What a conversation stands on in which a client asks while another has sent half a request."""

EVERY_GROUND = frozenset([*AT_ONCE, *LARGE, *AFTER_A_REFUSAL, *BESIDE_HALF_A_REQUEST]).union(
    *PLAIN.values()
)
"""All clauses that a conversation can stand on."""


def grounds_of(events: Sequence[TraceEvent]) -> tuple[str, ...]:
    """The clauses that a conversation stands on, of each operation in the order of its requests."""
    sent: dict[str, bytearray] = {}
    received: dict[str, bytearray] = {}
    due: dict[str, int] = {}
    words: dict[str, None] = {}
    refused: set[str] = set()
    is_at_once = is_large = is_cut_off = is_beside = False
    for event in events:
        name = event.connection
        if event.direction == ">":
            stream = sent.setdefault(name, bytearray())
            is_beside |= any(half for other, half in sent.items() if other != name)
            stream += event.data
            is_large |= declared_bytes(stream) > LARGE_BYTES
            frames = take_frames(stream)
            is_large |= any(len(payload) > LARGE_BYTES for _, payload in frames)
            words |= dict.fromkeys([word for one in frames for word in _words(*one)])
            due[name] = due.get(name, 0) + len(frames)
            is_at_once |= due[name] > 1
        elif event.direction == "<":
            stream = received.setdefault(name, bytearray())
            stream += event.data
            frames = take_frames(stream)
            due[name] = due.get(name, 0) - len(frames)
            if any(status in (Status.ERROR, Status.INVALID) for status, _ in frames):
                refused.add(name)
        else:
            is_cut_off |= name in refused and event.is_end
    grounds = [clause for word in words for clause in PLAIN.get(word, ())]
    grounds += AT_ONCE if is_at_once else ()
    grounds += LARGE if is_large else ()
    grounds += AFTER_A_REFUSAL if is_cut_off else ()
    grounds += BESIDE_HALF_A_REQUEST if is_beside else ()
    return tuple(grounds)


def _words(code: int, payload: bytes) -> Iterator[str]:
    """What PLAIN has a request under: its operation, and the TTL that it gives."""
    if code in list(Opcode):
        opcode = Opcode(code)
        yield opcode.word
        at = _ttl_place(opcode.request, payload)
        if at is not None and int.from_bytes(payload[at : at + 8], "big") not in (0, NET_TTL_MS):
            yield f"{opcode.word} ttl"


def _ttl_place(layout: RequestLayout, payload: bytes) -> int | None:
    """Where a request has its TTL, or the first of several."""
    after_key = 2 + int.from_bytes(payload[:2], "big")
    match layout:
        case RequestLayout.KEY_TTL_VALUE | RequestLayout.KEY_TTL_VALUES:
            return after_key
        case RequestLayout.PAIRS:
            return 2
        case RequestLayout.ENTRIES:
            return 4 + int.from_bytes(payload[2:4], "big")
    return None
