"""The connection pool: a client's methods over pooled connections, each used by one call at a time.

Connections are acquired and released in :mod:`kvbench.client.connection_pool`; the methods are
those of :mod:`kvbench.client.operations`. Arguments are checked before a connection is acquired.
"""

from __future__ import annotations

from typing import TypeVar

from typing_extensions import override

from kvbench.client.commands import Command
from kvbench.client.connection_pool import ConnectionPool
from kvbench.client.operations import AsyncOperations

T = TypeVar("T")


class KvPool(ConnectionPool, AsyncOperations):
    """A pool of clients with a client's methods. Created by :meth:`connect`.

    Every method may raise what :class:`~kvbench.client.KvClient` raises, and PoolTimeoutError. A
    stream uses up to ``window`` connections, so ``mset_stream`` stores in no particular order.
    """

    @override
    async def _call(self, command: Command[T]) -> T:
        async with self.acquire() as client:
            return await client._call(command)

    @override
    async def _call_all(self, parts: list[Command[T]]) -> list[T]:
        async with self.acquire() as client:
            return await client._call_all(parts)

    @override
    async def _call_each(self, parts: list[Command[T]]) -> list[T]:
        async with self.acquire() as client:
            return await client._call_each(parts)
