"""A connection pool: opens connections, assigns them to callers, and queues callers.

The rules:

- Connections are opened on demand, up to ``max_size``. The most recently used is acquired first, so
  the others can become idle. Connections idle for ``idle_timeout`` are closed, down to
  ``min_size``.
- When all are in use, callers queue, first come first served. A released connection goes to the
  first in the queue. A caller that waits longer than ``acquire_timeout`` gets PoolTimeoutError, and
  nothing of its request was sent.
- Every connection is idle, in use or being opened, and their sum never exceeds ``max_size``. If a
  caller was cancelled in the meantime, its connection goes to the next.
- A broken connection is dropped when it is released or acquired; a new one may replace it.
- A connection counts as open when the server has answered a PING on it, because a server rejects
  one only after accepting it. When opening fails while others are open, the pool limits itself to
  the open ones, and the caller queues. After a pause of :data:`PAUSE_S_MIN` the pool tries one
  more; each success allows another, and each failure doubles the pause, up to
  :data:`PAUSE_S_MAX`. When none is open, the caller gets the error.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from typing import Self

from kvbench.client.address import Address
from kvbench.client.aio import KvClient
from kvbench.client.forks import LEFT_TO_PARENT, watch
from kvbench.client.pool_model import PoolConfig, PoolStats
from kvbench.clock import NS_PER_MS, Clock, SystemClock
from kvbench.errors import (
    KvConnectionError,
    KvError,
    KvServerError,
    PoolTimeoutError,
)
from kvbench.protocol.opcodes import Status

PAUSE_S_MIN = 1.0
"""Pause after a server rejected a connection, before the next attempt."""

PAUSE_S_MAX = 30.0
"""Longest such pause: after its limit is raised, a server is fully used half a minute later."""

_SWEEP_PAUSE_S_MAX = 30.0
"""Longest interval between checks for idle connections; else a quarter of ``idle_timeout``."""


class AcquiredClient:
    """Acquires a client in ``async with``."""

    __slots__ = ("_client", "_pool")

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._client: KvClient | None = None

    async def __aenter__(self) -> KvClient:
        self._client = client = await self._pool._take()
        return client

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._pool._give_back(client)


class ConnectionPool:
    """Open clients, each used by one caller at a time."""

    def __init__(self, config: PoolConfig, clock: Clock | None = None) -> None:
        self.config = config
        self._address = Address.parse(config.address)
        self._prefix = self._address.prefix
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._idle: deque[tuple[KvClient, int]] = deque()
        self._lent: set[KvClient] = set()
        self._opening_count = 0
        self._caller_count = 0
        self._waiters: deque[tuple[int, asyncio.Future[KvClient | None]]] = deque()
        """Waiting callers, numbered in the order in which they came."""
        self._size_limit = config.max_size
        self._pause_s = PAUSE_S_MIN
        self._refusal = ""
        self._grower: asyncio.TimerHandle | None = None
        self._opened_count = 0
        self._closed_count = 0
        self._closed_reason = ""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()
        watch(self)

    @classmethod
    async def connect(cls, config: PoolConfig, *, clock: Clock | None = None) -> Self:
        """Open a pool with ``min_size`` connections, at least one to check the server.

        Fewer are enough when the server's limit is lower.

        Raises:
            UsageError: the address is invalid.
            KvConnectionError: no connection could be opened, or the server rejects every one.
        """
        pool = cls(config, clock)
        try:
            for _ in range(max(1, config.min_size)):
                pool._opening_count += 1
                client = await pool._open()
                if client is None:
                    break
                pool._give_back(client)
        except BaseException:
            await pool.close()
            raise
        pool._sweep()
        return pool

    async def close(self) -> None:
        """Close all connections, also those in use: calls on them fail.

        May be called twice. Later calls and queued callers get KvConnectionError.
        """
        self._closed_reason = self._closed_reason or "the pool is closed: connect a new one"
        for timer in (self._sweeper, self._grower):
            if timer is not None:
                timer.cancel()
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(self._closed())
        while self._idle:
            self._retire(self._idle.pop()[0])
        await asyncio.gather(*self._closing, *[client.close() for client in self._lent])

    @property
    def namespace(self) -> str | None:
        """The namespace, None without one."""
        return self._address.namespace or None

    def stats(self) -> PoolStats:
        """The pool's current numbers."""
        return PoolStats(
            size=self._size(),
            max_size=self.config.max_size,
            idle=len(self._idle),
            active=len(self._lent) + self._opening_count,
            waiting=sum([not waiter.done() for _, waiter in self._waiters]),
            opened=self._opened_count,
            closed=self._closed_count,
        )

    def acquire(self) -> AcquiredClient:
        """Acquire a client exclusively, with ``async with``.

        Entering it raises:
            PoolTimeoutError: none was released within ``acquire_timeout``.
            KvConnectionError: the pool is closed, or none is open and a new one was rejected.
        """
        return AcquiredClient(self)

    # --- Acquiring ---------------------------------------------------------------------------

    async def _take(self) -> KvClient:
        """An idle client, a new one if there is room, or the next one released."""
        self._caller_count += 1
        number = self._caller_count
        deadline = asyncio.get_running_loop().time() + self.config.acquire_timeout
        has_place = was_refused = False
        while True:
            if self._closed_reason:
                raise self._closed()
            if not has_place:
                client = self._take_idle()
                if client is not None:
                    return client
                has_place = not was_refused and self._size() < self._size_limit
                self._opening_count += has_place
            if has_place:
                client = await self._open()
                has_place, was_refused = False, True
            else:
                client = await self._wait(number, deadline)
                has_place = client is None
            if client is not None:
                return client

    def _take_idle(self) -> KvClient | None:
        while self._idle:
            client, _ = self._idle.pop()
            if client.is_connected:
                self._lent.add(client)
                return client
            self._retire(client)
        return None

    async def _wait(self, number: int, deadline: float) -> KvClient | None:
        """The next released client, or None: a place in which a new one may be opened."""
        waiter: asyncio.Future[KvClient | None] = asyncio.get_running_loop().create_future()
        entry = (number, waiter)
        insort(self._waiters, entry, key=lambda entry: entry[0])
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())  # It arrived just as the wait ended.
            if isinstance(error, TimeoutError):
                raise self._all_busy() from None
            raise
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)

    # --- Opening -----------------------------------------------------------------------------

    async def _open(self) -> KvClient | None:
        """Open a connection in the place already counted for it, and give it to a caller.

        Returns None when that failed and others can be waited for. Otherwise raises the error, and
        the place goes to the next caller, who may succeed.
        """
        try:
            client = await self._connect()
        except BaseException as error:
            if isinstance(error, KvError) and not self._closed_reason and self._shrink(error):
                self._opening_count -= 1
                return None
            self._pass_on(None)
            raise
        self._opening_count -= 1
        self._opened_count += 1
        if self._closed_reason:
            self._retire(client)
            raise self._closed()
        self._lent.add(client)
        self._size_limit = max(self._size_limit, len(self._idle) + len(self._lent))
        if self._grower is None:
            self._pause_s = PAUSE_S_MIN
            self._grow()
        return client

    async def _connect(self) -> KvClient:
        """A connection that the server accepted, as its answer to a PING shows."""
        config = self.config
        client = await KvClient.connect(
            config.address,
            connect_timeout=config.connect_timeout,
            request_timeout=config.request_timeout,
            max_reply_bytes=config.max_reply_bytes,
        )
        try:
            async with asyncio.timeout(config.connect_timeout):
                await client.ping()
        except BaseException as error:
            if isinstance(error, KvServerError) and error.status == Status.INVALID:
                return client  # It answers, but does not support PING.
            await client.close()
            if isinstance(error, KvServerError):
                reason = f"the server rejected the connection: {error.message}"
                raise KvConnectionError(f"{self._address}: {reason}") from None
            if isinstance(error, TimeoutError):
                reason = f"no answer within {config.connect_timeout:g} s of connecting"
                raise KvConnectionError(f"{self._address}: {reason}") from None
            raise
        return client

    def _shrink(self, refusal: KvError) -> bool:
        """After a failure to open: limit the pool to the open ones. Returns whether any is."""
        open_count = sum(client.is_connected for client, _ in self._idle)
        open_count += sum(client.is_connected for client in self._lent)
        if not open_count:
            return self._opening_count > 1
        self._refusal = str(refusal)
        self._size_limit = open_count
        if self._grower is None:
            loop = asyncio.get_running_loop()
            self._grower = loop.call_later(self._pause_s, self._grow)
            self._pause_s = min(2 * self._pause_s, PAUSE_S_MAX)
        return True

    def _grow(self) -> None:
        """Allow one more connection, and open it if callers wait."""
        self._grower = None
        self._size_limit = min(self._size_limit + 1, self.config.max_size)
        while self._size() < self._size_limit and self.stats().waiting:
            self._opening_count += 1
            self._pass_on(None)

    def _size(self) -> int:
        return len(self._idle) + len(self._lent) + self._opening_count

    # --- Releasing ---------------------------------------------------------------------------

    def _give_back(self, client: KvClient) -> None:
        if client not in self._lent:
            return  # It belongs to the parent of a forked child.
        if client.is_connected and not self._closed_reason:
            self._pass_on(client)
            return
        self._lent.discard(client)
        self._retire(client)
        self._opening_count += 1
        self._pass_on(None)

    def _pass_on(self, client: KvClient | None) -> None:
        """Give a client, or with None a counted place, to the first waiting caller."""
        while self._waiters:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(client)
                return
        if client is None:
            self._opening_count -= 1
        elif self._closed_reason or not client.is_connected:
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

    def _leave_to_parent(self) -> None:
        """In a forked child: the event loop, callers and connections belong to the parent."""
        self._closed_reason = f"the pool {LEFT_TO_PARENT}"
        self._idle.clear()
        self._lent.clear()
        self._waiters.clear()
        self._closing.clear()
        self._opening_count = 0
        self._sweeper = self._grower = None

    def _sweep(self) -> None:
        """Check for idle connections now, and again later."""
        self._sweep_once()
        pause_s = min(self.config.idle_timeout / 4, _SWEEP_PAUSE_S_MAX)
        self._sweeper = asyncio.get_running_loop().call_later(pause_s, self._sweep)

    def _sweep_once(self) -> None:
        """Close connections that are broken or idle too long, the longest idle first."""
        oldest_ns = self._clock.now_ns() - round(self.config.idle_timeout * 1000) * NS_PER_MS
        for entry in list(self._idle):
            client, since_ns = entry
            is_spare = self._size() > self.config.min_size and since_ns <= oldest_ns
            if is_spare or not client.is_connected:
                self._idle.remove(entry)
                self._retire(client)

    def _all_busy(self) -> PoolTimeoutError:
        count, waited = self.config.max_size, f"stayed busy for {self.config.acquire_timeout:g} s"
        if self._size_limit == count:
            return PoolTimeoutError(
                f"all {count} connections {waited}: raise max_size or acquire_timeout"
            )
        return PoolTimeoutError(
            f"all {self._size_limit} connections that the server accepts {waited}, though max_size "
            f"is {count}: raise the server's limit or acquire_timeout; its error: {self._refusal}"
        )

    def _closed(self) -> KvConnectionError:
        return KvConnectionError(self._closed_reason)
