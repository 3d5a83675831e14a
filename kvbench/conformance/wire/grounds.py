"""What a conversation stands on: the clauses without which it is evidence of nothing else.

A case is a conversation of many requests. When one of its operations does not do at all what it is
for, or the server does not take several requests at once, the conversation goes wrong whatever it
was about. So a failure counts only where these clauses are kept. They are read from the
conversation itself, so no case has to list them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kvbench.conformance.wire.frames import declared_bytes, take_frames
from kvbench.conformance.wire.trace import TraceEvent
from kvbench.protocol.opcodes import Opcode

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
    "get": ("GET-001", "GET-002"),
    "set": ("SET-001",),
    "del": ("DEL-001", "DEL-002"),
    "ping": ("PING-001",),
    "info": ("INFO-001", "INFO-002"),
    "incr": ("INCR-001", "INCR-002", "INCR-003"),
    "decr": ("DECR-001", "DECR-002"),
    "cas": ("CAS-001", "CAS-002", "CAS-003"),
    "setnx": ("SETNX-001", "SETNX-002"),
    "lock": ("LOCK-001", "LOCK-002"),
    "unlock": ("UNLOCK-001", "UNLOCK-002"),
    "extend": ("EXTEND-001", "EXTEND-002"),
    "mget": ("MGET-001", "MGET-002", "MGET-003"),
    "mset": ("MSET-001", "MSET-003"),
    "mdel": ("MDEL-001", "MDEL-002", "MDEL-003"),
    "mexists": ("MEXISTS-001", "MEXISTS-002", "MEXISTS-003"),
    "msetex": ("MSETEX-001", "MSETEX-002"),
    "getdel": ("GETDEL-001", "GETDEL-002"),
    "expire": ("EXPIRE-001", "EXPIRE-002"),
    "ttl": ("TTLOP-001", "TTLOP-002", "TTLOP-003"),
}
"""What a conversation takes for granted of each operation that it uses; not what TTLs do to it."""

AT_ONCE = ("PIPE-001", "PIPE-002", "PIPE-003")
"""What a conversation stands on that sends several requests at once."""

LARGE_BYTES = 1 << 20
"""A payload that a server with a lower limit than it should have refuses (LIMIT-003)."""

LARGE = ("LIMIT-002",)
"""What a conversation stands on that sends such a payload."""

EVERY_GROUND = frozenset([*AT_ONCE, *LARGE]).union(*PLAIN.values())
"""All clauses that a conversation can stand on."""


def grounds_of(events: Sequence[TraceEvent]) -> tuple[str, ...]:
    """The clauses that a conversation stands on, of each operation in the order of its requests."""
    sent: dict[str, bytearray] = {}
    received: dict[str, bytearray] = {}
    due: dict[str, int] = {}
    codes: dict[int, None] = {}
    is_at_once = is_large = False
    for event in events:
        name = event.connection
        if event.direction == ">":
            stream = sent.setdefault(name, bytearray())
            stream += event.data
            is_large |= declared_bytes(stream) > LARGE_BYTES
            frames = take_frames(stream)
            is_large |= any(len(payload) > LARGE_BYTES for _, payload in frames)
            codes |= dict.fromkeys([code for code, _ in frames])
            due[name] = due.get(name, 0) + len(frames)
            is_at_once |= due[name] > 1
        elif event.direction == "<":
            stream = received.setdefault(name, bytearray())
            stream += event.data
            due[name] = due.get(name, 0) - len(take_frames(stream))
    extra = [*(AT_ONCE if is_at_once else ()), *(LARGE if is_large else ())]
    return (*_means(codes), *extra)


def _means(codes: Iterable[int]) -> list[str]:
    words = [Opcode(code).word for code in codes if code in list(Opcode)]
    return [clause for word in words for clause in PLAIN.get(word, ())]
