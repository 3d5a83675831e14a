"""One asynchronous connection: requests out in few writes, responses matched by their order.

Requests that are made within one turn of the event loop leave in one write. Each waits for its
response in a queue, and responses are matched by their order alone (PIPE-007). While the server
does not read, requests wait here and not in the transport.

A request that is given up after it was sent, by its caller or by its deadline, leaves a response on
its way that belongs to nobody. Such a connection takes no new requests: it *drains*, so that other
callers still get what they are waiting for, and is closed as soon as nobody waits any more
(CLIENT-009). A request that is given up before it was sent is simply not sent. Deadlines need one
timer for all, for they come in the order of the requests.

Large replies wait here until they are decoded. Once they have the size of the largest reply that is
accepted together, nothing more is read, so what a connection holds is bounded by about twice that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TypeVar, cast

from kvbench.client.commands import Command
from kvbench.client.decoding import AT_ONCE_BYTES, decode_in_turns, too_large
from kvbench.client.forks import release_descriptor
from kvbench.client.replies import message_of
from kvbench.client.sockets import prepare
from kvbench.errors import (
    KvConnectionError,
    KvError,
    KvProtocolError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Status

T = TypeVar("T")

_WRITE_BYTES = 262_144
"""Requests are joined up to about this size: beyond it a copy costs more than another write."""

_log = logging.getLogger("kvbench.client")


@dataclass(slots=True, eq=False)
class Request:
    """A request on its way.

    Attributes:
        frame: its bytes.
        response: status and payload, when they come.
        deadline: time of the loop when it is given up.
        is_sent: whether it was handed to the transport, and so may reach the server.
        held_bytes: size of a large reply that came and is not decoded yet.
    """

    frame: bytes
    response: asyncio.Future[tuple[int, bytes]]
    deadline: float
    is_sent: bool = False
    held_bytes: int = 0


class Connection(asyncio.Protocol):
    """A connection in use. Made by ``loop.create_connection``.

    Args:
        name: of the server, for messages.
        request_timeout_s: how long a response may take.
        max_reply_bytes: largest reply that is accepted.
        live: all connections of the client; this one enters it and leaves it by itself.
    """

    def __init__(
        self, name: str, request_timeout_s: float, max_reply_bytes: int, live: set[Connection]
    ) -> None:
        self._name = name
        self._timeout_s = request_timeout_s
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader(max_reply_bytes)
        self._held_bytes = 0
        self._is_reading_paused = False
        self._decoding = asyncio.Lock()
        self._unsent: deque[Request] = deque()
        self._sent: deque[Request] = deque()
        self._is_flush_due = False
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = self._loop.create_future()
        self.is_usable = False
        """Whether new requests may go here."""
        self.end_reason = ""
        """Why the connection ended; empty while it has not."""

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
        if request.response.done() and not request.response.cancelled():
            self._release(request)
            return  # It came in the same moment: nothing is left on its way.
        request.response.cancel()
        if request.is_sent:
            self._drain()

    def result(self, command: Command[T], response: tuple[int, bytes]) -> T:
        """What a small response means.

        Raises:
            KvServerError: the server refused.
            KvProtocolError: the response makes no sense; the connection is closed.
        """
        try:
            return command.result(*response)
        except KvProtocolError:
            self._lose_trust()
            raise

    async def large_result(self, command: Command[T], request: Request) -> T:
        """What the large response to ``request`` means, which has come.

        Such responses are decoded one after the other, in bounded turns of the loop.

        Raises:
            KvServerError, KvProtocolError: as :meth:`result`.
            KvTimeoutError: it was not decoded in time.
        """
        try:
            async with self._decoding:
                response = request.response.result()
                return await decode_in_turns(command, response, request.deadline)
        except KvProtocolError:
            self._lose_trust()
            raise
        finally:
            self._release(request)

    def abort(self, reason: str) -> None:
        """Close at once; what is still waiting fails."""
        self._fail(partial(KvConnectionError, f"{self._name}: {reason}"))

    async def close(self) -> None:
        """Close, fail what is still waiting, and see the connection gone."""
        self.abort("the client was closed; requests in flight may have been applied")
        if self._transport is not None:
            await asyncio.wait([self._gone])

    def leave_to_parent(self) -> None:
        """In a forked child: give up this copy of the connection; the parent's goes on."""
        self.is_usable = False
        if self._transport is not None:
            release_descriptor(self._transport.get_extra_info("socket").fileno())

    # --- What the event loop calls -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._live.add(self)
        try:
            prepare(transport.get_extra_info("socket"))
        except OSError as error:
            self.abort(f"no connection: {error.strerror or error}")
        else:
            self.is_usable = True

    def data_received(self, data: bytes) -> None:
        """Hand each response to the request that it answers."""
        sent = self._sent
        responses = self._reader.feed(data)
        if len(responses) > len(sent):
            self._refuse_unasked(*responses[0])
            return
        for response in responses:
            request = sent.popleft()
            if not request.response.done():
                request.response.set_result(response)
                if len(response[1]) > AT_ONCE_BYTES:
                    self._hold(request, len(response[1]))
        if self._reader.oversize_bytes:
            message = f"{self._name}: {too_large(self._reader)}; connection closed"
            self._fail(partial(KvProtocolError, message))
        elif not self.is_usable:
            self._close_if_drained()

    def pause_writing(self) -> None:
        """The server reads too slowly: what is not sent yet waits here."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The server has caught up."""
        self._is_paused = False
        self._flush()

    def eof_received(self) -> None:
        """The server has ended its side: it will answer nothing more."""
        self._break("the server closed it")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: whoever waits is told."""
        self._live.discard(self)
        self._break(str(exc) if exc else "it was closed")
        self._gone.set_result(None)

    # --- Inside ------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._is_flush_due = False
        unsent = self._unsent
        while unsent and not self._is_paused and self._transport is not None:
            frames: list[bytes] = []
            size = 0
            while unsent and size < _WRITE_BYTES:
                request = unsent.popleft()
                if request.response.done():
                    continue  # Given up before it was sent.
                request.is_sent = True
                self._sent.append(request)
                frames.append(request.frame)
                size += len(request.frame)
            if frames:
                self._transport.write(b"".join(frames))

    def _waiting(self) -> Iterator[Request]:
        """Requests that somebody waits for, the oldest first."""
        return (one for one in chain(self._sent, self._unsent) if not one.response.done())

    def _lose_trust(self) -> None:
        self.abort("closed, for the reply to an earlier request made no sense")

    def _hold(self, request: Request, size: int) -> None:
        """A large reply waits to be decoded: read nothing more while there is too much of that."""
        request.held_bytes = size
        self._held_bytes += size
        if self._held_bytes >= self._reader.payload_bytes_max and self._transport is not None:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _release(self, request: Request) -> None:
        """A reply is decoded, or of no use any more."""
        self._held_bytes -= request.held_bytes
        request.held_bytes = 0
        if self._is_reading_paused and self._held_bytes < self._reader.payload_bytes_max:
            self._is_reading_paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def _drain(self) -> None:
        self.is_usable = False
        self._close_if_drained()

    def _close_if_drained(self) -> None:
        if next(self._waiting(), None) is None:
            self.abort("the connection was given up")

    def _refuse_unasked(self, status: int, payload: bytes) -> None:
        """More came than was due: a server's last word before it closes, or nonsense.

        Nonsense leaves open which of the responses are the ones that were due: none is believed.
        """
        if status == Status.ERROR and not self._sent:
            message = message_of(payload)
            self.end_reason = f"{self._name}: the server turned the connection away: {message}"
            _log.warning("%s", self.end_reason)
            self._fail(partial(KvServerError, status, message))
        else:
            message = f"{self._name}: more responses came than were due; connection closed"
            _log.warning("%s", message)
            self._fail(partial(KvProtocolError, message))

    def _break(self, reason: str) -> None:
        self.abort(f"the connection broke ({reason}); requests in flight may have been applied")

    def _fail(self, make_error: Callable[[], KvError]) -> None:
        """Close, and give everyone who waits an error of their own."""
        self.is_usable = False
        self.end_reason = self.end_reason or str(make_error())
        waiting = list(self._waiting())
        self._sent.clear()
        self._unsent.clear()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        for request in waiting:
            request.response.set_exception(make_error())

    def _expire(self) -> None:
        """The deadline of the oldest request has come, unless it was answered meanwhile."""
        self._timer = None
        now = self._loop.time()
        overdue_count = 0
        for request in list(self._waiting()):
            if request.deadline > now:
                self._timer = self._loop.call_at(request.deadline, self._expire)
                break
            overdue_count += 1
            fate = "the request may have been applied" if request.is_sent else "it was not sent"
            message = f"{self._name}: no answer within {self._timeout_s:g} s; {fate}"
            request.response.set_exception(KvTimeoutError(message))
        if overdue_count:
            _log.warning(
                "%s: no answer within %g s to %d requests, connection given up",
                self._name, self._timeout_s, overdue_count,
            )  # fmt: skip
            self._drain()
