"""Counters for INFO. Counting is one addition; names are looked up only by INFO.

Only the event loop's thread counts and reads, so there is no lock.
"""

from __future__ import annotations

from kvbench import __version__
from kvbench.clock import NS_PER_S, Clock, SystemClock
from kvbench.protocol import CODEC
from kvbench.protocol.opcodes import PROTOCOL_VERSION, Opcode
from kvbench.server.logs import lines_dropped

_OPCODES = 256
_BATCH_SIZE_BITS = 17
"""A batch counts up to 65,535 keys: 0 to 16 bits."""

InfoValue = int | float | str | dict[str, int]
"""How INFO formats each name."""


class Stats:
    """Counters of one server.

    Args:
        clock: measures the uptime.
        event_loop: ``uvloop`` or ``asyncio``.

    Attributes:
        requests: number of requests, by opcode.
        batches: number of batch requests, by the number of bits in their count of keys.
        connections_now: connected clients.
        connections_total: clients accepted since the start.
        connections_refused: clients rejected because the limit was reached.
        bytes_in: bytes read from clients.
        bytes_out: bytes of replies written to the transport.
    """

    __slots__ = (
        "_clock",
        "_started_ns",
        "batches",
        "bytes_in",
        "bytes_out",
        "connections_now",
        "connections_refused",
        "connections_total",
        "event_loop",
        "requests",
    )

    def __init__(self, clock: Clock | None = None, event_loop: str = "") -> None:
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._started_ns = self._clock.now_ns()
        self.event_loop = event_loop
        self.requests = [0] * _OPCODES
        self.batches = [0] * _BATCH_SIZE_BITS
        self.connections_now = 0
        self.connections_total = 0
        self.connections_refused = 0
        self.bytes_in = 0
        self.bytes_out = 0

    def info(self, entries: int) -> dict[str, InfoValue]:
        """INFO's fields. Unknown opcodes are counted together, under ``unknown``.

        ``batch_sizes`` counts batches by power of two: ``"64"`` is 64 to 127 keys.
        """
        commands = {op.word: self.requests[op] for op in Opcode if self.requests[op]}
        unknown = sum(self.requests) - sum(commands.values())
        if unknown:
            commands["unknown"] = unknown
        return {
            "entries": entries,
            "version": __version__,
            "protocol_version": PROTOCOL_VERSION,
            "codec": CODEC,
            "event_loop": self.event_loop,
            "uptime_s": round((self._clock.now_ns() - self._started_ns) / NS_PER_S, 3),
            "connections_now": self.connections_now,
            "connections_total": self.connections_total,
            "connections_refused": self.connections_refused,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "log_lines_dropped": lines_dropped(),
            "commands": commands,
            "batch_sizes": {
                str(1 << bits >> 1): count for bits, count in enumerate(self.batches) if count
            },
        }
