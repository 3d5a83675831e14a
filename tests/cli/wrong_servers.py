"""Servers for tests of commands: a right one, and two that each break one thing."""

from __future__ import annotations

from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Tag
from tests.conformance.broken_servers import ThreadedDispatcher as RightServer
from tests.conformance.broken_servers import serving

__all__ = ["NoBools", "NothingStored", "RightServer", "WrongPong", "serving"]


class WrongPong(RightServer):
    """PING answers in lower case."""

    def _ping(self, payload):
        requests.parse_empty(payload)
        return responses.ok_response(b"pong")


class NothingStored(RightServer):
    """SET answers OK and stores nothing."""

    def _set(self, payload):
        return responses.EMPTY_RESPONSE


class NoBools(RightServer):
    """SET refuses a Bool, always with the same words."""

    def _set(self, payload):
        _, _, value = requests.parse_set(payload)
        if value[0] == Tag.BOOL:
            raise ProtocolError("no Bools here")
        return super()._set(payload)
