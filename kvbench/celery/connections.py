"""A pool of clients for the threads of a process: each client is used by one thread at a time.

Fork-safe; works under gevent.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kvbench.client import Address, PoolTimeoutError, SyncKvClient, commands
from kvbench.client.commands import Command
from kvbench.client.forks import watch
from kvbench.client.sockets import check_timeouts
from kvbench.errors import UsageError


class ResultClient(SyncKvClient):
    """A synchronous client with three more calls, which only Celery needs."""

    def reach(self) -> None:
        """Connect if there is no usable connection. Nothing is sent.

        Raises:
            KvConnectionError: the connection failed.
        """
        with self._lock:
            self._usable()

    def expire_each(self, ttls: Iterable[tuple[str, float]]) -> None:
        """Give each key its TTL in seconds: an EXPIRE for each, sent together."""
        self._call_each(self._expiries(ttls))

    def count_part(
        self, counter: str, size: str, group: str, ttls: Iterable[tuple[str, float]]
    ) -> tuple[int, int | None, bool]:
        """Add 1 to a counter, and read the related keys, in one flush.

        Args:
            counter: its key.
            size: the key that holds the number to reach.
            group: the key of the counted group.
            ttls: seconds by key: an EXPIRE for each.

        Returns:
            The counter, the number, and whether the group exists.
        """
        parts: list[Command[Any]] = [
            commands.incr(self._prefix, counter, 1),
            commands.get(self._prefix, size),
            commands.exists(self._prefix, group),
            *self._expiries(ttls),
        ]
        count, total, is_there, *_ = self._call_each(parts)
        return count, total, is_there

    def _expiries(self, ttls: Iterable[tuple[str, float]]) -> list[Command[bool]]:
        return [commands.expire(self._prefix, key, ttl) for key, ttl in ttls]


class Connections:
    """Up to ``limit`` synchronous clients, opened on demand.

    The most recently released client is acquired first, so a process with one thread has one
    connection. A client replaces a connection that the server has closed. A forked child starts
    with none.

    Args:
        address: where the server is.
        limit: maximum number of connections, at least 1.
        connect_timeout: limit for opening a connection, seconds.
        request_timeout: limit for a request, and for waiting for a free connection, seconds.

    Raises:
        UsageError: a limit or a timeout is invalid.
    """

    def __init__(
        self, address: Address, limit: int, connect_timeout: float, request_timeout: float
    ) -> None:
        check_timeouts(connect_timeout=connect_timeout, request_timeout=request_timeout)
        if not isinstance(limit, int) or limit < 1:
            raise UsageError(f"max_connections must be a whole number above 0, not {limit!r}")
        self.address = address
        self._limit = limit
        self._connect_timeout_s = connect_timeout
        self._request_timeout_s = request_timeout
        self._idle: list[ResultClient] = []
        self._leave_to_parent()
        watch(self)
        weakref.finalize(self, _close_all, self._idle)  # Celery drops backends without closing.

    def _leave_to_parent(self) -> None:
        """Start again empty: threads with a connection or a lock do not exist in a forked child."""
        self._free = threading.Semaphore(self._limit)
        self._idle.clear()

    @contextmanager
    def acquire(self) -> Iterator[ResultClient]:
        """Acquire a client for the ``with`` block.

        Raises:
            PoolTimeoutError: all were busy for the whole request timeout.
        """
        free, idle = self._free, self._idle
        if not free.acquire(timeout=self._request_timeout_s):
            raise PoolTimeoutError(
                f"{self.address}: all {self._limit} connections were busy for "
                f"{self._request_timeout_s:g} s: raise max_connections"
            )
        try:
            client = idle.pop() if idle else self._new()
            try:
                yield client
            finally:
                idle.append(client)
        finally:
            free.release()

    def _new(self) -> ResultClient:
        """A client that connects when it is first used."""
        return ResultClient(self.address, self._connect_timeout_s, self._request_timeout_s)


def _close_all(clients: list[ResultClient]) -> None:
    for client in clients:
        client.close()
