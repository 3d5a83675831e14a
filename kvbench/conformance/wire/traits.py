"""What a wire failure may share with others that have the same cause: read from its conversation.

The request that matters is the one whose answer reads as the failure says; without such an answer,
the last one that got none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.describe import types_of_request
from kvbench.conformance.wire.frames import take_frames
from kvbench.conformance.wire.trace import TraceEvent, WireReply
from kvbench.protocol.opcodes import Opcode
from kvbench.verdicts import Traits

_MESSAGE_CHARS_MAX = 200


@dataclass(slots=True)
class _Exchange:
    """A request, and its answer as far as one has come."""

    code: int
    payload: bytes
    reply: WireReply | None = None


@dataclass(slots=True)
class _Streams:
    """What is on its way on one connection."""

    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    unanswered: list[_Exchange] = field(default_factory=list)


def traits_of(events: Sequence[TraceEvent], error: CaseFailed) -> Traits:
    """The traits of a failure whose conversation this is."""
    found = list(_paired(events))
    judged = [
        one for one in found if one.reply is not None and error.actual.startswith(str(one.reply))
    ]
    unanswered = [one for one in found if one.reply is None]
    if not judged and not unanswered:
        return Traits()
    exchange = (judged or unanswered)[-1]
    is_known = exchange.code in list(Opcode)
    types = types_of_request(Opcode(exchange.code), exchange.payload) if is_known else set()
    return Traits(
        operation=Opcode(exchange.code).name if is_known else f"opcode 0x{exchange.code:02x}",
        refusal=_message(exchange.reply),
        ending="" if judged else _ending(events),
        types=tuple(sorted(types)),
    )


def _paired(events: Sequence[TraceEvent]) -> Iterator[_Exchange]:
    """Every whole request in its order, with its answer."""
    streams: dict[str, _Streams] = {}
    exchanges: list[_Exchange] = []
    for event in events:
        one = streams.setdefault(event.connection, _Streams())
        if event.direction == ">":
            one.sent += event.data
            fresh = [_Exchange(*parts) for parts in take_frames(one.sent)]
            one.unanswered += fresh
            exchanges += fresh
        elif event.direction == "<":
            one.received += event.data
            for parts in take_frames(one.received):
                if one.unanswered:
                    one.unanswered.pop(0).reply = WireReply(*parts)
    return iter(exchanges)


def _message(reply: WireReply | None) -> str:
    if reply is None or not reply.is_refusal:
        return ""
    return reply.payload[: 4 * _MESSAGE_CHARS_MAX].decode("utf-8", "replace")[:_MESSAGE_CHARS_MAX]


def _ending(events: Sequence[TraceEvent]) -> str:
    is_closed = any(event.note.startswith("closed by the target") for event in events)
    return "closed" if is_closed else "silent"
