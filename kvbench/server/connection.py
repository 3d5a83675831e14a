"""One client: its byte stream cut into requests, answered in order, with bounded memory.

The rules:

- What one read completes is answered with one write, as long as the replies stay small. Replies
  are built until ``write_buffer_bytes`` of them are there, then written; when the transport cannot
  pass them on, the remaining requests wait, and reading pauses. So a client that asks and never
  reads costs its buffer and one reply, whatever it asks for (LIMIT-008).
- A client that ends its sending side (FIN) still gets all answers.
- Whoever is turned away gets the reason. Closing a socket that has unread data makes the kernel
  send RST, which can overtake the reply: so the server ends its own sending side, reads on and
  drops what comes, and closes when the client has, or after :data:`LINGER_S`.
- No timer for a request: a sweep by the server (:meth:`Connection.sweep`) finds the idle.

Works on asyncio and uvloop, whose transports differ only in speed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import cast

from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Status
from kvbench.protocol.responses import message_response
from kvbench.server.config import ServerConfig
from kvbench.server.dispatch import Dispatcher

LINGER_S = 5.0
"""How long a client that was turned away may take to notice: its data is read and dropped."""

SWEEPS_PER_IDLE_TIMEOUT = 4
"""A connection is idle after so many sweeps without a sign of life, so 25% late at most."""

_LINGERING_MAX = 64
"""Refused clients that linger at one time: a flood of them must not use up the file descriptors."""

_log = logging.getLogger("kvbench.server")


class Connection(asyncio.Protocol):
    """A client's connection, from its accept to its end.

    Args:
        dispatcher: answers requests; its stats count.
        config: the limits.
        live: all connections of the server; this one enters it and leaves it by itself.
        is_stopping: whether the server has begun to end: what was accepted just before gets no
            service any more.
    """

    __slots__ = (
        "_config",
        "_dispatcher",
        "_is_ending",
        "_is_paused",
        "_is_served",
        "_is_stopping",
        "_linger",
        "_live",
        "_peer",
        "_quiet_sweeps",
        "_reader",
        "_stats",
        "_swept_buffer_bytes",
        "_transport",
        "_waiting",
        "closed",
    )

    _transport: asyncio.Transport
    closed: asyncio.Future[None]
    """Done when the connection is gone. There from :meth:`connection_made` on."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        config: ServerConfig,
        live: set[Connection],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._is_stopping = is_stopping
        self._dispatcher = dispatcher
        self._stats = dispatcher.stats
        self._config = config
        self._live = live
        self._reader = FrameReader(config.max_payload_bytes)
        self._waiting: list[tuple[int, bytes]] = []
        self._is_paused = False
        self._is_ending = False
        self._is_served = False
        self._quiet_sweeps = 0
        self._swept_buffer_bytes = 0
        self._linger: asyncio.TimerHandle | None = None
        self._peer = ""

    # --- What the event loop calls -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came: serve it, or tell it that the house is full."""
        self._transport = cast(asyncio.Transport, transport)
        self.closed = asyncio.get_running_loop().create_future()
        self._live.add(self)
        self._peer = str(transport.get_extra_info("peername"))
        if self._stats.connections_now >= self._config.max_connections:
            self._refuse_connection()
            return
        self._is_served = True
        self._stats.connections_now += 1
        self._stats.connections_total += 1
        stream = transport.get_extra_info("socket")
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Finds out in the end when a client's machine vanished without a word.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport.set_write_buffer_limits(high=self._config.write_buffer_bytes)
        _log.debug("connection from %s", self._peer)
        if self._is_stopping():
            self.finish()

    def data_received(self, data: bytes) -> None:
        """Bytes came: answer what they complete."""
        if self._is_ending:
            return
        self._stats.bytes_in += len(data)
        self._quiet_sweeps = 0
        frames = self._reader.feed(data)
        if self._waiting:
            self._waiting += frames
        else:
            self._waiting = frames
        if frames or self._reader.oversize_bytes:
            self._answer()

    def pause_writing(self) -> None:
        """The client does not take its replies: read nothing more of it."""
        self._is_paused = True
        if not self._is_ending:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client took its replies: go on where it was left."""
        self._is_paused = False
        self._quiet_sweeps = 0
        self._answer()
        if not self._is_paused and not self._is_ending:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """The client has nothing more to ask: it gets what is still on its way, then the end."""
        if self._linger is None and self._waiting:
            self._is_ending = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._waiting = []
        self._is_ending = True
        if self._linger is not None:
            self._linger.cancel()
        self._live.discard(self)
        if self._is_served:
            self._stats.connections_now -= 1
            _log.debug("connection from %s ended: %s", self._peer, exc or "closed")
        self.closed.set_result(None)

    # --- What the server calls ---------------------------------------------------------------

    def sweep(self) -> None:
        """Look for a sign of life since the last call; close the connection after too few."""
        buffer_bytes = self._transport.get_write_buffer_size()
        if buffer_bytes != self._swept_buffer_bytes:
            self._swept_buffer_bytes = buffer_bytes
            self._quiet_sweeps = 0
        self._quiet_sweeps += 1
        if self._quiet_sweeps > SWEEPS_PER_IDLE_TIMEOUT:
            _log.info("idle connection from %s closed", self._peer)
            if buffer_bytes:
                self._transport.abort()
            else:
                self._transport.close()

    def finish(self) -> None:
        """Take no more requests, answer those that came, then close."""
        self._is_ending = True
        if not self._waiting:
            self._transport.close()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        self._transport.abort()

    # --- Inside ------------------------------------------------------------------------------

    def _answer(self) -> None:
        """Answer the waiting requests in order, until none is left or the client must read."""
        handle = self._dispatcher.handle
        room = self._config.write_buffer_bytes
        frames = self._waiting
        done = 0
        while done < len(frames) and not self._is_paused and not self._transport.is_closing():
            replies: list[bytes] = []
            size = 0
            for opcode, payload in frames[done:] if done else frames:
                reply = handle(opcode, payload)
                replies.append(reply)
                size += len(reply)
                if size >= room:
                    break
            done += len(replies)
            self._stats.bytes_out += size
            self._transport.write(b"".join(replies) if len(replies) > 1 else replies[0])
        self._waiting = frames[done:]
        if self._waiting:
            return
        if self._reader.oversize_bytes and self._linger is None:
            self._refuse_oversize()
        elif self._is_ending and self._linger is None:
            self._transport.close()

    def _refuse_oversize(self) -> None:
        message = (
            f"a payload of {self._reader.oversize_bytes} bytes is over the limit of "
            f"{self._config.max_payload_bytes}"
        )
        _log.warning("connection from %s closed: %s", self._peer, message)
        self._turn_away(message)

    def _refuse_connection(self) -> None:
        self._stats.connections_refused += 1
        _log.warning("connection from %s refused: the limit is reached", self._peer)
        if len(self._live) - self._stats.connections_now > _LINGERING_MAX:
            self._transport.abort()
            return
        self._turn_away(f"all {self._config.max_connections} connections are taken: try later")

    def _turn_away(self, message: str) -> None:
        """Send an ERROR, end the sending side, and drop what comes until the client is gone."""
        self._is_ending = True
        reply = message_response(Status.ERROR, message)
        self._stats.bytes_out += len(reply)
        self._transport.write(reply)
        self._transport.write_eof()
        self._transport.resume_reading()
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(LINGER_S, self._transport.abort)
