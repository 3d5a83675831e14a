"""A connection of the wire suite: it sends raw bytes, reads replies, and records both.

A target that sends more responses than requests fails every case, and so does NULL with a payload
(CONN-002, STATUS-003). Reads are bounded: a target that is silent fails the case, it does not stop
the suite. FIN and RST are both "closed".
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from kvbench.conformance.findings import CaseFailed, ConnectionEnded, NoReply
from kvbench.conformance.wire.frames import HEADER_BYTES, declared_bytes, frame, take_frames
from kvbench.conformance.wire.trace import Trace, WireReply
from kvbench.protocol.opcodes import Status

REPLY_TIMEOUT_S = 5.0
"""A target that takes longer for one reply is silent. Loopback takes well under a millisecond."""

REPLY_BYTES_MAX = 256 * 1024 * 1024
"""What a reply may declare before the suite hangs up: four times the protocol's default limit."""


class RequestCount:
    """Counts the requests in the bytes that are sent, however they are cut.

    A request counts from the last byte of its header on: a target may refuse it for that alone.
    """

    def __init__(self) -> None:
        self._header = b""
        self._payload_bytes_left = 0

    def feed(self, data: bytes) -> int:
        """How many requests begin with the next bytes that are sent."""
        count = at = 0
        while at < len(data):
            if self._payload_bytes_left:
                step = min(self._payload_bytes_left, len(data) - at)
                self._payload_bytes_left -= step
            else:
                step = min(HEADER_BYTES - len(self._header), len(data) - at)
                self._header += data[at : at + step]
                if len(self._header) == HEADER_BYTES:
                    self._payload_bytes_left = int.from_bytes(self._header[1:], "big")
                    self._header = b""
                    count += 1
            at += step
        return count


class WireConnection:
    """One TCP connection to the target.

    Args:
        address: host and port.
        name: ``a`` for the first of a case.
        trace: records what crosses the connection.
        check: called with what is about to be sent; raises where it must not be.
        reply_timeout_s: how long one read may take.
        on_silence: called with the seconds spent waiting for a reply that did not come.

    Raises:
        CaseFailed: the connection failed.
    """

    def __init__(
        self,
        address: tuple[str, int],
        name: str,
        trace: Trace,
        check: Callable[[bytes, int], None],
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        on_silence: Callable[[float], None] | None = None,
    ) -> None:
        self.name = name
        self._on_silence = on_silence
        self._trace = trace
        self._check = check
        self._reply_timeout_s = reply_timeout_s
        self._sent_requests = RequestCount()
        self._due_count = 0
        self._has_sent = False
        self._stream = bytearray()
        self._fault: CaseFailed | None = None
        self._replies: list[WireReply] = []
        try:
            self._socket = socket.create_connection(address, timeout=reply_timeout_s)
        except OSError as error:
            raise CaseFailed("a connection", f"it was refused: {error}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._trace.note(self.name, "connected")

    def send(self, data: bytes, pieces: int = 0) -> None:
        """Send bytes: all at once, or in pieces of so many bytes.

        A target that has closed already is no failure here: what it answered can still be read.

        Raises:
            ForeignKeyError: they could touch a key that is not the run's own. Nothing was sent.
            SetupFailed: they could touch the empty key, and it was not seen absent.
        """
        self._check(data, pieces)
        self._trace.data(self.name, ">", data, pieces)
        self._due_count += self._sent_requests.feed(data)
        self._has_sent = True
        step = pieces or max(1, len(data))
        try:
            for start in range(0, len(data), step):
                self._socket.sendall(data[start : start + step])
        except OSError as error:
            self._trace.note(self.name, f"sending failed: {error}")

    def request(self, opcode: int, payload: bytes = b"") -> WireReply:
        """Send one request and read its response."""
        self.send(frame(opcode, payload))
        return self.read()

    def exchange(self, request_frame: bytes) -> WireReply:
        """Send one whole frame; read its response."""
        self.send(request_frame)
        return self.read()

    def read(self) -> WireReply:
        """The next response.

        Raises:
            CaseFailed: none came in time, the connection was closed, or the bytes are no frame.
        """
        reply = self.read_or_end()
        if reply is None:
            raise ConnectionEnded("a response", "the connection was closed")
        return reply

    def read_or_end(self) -> WireReply | None:
        """The next response; None when the connection was closed instead.

        Raises:
            CaseFailed: neither in time, or the bytes are no frame.
        """
        while not self._replies:
            if not self._receive(self._reply_timeout_s):
                return None
        return self._replies.pop(0)

    def read_many(self, count: int) -> list[WireReply]:
        """The next ``count`` responses."""
        return [self.read() for _ in range(count)]

    def drain(self) -> list[WireReply]:
        """Every response until the target closes, which it must do in time."""
        while self._receive(self._reply_timeout_s):
            pass
        replies, self._replies = self._replies, []
        return replies

    def expect_closed(self) -> None:
        """Fail the case unless the target closes, and sends nothing more before it does."""
        while self._receive(self._reply_timeout_s):
            pass
        if self._replies:
            raise CaseFailed("nothing more before the close", str(self._replies[0]))

    def expect_silence(self, seconds: float) -> None:
        """Fail the case if the target sends something, or closes, within ``seconds``."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            return
        finally:
            self._socket.settimeout(self._reply_timeout_s)
        if not data:
            self._trace.note(self.name, "closed by the target")
            raise CaseFailed("silence", "a close")
        self._trace.data(self.name, "<", data)
        raise CaseFailed("silence", data[:32].hex(" "))

    def finish(self) -> None:
        """Close the sending side (FIN): the target still owes what it owes."""
        self._trace.note(self.name, "sending side closed")
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off (RST)."""
        self._trace.note(self.name, "reset")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self._socket.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self, timeout_s: float) -> bool:
        """Read once; False when the target has closed."""
        self._socket.settimeout(timeout_s)
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            wait = f"nothing within {timeout_s:g} s"
            self._trace.note(self.name, wait)
            if self._on_silence is not None:
                self._on_silence(timeout_s)
            raise NoReply("a response or a close", wait) from None
        except OSError as error:
            self._trace.note(self.name, f"closed by the target: {error}")
            return False
        if not data:
            self._trace.note(self.name, "closed by the target")
            return False
        self._trace.data(self.name, "<", data)
        if self._fault is None:
            self._accept(data)
        if self._fault is not None:
            raise self._fault
        return True

    def _accept(self, data: bytes) -> None:
        """Cut responses from what came, and note what no target may send.

        Of a piece that holds more than is due nothing is believed: any of it may be too much.
        """
        asked = "one response to each request"
        if not self._due_count and data[0] == Status.ERROR:
            message = data[HEADER_BYTES:].decode("utf-8", "replace")
            self._fault = CaseFailed(asked, f"the target turned the connection away: {message}")
            return
        self._stream += data
        replies = [WireReply(*parts) for parts in take_frames(self._stream)]
        self._due_count -= len(replies)
        if self._due_count < 0 or (self._due_count == 0 and self._stream):
            # Bytes that are no whole response come of a length that is wrong.
            clause = "FRAME-003" if self._stream else "CONN-002"
            clause = clause if self._has_sent else "CONN-001"
            self._fault = CaseFailed(asked, "more responses came than were due", clauses=[clause])
            return
        if any(reply.status == Status.NULL and reply.payload for reply in replies):
            self._fault = CaseFailed(asked, "a NULL came with a payload", clauses=["STATUS-003"])
        elif declared_bytes(self._stream) > REPLY_BYTES_MAX:
            size = declared_bytes(self._stream)
            over = f"a reply of {size} bytes is over the limit"
            self._fault = CaseFailed(asked, over, clauses=["FRAME-003"])
        self._replies += replies
