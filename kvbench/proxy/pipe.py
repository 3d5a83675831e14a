"""One direction of a connection: data is held for the delay, then forwarded, in order.

Data is delayed, not serialised: each chunk is due at its arrival plus the delay. So any amount may
be in flight, and a delay costs no throughput until the pipe is full. Then its source is not read
until half of the data has left: the sender sees back-pressure, as with a slow network. The same
happens when the receiver does not read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from enum import Enum

from kvbench.proxy.alarms import Alarms

HELD_BYTES_MAX = 8 << 20
"""How much a pipe holds before it stops reading: 80 MB/s at 0.1 s delay per direction."""

_CHUNK_COST_BYTES = 128
"""Overhead of a chunk, so that a million small ones are bounded as well."""

_SEGMENT_BYTES = 1460
"""With a bandwidth limit, data leaves in pieces of a millisecond, but not smaller than this: the
payload of an Ethernet frame."""


class End(Enum):
    """How a direction ends, after all earlier data was forwarded."""

    HALF_CLOSE = "half-close"
    """The sender closed its side; the other direction may continue."""
    CUT = "cut"
    """The proxy ends the whole connection."""
    RESET = "reset"
    """The sender's connection broke: the receiver's is reset, too."""


class Line:
    """One direction of the simulated network, shared by all connections.

    Args:
        delay_ns: from one end to the other. It may be changed at any time, for later data.
        jitter_ns: the maximum random extra delay.
        bandwidth_bytes_per_s: None for no limit.
    """

    def __init__(self, delay_ns: int, jitter_ns: int, bandwidth_bytes_per_s: int | None) -> None:
        self.delay_ns = delay_ns
        self._jitter_ns = jitter_ns
        self._bandwidth = bandwidth_bytes_per_s
        self._free_ns = 0

    def pieces(self, data: bytes) -> list[bytes]:
        """Split the data for the line: one piece, or many with a bandwidth limit."""
        if self._bandwidth is None:
            return [data]
        size = max(_SEGMENT_BYTES, self._bandwidth // 1000)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def arrival_ns(self, size_bytes: int, now_ns: int, rng: random.Random) -> int:
        """When a piece that is sent now arrives at the other end."""
        sent_ns = now_ns
        if self._bandwidth is not None:
            sent_ns = max(now_ns, self._free_ns) + size_bytes * 10**9 // self._bandwidth
            self._free_ns = sent_ns
        jitter_ns = rng.randint(0, self._jitter_ns) if self._jitter_ns else 0
        return sent_ns + self.delay_ns + jitter_ns


class Pipe:
    """Data in flight from a source to a sink.

    Args:
        line: determines the delay.
        alarms: calls back when data is due.
        rng: the jitter of this pipe.
        bytes_until_cut: how much is forwarded before the connection is cut; None for all.
        on_end: called with the end when it is due, after all data has been written.

    Attributes:
        source: where data comes from; not read while the pipe is full.
        sink: where data goes; None until it is connected, and after it is lost.
        passed_bytes: written to the sink so far.
    """

    def __init__(
        self,
        line: Line,
        alarms: Alarms,
        rng: random.Random,
        bytes_until_cut: int | None,
        on_end: Callable[[End], None],
    ) -> None:
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.passed_bytes = 0
        self._line = line
        self._alarms = alarms
        self._rng = rng
        self._bytes_left = bytes_until_cut
        self._on_end = on_end
        self._on_the_way: deque[tuple[int, bytes | End]] = deque()
        self._held_bytes = 0
        self._last_due_ns = 0
        self._is_awaited = False
        self._is_ended = False
        self._is_sink_full = False
        self._is_source_paused = False

    def feed(self, data: bytes) -> None:
        """Take data from the source."""
        if self._is_ended:
            return
        is_cut = self._bytes_left is not None and len(data) >= self._bytes_left
        if self._bytes_left is not None:
            data = data[: self._bytes_left]
            self._bytes_left -= len(data)
        for piece in self._line.pieces(data) if data else []:
            self._put(piece, len(piece))
        if is_cut:
            self.end(End.CUT)
        else:
            self._pass_on()

    def end(self, end: End) -> None:
        """Take the source's end; later data is dropped."""
        if self._is_ended:
            return
        self._is_ended = True
        if end is not End.HALF_CLOSE:
            self._pause_source()
        self._put(end, 0)
        self._pass_on()

    def connect(self, sink: asyncio.Transport) -> None:
        """Start forwarding to ``sink``."""
        self.sink = sink
        self._pass_on()

    def lose_sink(self) -> None:
        """Drop the data in flight: the sink is gone."""
        self.sink = None
        self._is_ended = True
        self._on_the_way.clear()

    def pause(self) -> None:
        """The sink accepts no more for now."""
        self._is_sink_full = True

    def resume(self) -> None:
        """The sink accepts data again."""
        self._is_sink_full = False
        self._pass_on()

    def _put(self, item: bytes | End, size_bytes: int) -> None:
        due_ns = self._line.arrival_ns(size_bytes, time.monotonic_ns(), self._rng)
        self._last_due_ns = max(due_ns, self._last_due_ns)  # Jitter and new delays keep order.
        self._on_the_way.append((self._last_due_ns, item))
        self._held_bytes += size_bytes + _CHUNK_COST_BYTES
        if self._held_bytes > HELD_BYTES_MAX:
            self._pause_source()

    def _pass_on(self) -> None:
        """Write what is due, and schedule the next write."""
        now_ns = time.monotonic_ns()
        while self._on_the_way and not self._is_sink_full:
            if self.sink is None or self.sink.is_closing():
                break
            due_ns, item = self._on_the_way[0]
            if due_ns > now_ns:
                if not self._is_awaited:
                    self._is_awaited = True
                    self._alarms.call_at(due_ns, self._on_alarm)
                break
            self._on_the_way.popleft()
            if isinstance(item, End):
                if item is End.HALF_CLOSE:
                    self.sink.write_eof()
                self._on_end(item)
                return
            self._held_bytes -= len(item) + _CHUNK_COST_BYTES
            self.passed_bytes += len(item)
            self.sink.write(item)
        if self._is_source_paused and self._held_bytes <= HELD_BYTES_MAX // 2:
            self._resume_source()

    def _on_alarm(self) -> None:
        self._is_awaited = False
        self._pass_on()

    def _pause_source(self) -> None:
        source = self.source
        if source is not None and not source.is_closing() and not self._is_source_paused:
            self._is_source_paused = True
            source.pause_reading()

    def _resume_source(self) -> None:
        source = self.source
        if source is not None and not source.is_closing() and not self._is_ended:
            self._is_source_paused = False
            source.resume_reading()
