"""What a request gets that is not granted: one place turns errors into responses.

A ProtocolError is INVALID, a :class:`RefusedRequest` an ERROR, and so is the end of memory: the
engine has then changed nothing. Anything unforeseen is an ERROR and a log entry.
"""

from __future__ import annotations

import logging

from kvbench.errors import ProtocolError
from kvbench.protocol import responses
from kvbench.protocol.opcodes import Effect, Opcode, Status
from kvbench.server.reserve import reserve

STORING = frozenset(opcode for opcode in Opcode if opcode.effect is Effect.STORES)
"""What may need memory for good. Reading, deleting and TTLs go on without the reserve."""

OUT_OF_MEMORY = responses.message_response(
    Status.ERROR, "out of memory: nothing was changed; delete keys, or try later"
)
"""Made in advance: there may be no memory to make it when it is needed."""

_log = logging.getLogger("kvbench.server")


class RefusedRequest(Exception):  # noqa: N818 - not a failure: an answer, and private to the server.
    """A well-formed request that cannot be granted. Its text is the ERROR's message."""


def refusal(opcode: int, error: Exception) -> bytes:
    """The response to a request that ended with ``error``, the current one. Never raises."""
    try:
        return _response(opcode, error)
    except MemoryError:
        reserve.spend()
        return OUT_OF_MEMORY


def _response(opcode: int, error: Exception) -> bytes:
    if isinstance(error, ProtocolError):
        return responses.message_response(Status.INVALID, str(error))
    if isinstance(error, RefusedRequest):
        return responses.message_response(Status.ERROR, str(error))
    if isinstance(error, MemoryError):
        if not reserve.is_spent:
            reserve.spend()
            _log.error("out of memory")
        return OUT_OF_MEMORY
    name = Opcode(opcode).name
    _log.exception("%s failed", name, extra={"facts": {"opcode": name}})
    return responses.message_response(
        Status.ERROR, f"internal error in {name}; the server's log has the details"
    )
