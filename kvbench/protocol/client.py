"""The client's side of a connection, without I/O: requests in, bytes out; bytes in, responses out.

One state machine for all clients: the asynchronous one, the synchronous one, and the connections of
the conformance suite. It reads no clock and does no I/O. Whoever drives it passes in what came and
what time it is, sends what :meth:`ClientProtocol.data_to_send` gives, and closes the connection as
soon as :attr:`ClientProtocol.is_closed`. A connection is

- *open*: it takes requests;
- *draining*: it takes no new ones, and those that are waited for still get their responses;
- *closed*: nothing is sent or read any more, and :meth:`ClientProtocol.error` says why.

The rules:

- Responses are matched to requests by their order alone (PIPE-007).
- A request that is given up, by its caller or at its deadline, before it was sent is not sent. One
  that is given up later leaves a response on its way that belongs to no caller: the connection
  drains, and is closed when no caller waits any more (CLIENT-009).
- More than is due, be it one byte, closes. None of the responses in the same piece is believed,
  for nothing says which of them are the ones that were due.
- An ERROR that comes while nothing is in flight is how a server turns a connection away. It closes
  as well, and is the error of those who wait to send.
- NULL with a payload, and a payload over the limit, close (STATUS-003, CLIENT-011, LIMIT-001).
- The end of the stream closes, and is a failed connection for all who wait (CLIENT-012).

Compiled by mypyc where a C compiler is there.
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
"""Of a server's message; the rest of a longer one would only take time and memory."""

CLIENT_CLOSED: Final = "the client was closed; requests in flight may have been applied"
"""Why a connection was closed by its user."""

_NULL: Final = 0x01
_ERROR: Final = 0x02
assert (_NULL, _ERROR) == (Status.NULL, Status.ERROR)  # Literals are C constants when compiled.
_NO_LIMIT: Final = 1 << 60

_OPEN: Final = 0
_DRAINING: Final = 1
_CLOSED: Final = 2

_NO_RESPONSES: Final[list[tuple[int, bytes]]] = []
"""What every request begins with: never changed, only replaced."""

W = TypeVar("W")
"""What a driver keeps with a request to find who waits for it, such as a future."""


def message_of(payload: bytes) -> str:
    """The message of an ERROR or INVALID, cut to what a person may want to read."""
    message = payload[:MESSAGE_BYTES_MAX].decode("utf-8", "replace")
    return message if len(payload) <= MESSAGE_BYTES_MAX else f"{message}..."


def _sound_count(responses: list[tuple[int, bytes]]) -> int:
    """How many responses come before the first that no request may have: NULL with a payload."""
    count = 0
    for status, payload in responses:
        if status == _NULL and payload:
            break
        count += 1
    return count


class Request(Generic[W]):
    """A request on its way, or several that go and are waited for together.

    Attributes:
        frames: its bytes.
        deadline: when it is given up, on the driver's clock, in seconds.
        waiter: what the driver keeps with it.
        due_count: how many responses are still to come.
        is_sent: whether its bytes were handed out, and so may reach the server.
        is_waited_for: whether it was neither answered nor given up.
        responses: status and payload of each response that came.
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
        request_timeout_s: how long a response may take.
        payload_bytes_max: largest payload of a response that is accepted.

    Attributes:
        name, request_timeout_s: as given.
        waiting_count: how many requests are waited for.
        end_reason: why it was closed, for people; empty while it is not.
        abandoned: the requests that were waited for when it was closed. Each gets :meth:`error`.
    """

    def __init__(self, name: str, request_timeout_s: float, payload_bytes_max: int) -> None:
        self.name = name
        self.request_timeout_s = request_timeout_s
        self._reader = FrameReader(payload_bytes_max)
        self._state = _OPEN
        self._unsent: list[Request[W]] = []
        self._in_flight: list[Request[W]] = []
        """Sent and not answered, also when given up."""
        self._due_count = 0
        """Responses that are due. As long as none is, the reader holds nothing."""
        self._error_class: type[KvError] = KvConnectionError
        self._refusal: str | None = None
        self.waiting_count = 0
        self.end_reason = ""
        self.abandoned: list[Request[W]] = []

    @property
    def is_usable(self) -> bool:
        """Whether it is open: takes requests."""
        return self._state == _OPEN

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self._state == _CLOSED

    @property
    def next_deadline(self) -> float:
        """When the oldest request that is waited for is overdue; infinity where there is none."""
        for queue in (self._in_flight, self._unsent):
            for request in queue:
                if request.is_waited_for:
                    return request.deadline
        return float("inf")

    # --- Requests in, bytes out --------------------------------------------------------------

    def send(self, frames: bytes, now: float, waiter: W, count: int = 1) -> Request[W]:
        """Queue ``count`` whole frames at the time ``now``, which never goes back.

        Raises:
            KvConnectionError: the connection takes no requests any more.
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
        """The queued requests, the oldest first, given up or not. Not to be changed."""
        return self._unsent

    def data_to_send(self, bytes_max: int = _NO_LIMIT) -> bytes:
        """The next queued requests, whole, until they have ``bytes_max`` together; empty if none.

        Whoever calls it sends all of it: the responses are due from now on.
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
        """No caller waits for this request any more; fine for one that is answered already."""
        if request.is_waited_for:
            self._forget(request)
            if request.is_sent or self._state == _DRAINING:
                self._drain()

    def expire(self, now: float) -> list[Request[W]]:
        """Give up the requests that are overdue, and return them, the oldest first."""
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
        """The error of a request that :meth:`expire` has given up."""
        fate = "the request may have been applied" if request.is_sent else "it was not sent"
        return KvTimeoutError(f"{self.name}: no answer within {self.request_timeout_s:g} s; {fate}")

    # --- Bytes in, responses out -------------------------------------------------------------

    def receive(self, data: bytes) -> list[Request[W]]:
        """Take the next bytes of the server, or its end, which is ``b""``.

        Returns:
            The requests that are answered now and are waited for, in their order. Look at
            :attr:`is_closed` afterwards.
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
        """Close; those who wait get a KvConnectionError with this reason."""
        self._end(KvConnectionError, reason)

    def distrust(self, error: KvProtocolError) -> KvProtocolError:
        """A response made no sense to who decoded it: close, and return that caller's error."""
        self.close("closed, for the reply to an earlier request made no sense")
        return KvProtocolError(f"{self.name}: {error}; connection closed")

    def error(self) -> KvError:
        """Why it was closed: an exception for each who waited, new each time."""
        if self._refusal is not None:
            return KvServerError(_ERROR, self._refusal)
        return self._error_class(self.end_reason)

    # --- Inside ------------------------------------------------------------------------------

    def _match(
        self, responses: list[tuple[int, bytes]], count: int, answered: list[Request[W]]
    ) -> None:
        """Give the first ``count`` responses to the requests whose turn it is."""
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
            self.close("the connection was given up")

    def _refuse_unasked(self, data: bytes) -> None:
        """Nothing is due, and a frame begins. As much of its message as came is the reason."""
        if data[0] != _ERROR:
            self._end(KvProtocolError, "more responses came than were due; connection closed")
            return
        length = int.from_bytes(data[1:HEADER_BYTES], "big")
        self._refusal = message_of(data[HEADER_BYTES : HEADER_BYTES + length])
        self._end(KvServerError, f"the server turned the connection away: {self._refusal}")

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
