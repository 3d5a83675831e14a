"""The wire suite's hands: connections that speak raw frames and remember every byte.

A :class:`WireContext` is what a wire case gets: an address, a key prefix of its own, and as many
connections as it asks for. Everything that crosses them is kept with its time, so that a failure
can show the conversation and be played again. Reads are bounded: a target that is silent fails the
case, it does not hang the suite. FIN and RST are both "closed".
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from types import TracebackType
from typing import Self

from kvbench.conformance.case import CaseFailed, SetupFailed
from kvbench.conformance.conversation import Moment, WireReply
from kvbench.conformance.guard import EMPTY_KEY, ForeignKeyError, StreamGuard, fresh_prefix
from kvbench.protocol import requests
from kvbench.protocol.frames import FrameReader, frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import encode_value

REPLY_TIMEOUT_S = 5.0
"""A target that takes longer for one reply is silent. Loopback takes well under a millisecond."""

NET_TTL_MS = 3_600_000
"""How long a key is there at most that a killed run has left, where the target has TTLs."""

REPLY_BYTES_MAX = 256 * 1024 * 1024
"""What a reply may declare before the suite hangs up: four times the protocol's default limit."""


class WireConnection:
    """One TCP connection to the target."""

    def __init__(self, context: WireContext, name: str) -> None:
        self.name = name
        self._context = context
        self._guard = context.guard()
        self._reader = FrameReader(REPLY_BYTES_MAX)
        self._replies: list[WireReply] = []
        self._is_closed_by_target = False
        try:
            self._socket = socket.create_connection(
                (context.host, context.port), timeout=context.reply_timeout_s
            )
        except OSError as error:
            raise CaseFailed("a connection", f"it was refused: {error}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._note("connected")

    def send(self, data: bytes, pieces: int = 0) -> None:
        """Send bytes: all at once, or in pieces of so many bytes.

        A target that has closed already is no failure here: what it answered can still be read.

        Raises:
            ForeignKeyError: they could touch a key that is not the run's own. Nothing was sent.
            SetupFailed: they could touch the empty key, and it was not seen absent.
        """
        if self._guard is not None and self._guard.check(data, pieces):
            self._context.see_empty_key_absent()
        self._log(">", data, pieces)
        step = pieces or max(1, len(data))
        try:
            for start in range(0, len(data), step):
                self._socket.sendall(data[start : start + step])
        except OSError as error:
            self._note(f"sending failed: {error}")

    def request(self, opcode: int, payload: bytes = b"") -> WireReply:
        """Send one request and read its response."""
        self.send(frame(opcode, payload))
        return self.read()

    def exchange(self, request_frame: bytes) -> WireReply:
        """Send one whole frame, as kvbench.protocol.requests makes them; read its response."""
        self.send(request_frame)
        return self.read()

    def read(self) -> WireReply:
        """The next response.

        Raises:
            CaseFailed: none came in time, the connection was closed, or the bytes are no frame.
        """
        reply = self.read_or_end()
        if reply is None:
            raise CaseFailed("a response", "the connection was closed")
        return reply

    def read_or_end(self) -> WireReply | None:
        """The next response; None when the connection was closed instead.

        Raises:
            CaseFailed: neither in time, or the bytes are no frame.
        """
        while not self._replies:
            if not self._receive(self._context.reply_timeout_s):
                return None
        return self._replies.pop(0)

    def read_many(self, count: int) -> list[WireReply]:
        """The next ``count`` responses."""
        return [self.read() for _ in range(count)]

    def drain(self) -> list[WireReply]:
        """Every response until the target closes, which it must do in time."""
        while self._receive(self._context.reply_timeout_s):
            pass
        replies, self._replies = self._replies, []
        return replies

    def expect_closed(self) -> None:
        """Fail the case unless the target closes, and sends nothing more before it does."""
        while self._receive(self._context.reply_timeout_s):
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
            self._socket.settimeout(self._context.reply_timeout_s)
        self._log("<", data)
        raise CaseFailed("silence", f"{data[:32].hex(' ')}" if data else "a close")

    def finish(self) -> None:
        """Close the sending side (FIN): the target still owes what it owes."""
        self._note("sending side closed")
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Break the connection off (RST)."""
        self._note("reset")
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
            raise CaseFailed("a response or a close", wait) from None
        except OSError as error:
            self._note(f"closed by the target: {error}")
            return False
        if not data:
            self._note("closed by the target")
            return False
        self._log("<", data)
        self._replies += [WireReply(*parts) for parts in self._reader.feed(data)]
        if self._reader.oversize_bytes:
            raise CaseFailed("a frame", f"a header of {self._reader.oversize_bytes} bytes")
        return True

    def _log(self, direction: str, data: bytes, pieces: int = 0) -> None:
        moment = Moment(self._context.now_ms(), self.name, direction, data, pieces=pieces)
        self._context.moments.append(moment)

    def _note(self, event: str) -> None:
        moment = Moment(self._context.now_ms(), self.name, "!", note=event)
        self._context.moments.append(moment)


class WireContext:
    """What a wire case works with. Closes all connections, and deletes its keys, at its end.

    Args:
        host: where the target listens.
        port: its port.
        capabilities: what the target declares or was found to have.
        seed: of everything random in the case.
        effort: 1 by default, more with ``--rigorous``: multiplies examples and rounds.
        net_ttl_ms: the TTL of what no clause says to be without one, in ms; 0 for none.
        is_guarded: whether only keys with the prefix can be written (kvbench.conformance.guard).

    Attributes:
        prefix: how each key of this case begins: as many ASCII characters as KEY_TOKEN.
        rng: random numbers from the seed.
        moments: all that happened, in order.
        shown: the context whose conversation a failure shows: this one, or a failing example's.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        capabilities: frozenset[str],
        seed: str,
        effort: int = 1,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
        net_ttl_ms: int = 0,
        is_guarded: bool = True,
    ) -> None:
        self.host = host
        self.port = port
        self.capabilities = capabilities
        self.seed = seed
        self.effort = effort
        self.reply_timeout_s = reply_timeout_s
        self.net_ttl_ms = net_ttl_ms
        self.rng = random.Random(seed)
        self.prefix = fresh_prefix()
        self.moments: list[Moment] = []
        self.shown = self
        self._keys: set[bytes] = set()
        self._connections: list[WireConnection] = []
        self._is_guarded = is_guarded
        self._is_empty_key_absent = False
        self._began = time.monotonic()

    @property
    def run_seed(self) -> str:
        """The seed of the whole run, from which the case's follows: ``--seed`` repeats it."""
        return self.seed.rpartition("/")[0] or self.seed

    def now_ms(self) -> float:
        """Milliseconds since the case began."""
        return (time.monotonic() - self._began) * 1000

    def connect(self) -> WireConnection:
        """A new connection, closed at the end of the case."""
        connection = WireConnection(self, _name(len(self._connections)))
        self._connections.append(connection)
        return connection

    def guard(self) -> StreamGuard | None:
        """What a connection's bytes have to pass; None where any key is allowed."""
        return StreamGuard(self.prefix) if self._is_guarded else None

    def may_send(self, *pieces: bytes) -> bool:
        """Whether a new connection could send these pieces without an error of the guard."""
        guard = StreamGuard(self.prefix)
        try:
            for piece in pieces:
                guard.check(piece)
        except ForeignKeyError:
            return False
        return True

    def see_empty_key_absent(self) -> None:
        """Look whether anybody has stored the empty key; what the case stores there is deleted.

        Raises:
            SetupFailed: somebody has, or the target does not say.
        """
        if self._is_empty_key_absent:
            return
        try:
            with self._unrecorded("looker") as looker:
                looker.send(frame(Opcode.GET, EMPTY_KEY))
                reply = looker.read_or_end()
        except CaseFailed as error:
            raise SetupFailed(f"GET of the empty key, before it is written: {error}") from None
        if reply is not None and reply.status == Status.OK:
            raise SetupFailed("the empty key holds a value, which may be somebody else's")
        self._is_empty_key_absent = True
        self._keys.add(EMPTY_KEY)

    def key(self, name: str = "k") -> str:
        """A key of this case's own; it is deleted at the end."""
        key = f"{self.prefix}{name}"
        self._keys.add(key.encode())
        return key

    def keys(self, count: int) -> list[str]:
        """So many keys of this case's own."""
        return [self.key(f":{index:05d}") for index in range(count)]

    def own(self, keys: Sequence[bytes]) -> None:
        """Have keys deleted at the end that the case made itself."""
        self._keys.update(keys)

    @property
    def owned(self) -> list[bytes]:
        """The keys of this case's own, sorted."""
        return sorted(self._keys)

    def stored(
        self, connection: WireConnection, key: str, value: object, ttl_ms: int | None = None
    ) -> None:
        """Store a value as a step before the one that is checked; by default with the net's TTL.

        Raises:
            SetupFailed: it was not OK.
        """
        ttl_ms = self.net_ttl_ms if ttl_ms is None else ttl_ms
        request = requests.set_request(Opcode.SET, b"", key, value, ttl_ms)
        reply = connection.exchange(request)
        if reply.status != Status.OK:
            raise SetupFailed(f"SET before the check answered {reply}")

    def expect_value(self, connection: WireConnection, key: str, value: object) -> None:
        """Fail the case unless GET answers this very value, or NULL for ``...``."""
        reply = connection.exchange(requests.key_request(Opcode.GET, b"", key))
        if value is ...:
            reply.expect(Status.NULL, b"")
        else:
            reply.expect(Status.OK, encode_value(value))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for connection in self._connections:
            connection.close()
        self._delete_keys()

    def _delete_keys(self) -> None:
        """Best effort: a target that is down keeps its keys, and has failed anyway."""
        if not self._keys:
            return
        with suppress(CaseFailed, SetupFailed), self._unrecorded("cleaner") as cleaner:
            for key in self._keys:
                cleaner.send(frame(Opcode.DEL, key))
                cleaner.read()

    @contextmanager
    def _unrecorded(self, name: str) -> Iterator[WireConnection]:
        """A connection that is no part of the conversation which a failure shows."""
        kept, self.moments = self.moments, []
        try:
            with closing(WireConnection(self, name)) as connection:
                yield connection
        finally:
            self.moments = kept


def _name(index: int) -> str:
    """``a`` to ``z``, then ``a1``…: names that vectors can use."""
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else f"{letter}{index // 26}"
