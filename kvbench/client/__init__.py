"""Clients of the wire protocol.

``commands`` are requests as data, shared by all, with how ``replies`` are read. What may happen on
a connection is :mod:`kvbench.protocol.client`'s; ``sync`` (over ``blocking`` and ``exchanges``) and
``aio`` (over ``connection``) do it, and ``pool`` does it over the connections of
``connection_pool`` out. ``decoding`` keeps large replies within bounds, ``streams`` cut what is
long, ``lock`` holds a lock in a ``with``, and ``forks`` keep a child from its parent's connections.
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
