"""The asynchronous client: one connection, any number of concurrent calls, pipelined.

``asyncio.gather`` of a hundred gets leaves in one write. When the connection breaks, the calls in
flight fail and say that they may have been applied; the next call opens a new connection. Nothing
is sent twice. A client belongs to the event loop that it was connected on, and to its process: in a
forked child its calls raise KvConnectionError, and the parent's connection is not touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Generic, Self, TypeVar

from kvbench.client import commands
from kvbench.client.address import Address
from kvbench.client.commands import Command
from kvbench.client.connection import ClientConnection
from kvbench.client.decoding import AT_ONCE_BYTES, check_reply_bound
from kvbench.client.forks import LEFT_TO_PARENT, watch
from kvbench.client.sockets import check_timeouts, no_connection
from kvbench.client.streams import Streaming
from kvbench.errors import KvConnectionError, KvServerError
from kvbench.model import Pairs, Value
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX

T = TypeVar("T")
C = TypeVar("C", bound="KvClient")

_log = logging.getLogger("kvbench.client")


class Connecting(Generic[C]):
    """A client about to be connected: ``await`` it, or use it in ``async with``."""

    def __init__(self, client: C) -> None:
        self._client = client

    def __await__(self) -> Generator[object, None, C]:
        return self._client._opened().__await__()

    async def __aenter__(self) -> C:
        return await self._client._opened()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()


class KvClient(Streaming):
    """A client of the wire protocol. Made by :meth:`connect`.

    Every call may raise KvConnectionError, KvTimeoutError, KvServerError or KvProtocolError (see
    kvbench.errors for what each leaves behind), and TypeError or ValueError for its arguments. A
    call that is cancelled may have been applied if it was sent; its connection is then replaced.

    Attributes:
        address: where it is connected to.
    """

    def __init__(
        self,
        address: Address,
        connect_timeout: float,
        request_timeout: float,
        max_reply_bytes: int = PAYLOAD_BYTES_MAX,
    ) -> None:
        check_timeouts(connect_timeout=connect_timeout, request_timeout=request_timeout)
        check_reply_bound(max_reply_bytes)
        self.address = address
        self._name = str(address)
        self._prefix = address.prefix
        self._connect_timeout_s = connect_timeout
        self._request_timeout_s = request_timeout
        self._max_reply_bytes = max_reply_bytes
        self._connection: ClientConnection | None = None
        self._live: set[ClientConnection] = set()
        self._connecting = asyncio.Lock()
        self._opened_count = 0
        self._failed_count = 0
        self._last_failure = ""
        self._closed_reason = ""
        watch(self)

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        connect_timeout: float = 5.0,
        request_timeout: float = 30.0,
        max_reply_bytes: int = PAYLOAD_BYTES_MAX,
    ) -> Connecting[Self]:
        """Connect to a server. To be awaited. As :meth:`SyncKvClient.connect`."""
        place = Address.parse(address)
        return Connecting(cls(place, connect_timeout, request_timeout, max_reply_bytes))

    async def close(self) -> None:
        """Close; calls in flight fail. Closing twice is fine; later calls: KvConnectionError."""
        self._closed_reason = self._closed_reason or "the client is closed: connect a new one"
        for connection in list(self._live):
            await connection.close()

    @property
    def namespace(self) -> str | None:
        """The namespace that it works in, None without one."""
        return self.address.namespace or None

    @property
    def is_connected(self) -> bool:
        """Whether there is a usable connection now."""
        return self._connection is not None and self._connection.protocol.is_usable

    @property
    def reconnects(self) -> int:
        """How often a broken connection was replaced."""
        return max(0, self._opened_count - 1)

    async def _opened(self) -> Self:
        await self._usable()
        return self

    async def _usable(self) -> ClientConnection:
        """The connection, opened anew when there is none or it broke.

        Calls that come while it is being opened wait for that one attempt, and share its fate.
        """
        self._check_open()
        failed_count = self._failed_count
        async with self._connecting:
            if self._connection is not None and self._connection.protocol.is_usable:
                return self._connection
            if self._failed_count != failed_count:
                raise KvConnectionError(self._last_failure)
            try:
                self._connection = await self._open()
            except KvConnectionError as error:
                self._failed_count += 1
                self._last_failure = str(error)
                raise
            return self._connection

    async def _open(self) -> ClientConnection:
        self._check_open()
        opening = asyncio.get_running_loop().create_connection(
            lambda: ClientConnection(
                self._name, self._request_timeout_s, self._max_reply_bytes, self._live
            ),
            self.address.host,
            self.address.port,
        )
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                _, connection = await opening
        except (OSError, UnicodeError) as error:
            raise no_connection(self._name, error, self._connect_timeout_s) from None
        if self._closed_reason:
            await connection.close()
            self._check_open()
        if not connection.protocol.is_usable:
            raise KvConnectionError(connection.protocol.end_reason)
        self._opened_count += 1
        if self._opened_count > 1:
            _log.warning("reconnected to %s", self._name)
        return connection

    def _check_open(self) -> None:
        if self._closed_reason:
            raise KvConnectionError(f"{self._name}: {self._closed_reason}")

    def _leave_to_parent(self) -> None:
        """In a forked child: what would be sent here would reach the parent's connections."""
        self._closed_reason = f"the client {LEFT_TO_PARENT}"
        for connection in self._live:
            connection.leave_to_parent()
        self._live.clear()

    async def _call(self, command: Command[T]) -> T:
        connection = self._connection
        if connection is None or not connection.protocol.is_usable:
            connection = await self._usable()
        request = connection.submit(command.request)
        try:
            response = await request.waiter
        except asyncio.CancelledError:
            connection.give_up(request)
            raise
        if len(response[1]) > AT_ONCE_BYTES:
            return await connection.large_result(command, request)
        return connection.result(command, response)

    async def _call_each(self, parts: list[Command[T]]) -> list[T]:
        """All requests at once, in one turn of the loop; the results in their order."""
        connection = self._connection
        if connection is None or not connection.protocol.is_usable:
            connection = await self._usable()
        requests = [connection.submit(part.request) for part in parts]
        found: list[T] = []
        refused: KvServerError | None = None
        try:
            for part, request in zip(parts, requests, strict=True):
                response = await request.waiter
                try:
                    if len(response[1]) > AT_ONCE_BYTES:
                        found.append(await connection.large_result(part, request))
                    else:
                        found.append(connection.result(part, response))
                except KvServerError as error:
                    refused = refused or error
        except BaseException:
            for request in requests:
                connection.give_up(request)
                if not request.waiter.cancelled():
                    request.waiter.exception()  # Seen, or asyncio would log each of them.
            raise
        if refused is not None:
            raise refused
        return found

    async def _call_all(self, parts: list[Command[T]]) -> list[T]:
        return [await self._call(part) for part in parts]

    async def ping(self) -> bool:
        """True when the server answers."""
        return await self._call(commands.ping())

    async def info(self) -> dict[str, object]:
        """What the server tells of itself, at least ``entries``."""
        return await self._call(commands.info())

    async def hello(self) -> tuple[int, list[str]]:
        """The server's protocol version and the capabilities that it announces."""
        return await self._call(commands.hello())

    async def get(self, key: str) -> Value:
        """The key's value, None when it is absent."""
        return await self._call(commands.get(self._prefix, key))

    async def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Store a value, with a TTL in seconds or none; replaces both."""
        await self._call(commands.set(self._prefix, key, value, ttl))

    async def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        return await self._call(commands.setnx(self._prefix, key, value, ttl))

    async def delete(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        return await self._call(commands.delete(self._prefix, key))

    async def exists(self, key: str) -> bool:
        """Whether the key is there."""
        return await self._call(commands.exists(self._prefix, key))

    async def getdel(self, key: str) -> Value:
        """Remove a key; returns the value that it had, None when it was absent."""
        return await self._call(commands.getdel(self._prefix, key))

    async def incr(self, key: str, delta: int = 1) -> int:
        """Add to an Int, from 0 when the key is absent; returns the new value."""
        return await self._call(commands.incr(self._prefix, key, delta))

    async def decr(self, key: str, delta: int = 1) -> int:
        """Subtract from an Int, from 0 when the key is absent; returns the new value."""
        return await self._call(commands.decr(self._prefix, key, delta))

    async def cas(
        self, key: str, expected: Value, new: Value, ttl: float | None = None
    ) -> bool | None:
        """Replace ``expected`` by ``new``: True swapped, False mismatch, None when absent."""
        return await self._call(commands.cas(self._prefix, key, expected, new, ttl))

    async def expire(self, key: str, ttl: float | None) -> bool:
        """Give a key a new TTL, or with None no TTL; returns whether it was there."""
        return await self._call(commands.expire(self._prefix, key, ttl))

    async def ttl(self, key: str) -> float | None:
        """Seconds that the key has left, -1.0 without a TTL, None when it is absent."""
        return await self._call(commands.ttl(self._prefix, key))

    async def lock(self, key: str, owner: str, ttl: float) -> bool:
        """Take a lock for ``ttl`` seconds; returns whether it was free."""
        return await self._call(commands.lock(self._prefix, key, owner, ttl))

    async def unlock(self, key: str, owner: str) -> bool:
        """Release a lock; False when it is not held, KvServerError when another owns it."""
        return await self._call(commands.unlock(self._prefix, key, owner))

    async def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """Give a held lock a new TTL; False when it is not held."""
        return await self._call(commands.extend_lock(self._prefix, key, owner, ttl))

    async def mget(self, keys: Iterable[str]) -> list[Value]:
        """The values of ``keys`` in their order, None where a key is absent.

        Over 65,535 keys it takes several requests, and is then not atomic; so do its siblings.
        """
        return commands.joined(await self._call_all(commands.mget(self._prefix, keys)))

    async def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Store a mapping or (key, value) pairs with one TTL; the last pair of a key wins."""
        await self._call_all(commands.mset(self._prefix, pairs, ttl))

    async def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """Store (key, value, ttl) entries, each with a TTL of its own."""
        await self._call_all(commands.mset_each(self._prefix, entries))

    async def mdel(self, keys: Iterable[str]) -> int:
        """Remove ``keys``; returns how many were there. A repeated key counts once."""
        return sum(await self._call_all(commands.mdel(self._prefix, keys)))

    async def mexists(self, keys: Iterable[str]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        return commands.joined(await self._call_all(commands.mexists(self._prefix, keys)))

    async def pipelined_get(self, keys: Iterable[str]) -> list[Value]:
        """A GET for each key, sent together: what :meth:`get` answers to each, in their order.

        Not a batch: each request is applied by itself. Its siblings do the same; when the server
        refuses some of the requests, they raise the first KvServerError, and the others stand.
        """
        return await self._call_each(commands.each(commands.get, self._prefix, keys))

    async def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """A SET for each pair of a mapping or of pairs, sent together, applied in their order."""
        await self._call_each(commands.set_each(self._prefix, pairs, ttl))

    async def pipelined_delete(self, keys: Iterable[str]) -> list[bool]:
        """A DEL for each key, sent together: whether each was there."""
        return await self._call_each(commands.each(commands.delete, self._prefix, keys))

    async def pipelined_exists(self, keys: Iterable[str]) -> list[bool]:
        """An EXISTS for each key, sent together: whether each is there."""
        return await self._call_each(commands.each(commands.exists, self._prefix, keys))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
