"""Servers for tests of commands: a right one, and two that each break one thing."""

from __future__ import annotations

from kvbench.protocol import requests, responses
from tests.conformance.broken_servers import ThreadedDispatcher as RightServer
from tests.conformance.broken_servers import serving

__all__ = ["NothingStored", "RightServer", "WrongPong", "serving"]


class WrongPong(RightServer):
    """PING answers in lower case."""

    def _ping(self, payload):
        requests.parse_empty(payload)
        return responses.ok_response(b"pong")


class NothingStored(RightServer):
    """SET answers OK and stores nothing."""

    def _set(self, payload):
        return responses.EMPTY_RESPONSE
