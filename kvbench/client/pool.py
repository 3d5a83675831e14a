"""The connection pool: clients that are lent out one at a time, first come first served.

Connections are opened as they are needed, up to ``max_size``, and closed when they have been idle
for ``idle_timeout``, down to ``min_size``. The one used last is lent first, so that the others can
grow idle. A broken connection is dropped and replaced. When all are busy callers queue; one that
waits longer than ``acquire_timeout`` gets PoolTimeoutError, and nothing of its request was sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kvbench.client.aio import KvClient
from kvbench.client.streams import AnyIterable, map_chunks
from kvbench.clock import Clock, SystemClock
from kvbench.errors import KvConnectionError, PoolTimeoutError
from kvbench.model import Pairs, Value

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What a pool is made of. Times are seconds.

    Attributes:
        address: ``host:port/namespace``.
        min_size: connections opened at once and kept.
        max_size: connections at most.
        idle_timeout: a connection above ``min_size`` that is idle for so long is closed.
        acquire_timeout: how long a caller waits for a connection.
        connect_timeout: how long opening one may take.
        request_timeout: how long a response may take.
    """

    address: str
    min_size: int = 2
    max_size: int = 10
    idle_timeout: float = 300
    acquire_timeout: float = 5
    connect_timeout: float = 5
    request_timeout: float = 30

    def __post_init__(self) -> None:
        if not 0 <= self.min_size <= self.max_size or self.max_size < 1:
            raise ValueError(
                f"a pool needs 0 <= min_size <= max_size and max_size >= 1, "
                f"not min_size={self.min_size}, max_size={self.max_size}"
            )
        for name in ("idle_timeout", "acquire_timeout", "connect_timeout", "request_timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0 seconds, not {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at one moment.

    Attributes:
        size: connections there are, being opened included.
        idle: those that nobody uses.
        in_use: those that are lent out.
        waiting: callers in the queue.
        opened: connections opened since the start.
        closed: connections closed or broken since the start.
    """

    size: int
    idle: int
    in_use: int
    waiting: int
    opened: int
    closed: int


class KvPool:
    """A pool of clients with a client's methods. Made by :meth:`connect`.

    Every method takes a connection, uses it and gives it back. It may raise what
    :class:`KvClient` raises, and PoolTimeoutError.
    """

    def __init__(self, config: PoolConfig, clock: Clock | None = None) -> None:
        self.config = config
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._idle: deque[tuple[KvClient, int]] = deque()
        self._waiters: deque[asyncio.Future[KvClient | None]] = deque()
        self._size = 0
        self._opened = 0
        self._closed_count = 0
        self._is_closed = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(cls, config: PoolConfig, *, clock: Clock | None = None) -> Self:
        """Open a pool with ``min_size`` connections, at least one to see that it works.

        Raises:
            UsageError: the address is none.
            KvConnectionError: nobody answers there.
        """
        pool = cls(config, clock)
        try:
            for _ in range(max(1, config.min_size)):
                pool._size += 1
                pool._idle.append((await pool._open(), pool._clock.now_ns()))
        except BaseException:
            await pool.close()
            raise
        pool._sweep()
        return pool

    async def close(self) -> None:
        """Close all connections, also those that are lent out. Closing twice is fine."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(KvConnectionError("the pool is closed"))
        while self._idle:
            await self._discard(self._idle.pop()[0])
        await asyncio.gather(*self._closing)

    def stats(self) -> PoolStats:
        """The pool at this moment."""
        return PoolStats(
            size=self._size,
            idle=len(self._idle),
            in_use=self._size - len(self._idle),
            waiting=sum([not waiter.done() for waiter in self._waiters]),
            opened=self._opened,
            closed=self._closed_count,
        )

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[KvClient]:
        """A client of one's own for the length of an ``async with``.

        Raises:
            PoolTimeoutError: none came free within ``acquire_timeout``.
            KvConnectionError: the pool is closed, or a new connection was refused.
        """
        client = await self._take()
        try:
            yield client
        finally:
            self._give_back(client)

    async def _take(self) -> KvClient:
        if self._is_closed:
            raise KvConnectionError("the pool is closed")
        while self._idle:
            client, _ = self._idle.pop()
            if client.is_connected:
                return client
            self._retire(client)
        if self._size < self.config.max_size:
            self._size += 1
            return await self._open()
        return await self._wait()

    async def _wait(self) -> KvClient:
        waiter: asyncio.Future[KvClient | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            client = await asyncio.wait_for(waiter, self.config.acquire_timeout)
        except TimeoutError:
            raise PoolTimeoutError(
                f"all {self.config.max_size} connections stayed busy for "
                f"{self.config.acquire_timeout:g} s: raise max_size or acquire_timeout"
            ) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._pass_on(waiter.result())  # It came in the same moment: the next may have it.
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return client if client is not None else await self._open()

    async def _open(self) -> KvClient:
        """Open a connection in the place that was counted for it."""
        config = self.config
        try:
            client = await KvClient.connect(
                config.address,
                connect_timeout=config.connect_timeout,
                request_timeout=config.request_timeout,
            )
        except BaseException:
            self._pass_on(None)
            raise
        self._opened += 1
        return client

    def _give_back(self, client: KvClient) -> None:
        if self._is_closed or not client.is_connected:
            self._retire(client, keep_place=not self._is_closed)
            if not self._is_closed:
                self._pass_on(None)
        else:
            self._pass_on(client)

    def _pass_on(self, client: KvClient | None) -> None:
        """Give a client, or with None the place of one, to the first who waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(client)
                return
        if client is not None:
            self._idle.append((client, self._clock.now_ns()))
        else:
            self._size -= 1

    def _retire(self, client: KvClient, *, keep_place: bool = False) -> None:
        """Close a client in the background."""
        if not keep_place:
            self._size -= 1
        self._closed_count += 1
        task = asyncio.get_running_loop().create_task(client.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _discard(self, client: KvClient) -> None:
        self._size -= 1
        self._closed_count += 1
        await client.close()

    def _sweep(self) -> None:
        """Close what has been idle too long, the longest idle first, down to ``min_size``."""
        oldest_ns = self._clock.now_ns() - round(self.config.idle_timeout * _NS_PER_S)
        while self._idle and self._size > self.config.min_size and self._idle[0][1] <= oldest_ns:
            self._retire(self._idle.popleft()[0])
        pause_s = min(self.config.idle_timeout / 4, 30)
        self._sweeper = asyncio.get_running_loop().call_later(pause_s, self._sweep)

    async def ping(self) -> bool:
        """As :meth:`KvClient.ping`."""
        async with self.acquire() as client:
            return await client.ping()

    async def info(self) -> dict[str, object]:
        """As :meth:`KvClient.info`."""
        async with self.acquire() as client:
            return await client.info()

    async def hello(self) -> tuple[int, list[str]]:
        """As :meth:`KvClient.hello`."""
        async with self.acquire() as client:
            return await client.hello()

    async def get(self, key: str) -> Value:
        """As :meth:`KvClient.get`."""
        async with self.acquire() as client:
            return await client.get(key)

    async def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`KvClient.set`."""
        async with self.acquire() as client:
            await client.set(key, value, ttl)

    async def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`KvClient.setnx`."""
        async with self.acquire() as client:
            return await client.setnx(key, value, ttl)

    async def delete(self, key: str) -> bool:
        """As :meth:`KvClient.delete`."""
        async with self.acquire() as client:
            return await client.delete(key)

    async def exists(self, key: str) -> bool:
        """As :meth:`KvClient.exists`."""
        async with self.acquire() as client:
            return await client.exists(key)

    async def incr(self, key: str, delta: int = 1) -> int:
        """As :meth:`KvClient.incr`."""
        async with self.acquire() as client:
            return await client.incr(key, delta)

    async def decr(self, key: str, delta: int = 1) -> int:
        """As :meth:`KvClient.decr`."""
        async with self.acquire() as client:
            return await client.decr(key, delta)

    async def cas(
        self, key: str, expected: Value, new: Value, ttl: float | None = None
    ) -> bool | None:
        """As :meth:`KvClient.cas`."""
        async with self.acquire() as client:
            return await client.cas(key, expected, new, ttl)

    async def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`KvClient.expire`."""
        async with self.acquire() as client:
            return await client.expire(key, ttl)

    async def ttl(self, key: str) -> float | None:
        """As :meth:`KvClient.ttl`."""
        async with self.acquire() as client:
            return await client.ttl(key)

    async def lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`KvClient.lock`."""
        async with self.acquire() as client:
            return await client.lock(key, owner, ttl)

    async def unlock(self, key: str, owner: str) -> bool:
        """As :meth:`KvClient.unlock`."""
        async with self.acquire() as client:
            return await client.unlock(key, owner)

    async def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`KvClient.extend_lock`."""
        async with self.acquire() as client:
            return await client.extend_lock(key, owner, ttl)

    async def mget(self, keys: Iterable[str]) -> list[Value]:
        """As :meth:`KvClient.mget`."""
        async with self.acquire() as client:
            return await client.mget(keys)

    async def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`KvClient.mset`."""
        async with self.acquire() as client:
            await client.mset(pairs, ttl)

    async def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`KvClient.mset_each`."""
        async with self.acquire() as client:
            await client.mset_each(entries)

    async def mdel(self, keys: Iterable[str]) -> int:
        """As :meth:`KvClient.mdel`."""
        async with self.acquire() as client:
            return await client.mdel(keys)

    async def mexists(self, keys: Iterable[str]) -> list[bool]:
        """As :meth:`KvClient.mexists`."""
        async with self.acquire() as client:
            return await client.mexists(keys)

    async def mget_stream(
        self, keys: AnyIterable[str], *, chunk_size: int = 1000, window: int = 4
    ) -> AsyncIterator[tuple[str, Value]]:
        """As :meth:`KvClient.mget_stream`, over up to ``window`` connections."""
        async for chunk, values in map_chunks(self.mget, keys, chunk_size, window):
            for pair in zip(chunk, values, strict=True):
                yield pair

    async def mset_stream(
        self,
        pairs: AnyIterable[tuple[str, Value]],
        ttl: float | None = None,
        *,
        chunk_size: int = 1000,
        window: int = 4,
    ) -> int:
        """As :meth:`KvClient.mset_stream`, over up to ``window`` connections: in no order."""

        async def store(chunk: list[tuple[str, Value]]) -> None:
            await self.mset(chunk, ttl)

        stored = 0
        async for chunk, _ in map_chunks(store, pairs, chunk_size, window):
            stored += len(chunk)
        return stored

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
