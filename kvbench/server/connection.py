"""One client: its byte stream cut into requests, answered in order, with bounded memory.

The rules:

- The replies to the requests of one read go out in one write while they are small. Replies are
  built up to ``write_buffer_bytes``, then written. When the transport's buffer is full, requests
  wait and reading pauses. So a client that never reads uses its buffer and one reply (LIMIT-008).
- No call takes long: :meth:`ServerConnection.work` stops at the end of its time share, and
  :class:`~kvbench.server.turns.Turns` decides when it continues. A large request is answered in
  steps, and a large reply is written in pieces; later requests of the client wait for it.
- A client that closes its sending side (FIN) still gets all replies.
- A rejected client gets the reason. Closing a socket with unread data makes the kernel send RST,
  which can overtake the reply. So the server closes its sending side, discards what it reads, and
  closes when the client has closed, or after :data:`LINGER_S`.
- Requests have no timers: the server's :meth:`ServerConnection.sweep` finds idle clients.

Works on asyncio and uvloop; their transports differ only in speed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import cast

from kvbench.clock import NS_PER_S
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.responses import message_response
from kvbench.server.config import ServerConfig
from kvbench.server.dispatch import Dispatcher
from kvbench.server.jobs import LARGE_BYTES, Job
from kvbench.server.turns import Turns

LINGER_S = 5.0
"""How long a rejected client may take to close; its data is read and discarded."""

FRAME_BYTES_PER_S = 64 * 1024
"""The frame timeout grows by a second for this many bytes received: a large frame on a slow line
is accepted, one byte a minute is not."""

_PORTION_BYTES = LARGE_BYTES
_PORTION_REPLY_BYTES = 64 * 1024
"""Payload (see FRAME_COST_BYTES) answered between two readings of the clock, or bytes of replies,
which cost less: a fraction of a share of time."""

_LIGHT_BYTES = 1024
"""Small requests of this size together are answered in 0.1 to 0.2 ms."""

_CAS = int(Opcode.CAS)
"""The only request that may take long at any payload size: the stored value may be large."""

_WRITE_BYTES = 256 * 1024
"""A larger reply is written in pieces of this size: asyncio copies what the kernel rejects."""

_LINGERING_MAX = 64
"""Rejected clients that linger simultaneously: a flood must not exhaust the file descriptors."""

_log = logging.getLogger("kvbench.server")


class ServerConnection(asyncio.Protocol):
    """A client's connection, from accept to close.

    Args:
        dispatcher: answers requests and counts them in its stats.
        config: the limits.
        live: all connections of the server; this one adds and removes itself.
        is_stopping: whether the server is shutting down; connections accepted just before are not
            served.
        turns: schedules this connection.
    """

    __slots__ = (
        "_alive_ns",
        "_config",
        "_dispatcher",
        "_has_lived",
        "_is_ending",
        "_is_paused",
        "_is_served",
        "_is_stopping",
        "_job",
        "_linger",
        "_live",
        "_peer",
        "_reader",
        "_stats",
        "_swept_buffer_bytes",
        "_swept_frames",
        "_transport",
        "_turns",
        "_unfinished_since_ns",
        "_unwritten",
        "_waiting",
        "closed",
        "is_queued",
    )

    _transport: asyncio.Transport
    closed: asyncio.Future[None]
    """Done when the connection is closed. Set by :meth:`connection_made`."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        config: ServerConfig,
        live: set[ServerConnection],
        is_stopping: Callable[[], bool],
        turns: Turns,
    ) -> None:
        self._is_stopping = is_stopping
        self._dispatcher = dispatcher
        self._stats = dispatcher.stats
        self._config = config
        self._live = live
        self._turns = turns
        self._reader = FrameReader(config.max_payload_bytes)
        self._waiting: list[tuple[int, bytes]] = []
        self._job: Job | None = None
        self._unwritten: memoryview | None = None
        self._is_paused = False
        self._is_ending = False
        self._is_served = False
        self.is_queued = False
        self._has_lived = True
        self._alive_ns = 0
        self._swept_buffer_bytes = 0
        self._swept_frames = -1
        self._unfinished_since_ns = 0
        self._linger: asyncio.TimerHandle | None = None
        self._peer = ""

    # --- Called by the event loop ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: serve it, or reject it when the connection limit is reached."""
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
        # Detects a client whose machine disappeared without closing the connection.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._transport.set_write_buffer_limits(high=self._config.write_buffer_bytes)
        _log.debug("connection from %s", self._peer)
        if self._is_stopping():
            self.finish()

    def data_received(self, data: bytes) -> None:
        """Data received: answer the complete requests."""
        if self._is_ending:
            return
        self._stats.bytes_in += len(data)
        self._has_lived = True
        self._reader.push(data)
        self._turns.serve(self)

    def pause_writing(self) -> None:
        """The client does not read its replies: stop reading its requests."""
        self._is_paused = True
        self.set_reading()

    def resume_writing(self) -> None:
        """The client reads its replies again: continue."""
        self._is_paused = False
        self._has_lived = True
        self._turns.serve(self)
        self.set_reading()

    def eof_received(self) -> bool:
        """The client sends no more requests: send the outstanding replies, then close."""
        if self._linger is None and self._has_work:
            self._is_ending = True
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by either side."""
        self._waiting = []
        self._job = self._unwritten = None
        self._is_ending = True
        if self._linger is not None:
            self._linger.cancel()
        self._live.discard(self)
        if self._is_served:
            self._stats.connections_now -= 1
            _log.debug("connection from %s ended: %s", self._peer, exc or "closed")
        self.closed.set_result(None)

    # --- Called by the server ----------------------------------------------------------------

    def sweep(self, now_ns: int) -> None:
        """Close the connection if it is idle, or a frame is incomplete, for too long.

        Args:
            now_ns: the time of this sweep. Activity since the last sweep counts as now, so the
                close is late by at most the time between two sweeps.
        """
        buffer_bytes = self._transport.get_write_buffer_size()
        if buffer_bytes != self._swept_buffer_bytes or self._has_lived or self.is_queued:
            self._alive_ns = now_ns
        self._has_lived = False
        self._swept_buffer_bytes = buffer_bytes
        is_new = self._reader.frames_taken != self._swept_frames
        if is_new or not self._reader.is_in_frame or self.is_queued or self._is_paused:
            self._unfinished_since_ns = now_ns
        self._swept_frames = self._reader.frames_taken
        idle_ns = self._config.idle_timeout_s * NS_PER_S
        frame_ns = self._config.frame_timeout_s * NS_PER_S
        if idle_ns and now_ns - self._alive_ns >= idle_ns:
            self._give_up("idle")
        elif frame_ns:
            frame_ns += self._reader.buffered_bytes * NS_PER_S / FRAME_BYTES_PER_S
            if now_ns - self._unfinished_since_ns >= frame_ns:
                self._give_up("unfinished request")

    def finish(self) -> None:
        """Accept no more requests, answer those received, then close."""
        self._is_ending = True
        if not self._has_work:
            self._transport.close()

    def abort(self) -> None:
        """Close immediately; unsent data is lost."""
        self._transport.abort()

    # --- Called by Turns ---------------------------------------------------------------------

    def work(self, until_ns: int) -> bool:
        """Answer and write until ``until_ns``; returns whether more can be done now.

        False when all is answered, or when the client must read first.
        """
        reader = self._reader
        while not self._is_paused and not self._transport.is_closing():
            if self._unwritten is not None:
                self._write_piece(self._unwritten)
                is_over = self._turns.now_ns() >= until_ns
            elif reader.has_more or self._waiting or self._job is not None:
                is_over = self._answer(until_ns)
            else:
                if self._is_ending or reader.oversize_bytes:
                    self._complete()
                return False
            if is_over and self._has_work:
                return True
        return False

    @property
    def has_little_to_do(self) -> bool:
        """Whether only a few bytes wait to be answered."""
        is_new = self._job is None and self._unwritten is None and not self._waiting
        return is_new and self._reader.buffered_bytes <= _LIGHT_BYTES

    def set_reading(self) -> None:
        """Pause or resume reading, depending on the state.

        Reading is paused while the connection is queued: received requests are answered first.
        """
        if self._transport.is_closing() or (self._is_ending and self._linger is None):
            return
        if self._linger is None and (self._is_paused or self.is_queued):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # --- Private -----------------------------------------------------------------------------

    @property
    def _has_work(self) -> bool:
        """Whether requests are unanswered or replies unwritten."""
        return bool(
            self._reader.has_more or self._waiting or self._job is not None or self._unwritten
        )

    def _answer(self, until_ns: int) -> bool:
        """Answer waiting requests in order, until the buffer is full of replies or none is left.

        Returns whether it stopped because ``until_ns`` was reached.
        """
        replies: list[bytes] = []
        size = 0
        is_over = False
        while size < self._config.write_buffer_bytes and not is_over:
            if self._job is not None:
                reply = self._job.advance()
                if reply is not None:
                    self._job = None
                    replies.append(reply)
                    size += len(reply)
            elif self._waiting or self._reader.has_more:
                size += self._answer_portion(replies, until_ns)
            else:
                break
            is_over = self._turns.now_ns() >= until_ns
        if not all(replies):
            raise MemoryError  # One reply is NO_REPLY: the connection closes.
        if size > _WRITE_BYTES:
            self._unwritten = memoryview(b"".join(replies))
        elif replies:
            self._stats.bytes_out += size
            self._transport.write(b"".join(replies) if len(replies) > 1 else replies[0])
        return is_over

    def _answer_portion(self, replies: list[bytes], until_ns: int) -> int:
        """Answer a few requests, or begin a large one; returns the replies' bytes."""
        frames = self._waiting or self._reader.take(_PORTION_BYTES)
        # A large request is the last of its portion, so the loop need not check sizes.
        large = frames.pop() if frames and len(frames[-1][1]) > LARGE_BYTES else None
        waiting = iter(frames)
        handle = self._dispatcher.handle
        room = min(_PORTION_REPLY_BYTES, self._config.write_buffer_bytes)
        size = 0
        for opcode, payload in waiting:
            if opcode == _CAS:
                size += self._begin(opcode, payload, replies)
                if self._job is not None or self._turns.now_ns() >= until_ns:
                    break
                continue
            reply = handle(opcode, payload)
            size += len(reply)
            replies.append(reply)
            if size >= room:
                break
        else:
            if large is not None:
                size += self._begin(*large, replies)
                large = None
        self._waiting = list(waiting)
        if large is not None:
            self._waiting.append(large)
        return size

    def _begin(self, opcode: int, payload: bytes, replies: list[bytes]) -> int:
        """Begin a request that may take long; returns the reply's bytes if already available."""
        begun = self._dispatcher.begin(opcode, payload)
        if isinstance(begun, Job):
            self._job = begun
            return 0
        replies.append(begun)
        return len(begun)

    def _write_piece(self, rest: memoryview) -> None:
        """Write the next piece of a large reply to the transport."""
        piece = rest[:_WRITE_BYTES]
        self._unwritten = rest[_WRITE_BYTES:] if len(rest) > _WRITE_BYTES else None
        self._stats.bytes_out += len(piece)
        self._transport.write(piece)

    def _complete(self) -> None:
        """All is answered: reject an oversize request, or close if the client sends no more."""
        if self._reader.oversize_bytes and self._linger is None:
            self._refuse_oversize()
        elif self._is_ending and self._linger is None:
            self._transport.close()

    def _give_up(self, reason: str) -> None:
        _log.info("connection from %s closed: %s", self._peer, reason)
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
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
        """Send an ERROR, close the sending side, and discard input until the client closes."""
        self._is_ending = True
        reply = message_response(Status.ERROR, message)
        self._stats.bytes_out += len(reply)
        self._transport.write(reply)
        self._transport.write_eof()
        loop = asyncio.get_running_loop()
        self._linger = loop.call_later(LINGER_S, self._transport.abort)
        self.set_reading()
