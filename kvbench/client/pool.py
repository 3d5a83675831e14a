"""The connection pool: a client's methods over connections that are lent out one at a time.

How connections are lent is :mod:`kvbench.client.lending`'s; here every method takes one, uses it
and gives it back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from types import TracebackType
from typing import Self

from kvbench.client.lending import Lending
from kvbench.client.streams import AnyIterable, StreamPairs, map_chunks, pairs_of
from kvbench.model import Pairs, Value


class KvPool(Lending):
    """A pool of clients with a client's methods. Made by :meth:`connect`.

    Every method may raise what :class:`~kvbench.client.KvClient` raises, and PoolTimeoutError.
    """

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

    async def pipelined_get(self, keys: Iterable[str]) -> list[Value]:
        """As :meth:`KvClient.pipelined_get`."""
        async with self.acquire() as client:
            return await client.pipelined_get(keys)

    async def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`KvClient.pipelined_set`."""
        async with self.acquire() as client:
            await client.pipelined_set(pairs, ttl)

    async def pipelined_delete(self, keys: Iterable[str]) -> list[bool]:
        """As :meth:`KvClient.pipelined_delete`."""
        async with self.acquire() as client:
            return await client.pipelined_delete(keys)

    async def pipelined_exists(self, keys: Iterable[str]) -> list[bool]:
        """As :meth:`KvClient.pipelined_exists`."""
        async with self.acquire() as client:
            return await client.pipelined_exists(keys)

    async def mget_stream(
        self, keys: AnyIterable[str], *, chunk_size: int = 1000, window: int = 4
    ) -> AsyncGenerator[tuple[str, Value], None]:
        """As :meth:`KvClient.mget_stream`, over up to ``window`` connections."""
        async with aclosing(map_chunks(self.mget, keys, chunk_size, window)) as chunks:
            async for chunk, values in chunks:
                for pair in zip(chunk, values, strict=True):
                    yield pair

    async def mset_stream(
        self,
        pairs: StreamPairs,
        ttl: float | None = None,
        *,
        chunk_size: int = 1000,
        window: int = 4,
    ) -> int:
        """As :meth:`KvClient.mset_stream`, over up to ``window`` connections: in no order."""

        async def store(chunk: list[tuple[str, Value]]) -> None:
            await self.mset(chunk, ttl)

        stored_count = 0
        async with aclosing(map_chunks(store, pairs_of(pairs), chunk_size, window)) as chunks:
            async for chunk, _ in chunks:
                stored_count += len(chunk)
        return stored_count

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
