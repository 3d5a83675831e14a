"""The synchronous client: one blocking connection, one request at a time.

Safe from several threads, which take turns, and across a fork: a child leaves the connection to its
parent and opens its own. A call in the middle of another one of the same thread, as a signal
handler can make it, is refused: waiting would never end, and reading would take the reply of the
outer call. A connection on which a request was cut off (timeout, Ctrl-C, a broken stream) is closed
rather than read on, for its next bytes would be another request's reply (CLIENT-009); so is one on
which anything came that nobody asked for. The next call opens a new one. Nothing is sent twice.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

from kvbench.client import commands
from kvbench.client.address import Address
from kvbench.client.commands import Command
from kvbench.client.exchanges import RECV_BYTES, exchange_many, exchange_one
from kvbench.client.forks import watch
from kvbench.client.sockets import check_timeouts, no_connection, prepare
from kvbench.errors import (
    KvConnectionError,
    KvProtocolError,
    KvReentryError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.model import Pairs, Value
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Status

T = TypeVar("T")

_log = logging.getLogger("kvbench.client")


class SyncKvClient:
    """A client of the wire protocol. Made by :meth:`connect`; a context manager that closes.

    Every call may raise KvConnectionError, KvTimeoutError, KvServerError or KvProtocolError (see
    kvbench.errors for what each leaves behind), and TypeError or ValueError for its arguments. One
    that is made in the middle of another call of the same thread raises KvReentryError.

    Attributes:
        address: where it is connected to.
    """

    def __init__(self, address: Address, connect_timeout: float, request_timeout: float) -> None:
        check_timeouts(connect_timeout=connect_timeout, request_timeout=request_timeout)
        self.address = address
        self._name = str(address)
        self._prefix = address.prefix
        self._connect_timeout_s = connect_timeout
        self._request_timeout_s = request_timeout
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._poll = select.poll()
        self._reader = FrameReader()
        self._opened_count = 0
        self._is_closed = False
        self._is_in_call = False
        watch(self)

    @classmethod
    def connect(
        cls, address: str, *, connect_timeout: float = 5.0, request_timeout: float = 30.0
    ) -> Self:
        """Connect to ``host:port/namespace``; timeouts in seconds.

        Raises:
            UsageError: the address is none, or a timeout is not above 0.
            KvConnectionError: nobody answers there.
        """
        client = cls(Address.parse(address), connect_timeout, request_timeout)
        client._open()
        return client

    def close(self) -> None:
        """Close; a call in another thread fails. Closing twice is fine; later calls raise.

        What they raise is a KvConnectionError.
        """
        self._is_closed = True
        stream = self._socket
        if stream is not None:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)  # Wakes a thread that waits for its reply.
        with self._lock:
            self._drop()

    @property
    def namespace(self) -> str | None:
        """The namespace that it works in, None without one."""
        return self.address.namespace or None

    @property
    def is_connected(self) -> bool:
        """Whether the last call left a usable connection."""
        return self._socket is not None

    @property
    def reconnects(self) -> int:
        """How often a broken connection was replaced."""
        return max(0, self._opened_count - 1)

    def _open(self) -> socket.socket:
        if self._is_closed:
            raise self._closed()
        lock = self._lock
        place = (self.address.host, self.address.port)
        try:
            opened = socket.create_connection(place, timeout=self._connect_timeout_s)
            try:
                prepare(opened)
            except BaseException:
                opened.close()
                raise
        except (OSError, UnicodeError) as error:
            raise no_connection(self._name, error, self._connect_timeout_s) from None
        if self._is_closed or self._lock is not lock:  # A signal handler closed it, or forked.
            opened.close()
            raise self._closed() if self._is_closed else self._left_to_parent()
        opened.settimeout(self._request_timeout_s)
        poll = select.poll()
        poll.register(opened, select.POLLIN)
        self._socket, self._reader, self._poll = opened, FrameReader(), poll
        self._opened_count += 1
        if self._opened_count > 1:
            _log.warning("reconnected to %s", self._name)
        return opened

    def _drop(self) -> None:
        stale, self._socket = self._socket, None
        if stale is not None:
            stale.close()

    def _closed(self) -> KvConnectionError:
        return KvConnectionError(f"{self._name}: the client is closed: connect a new one")

    def _leave_to_parent(self) -> None:
        """In a forked child: its replies would mix with the parent's on the same connection."""
        self._lock = threading.RLock()  # The old one may be held by a thread that is not here.
        self._is_in_call = False
        self._drop()

    def _call(self, command: Command[T]) -> T:
        def talk(stream: socket.socket) -> T:
            timeout_s = self._request_timeout_s
            response = exchange_one(stream, self._reader, command.request, timeout_s)
            return command.result(*response)

        return self._converse(talk)

    def _call_each(self, parts: list[Command[T]]) -> list[T]:
        """All requests in one flush; the results in their order."""
        if not parts:
            return []

        def talk(stream: socket.socket) -> list[T]:
            requests = [part.request for part in parts]
            timeout_s = self._request_timeout_s
            return commands.results(parts, exchange_many(stream, self._reader, requests, timeout_s))

        return self._converse(talk)

    def _converse(self, talk: Callable[[socket.socket], T]) -> T:
        """Send and receive for one call; other threads wait, the same one is refused.

        A signal handler can run between any two lines. Before the mark is set, its call is a whole
        one of its own, for nothing of ours was sent yet. While it is set, its call is refused.
        """
        with self._lock:
            if self._is_in_call:
                raise KvReentryError(self._name)
            try:
                self._is_in_call = True
                return self._answer(talk)
            finally:
                self._is_in_call = False

    def _answer(self, talk: Callable[[socket.socket], T]) -> T:
        stream = self._usable()
        try:
            return talk(stream)
        except KvServerError:
            raise  # An answer like another: the connection is as good as before.
        except KvProtocolError as error:
            self._drop()
            raise KvProtocolError(f"{self._name}: {error}; connection closed") from None
        except TimeoutError:
            self._drop()
            raise KvTimeoutError(
                f"{self._name}: no answer within {self._request_timeout_s:g} s; "
                "the request may have been applied"
            ) from None
        except OSError as error:
            raise self._broken(stream, error) from None
        except BaseException:
            self._drop()
            raise

    def _broken(self, stream: socket.socket, error: OSError) -> KvConnectionError:
        """The connection that a call was using is gone: say why, and forget it."""
        if self._is_closed:
            reason = "the client was closed"
        elif self._socket is not stream:
            return self._left_to_parent()
        else:
            reason = error.strerror or str(error)
        self._drop()
        return KvConnectionError(
            f"{self._name}: the connection broke ({reason}); the request may have been applied"
        )

    def _left_to_parent(self) -> KvConnectionError:
        return KvConnectionError(
            f"{self._name}: the process was forked in the middle of this call: its parent goes on "
            "with it, this child can call anew"
        )

    def _usable(self) -> socket.socket:
        """The connection, opened anew when there is none or the server ended it meanwhile."""
        stream = self._socket
        if stream is not None and self._poll.poll(0):
            self._refuse_unasked(stream)
            stream = None
        return stream or self._open()

    def _refuse_unasked(self, stream: socket.socket) -> None:
        """Nothing is due, yet something came: the end, the server's last word, or nonsense."""
        try:
            data = stream.recv(RECV_BYTES)
        except OSError:
            data = b""
        finally:
            self._drop()
        frames = self._reader.feed(data)
        if frames and frames[0][0] == Status.ERROR:
            raise KvServerError(frames[0][0], frames[0][1].decode("utf-8", "replace"))
        if data:
            _log.warning("%s: more responses came than were due; connection closed", self._name)

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

    def pipelined_get(self, keys: Iterable[str]) -> list[Value]:
        """A GET for each key, sent together: what :meth:`get` answers to each, in their order.

        Not a batch: each request is applied by itself. Its siblings do the same; when the server
        refuses some of the requests, they raise the first KvServerError, and the others stand.
        """
        return self._call_each(commands.each(commands.get, self._prefix, keys))

    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """A SET for each pair of a mapping or of pairs, sent together, applied in their order."""
        self._call_each(commands.set_each(self._prefix, pairs, ttl))

    def pipelined_delete(self, keys: Iterable[str]) -> list[bool]:
        """A DEL for each key, sent together: whether each was there."""
        return self._call_each(commands.each(commands.delete, self._prefix, keys))

    def pipelined_exists(self, keys: Iterable[str]) -> list[bool]:
        """An EXISTS for each key, sent together: whether each is there."""
        return self._call_each(commands.each(commands.exists, self._prefix, keys))

    def mget_stream(
        self, keys: Iterable[str], *, chunk_size: int = 1000
    ) -> Iterator[tuple[str, Value]]:
        """(key, value) for any number of keys, in their order, a chunk in memory at a time."""
        for chunk in commands.chunks_of(keys, chunk_size):
            yield from zip(chunk, self.mget(chunk), strict=True)

    def mset_stream(self, pairs: Pairs, ttl: float | None = None, *, chunk_size: int = 1000) -> int:
        """Store any number of pairs, a chunk at a time; returns how many were sent."""
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        stored_count = 0
        for chunk in commands.chunks_of(items, chunk_size):
            self.mset(chunk, ttl)
            stored_count += len(chunk)
        return stored_count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
