"""Reads the answer to one call from a stream of bytes, however that is cut.

The parsers of the protocols are subclasses; each is a loop over complete replies that remembers how
far it got. They accept only what can answer the call, and nothing may follow its last reply: a
client that took more or less would be out of step from then on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from kvbench.errors import ProtocolError
from kvbench.load.calls import Call
from kvbench.load.wire.prepared import SHAPES_MAX, Expected, Prepared, Shape

BODY_BYTES_MAX = 512 * 1024 * 1024
"""The longest value of Redis; a longer one is a misread length."""

LINE_BYTES_MAX = 64 * 1024
"""A line without an end up to here is no line: an error message has a few hundred bytes."""


class Replies(ABC):
    """The state of a connection that waits for the answer to a call.

    Attributes:
        expected: what the answer is.
        hits: keys found by the replies so far.
        misses: keys not found.
        failures: for each error reply its kind: one short word.
        message: the text of the last error reply, as the server sent it; foreign text.
        must_close: whether the stream cannot be trusted after this answer, though it is complete.
    """

    def __init__(self) -> None:
        self.begin(Expected("nothing", 0, 0))

    def begin(self, expected: Expected) -> None:
        """Wait for the answer to another call."""
        self.expected = expected
        self.hits = 0
        self.misses = 0
        self.failures: list[str] = []
        self.message = ""
        self.must_close = False
        self._left = expected.requests
        self._at = 0
        """How far the data of the current :meth:`feed` is parsed."""
        self._needed = 0
        """Bytes that the next reply needs, if that is known."""
        self._rest = bytearray()
        """The beginning of a reply."""
        self._is_first = True

    def feed(self, data: bytes) -> bool:
        """Take the next bytes of the stream.

        Returns:
            Whether the answer is complete.

        Raises:
            ProtocolError: the bytes do not answer the call; close the connection.
        """
        came_whole, self._is_first = self._is_first, False
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed:
                return False
        self._parse(rest or data, None)
        if self._left:
            if rest:
                del rest[: self._at]
            else:
                rest += data[self._at :]
            self._needed -= self._at
            self._at = 0
            return False
        if came_whole:
            self._learn(data)
        return True

    def _fail(self, kind: str, message: bytes | bytearray) -> None:
        """Note an error reply."""
        self.failures.append(kind)
        self.message = message.decode(errors="replace")

    def _parse(self, data: bytes | bytearray, bodies: list[tuple[int, int]] | None) -> None:
        self._needed = 0
        try:
            self._scan(data, bodies)
        except ProtocolError:
            raise
        except ValueError as error:
            raise ProtocolError(f"a length is not a number: {error}") from None
        if not self._left and self._at != len(data):
            raise ProtocolError(f"{len(data) - self._at} bytes follow the last reply")
        if self._left and not self._needed and len(data) - self._at > LINE_BYTES_MAX:
            raise ProtocolError(f"a line of over {LINE_BYTES_MAX} bytes")

    def _learn(self, data: bytes) -> None:
        """Remember the shape of an answer that came in one piece, and ends a call."""
        shapes = self.expected.shapes
        if (
            self.expected.is_first_step
            or self.failures
            or len(data) in shapes
            or len(shapes) >= SHAPES_MAX
        ):
            return
        again = type(self)()
        again.begin(self.expected)
        bodies: list[tuple[int, int]] = []
        again._parse(data, bodies)
        shapes[len(data)] = Shape(data, bodies, self.hits, self.misses)

    @abstractmethod
    def _scan(self, data: bytes | bytearray, bodies: list[tuple[int, int]] | None) -> None:
        """Parse complete replies from ``_at`` on while any are ``_left``, and count them.

        Leaves ``_at`` behind the last complete one. If the length of the next is known, its end is
        put in ``_needed``.

        Args:
            data: all bytes that are not parsed yet, and perhaps some that are.
            bodies: if not None, takes the beginning and the end of each value.

        Raises:
            ProtocolError: the bytes are no reply to the call.
            ValueError: a length is not a number.
        """

    def _end_of_body(self, data: bytes | bytearray, start: int, size: int) -> int:
        """The offset after a value and its line's end; 0 if it is not complete yet."""
        if not 0 <= size <= BODY_BYTES_MAX:
            raise ProtocolError(f"a value of {size} bytes")
        end = start + size
        if end + 2 > len(data):
            self._needed = end + 2
            return 0
        if data[end] != 13 or data[end + 1] != 10:
            raise ProtocolError("no line's end after a value")
        return end + 2


class Dialect(ABC):
    """A protocol, with what a target's URL says: how a connection begins, how a call is encoded."""

    @abstractmethod
    def prepare(self, call: Call, batch_size: int) -> Prepared:
        """Encode a call in requests of ``batch_size`` keys.

        Raises:
            ValueError: a key or a value cannot be sent.
            UnsupportedError: the protocol has no such request.
        """

    @abstractmethod
    def greeting(self) -> Prepared:
        """What a new connection sends first: login, database, and a request that shows life."""

    @abstractmethod
    def replies(self) -> Replies:
        """A reader for a connection."""


class ExpectedPool:
    """One :class:`Expected` for all calls of a kind, so that they share its shapes."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int, bool], Expected] = {}

    def get(self, kind: str, requests: int, keys_per_request: int, is_first_step: bool) -> Expected:
        """The one of this kind."""
        key = (kind, requests, keys_per_request, is_first_step)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Expected(*key)
        return found


def portions(keys: Sequence[object], size: int) -> list[slice]:
    """The keys of each request, ``size`` at a time.

    Raises:
        ValueError: they do not divide into whole requests.
    """
    if len(keys) % size:
        raise ValueError(f"{len(keys)} keys are not a number of requests of {size}")
    return [slice(start, start + size) for start in range(0, len(keys), size)]
