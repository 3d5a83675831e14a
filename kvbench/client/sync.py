"""The synchronous client: one blocking connection, one request at a time.

Safe from several threads, which take turns. A connection on which a request was cut off (timeout,
Ctrl-C, a broken stream) is closed rather than read on, for its next bytes would be another
request's reply (CLIENT-009); the next call opens a new one. Nothing is sent twice.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

from kvbench.client import commands
from kvbench.client.address import Address
from kvbench.client.commands import Command
from kvbench.errors import KvConnectionError, KvProtocolError, KvTimeoutError
from kvbench.model import Pairs, Value
from kvbench.protocol.frames import FrameReader

T = TypeVar("T")

_RECV_BYTES = 65_536
_log = logging.getLogger("kvbench.client")


class SyncKvClient:
    """A client of the wire protocol. Made by :meth:`connect`; a context manager that closes.

    Every call may raise KvConnectionError, KvTimeoutError, KvServerError or KvProtocolError (see
    kvbench.errors for what each leaves behind), and TypeError or ValueError for its arguments.

    Attributes:
        address: where it is connected to.
        reconnects: how often a broken connection was replaced.
    """

    def __init__(self, address: Address, connect_timeout: float, request_timeout: float) -> None:
        self.address = address
        self.reconnects = -1
        self._prefix = address.prefix
        self._connect_timeout_s = connect_timeout
        self._request_timeout_s = request_timeout
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._reader = FrameReader()
        self._is_closed = False

    @classmethod
    def connect(
        cls, address: str, *, connect_timeout: float = 5.0, request_timeout: float = 30.0
    ) -> Self:
        """Connect to ``host:port/namespace``; timeouts in seconds.

        Raises:
            UsageError: the address is none.
            KvConnectionError: nobody answers there.
        """
        client = cls(Address.parse(address), connect_timeout, request_timeout)
        client._open()
        return client

    def close(self) -> None:
        """Close the connection. Closing twice is fine; later calls raise KvConnectionError."""
        self._is_closed = True
        self._drop()

    @property
    def is_connected(self) -> bool:
        """Whether the last call left a usable connection."""
        return self._socket is not None

    def _open(self) -> socket.socket:
        if self._is_closed:
            raise KvConnectionError("the client is closed")
        place = (self.address.host, self.address.port)
        try:
            opened = socket.create_connection(place, timeout=self._connect_timeout_s)
        except TimeoutError:
            raise KvConnectionError(
                f"{self.address}: no connection within {self._connect_timeout_s:g} s"
            ) from None
        except OSError as error:
            raise KvConnectionError(f"{self.address}: {error.strerror or error}") from None
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(self._request_timeout_s)
        self._socket, self._reader = opened, FrameReader()
        self.reconnects += 1
        if self.reconnects:
            _log.warning("reconnected to %s", self.address)
        return opened

    def _drop(self) -> None:
        stale, self._socket = self._socket, None
        if stale is not None:
            stale.close()

    def _call(self, command: Command[T]) -> T:
        with self._lock:
            stream = self._socket or self._open()
            try:
                stream.sendall(command.request)
                status, payload = self._read(stream)
            except TimeoutError:
                self._drop()
                raise KvTimeoutError(
                    f"{self.address}: no answer within {self._request_timeout_s:g} s; "
                    "the request may have been applied"
                ) from None
            except OSError as error:
                self._drop()
                raise KvConnectionError(
                    f"{self.address}: the connection broke ({error.strerror or error}); "
                    "the request may have been applied"
                ) from None
            except BaseException:
                self._drop()
                raise
            try:
                return command.result(status, payload)
            except KvProtocolError:
                self._drop()
                raise

    def _read(self, stream: socket.socket) -> tuple[int, bytes]:
        """The one response that is due."""
        reader = self._reader
        deadline = 0.0
        while True:
            data = stream.recv(_RECV_BYTES)
            if not data:
                raise ConnectionResetError("the server closed it")
            frames = reader.feed(data)
            if frames:
                break
            if reader.oversize_bytes:
                raise KvProtocolError(f"a reply of {reader.oversize_bytes} bytes is over the limit")
            now = time.monotonic()
            deadline = deadline or now + self._request_timeout_s
            stream.settimeout(max(1e-3, deadline - now))
            if now >= deadline:
                raise TimeoutError
        if deadline:
            stream.settimeout(self._request_timeout_s)
        if len(frames) > 1 or reader.buffered_bytes:
            raise KvProtocolError("the server sent more than the one reply that was due")
        return frames[0]

    def _call_all(self, parts: list[Command[T]]) -> list[T]:
        return [self._call(part) for part in parts]

    def ping(self) -> bool:
        """True when the server answers."""
        return self._call(commands.ping())

    def info(self) -> dict[str, object]:
        """What the server tells of itself, at least ``entries``."""
        return self._call(commands.info())

    def hello(self) -> tuple[int, list[str]]:
        """The server's protocol version and the capabilities that it announces."""
        return self._call(commands.hello())

    def get(self, key: str) -> Value:
        """The key's value, None when it is absent."""
        return self._call(commands.get(self._prefix, key))

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Store a value, with a TTL in seconds or none; replaces both."""
        self._call(commands.set(self._prefix, key, value, ttl))

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        return self._call(commands.setnx(self._prefix, key, value, ttl))

    def delete(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        return self._call(commands.delete(self._prefix, key))

    def exists(self, key: str) -> bool:
        """Whether the key is there."""
        return self._call(commands.exists(self._prefix, key))

    def incr(self, key: str, delta: int = 1) -> int:
        """Add to an Int, from 0 when the key is absent; returns the new value."""
        return self._call(commands.incr(self._prefix, key, delta))

    def decr(self, key: str, delta: int = 1) -> int:
        """Subtract from an Int, from 0 when the key is absent; returns the new value."""
        return self._call(commands.decr(self._prefix, key, delta))

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """Replace ``expected`` by ``new``: True swapped, False mismatch, None when absent."""
        return self._call(commands.cas(self._prefix, key, expected, new, ttl))

    def expire(self, key: str, ttl: float | None) -> bool:
        """Give a key a new TTL, or with None no TTL; returns whether it was there."""
        return self._call(commands.expire(self._prefix, key, ttl))

    def ttl(self, key: str) -> float | None:
        """Seconds that the key has left, -1.0 without a TTL, None when it is absent."""
        return self._call(commands.ttl(self._prefix, key))

    def lock(self, key: str, owner: str, ttl: float) -> bool:
        """Take a lock for ``ttl`` seconds; returns whether it was free."""
        return self._call(commands.lock(self._prefix, key, owner, ttl))

    def unlock(self, key: str, owner: str) -> bool:
        """Release a lock; False when it is not held, KvServerError when another owns it."""
        return self._call(commands.unlock(self._prefix, key, owner))

    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """Give a held lock a new TTL; False when it is not held."""
        return self._call(commands.extend_lock(self._prefix, key, owner, ttl))

    def mget(self, keys: Iterable[str]) -> list[Value]:
        """The values of ``keys`` in their order, None where a key is absent.

        Over 65,535 keys it takes several requests, and is then not atomic; so do its siblings.
        """
        return commands.joined(self._call_all(commands.mget(self._prefix, keys)))

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Store a mapping or (key, value) pairs with one TTL; the last pair of a key wins."""
        self._call_all(commands.mset(self._prefix, pairs, ttl))

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """Store (key, value, ttl) entries, each with a TTL of its own."""
        self._call_all(commands.mset_each(self._prefix, entries))

    def mdel(self, keys: Iterable[str]) -> int:
        """Remove ``keys``; returns how many were there. A repeated key counts once."""
        return sum(self._call_all(commands.mdel(self._prefix, keys)))

    def mexists(self, keys: Iterable[str]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        return commands.joined(self._call_all(commands.mexists(self._prefix, keys)))

    def mget_stream(
        self, keys: Iterable[str], *, chunk_size: int = 1000
    ) -> Iterator[tuple[str, Value]]:
        """(key, value) for any number of keys, in their order, a chunk in memory at a time."""
        for chunk in commands.chunks_of(keys, chunk_size):
            yield from zip(chunk, self.mget(chunk), strict=True)

    def mset_stream(
        self,
        pairs: Iterable[tuple[str, Value]],
        ttl: float | None = None,
        *,
        chunk_size: int = 1000,
    ) -> int:
        """Store any number of pairs, a chunk at a time; returns how many were sent."""
        stored = 0
        for chunk in commands.chunks_of(pairs, chunk_size):
            self.mset(chunk, ttl)
            stored += len(chunk)
        return stored

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
