"""The operations of the asynchronous client and of the pool: each as a method, written once.

A method turns its arguments into one or more commands; a subclass sends them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Self, TypeVar

from typing_extensions import override

from kvbench.client import commands
from kvbench.client.commands import Command
from kvbench.client.streams import Streaming
from kvbench.model import Pairs, Value

T = TypeVar("T")


class AsyncOperations(Streaming):
    """A client's methods over three ways to send commands."""

    _prefix: bytes
    """The prefix of each key on the wire: the namespace."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    async def _call(self, command: Command[T]) -> T:
        """The result of one command."""

    @abstractmethod
    async def _call_all(self, parts: list[Command[T]]) -> list[T]:
        """The results of commands, sent one after the other."""

    @abstractmethod
    async def _call_each(self, parts: list[Command[T]]) -> list[T]:
        """The results of commands, sent together; a KvServerError is raised after all replies."""

    async def ping(self) -> bool:
        """True when the server answers."""
        return await self._call(commands.ping())

    async def info(self) -> dict[str, object]:
        """Information about the server: at least ``entries``."""
        return await self._call(commands.info())

    async def hello(self) -> tuple[int, list[str]]:
        """The server's protocol version and the capabilities that it announces."""
        return await self._call(commands.hello())

    async def get(self, key: str) -> Value:
        """The key's value, None when it is absent."""
        return await self._call(commands.get(self._prefix, key))

    async def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Store a value, with a TTL in seconds or none; replaces both."""
        await self._call(commands.set(self._prefix, key, value, ttl))

    async def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        return await self._call(commands.setnx(self._prefix, key, value, ttl))

    async def delete(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""
        return await self._call(commands.delete(self._prefix, key))

    async def exists(self, key: str) -> bool:
        """Whether the key is there."""
        return await self._call(commands.exists(self._prefix, key))

    async def getdel(self, key: str) -> Value:
        """Remove a key; returns the value that it had, None when it was absent."""
        return await self._call(commands.getdel(self._prefix, key))

    async def incr(self, key: str, delta: int = 1) -> int:
        """Add to an Int, from 0 when the key is absent; returns the new value."""
        return await self._call(commands.incr(self._prefix, key, delta))

    async def decr(self, key: str, delta: int = 1) -> int:
        """Subtract from an Int, from 0 when the key is absent; returns the new value."""
        return await self._call(commands.decr(self._prefix, key, delta))

    async def cas(
        self, key: str, expected: Value, new: Value, ttl: float | None = None
    ) -> bool | None:
        """Replace ``expected`` by ``new``: True if swapped, False on mismatch, None when absent."""
        return await self._call(commands.cas(self._prefix, key, expected, new, ttl))

    async def expire(self, key: str, ttl: float | None) -> bool:
        """Set a key's TTL, or remove it with None; returns whether the key was there."""
        return await self._call(commands.expire(self._prefix, key, ttl))

    async def ttl(self, key: str) -> float | None:
        """Seconds until the key expires, -1.0 without a TTL, None when it is absent."""
        return await self._call(commands.ttl(self._prefix, key))

    async def lock(self, key: str, owner: str, ttl: float) -> bool:
        """Acquire a lock for ``ttl`` seconds; returns whether it was free."""
        return await self._call(commands.lock(self._prefix, key, owner, ttl))

    async def unlock(self, key: str, owner: str) -> bool:
        """Release a lock; False when it is not held, KvServerError when another owns it."""
        return await self._call(commands.unlock(self._prefix, key, owner))

    async def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """Set the TTL of a held lock; False when it is not held."""
        return await self._call(commands.extend_lock(self._prefix, key, owner, ttl))

    @override
    async def mget(self, keys: Iterable[str]) -> list[Value]:
        """The values of ``keys`` in their order, None where a key is absent.

        More than 65,535 keys take several requests and are not atomic; the same holds for the other
        batch calls.
        """
        return commands.joined(await self._call_all(commands.mget(self._prefix, keys)))

    @override
    async def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Store a mapping or (key, value) pairs with one TTL; the last pair of a key wins."""
        await self._call_all(commands.mset(self._prefix, pairs, ttl))

    async def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """Store (key, value, ttl) entries, each with a separate TTL."""
        await self._call_all(commands.mset_each(self._prefix, entries))

    async def mdel(self, keys: Iterable[str]) -> int:
        """Remove ``keys``; returns how many were there. A repeated key counts once."""
        return sum(await self._call_all(commands.mdel(self._prefix, keys)))

    async def mexists(self, keys: Iterable[str]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        return commands.joined(await self._call_all(commands.mexists(self._prefix, keys)))

    async def pipelined_get(self, keys: Iterable[str]) -> list[Value]:
        """A GET for each key, sent together; returns what :meth:`get` returns, in key order.

        Not a batch: each request is applied separately. When the server rejects some requests,
        the first KvServerError is raised; the others took effect. So do the other pipelined calls.
        """
        return await self._call_each(commands.each(commands.get, self._prefix, keys))

    async def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """A SET for each pair of a mapping or of pairs, sent together, applied in their order."""
        await self._call_each(commands.set_each(self._prefix, pairs, ttl))

    async def pipelined_delete(self, keys: Iterable[str]) -> list[bool]:
        """A DEL for each key, sent together: whether each was there."""
        return await self._call_each(commands.each(commands.delete, self._prefix, keys))

    async def pipelined_exists(self, keys: Iterable[str]) -> list[bool]:
        """An EXISTS for each key, sent together: whether each is there."""
        return await self._call_each(commands.each(commands.exists, self._prefix, keys))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
