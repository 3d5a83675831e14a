"""Responses to rejected requests: this module alone turns errors into responses.

A ProtocolError becomes INVALID. A :class:`RefusedRequest` and a MemoryError become ERROR; the
engine has then changed nothing. Any other exception becomes an ERROR and a log entry.
"""

from __future__ import annotations

import logging

from kvbench.errors import ProtocolError
from kvbench.protocol import responses
from kvbench.protocol.opcodes import Effect, Opcode, Status
from kvbench.server.reserve import reserve

STORING = frozenset(opcode for opcode in Opcode if opcode.effect is Effect.STORES)
"""Requests that may allocate memory permanently. Others run without the memory reserve."""

OUT_OF_MEMORY = responses.message_response(
    Status.ERROR, "out of memory: nothing was changed; delete keys, or try later"
)
"""Prebuilt: there may be no memory to build it when it is needed."""

_log = logging.getLogger("kvbench.server")


class RefusedRequest(Exception):  # noqa: N818 - a response, not a failure; private to the server.
    """A well-formed request that is rejected. Its text is the ERROR's message."""


def refusal(opcode: int, error: Exception) -> bytes:
    """The response to a request that raised ``error``, the current exception. Never raises."""
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
