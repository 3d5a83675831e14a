"""The connection pool: a client's methods over pooled connections, each used by one call at a time.

Connections are acquired and released in :mod:`kvbench.client.connection_pool`; here every method
takes one, uses it and gives it back. Each has the signature, the types and the docstring of the
client's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kvbench.client.aio import KvClient
from kvbench.client.connection_pool import ConnectionPool
from kvbench.client.streams import Streaming

P = ParamSpec("P")
T = TypeVar("T")


def _pooled(
    method: Callable[Concatenate[KvClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[KvPool, P], Coroutine[Any, Any, T]]:
    """A client's method as a pool's: on a connection that is acquired for the call."""

    @wraps(method)
    async def call(self: KvPool, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.acquire() as client:
            return await method(client, *args, **kwargs)

    return call


class KvPool(ConnectionPool, Streaming):
    """A pool of clients with a client's methods. Made by :meth:`connect`.

    Every method may raise what :class:`~kvbench.client.KvClient` raises, and PoolTimeoutError. A
    stream's window is over up to as many connections, so that ``mset_stream`` stores in no order.
    """

    ping = _pooled(KvClient.ping)
    info = _pooled(KvClient.info)
    hello = _pooled(KvClient.hello)
    get = _pooled(KvClient.get)
    set = _pooled(KvClient.set)
    setnx = _pooled(KvClient.setnx)
    getdel = _pooled(KvClient.getdel)
    delete = _pooled(KvClient.delete)
    exists = _pooled(KvClient.exists)
    incr = _pooled(KvClient.incr)
    decr = _pooled(KvClient.decr)
    cas = _pooled(KvClient.cas)
    expire = _pooled(KvClient.expire)
    ttl = _pooled(KvClient.ttl)
    lock = _pooled(KvClient.lock)
    unlock = _pooled(KvClient.unlock)
    extend_lock = _pooled(KvClient.extend_lock)
    mget = _pooled(KvClient.mget)
    mset = _pooled(KvClient.mset)
    mset_each = _pooled(KvClient.mset_each)
    mdel = _pooled(KvClient.mdel)
    mexists = _pooled(KvClient.mexists)
    pipelined_get = _pooled(KvClient.pipelined_get)
    pipelined_set = _pooled(KvClient.pipelined_set)
    pipelined_delete = _pooled(KvClient.pipelined_delete)
    pipelined_exists = _pooled(KvClient.pipelined_exists)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
