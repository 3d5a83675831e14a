"""A pool's settings, and its current numbers."""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.client.decoding import check_reply_bound
from kvbench.client.sockets import check_timeouts
from kvbench.errors import UsageError
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """A pool's settings. Times are seconds.

    Attributes:
        address: ``host:port/namespace``.
        min_size: connections opened at the start, and not closed for being idle.
        max_size: maximum number of connections.
        idle_timeout: a connection above ``min_size`` that is idle this long is closed.
        acquire_timeout: limit for a caller's wait for a connection.
        connect_timeout: limit for opening a connection.
        request_timeout: limit for a response, including its decoding.
        max_reply_bytes: largest accepted reply, per connection; :mod:`kvbench.client.decoding` has
            its cost.

    Raises:
        UsageError: a size, time or limit is invalid.
    """

    address: str
    min_size: int = 2
    max_size: int = 10
    idle_timeout: float = 300
    acquire_timeout: float = 5
    connect_timeout: float = 5
    request_timeout: float = 30
    max_reply_bytes: int = PAYLOAD_BYTES_MAX

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
        check_reply_bound(self.max_reply_bytes)


@dataclass(frozen=True, slots=True)
class PoolStats:
    """A pool's current numbers.

    Attributes:
        size: connections, including those being opened: ``idle`` plus ``active``.
        max_size: maximum number of connections, as configured.
        idle: connections not in use.
        active: connections in use, or being opened for a caller.
        waiting: callers in the queue.
        opened: connections opened since the start.
        closed: connections closed or broken since the start.
    """

    size: int
    max_size: int
    idle: int
    active: int
    waiting: int
    opened: int
    closed: int
