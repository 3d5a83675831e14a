"""Reads the payloads of OK responses, where the codec does not do it all.

A reply that can be large is also read in steps, by a generator that yields between them. Other
replies are bounded here or by the codec: reading one takes at most a millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Final, TypeAlias, TypeVar

from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol import requests, responses
from kvbench.protocol.values import ValuesDecoder

T = TypeVar("T")

Steps: TypeAlias = Generator[None, None, T]
"""Yields between steps, and returns the result."""

VALUES_PER_STEP: Final = 1024
"""Small values decoded per step: some tenths of a millisecond compiled, up to four milliseconds in
pure Python."""

FACTS_BYTES_MAX: Final = 65_536
"""Limit for INFO and HELLO, which are read in one step; real answers have some hundred bytes."""


def value_steps(payload: bytes) -> Steps[Value]:
    """As decode_value."""
    decoder = ValuesDecoder(payload)
    while not decoder.advance(VALUES_PER_STEP):
        yield
    return responses.decoded_values(payload, decoder)[0]


def values_steps(payload: bytes, count: int) -> Steps[list[Value]]:
    """As parse_values."""
    decoder = responses.values_decoder(payload, count)
    while not decoder.advance(VALUES_PER_STEP):
        yield
    return responses.decoded_values(payload, decoder)


def parse_pong(payload: bytes) -> bool:
    """PING."""
    if payload != b"PONG":
        raise ProtocolError(f"expected PONG, got {payload[:16]!r}")
    return True


def parse_info(payload: bytes) -> dict[str, object]:
    """INFO: the members of a JSON object."""
    _check_facts("INFO", payload)
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"INFO is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ProtocolError("INFO is not a JSON object")
    return fields


def parse_hello(payload: bytes) -> tuple[int, list[str]]:
    """HELLO: version and capabilities."""
    _check_facts("HELLO", payload)
    return requests.parse_hello(payload)


def parse_ttl(payload: bytes) -> float:
    """TTL: seconds, -1.0 without one."""
    left_ms = responses.parse_i64(payload)
    return left_ms / 1000 if left_ms >= 0 else -1.0


def _check_facts(name: str, payload: bytes) -> None:
    if len(payload) > FACTS_BYTES_MAX:
        raise ProtocolError(f"{name} has {len(payload)} bytes, more than {FACTS_BYTES_MAX}")
