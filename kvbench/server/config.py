"""Limits of a server, checked once, before anything listens."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kvbench.errors import UsageError
from kvbench.protocol.opcodes import DEFAULT_PORT, PAYLOAD_BYTES_MAX

_MAX_PAYLOAD_LEAST = 1024
"""Space for a key of 256 bytes and a value: with less, hardly any request fits."""

_MAX_PAYLOAD_MOST = 0xFFFF_FFFF
"""The length of a frame is a u32."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where a server listens, and the limits for its clients.

    Attributes:
        host: name or address; loopback by default.
        port: TCP port; 0 takes a free one.
        max_connections: simultaneous clients; more are rejected with an ERROR.
        max_payload_bytes: largest payload of a request. A reply may hold as much, and at least
            64 MiB, which is what every client accepts.
        protected_mode: whether to refuse every address but loopback ones.
        idle_timeout_s: a client that neither sends nor receives for this long is disconnected, at
            most a quarter of the time late; 0 disables this.
        frame_timeout_s: a client that does not finish a request within this time, plus a second
            for each 64 KiB received, is disconnected; 0 disables this.
        write_buffer_bytes: when this much output waits for one client, the server stops reading
            and answering its requests until the client has read the output.
        drain_timeout_s: how long a graceful shutdown waits for clients to read their replies.

    Raises:
        UsageError: a limit is invalid; the message names the valid range.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    max_connections: int = 1000
    max_payload_bytes: int = PAYLOAD_BYTES_MAX
    protected_mode: bool = True
    idle_timeout_s: float = 300.0
    frame_timeout_s: float = 60.0
    write_buffer_bytes: int = 256 * 1024
    drain_timeout_s: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"a port is 0 to 65535, not {self.port}; 0 takes a free one")
        if self.max_connections < 1:
            raise UsageError(f"max-connections is at least 1, not {self.max_connections}")
        if not _MAX_PAYLOAD_LEAST <= self.max_payload_bytes <= _MAX_PAYLOAD_MOST:
            raise UsageError(
                f"max-payload is 1 KiB to 4 GiB less a byte ({_MAX_PAYLOAD_LEAST} to "
                f"{_MAX_PAYLOAD_MOST}), not {self.max_payload_bytes}"
            )
        timeouts = {"idle-timeout": self.idle_timeout_s, "frame-timeout": self.frame_timeout_s}
        for name, seconds in timeouts.items():
            if not (math.isfinite(seconds) and seconds >= 0):
                raise UsageError(f"{name} is a number of seconds, 0 for none, not {seconds}")
        if self.write_buffer_bytes < 1 or self.drain_timeout_s < 0:
            raise UsageError("a write buffer has at least 1 byte, and a drain at least 0 s")
