"""One client's connection through the proxy: two sides, and a pipe in each direction.

A half-close is forwarded: both sockets are closed when both directions have ended. When one side
breaks, the other is reset after the data in flight to it was written. Data that a side sent just
before it broke may be lost, as in TCP: an event loop closes a socket at its first error.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from kvbench.proxy.alarms import Alarms
from kvbench.proxy.conditions import Conditions
from kvbench.proxy.pipe import End, Line, Pipe

_WRITE_BUFFER_BYTES = 256 << 10
"""Buffer limit of a transport whose receiver does not read; the pipe holds the rest."""

_FLUSH_PAUSE_S = 0.001
_FLUSH_TRIES = 1000
"""Shortest interval at which a reset checks whether earlier data was sent."""

_LINGER_0 = struct.pack("ii", 1, 0)
"""With this, closing a socket sends a reset (socket(7), SO_LINGER)."""


@dataclass(frozen=True, slots=True)
class Link:
    """Shared by all connections of a proxy: the two lines, and the alarms."""

    conditions: Conditions
    to_target: Line
    to_client: Line
    alarms: Alarms


@dataclass(frozen=True, slots=True)
class Traffic:
    """Traffic of a closed connection.

    Attributes:
        number: of the connection, from 1.
        to_target_bytes: forwarded from the client to the target.
        to_client_bytes: forwarded from the target to the client.
        duration_s: from accept until both sides were closed.
    """

    number: int
    to_target_bytes: int
    to_client_bytes: int
    duration_s: float


class ProxyConnection:
    """A client and the target, connected.

    Args:
        number: of the connection, from 1; with the seed it determines the jitter.
        link: the simulated network.
        on_closed: called once, when both sides are closed and no connect to the target is pending.

    Attributes:
        client: the accepted side.
        target: the side that the proxy connects.
    """

    def __init__(
        self, number: int, link: Link, on_closed: Callable[[ProxyConnection], None]
    ) -> None:
        self._number = number
        self._link = link
        self._on_closed = on_closed
        self._start_s = time.monotonic()
        self._open: list[asyncio.Transport] = []
        self._is_target_awaited = True
        self._half_closes = 0
        to_target = self._pipe(link.to_target, "to target")
        to_client = self._pipe(link.to_client, "to client")
        self.client = Side(self, outgoing=to_target, incoming=to_client)
        self.target = Side(self, outgoing=to_client, incoming=to_target)

    def _pipe(self, line: Line, direction: str) -> Pipe:
        conditions = self._link.conditions
        rng = random.Random(f"{conditions.seed}/{self._number}/{direction}")
        return Pipe(line, self._link.alarms, rng, conditions.bytes_until_cut, self._on_end)

    def traffic(self) -> Traffic:
        """Its traffic so far."""
        return Traffic(
            self._number,
            self.client.outgoing.passed_bytes,
            self.client.incoming.passed_bytes,
            time.monotonic() - self._start_s,
        )

    def finish(self) -> None:
        """Close gracefully: stop reading, forward what is in flight, close."""
        self.client.outgoing.end(End.HALF_CLOSE)
        self.client.incoming.end(End.HALF_CLOSE)

    def refuse(self) -> None:
        """The target cannot be reached: reset the client, as the target's machine would."""
        self._is_target_awaited = False
        self._reset()
        self._close_when_empty()

    def abort(self) -> None:
        """Close immediately; data in flight is lost."""
        for transport in self._open:
            transport.abort()

    def opened(self, side: Side, transport: asyncio.Transport) -> None:
        """One side is connected: its pipes can start."""
        transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        self._open.append(transport)
        if side is self.target:
            self._is_target_awaited = False
        side.outgoing.source = transport
        side.incoming.connect(transport)

    def lost(self, side: Side, transport: asyncio.Transport) -> None:
        """One side is closed or broken."""
        self._open.remove(transport)
        side.outgoing.source = None
        side.outgoing.end(End.RESET)
        side.incoming.lose_sink()
        self._close_when_empty()

    def _close_when_empty(self) -> None:
        if not self._open and not self._is_target_awaited:
            self._on_closed(self)

    def _on_end(self, end: End) -> None:
        """The end of a direction was forwarded, after all its data."""
        if end is End.HALF_CLOSE:
            self._half_closes += 1
        if end is End.RESET or (end is End.CUT and self._link.conditions.reset):
            self._reset()
        elif end is End.CUT or self._half_closes == 2:
            for transport in self._open:
                transport.close()

    def _reset(self, tries: int = _FLUSH_TRIES) -> None:
        """Reset both sides, after the kernel has sent what was written before."""
        if tries and any(transport.get_write_buffer_size() for transport in self._open):
            loop = asyncio.get_running_loop()
            loop.call_later(_FLUSH_PAUSE_S, self._reset, tries - 1)
            return
        for transport in self._open:
            if not transport.is_closing():
                connected: socket.socket = transport.get_extra_info("socket")
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
                transport.abort()


class Side(asyncio.Protocol):
    """One end of a connection: an asyncio protocol.

    Args:
        connection: notified when the side opens and closes.
        outgoing: gets the data received from this side.
        incoming: writes to this side.
    """

    def __init__(self, connection: ProxyConnection, *, outgoing: Pipe, incoming: Pipe) -> None:
        self.outgoing = outgoing
        self.incoming = incoming
        self._connection = connection
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect its pipes."""
        self._transport = cast("asyncio.Transport", transport)
        self._connection.opened(self, self._transport)

    def data_received(self, data: bytes) -> None:
        """Put the data into the outgoing pipe."""
        self.outgoing.feed(data)

    def eof_received(self) -> bool:
        """Put the half-close into the pipe; the other direction may continue."""
        self.outgoing.end(End.HALF_CLOSE)
        return True

    def pause_writing(self) -> None:
        """The receiver does not read: pause."""
        self.incoming.pause()

    def resume_writing(self) -> None:
        """The receiver reads again: resume."""
        self.incoming.resume()

    def connection_lost(self, error: Exception | None) -> None:
        """Closed by the proxy, or broken."""
        self._connection.lost(self, self._transport)
