"""Whether the frames of a target can be read at all. The first cases: all others stand on them."""

from __future__ import annotations

from kvbench.conformance.findings import CaseFailed, SetupFailed
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.presence import Misframed, why_misframed
from kvbench.conformance.wire.suite import wire_case
from kvbench.protocol.opcodes import Opcode


@wire_case("FRAME-001", after=())
def lengths_are_big_endian(context: WireContext) -> None:
    """The lengths of a PING's answer and of a GET are big-endian."""
    problem = _problem(context)
    if problem is not None and problem.is_byte_order:
        raise CaseFailed("lengths as big-endian integers", problem.reason)


@wire_case("FRAME-003", after=())
def an_answer_is_a_frame(context: WireContext) -> None:
    """PING and GET are answered with a status, a length, and so many bytes."""
    problem = _problem(context)
    if problem is not None and not problem.is_byte_order:
        raise CaseFailed("a status, a length, and so many bytes", problem.reason)


def _problem(context: WireContext) -> Misframed | None:
    """What is wrong with the frames. Of silence other cases judge."""
    connection = context.connect()
    try:
        connection.request(Opcode.PING)
        connection.request(Opcode.GET, context.key().encode())
    except CaseFailed as error:
        if {"CONN-001", "CONN-002"} & {*error.clauses}:
            raise SetupFailed(str(error)) from None  # Frames too many can be read.
        return why_misframed((context.host, context.port), context.reply_timeout_s)
    return None
