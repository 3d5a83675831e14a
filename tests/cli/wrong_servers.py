"""Servers for tests of commands: those of tests/conformance, which is no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from kvbench.protocol import requests, responses

_PATH = Path(__file__).parents[1] / "conformance" / "broken_servers.py"
_SPEC = importlib.util.spec_from_file_location("broken_servers_for_commands", _PATH)
_MODULE = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)

RightServer = _MODULE.ThreadedDispatcher
serving = _MODULE.serving


class WrongPong(RightServer):
    """PING answers in lower case."""

    def _ping(self, payload):
        requests.parse_empty(payload)
        return responses.ok_response(b"pong")


class NothingStored(RightServer):
    """SET answers OK and stores nothing."""

    def _set(self, payload):
        return responses.EMPTY_RESPONSE
