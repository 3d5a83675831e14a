"""Lending of connections: who has which, who waits, what is opened and closed when.

The rules:

- Connections are opened as they are needed, up to ``max_size``. The one used last is lent first,
  so that the others can grow idle; those idle for ``idle_timeout`` are closed, down to
  ``min_size``.
- When all are busy callers queue, first come first served. What comes free goes to the first of
  the queue at once: nobody who comes later can snatch it. One that waits longer than
  ``acquire_timeout`` gets PoolTimeoutError, and nothing of its request was sent.
- Every connection is idle, lent or being opened, and their sum never exceeds ``max_size``. What is
  handed to a caller who has gone meanwhile goes on to the next.
- A broken connection is dropped when it comes back, or when it is about to be lent; its place is
  free for a new one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from kvbench.client.aio import KvClient
from kvbench.client.sockets import check_timeouts
from kvbench.clock import NS_PER_MS, Clock, SystemClock
from kvbench.errors import KvConnectionError, PoolTimeoutError, UsageError

_SWEEP_PAUSE_S_MAX = 30.0
"""Longest pause between two looks for idle connections; else a quarter of ``idle_timeout``."""


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """What a pool is made of. Times are seconds.

    Attributes:
        address: ``host:port/namespace``.
        min_size: connections opened at once, and not closed for being idle.
        max_size: connections at most.
        idle_timeout: a connection above ``min_size`` that is idle for so long is closed.
        acquire_timeout: how long a caller waits for a connection.
        connect_timeout: how long opening one may take.
        request_timeout: how long a response may take.

    Raises:
        UsageError: sizes or times make no sense.
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
            raise UsageError(
                f"a pool needs 0 <= min_size <= max_size and max_size >= 1, "
                f"not min_size={self.min_size}, max_size={self.max_size}"
            )
        check_timeouts(
            idle_timeout=self.idle_timeout,
            acquire_timeout=self.acquire_timeout,
            connect_timeout=self.connect_timeout,
            request_timeout=self.request_timeout,
        )


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool at one moment.

    Attributes:
        size: connections there are, being opened included: ``idle`` and ``in_use`` together.
        idle: those that nobody uses.
        in_use: those that are lent out or being opened for somebody.
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


class Loan:
    """A client of one's own for the length of an ``async with``."""

    __slots__ = ("_client", "_lending")

    def __init__(self, lending: Lending) -> None:
        self._lending = lending
        self._client: KvClient | None = None

    async def __aenter__(self) -> KvClient:
        self._client = client = await self._lending._take()
        return client

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._lending._give_back(client)


class Lending:
    """Clients that are lent out one at a time."""

    def __init__(self, config: PoolConfig, clock: Clock | None = None) -> None:
        self.config = config
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._idle: deque[tuple[KvClient, int]] = deque()
        self._lent: set[KvClient] = set()
        self._opening_count = 0
        self._waiters: deque[asyncio.Future[KvClient | None]] = deque()
        self._opened_count = 0
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
                pool._opening_count += 1
                pool._give_back(await pool._open())
        except BaseException:
            await pool.close()
            raise
        pool._sweep()
        return pool

    async def close(self) -> None:
        """Close all connections, also those that are lent out: calls on them fail.

        Closing twice is fine; later calls raise KvConnectionError, and so do callers in the queue.
        """
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(_closed())
        while self._idle:
            self._retire(self._idle.pop()[0])
        await asyncio.gather(*self._closing, *[client.close() for client in self._lent])

    def stats(self) -> PoolStats:
        """The pool at this moment."""
        in_use = len(self._lent) + self._opening_count
        return PoolStats(
            size=len(self._idle) + in_use,
            idle=len(self._idle),
            in_use=in_use,
            waiting=sum([not waiter.done() for waiter in self._waiters]),
            opened=self._opened_count,
            closed=self._closed_count,
        )

    def acquire(self) -> Loan:
        """A client of one's own for the length of an ``async with``.

        Entering it raises:
            PoolTimeoutError: none came free within ``acquire_timeout``.
            KvConnectionError: the pool is closed, or a new connection was refused.
        """
        return Loan(self)

    async def _take(self) -> KvClient:
        if self._is_closed:
            raise _closed()
        while self._idle:
            client, _ = self._idle.pop()
            if client.is_connected:
                self._lent.add(client)
                return client
            self._retire(client)
        if len(self._lent) + self._opening_count < self.config.max_size:
            self._opening_count += 1
            return await self._open()
        client_or_place = await self._wait()
        return client_or_place if client_or_place is not None else await self._open()

    async def _wait(self) -> KvClient | None:
        """What comes free: a client that is lent already, or with None the place of a new one."""
        waiter: asyncio.Future[KvClient | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self.config.acquire_timeout):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())  # It came in the moment in which we left.
            if isinstance(error, TimeoutError):
                raise PoolTimeoutError(
                    f"all {self.config.max_size} connections stayed busy for "
                    f"{self.config.acquire_timeout:g} s: raise max_size or acquire_timeout"
                ) from None
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    async def _open(self) -> KvClient:
        """Open a connection in the place that was counted for it, and lend it."""
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
        self._opening_count -= 1
        self._opened_count += 1
        if self._is_closed:
            self._retire(client)
            raise _closed()
        self._lent.add(client)
        return client

    def _give_back(self, client: KvClient) -> None:
        if client.is_connected and not self._is_closed:
            self._pass_on(client)
            return
        self._lent.discard(client)
        self._retire(client)
        self._opening_count += 1
        self._pass_on(None)

    def _pass_on(self, client: KvClient | None) -> None:
        """Give a lent client, or with None a counted place, to the first who waits."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(client)
                return
        if client is None:
            self._opening_count -= 1
        elif self._is_closed or not client.is_connected:
            self._lent.discard(client)
            self._retire(client)
        else:
            self._lent.discard(client)
            self._idle.append((client, self._clock.now_ns()))

    def _retire(self, client: KvClient) -> None:
        """Close a client in the background."""
        self._closed_count += 1
        task = asyncio.get_running_loop().create_task(client.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _sweep(self) -> None:
        """Sweep now, and again later."""
        self._sweep_once()
        pause_s = min(self.config.idle_timeout / 4, _SWEEP_PAUSE_S_MAX)
        self._sweeper = asyncio.get_running_loop().call_later(pause_s, self._sweep)

    def _sweep_once(self) -> None:
        """Close what has broken or been idle too long, the longest idle first."""
        oldest_ns = self._clock.now_ns() - round(self.config.idle_timeout * 1000) * NS_PER_MS
        for entry in list(self._idle):
            client, since_ns = entry
            is_spare = self.stats().size > self.config.min_size and since_ns <= oldest_ns
            if is_spare or not client.is_connected:
                self._idle.remove(entry)
                self._retire(client)


def _closed() -> KvConnectionError:
    return KvConnectionError("the pool is closed: connect a new one")
