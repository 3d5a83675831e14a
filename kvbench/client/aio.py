"""The asynchronous client: one connection, any number of concurrent calls, pipelined.

``asyncio.gather`` of a hundred gets leaves in one write. When the connection breaks, calls in
flight fail, and the error says that they may have been applied; the next call opens a new
connection. Nothing is sent twice. A client belongs to the event loop on which it was connected, and
to its process: in a forked child its calls raise KvConnectionError, and the parent's connection is
not touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from typing import Generic, Self, TypeVar

from typing_extensions import override

from kvbench.client.address import Address
from kvbench.client.commands import Command
from kvbench.client.connection import ClientConnection
from kvbench.client.decoding import AT_ONCE_BYTES, check_reply_bound
from kvbench.client.forks import LEFT_TO_PARENT, watch
from kvbench.client.operations import AsyncOperations
from kvbench.client.sockets import check_timeouts, no_connection
from kvbench.errors import KvConnectionError, KvServerError
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX

T = TypeVar("T")
C = TypeVar("C", bound="KvClient")

_log = logging.getLogger("kvbench.client")


class Connecting(Generic[C]):
    """A client to be connected: ``await`` it, or use it in ``async with``."""

    def __init__(self, client: C) -> None:
        self._client = client

    def __await__(self) -> Generator[object, None, C]:
        return self._client._opened().__await__()

    async def __aenter__(self) -> C:
        return await self._client._opened()

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


class KvClient(AsyncOperations):
    """A client of the wire protocol. Created by :meth:`connect`.

    Every call may raise KvConnectionError, KvTimeoutError, KvServerError or KvProtocolError (see
    kvbench.errors for the state that each leaves), and TypeError or ValueError for its arguments. A
    call that is cancelled may have been applied if it was sent; its connection is then replaced.

    Attributes:
        address: the server's address.
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
        """Connect to a server; await the result. Arguments as :meth:`SyncKvClient.connect`."""
        place = Address.parse(address)
        return Connecting(cls(place, connect_timeout, request_timeout, max_reply_bytes))

    @override
    async def close(self) -> None:
        """Close; calls in flight fail, later calls raise. May be called twice."""
        self._closed_reason = self._closed_reason or "the client is closed: connect a new one"
        for connection in list(self._live):
            await connection.close()

    @property
    def namespace(self) -> str | None:
        """The namespace, None without one."""
        return self.address.namespace or None

    @property
    def is_connected(self) -> bool:
        """Whether the connection is usable now."""
        return self._connection is not None and self._connection.protocol.is_usable

    @property
    def reconnects(self) -> int:
        """How often a broken connection was replaced."""
        return max(0, self._opened_count - 1)

    async def _opened(self) -> Self:
        await self._usable()
        return self

    async def _usable(self) -> ClientConnection:
        """The connection; opened again if there is none or it broke.

        Concurrent calls wait for the same attempt, and get its result.
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
        """In a forked child: anything sent here would reach the parent's connections."""
        self._closed_reason = f"the client {LEFT_TO_PARENT}"
        for connection in self._live:
            connection.leave_to_parent()
        self._live.clear()

    @override
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

    @override
    async def _call_each(self, parts: list[Command[T]]) -> list[T]:
        """Send all requests at once; returns the results in their order."""
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
                    request.waiter.exception()  # Retrieved, or asyncio would log each of them.
            raise
        if refused is not None:
            raise refused
        return found

    @override
    async def _call_all(self, parts: list[Command[T]]) -> list[T]:
        return [await self._call(part) for part in parts]
