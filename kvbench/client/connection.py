"""One asynchronous connection: requests out in few writes, responses matched by their order.

Requests that are made within one turn of the event loop leave in one write. Each waits for its
response in a queue, and responses are matched by their order alone (PIPE-007).

A request that is given up after it was sent leaves a response on its way that belongs to nobody.
Such a connection takes no new requests: it *drains*, so that other callers still get what they are
waiting for, and is closed as soon as nobody waits any more (CLIENT-009). A request that is given up
before it was sent is simply not sent. Deadlines need one timer for all, for they expire in order.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from dataclasses import dataclass
from typing import cast

from kvbench.errors import KvConnectionError, KvError, KvProtocolError, KvTimeoutError
from kvbench.protocol.frames import FrameReader

_log = logging.getLogger("kvbench.client")


@dataclass(slots=True, eq=False)
class Request:
    """A request on its way.

    Attributes:
        frame: its bytes.
        response: status and payload, when they come.
        deadline: time of the loop when it is given up.
    """

    frame: bytes
    response: asyncio.Future[tuple[int, bytes]]
    deadline: float


class Connection(asyncio.Protocol):
    """A connection in use. Made by ``loop.create_connection``.

    Args:
        name: of the server, for messages.
        request_timeout_s: how long a response may take.
    """

    def __init__(self, name: str, request_timeout_s: float) -> None:
        self._name = name
        self._timeout_s = request_timeout_s
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._unsent: list[Request] = []
        self._sent: deque[Request] = deque()
        self._is_flush_due = False
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = self._loop.create_future()
        self.is_usable = False
        """Whether new requests may go here."""

    # --- What the client calls ---------------------------------------------------------------

    def submit(self, frame: bytes) -> Request:
        """Queue a request; it leaves with the others of this turn of the loop."""
        request = Request(frame, self._loop.create_future(), self._loop.time() + self._timeout_s)
        self._unsent.append(request)
        if not self._is_flush_due:
            self._is_flush_due = True
            self._loop.call_soon(self._flush)
        if self._timer is None:
            self._timer = self._loop.call_at(request.deadline, self._expire)
        return request

    def give_up(self, request: Request) -> None:
        """Nobody waits for this response any more."""
        request.response.cancel()
        if request in self._unsent:
            self._unsent.remove(request)
        else:
            self.is_usable = False
            self._close_if_drained()

    async def close(self) -> None:
        """Close, and fail what is still waiting."""
        self._fail(KvConnectionError(f"{self._name}: the client was closed"))
        if self._transport is not None:
            await self._gone

    # --- What the event loop calls -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        stream = transport.get_extra_info("socket")
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.is_usable = True

    def data_received(self, data: bytes) -> None:
        """Hand each response to the request that it answers."""
        sent = self._sent
        for response in self._reader.feed(data):
            if not sent:
                self._fail(KvProtocolError(f"{self._name}: a response that nobody asked for"))
                return
            request = sent.popleft()
            if not request.response.done():
                request.response.set_result(response)
        if self._reader.oversize_bytes:
            size = self._reader.oversize_bytes
            self._fail(KvProtocolError(f"{self._name}: a reply of {size} bytes is over the limit"))
        elif not self.is_usable:
            self._close_if_drained()

    def pause_writing(self) -> None:
        """The server reads too slowly: what is not sent yet waits here."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The server has caught up."""
        self._is_paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: whoever waits is told."""
        reason = str(exc) if exc else "the server closed it"
        self._fail(
            KvConnectionError(
                f"{self._name}: the connection broke ({reason}); "
                "requests in flight may have been applied"
            )
        )
        if not self._gone.done():
            self._gone.set_result(None)

    # --- Inside ------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._is_paused or not self._unsent or self._transport is None:
            return
        requests, self._unsent = self._unsent, []
        self._sent.extend(requests)
        self._transport.write(b"".join([request.frame for request in requests]))

    def _close_if_drained(self) -> None:
        if all(request.response.done() for request in self._sent) and not self._unsent:
            self._fail(KvConnectionError(f"{self._name}: the connection was given up"))

    def _fail(self, error: KvError) -> None:
        """Close, and give ``error`` to everyone who waits."""
        self.is_usable = False
        waiting = [*self._sent, *self._unsent]
        self._sent.clear()
        self._unsent = []
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        for request in waiting:
            if not request.response.done():
                request.response.set_exception(error)

    def _expire(self) -> None:
        """The oldest request's deadline has come, unless it was answered meanwhile."""
        self._timer = None
        now = self._loop.time()
        waiting = [one for one in (*self._sent, *self._unsent) if not one.response.done()]
        if not waiting:
            if not self.is_usable:
                self._close_if_drained()
            return
        if waiting[0].deadline > now:
            self._timer = self._loop.call_at(waiting[0].deadline, self._expire)
            return
        _log.warning("%s: no answer within %g s, connection closed", self._name, self._timeout_s)
        message = f"{self._name}: no answer within {self._timeout_s:g} s; "
        overdue = KvTimeoutError(message + "the request may have been applied")
        for request in waiting:
            if request.deadline <= now:
                request.response.set_exception(overdue)
        self._fail(
            KvConnectionError(
                f"{self._name}: closed, for an earlier request on it was not answered in time; "
                "requests in flight may have been applied"
            )
        )
