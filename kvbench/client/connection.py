"""One asynchronous connection: the I/O of :class:`~kvbench.protocol.client.ClientProtocol`.

Requests made in one iteration of the event loop leave in one write. While the server does not read,
requests wait in the state machine and not in the transport. Deadlines expire in the order of the
requests, so one timer is enough.

Large replies wait here until they are decoded. When they reach the maximum size of one reply,
reading pauses. So a connection holds at most about twice that size.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TypeAlias, TypeVar, cast

from kvbench.client.commands import Command
from kvbench.client.decoding import AT_ONCE_BYTES, decode_in_turns
from kvbench.client.forks import release_descriptor
from kvbench.client.sockets import prepare
from kvbench.errors import KvConnectionError, KvProtocolError
from kvbench.protocol.client import CLIENT_CLOSED, ClientProtocol, Request

T = TypeVar("T")

Waiter: TypeAlias = asyncio.Future[tuple[int, bytes]]
"""Future of status and payload."""

_WRITE_BYTES = 262_144
"""Requests are joined up to about this size: beyond it a copy costs more than a second write."""

_log = logging.getLogger("kvbench.client")


class ClientConnection(asyncio.Protocol):
    """A connection in use. Created by ``loop.create_connection``.

    Args:
        name: of the server, for messages.
        request_timeout_s: limit for a response.
        max_reply_bytes: largest accepted reply.
        live: all connections of the client; this one adds and removes itself.

    Attributes:
        protocol: the state machine; says whether new requests may be sent.
    """

    def __init__(
        self, name: str, request_timeout_s: float, max_reply_bytes: int, live: set[ClientConnection]
    ) -> None:
        self.protocol: ClientProtocol[Waiter] = ClientProtocol(
            name, request_timeout_s, max_reply_bytes
        )
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._held: dict[Request[Waiter], int] = {}
        """Sizes of the large replies that are not decoded yet."""
        self._held_bytes = 0
        self._held_bytes_max = max_reply_bytes
        self._is_reading_paused = False
        self._decoding = asyncio.Lock()
        self._is_over = False
        self._is_flush_due = False
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = self._loop.create_future()

    # --- Called by the client ----------------------------------------------------------------

    def submit(self, frame: bytes) -> Request[Waiter]:
        """Queue a request; it is sent with the others of this iteration of the loop."""
        loop = self._loop
        request = self.protocol.send(frame, loop.time(), loop.create_future())
        if not self._is_flush_due:
            self._is_flush_due = True
            loop.call_soon(self._flush_turn)
        if self._timer is None:
            self._timer = loop.call_at(request.deadline, self._expire)
        return request

    def give_up(self, request: Request[Waiter]) -> None:
        """The caller no longer waits for this response."""
        self._release(request)
        request.waiter.cancel()
        self.protocol.give_up(request)
        self._end_if_closed()

    def result(self, command: Command[T], response: tuple[int, bytes]) -> T:
        """The result of a small response.

        Raises:
            KvServerError: the server refused.
            KvProtocolError: the response is invalid; the connection is closed.
        """
        try:
            return command.result(*response)
        except KvProtocolError as error:
            raise self._distrust(error) from None

    async def large_result(self, command: Command[T], request: Request[Waiter]) -> T:
        """The result of a large response.

        Such responses are decoded one after the other, in bounded slices of the loop's time.

        Raises:
            KvServerError, KvProtocolError: see :meth:`result`.
            KvTimeoutError: it was not decoded in time.
        """
        try:
            async with self._decoding:
                return await decode_in_turns(command, request.responses[0], request.deadline)
        except KvProtocolError as error:
            raise self._distrust(error) from None
        finally:
            self._release(request)

    def abort(self, reason: str) -> None:
        """Close immediately; waiting calls fail."""
        self.protocol.close(reason)
        self._end_if_closed()

    async def close(self) -> None:
        """Close, fail waiting calls, and wait until the connection is closed."""
        self.abort(CLIENT_CLOSED)
        if self._transport is not None:
            await asyncio.wait([self._gone])

    def leave_to_parent(self) -> None:
        """In a forked child: release this copy of the socket; the parent keeps the connection."""
        self.protocol.close("the connection stayed with the parent process")
        if self._transport is not None:
            release_descriptor(self._transport.get_extra_info("socket").fileno())

    # --- Called by the event loop ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._live.add(self)
        try:
            prepare(transport.get_extra_info("socket"))
        except OSError as error:
            self.abort(f"no connection: {error.strerror or error}")

    def data_received(self, data: bytes) -> None:
        """Pass each response to the caller that waits for it."""
        protocol = self.protocol
        for request in protocol.receive(data):
            waiter = request.waiter
            if not waiter.done():
                response = request.responses[0]
                waiter.set_result(response)
                if len(response[1]) > AT_ONCE_BYTES:
                    self._hold(request, len(response[1]))
        if protocol.is_closed:
            self._end_if_closed()

    def pause_writing(self) -> None:
        """The server reads too slowly: hold unsent requests here."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The server reads again."""
        self._is_paused = False
        self._flush()

    def eof_received(self) -> None:
        """The server closed its side: no more responses will come."""
        self.data_received(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed: waiting callers get an error."""
        self._live.discard(self)
        self.protocol.lose(str(exc) if exc else "it was closed")
        self._end_if_closed()
        self._gone.set_result(None)

    # --- Private -----------------------------------------------------------------------------

    def _flush_turn(self) -> None:
        """Send what was submitted in this iteration, except cancelled requests."""
        self._is_flush_due = False
        for request in self.protocol.unsent():
            if request.waiter.done():
                self.protocol.give_up(request)
        self._flush()

    def _flush(self) -> None:
        while self.protocol.unsent() and not self._is_paused and self._transport is not None:
            self._transport.write(self.protocol.data_to_send(_WRITE_BYTES))

    def _end_if_closed(self) -> None:
        """When the state machine is closed, close the transport and fail waiting calls."""
        protocol = self.protocol
        if self._is_over or not protocol.is_closed:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        for request in protocol.abandoned:
            if not request.waiter.done():
                request.waiter.set_exception(protocol.error())
        if not protocol.abandoned and not isinstance(protocol.error(), KvConnectionError):
            _log.warning("%s", protocol.end_reason)

    def _distrust(self, error: KvProtocolError) -> KvProtocolError:
        failure = self.protocol.distrust(error)
        self._end_if_closed()
        return failure

    def _hold(self, request: Request[Waiter], size: int) -> None:
        """A large reply waits to be decoded: pause reading while too much waits."""
        self._held[request] = size
        self._held_bytes += size
        if self._held_bytes >= self._held_bytes_max and self._transport is not None:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _release(self, request: Request[Waiter]) -> None:
        """A reply was decoded or discarded."""
        self._held_bytes -= self._held.pop(request, 0)
        if self._is_reading_paused and self._held_bytes < self._held_bytes_max:
            self._is_reading_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _expire(self) -> None:
        """Time out the oldest request, if it is still unanswered."""
        self._timer = None
        protocol = self.protocol
        overdue = protocol.expire(self._loop.time())
        for request in overdue:
            if not request.waiter.done():
                request.waiter.set_exception(protocol.overdue_error(request))
        if overdue:
            _log.warning(
                "%s: no answer within %g s to %d requests, connection closed",
                protocol.name, protocol.request_timeout_s, len(overdue),
            )  # fmt: skip
        if protocol.waiting_count:
            self._timer = self._loop.call_at(protocol.next_deadline, self._expire)
        self._end_if_closed()
