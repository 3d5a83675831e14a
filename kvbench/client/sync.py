"""The synchronous client: one blocking connection, one request at a time.

:mod:`kvbench.client.blocking` has the connection; here are the operations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from kvbench.client import commands
from kvbench.client.blocking import BlockingClient
from kvbench.model import Pairs, Value


class SyncKvClient(BlockingClient):
    """A client of the wire protocol and context manager. Created by :meth:`connect`.

    Every call may raise KvConnectionError, KvTimeoutError, KvServerError or KvProtocolError (see
    kvbench.errors for the state that each leaves), and TypeError or ValueError for its arguments. A
    call inside another call of the same thread raises KvReentryError.

    Attributes:
        address: the server's address.
    """

    def ping(self) -> bool:
        """True when the server answers."""
        return self._call(commands.ping())

    def info(self) -> dict[str, object]:
        """Information about the server: at least ``entries``."""
        return self._call(commands.info())

    def hello(self) -> tuple[int, list[str]]:
        """The server's protocol version and the capabilities that it announces."""
        return self._call(commands.hello())

    def get(self, key: str) -> Value:
        """The key's value, None when it is absent."""
        return self._call(commands.get(self._prefix, key))

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Store a value, with a TTL in seconds or none; replaces both."""
        self._call(commands.set(self._prefix, key, value, ttl))

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        return self._call(commands.setnx(self._prefix, key, value, ttl))

    def delete(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        return self._call(commands.delete(self._prefix, key))

    def exists(self, key: str) -> bool:
        """Whether the key is there."""
        return self._call(commands.exists(self._prefix, key))

    def getdel(self, key: str) -> Value:
        """Remove a key; returns the value that it had, None when it was absent."""
        return self._call(commands.getdel(self._prefix, key))

    def incr(self, key: str, delta: int = 1) -> int:
        """Add to an Int, from 0 when the key is absent; returns the new value."""
        return self._call(commands.incr(self._prefix, key, delta))

    def decr(self, key: str, delta: int = 1) -> int:
        """Subtract from an Int, from 0 when the key is absent; returns the new value."""
        return self._call(commands.decr(self._prefix, key, delta))

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """Replace ``expected`` by ``new``: True if swapped, False on mismatch, None when absent."""
        return self._call(commands.cas(self._prefix, key, expected, new, ttl))

    def expire(self, key: str, ttl: float | None) -> bool:
        """Set a key's TTL, or remove it with None; returns whether the key was there."""
        return self._call(commands.expire(self._prefix, key, ttl))

    def ttl(self, key: str) -> float | None:
        """Seconds until the key expires, -1.0 without a TTL, None when it is absent."""
        return self._call(commands.ttl(self._prefix, key))

    def lock(self, key: str, owner: str, ttl: float) -> bool:
        """Acquire a lock for ``ttl`` seconds; returns whether it was free."""
        return self._call(commands.lock(self._prefix, key, owner, ttl))

    def unlock(self, key: str, owner: str) -> bool:
        """Release a lock; False when it is not held, KvServerError when another owns it."""
        return self._call(commands.unlock(self._prefix, key, owner))

    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """Set the TTL of a held lock; False when it is not held."""
        return self._call(commands.extend_lock(self._prefix, key, owner, ttl))

    def mget(self, keys: Iterable[str]) -> list[Value]:
        """The values of ``keys`` in their order, None where a key is absent.

        More than 65,535 keys take several requests and are not atomic; the same holds for the other
        batch calls.
        """
        return commands.joined(self._call_all(commands.mget(self._prefix, keys)))

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Store a mapping or (key, value) pairs with one TTL; the last pair of a key wins."""
        self._call_all(commands.mset(self._prefix, pairs, ttl))

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """Store (key, value, ttl) entries, each with a separate TTL."""
        self._call_all(commands.mset_each(self._prefix, entries))

    def mdel(self, keys: Iterable[str]) -> int:
        """Remove ``keys``; returns how many were there. A repeated key counts once."""
        return sum(self._call_all(commands.mdel(self._prefix, keys)))

    def mexists(self, keys: Iterable[str]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        return commands.joined(self._call_all(commands.mexists(self._prefix, keys)))

    def pipelined_get(self, keys: Iterable[str]) -> list[Value]:
        """A GET for each key, sent together; returns what :meth:`get` returns, in key order.

        Not a batch: each request is applied separately. When the server rejects some requests,
        the first KvServerError is raised; the others took effect. So do the other pipelined calls.
        """
        return self._call_each(commands.each(commands.get, self._prefix, keys))

    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """A SET for each pair of a mapping or of pairs, sent together, applied in their order."""
        self._call_each(commands.set_each(self._prefix, pairs, ttl))

    def pipelined_delete(self, keys: Iterable[str]) -> list[bool]:
        """A DEL for each key, sent together: whether each was there."""
        return self._call_each(commands.each(commands.delete, self._prefix, keys))

    def pipelined_exists(self, keys: Iterable[str]) -> list[bool]:
        """An EXISTS for each key, sent together: whether each is there."""
        return self._call_each(commands.each(commands.exists, self._prefix, keys))

    def mget_stream(
        self, keys: Iterable[str], *, chunk_size: int = 1000
    ) -> Iterator[tuple[str, Value]]:
        """(key, value) for any number of keys, in their order, a chunk in memory at a time."""
        for chunk in commands.chunks_of(keys, chunk_size):
            yield from zip(chunk, self.mget(chunk), strict=True)

    def mset_stream(self, pairs: Pairs, ttl: float | None = None, *, chunk_size: int = 1000) -> int:
        """Store any number of pairs, a chunk at a time; returns how many were sent."""
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        stored_count = 0
        for chunk in commands.chunks_of(items, chunk_size):
            self.mset(chunk, ttl)
            stored_count += len(chunk)
        return stored_count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
