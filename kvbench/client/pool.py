"""The connection pool: a client's methods over connections that are lent out one at a time.

How connections are lent is :mod:`kvbench.client.lending`'s; here every method takes one, uses it
and gives it back. Each has the signature, the types and the docstring of the client's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kvbench.client.aio import KvClient
from kvbench.client.lending import Lending
from kvbench.client.streams import Streaming

P = ParamSpec("P")
T = TypeVar("T")


def _lent(
    method: Callable[Concatenate[KvClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[KvPool, P], Coroutine[Any, Any, T]]:
    """A client's method as a pool's: on a connection that is lent for the call."""

    @wraps(method)
    async def call(self: KvPool, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.acquire() as client:
            return await method(client, *args, **kwargs)

    return call


class KvPool(Lending, Streaming):
    """A pool of clients with a client's methods. Made by :meth:`connect`.

    Every method may raise what :class:`~kvbench.client.KvClient` raises, and PoolTimeoutError. A
    stream's window is over up to as many connections, so that ``mset_stream`` stores in no order.
    """

    ping = _lent(KvClient.ping)
    info = _lent(KvClient.info)
    hello = _lent(KvClient.hello)
    get = _lent(KvClient.get)
    set = _lent(KvClient.set)
    setnx = _lent(KvClient.setnx)
    getdel = _lent(KvClient.getdel)
    delete = _lent(KvClient.delete)
    exists = _lent(KvClient.exists)
    incr = _lent(KvClient.incr)
    decr = _lent(KvClient.decr)
    cas = _lent(KvClient.cas)
    expire = _lent(KvClient.expire)
    ttl = _lent(KvClient.ttl)
    lock = _lent(KvClient.lock)
    unlock = _lent(KvClient.unlock)
    extend_lock = _lent(KvClient.extend_lock)
    mget = _lent(KvClient.mget)
    mset = _lent(KvClient.mset)
    mset_each = _lent(KvClient.mset_each)
    mdel = _lent(KvClient.mdel)
    mexists = _lent(KvClient.mexists)
    pipelined_get = _lent(KvClient.pipelined_get)
    pipelined_set = _lent(KvClient.pipelined_set)
    pipelined_delete = _lent(KvClient.pipelined_delete)
    pipelined_exists = _lent(KvClient.pipelined_exists)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
