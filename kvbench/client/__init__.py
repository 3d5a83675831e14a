"""Clients of the wire protocol.

``commands`` builds requests as data for all clients, and ``replies`` reads the replies.
:mod:`kvbench.protocol.client` has the rules of a connection. ``sync`` (over ``blocking`` and
``exchanges``) and ``aio`` (over ``connection``) apply them; ``pool`` uses the connections of
``connection_pool``. ``decoding`` bounds the cost of large replies, ``streams`` splits long input,
``lock`` is a lock as a context manager, and ``forks`` protects connections after a fork.
"""

from __future__ import annotations

from kvbench.client.address import Address
from kvbench.client.aio import KvClient
from kvbench.client.lock import Lock
from kvbench.client.pool import KvPool
from kvbench.client.pool_model import PoolConfig, PoolStats
from kvbench.client.sync import SyncKvClient
from kvbench.errors import (
    KvConnectionError,
    KvError,
    KvProtocolError,
    KvReentryError,
    KvServerError,
    KvTimeoutError,
    LockLostError,
    PoolTimeoutError,
)

__all__ = [
    "Address",
    "KvClient",
    "KvConnectionError",
    "KvError",
    "KvPool",
    "KvProtocolError",
    "KvReentryError",
    "KvServerError",
    "KvTimeoutError",
    "Lock",
    "LockLostError",
    "PoolConfig",
    "PoolStats",
    "PoolTimeoutError",
    "SyncKvClient",
]
