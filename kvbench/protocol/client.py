"""The client's side of a connection, without I/O: requests in, bytes out; bytes in, responses out.

One state machine for the asynchronous and the synchronous client. It reads no clock and does no
I/O. Its driver passes in received bytes and the time, sends the result of
:meth:`ClientProtocol.data_to_send`, and closes the connection as soon as
:attr:`ClientProtocol.is_closed`. A connection is

- *open*: it accepts requests;
- *draining*: it accepts no new ones, and waiting requests still get their responses;
- *closed*: nothing is sent or read any more, and :meth:`ClientProtocol.error` says why.

The rules:

- Responses are matched to requests by order alone (PIPE-007).
- A request that its caller or its deadline cancels before it was sent is not sent. If it was sent,
  its response will belong to no caller: the connection drains, and is closed when no caller waits
  any more (CLIENT-009).
- More bytes than expected, even one, close the connection. All responses in the same piece are
  discarded, because nothing shows which of them are the expected ones.
- An ERROR while nothing is in flight means that the server rejects the connection. It closes the
  connection, and is the error of requests that wait to be sent.
- NULL with a payload, and a payload over the limit, close (STATUS-003, CLIENT-011, LIMIT-001).
- The end of the stream closes, and waiting callers get a connection error (CLIENT-012).

Compiled by mypyc if there is a C compiler.
"""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from kvbench.errors import (
    KvConnectionError,
    KvError,
    KvProtocolError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.protocol.frames import HEADER_BYTES, FrameReader
from kvbench.protocol.opcodes import Status

MESSAGE_BYTES_MAX: Final = 4096
"""Maximum length of a server's message; the rest would only cost time and memory."""

CLIENT_CLOSED: Final = "the client was closed; requests in flight may have been applied"
"""The reason after the user closed a connection."""

_NULL: Final = 0x01
_ERROR: Final = 0x02
assert (_NULL, _ERROR) == (Status.NULL, Status.ERROR)  # Literals are C constants when compiled.
_NO_LIMIT: Final = 1 << 60

_OPEN: Final = 0
_DRAINING: Final = 1
_CLOSED: Final = 2

_NO_RESPONSES: Final[list[tuple[int, bytes]]] = []
"""The initial value of lists in requests: never changed, only replaced."""

W = TypeVar("W")
"""The driver's data in a request, such as a future, to find its caller."""


def message_of(payload: bytes) -> str:
    """The message of an ERROR or INVALID, shortened for people."""
    message = payload[:MESSAGE_BYTES_MAX].decode("utf-8", "replace")
    return message if len(payload) <= MESSAGE_BYTES_MAX else f"{message}..."


def _sound_count(responses: list[tuple[int, bytes]]) -> int:
    """How many responses come before the first invalid one: NULL with a payload."""
    count = 0
    for status, payload in responses:
        if status == _NULL and payload:
            break
        count += 1
    return count


class Request(Generic[W]):
    """A request in progress, or several that are sent and awaited together.

    Attributes:
        frames: its bytes.
        deadline: when it times out, on the driver's clock, in seconds.
        waiter: the driver's data.
        due_count: number of responses still expected.
        is_sent: whether its bytes were returned for sending, and so may reach the server.
        is_waited_for: whether it was neither answered nor cancelled.
        responses: status and payload of each received response.
    """

    def __init__(self, frames: bytes, deadline: float, waiter: W, due_count: int) -> None:
        self.frames = frames
        self.deadline = deadline
        self.waiter = waiter
        self.due_count = due_count
        self.is_sent = False
        self.is_waited_for = True
        self.responses = _NO_RESPONSES


class ClientProtocol(Generic[W]):
    """The state of one connection.

    Args:
        name: of the server, for messages.
        request_timeout_s: limit for a response.
        payload_bytes_max: largest accepted payload of a response.

    Attributes:
        name, request_timeout_s: as given.
        waiting_count: number of requests with a waiting caller.
        end_reason: why it was closed, for people; empty while it is not.
        abandoned: the waiting requests when it was closed. Each gets :meth:`error`.
    """

    def __init__(self, name: str, request_timeout_s: float, payload_bytes_max: int) -> None:
        self.name = name
        self.request_timeout_s = request_timeout_s
        self._reader = FrameReader(payload_bytes_max)
        self._state = _OPEN
        self._unsent: list[Request[W]] = []
        self._in_flight: list[Request[W]] = []
        """Sent and not answered, including cancelled ones."""
        self._due_count = 0
        """Number of expected responses. While it is 0, the reader holds nothing."""
        self._error_class: type[KvError] = KvConnectionError
        self._refusal: str | None = None
        self.waiting_count = 0
        self.end_reason = ""
        self.abandoned: list[Request[W]] = []

    @property
    def is_usable(self) -> bool:
        """Whether it is open: accepts requests."""
        return self._state == _OPEN

    @property
    def is_closed(self) -> bool:
        """Whether it is closed."""
        return self._state == _CLOSED

    @property
    def next_deadline(self) -> float:
        """When the oldest waiting request times out; infinity if none waits."""
        for queue in (self._in_flight, self._unsent):
            for request in queue:
                if request.is_waited_for:
                    return request.deadline
        return float("inf")

    # --- Requests in, bytes out --------------------------------------------------------------

    def send(self, frames: bytes, now: float, waiter: W, count: int = 1) -> Request[W]:
        """Queue ``count`` whole frames at the time ``now``, which must not decrease.

        Raises:
            KvConnectionError: the connection accepts no more requests.
        """
        if self._state != _OPEN:
            raise KvConnectionError(
                self.end_reason or f"{self.name}: the connection takes no new requests"
            )
        request = Request(frames, now + self.request_timeout_s, waiter, count)
        self._unsent.append(request)
        self.waiting_count += 1
        return request

    def unsent(self) -> Sequence[Request[W]]:
        """The queued requests, oldest first, including cancelled ones. Do not change it."""
        return self._unsent

    def data_to_send(self, bytes_max: int = _NO_LIMIT) -> bytes:
        """The next queued requests, whole, up to ``bytes_max`` in total; empty if none.

        The caller must send all of it: the responses are expected from now on.
        """
        frames: list[bytes] = []
        size = 0
        taken_count = 0
        for request in self._unsent:
            if size >= bytes_max:
                break
            taken_count += 1
            if request.is_waited_for:
                request.is_sent = True
                self._in_flight.append(request)
                self._due_count += request.due_count
                frames.append(request.frames)
                size += len(request.frames)
        self._unsent = self._unsent[taken_count:]
        return b"".join(frames)

    def give_up(self, request: Request[W]) -> None:
        """The caller no longer waits for this request; has no effect on an answered one."""
        if request.is_waited_for:
            self._forget(request)
            if request.is_sent or self._state == _DRAINING:
                self._drain()

    def expire(self, now: float) -> list[Request[W]]:
        """Time out overdue requests, and return them, oldest first."""
        overdue: list[Request[W]] = []
        for queue in (self._in_flight, self._unsent):
            for request in queue:
                if request.is_waited_for:
                    if request.deadline > now:
                        break
                    self._forget(request)
                    overdue.append(request)
        if overdue:
            self._drain()
        return overdue

    def overdue_error(self, request: Request[W]) -> KvTimeoutError:
        """The error of a request returned by :meth:`expire`."""
        fate = "the request may have been applied" if request.is_sent else "it was not sent"
        return KvTimeoutError(f"{self.name}: no answer within {self.request_timeout_s:g} s; {fate}")

    # --- Bytes in, responses out -------------------------------------------------------------

    def receive(self, data: bytes) -> list[Request[W]]:
        """Take the next bytes from the server; ``b""`` means the end of the stream.

        Returns:
            The waiting requests that are answered now, in order. Check :attr:`is_closed`
            afterwards.
        """
        answered: list[Request[W]] = []
        if self._state == _CLOSED:
            return answered
        if not data:
            self.lose("the server closed it")
            return answered
        if self._due_count == 0:
            self._refuse_unasked(data)
            return answered
        responses = self._reader.feed(data)
        left_count = self._due_count - len(responses)
        has_rest = self._reader.buffered_bytes > 0 or self._reader.oversize_bytes > 0
        if left_count < 0 or (left_count == 0 and has_rest):
            self._end(KvProtocolError, "more responses came than were due; connection closed")
            return answered
        sound_count = _sound_count(responses)
        self._match(responses, sound_count, answered)
        if sound_count < len(responses):
            self._end(KvProtocolError, "a NULL came with a payload; connection closed")
        elif self._reader.oversize_bytes > 0:
            self._end(KvProtocolError, f"{self._too_large()}; connection closed")
        elif self._state == _DRAINING:
            self._drain()
        return answered

    # --- Ends --------------------------------------------------------------------------------

    def lose(self, reason: str) -> None:
        """The connection broke, or was closed."""
        self.close(f"the connection broke ({reason}); requests in flight may have been applied")

    def close(self, reason: str) -> None:
        """Close; waiting callers get a KvConnectionError with this reason."""
        self._end(KvConnectionError, reason)

    def distrust(self, error: KvProtocolError) -> KvProtocolError:
        """A response could not be decoded: close, and return the caller's error."""
        self.close("closed, because the reply to an earlier request was invalid")
        return KvProtocolError(f"{self.name}: {error}; connection closed")

    def error(self) -> KvError:
        """Why it was closed: a new exception for each waiting caller."""
        if self._refusal is not None:
            return KvServerError(_ERROR, self._refusal)
        return self._error_class(self.end_reason)

    # --- Private -----------------------------------------------------------------------------

    def _match(
        self, responses: list[tuple[int, bytes]], count: int, answered: list[Request[W]]
    ) -> None:
        """Give the first ``count`` responses to the oldest requests."""
        self._due_count -= count
        start = 0
        done_count = 0
        while start < count:
            request = self._in_flight[done_count]
            end = min(start + request.due_count, count)
            if request.responses:
                request.responses += responses[start:end]
            else:
                request.responses = responses[start:end]
            request.due_count -= end - start
            start = end
            if request.due_count == 0:
                done_count += 1
                if request.is_waited_for:
                    self._forget(request)
                    answered.append(request)
        self._in_flight = self._in_flight[done_count:]

    def _forget(self, request: Request[W]) -> None:
        request.is_waited_for = False
        self.waiting_count -= 1

    def _drain(self) -> None:
        if self._state == _OPEN:
            self._state = _DRAINING
        if self.waiting_count == 0:
            self.close("the connection was closed after a timeout or a cancelled request")

    def _refuse_unasked(self, data: bytes) -> None:
        """Data came while nothing is expected. The received part of its message is the reason."""
        if data[0] != _ERROR:
            self._end(KvProtocolError, "more responses came than were due; connection closed")
            return
        length = int.from_bytes(data[1:HEADER_BYTES], "big")
        self._refusal = message_of(data[HEADER_BYTES : HEADER_BYTES + length])
        self._end(KvServerError, f"the server rejected the connection: {self._refusal}")

    def _too_large(self) -> str:
        return (
            f"a reply of {self._reader.oversize_bytes} bytes is over the limit of "
            f"{self._reader.payload_bytes_max}: ask for less at once, or connect with a larger "
            "max_reply_bytes"
        )

    def _end(self, error_class: type[KvError], reason: str) -> None:
        if self._state == _CLOSED:
            return
        self._state = _CLOSED
        self._error_class = error_class
        self.end_reason = f"{self.name}: {reason}"
        for request in [*self._in_flight, *self._unsent]:
            if request.is_waited_for:
                self._forget(request)
                self.abandoned.append(request)
        self._in_flight = []
        self._unsent = []
