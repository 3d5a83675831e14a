"""What is looked at before everything else: whether a response is the answer to what was asked."""

from __future__ import annotations

from kvbench.conformance.findings import NoReply
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.suite import wire_case
from kvbench.protocol.opcodes import Opcode

SILENCE_S = 0.2
"""What has not come after so long was not going to come by itself."""

_PING = frame(Opcode.PING, b"")


@wire_case("CONN-001", after=())
def silence_before_a_request(context: WireContext) -> None:
    """A new connection is silent, also after half a request, and after a response."""
    connection = context.connect()
    connection.expect_silence(SILENCE_S)
    connection.send(_PING[:3])
    connection.expect_silence(SILENCE_S)
    connection.send(_PING[3:])
    try:
        connection.read()
    except NoReply:
        return  # What is not answered has clauses of its own.
    connection.expect_silence(SILENCE_S)
