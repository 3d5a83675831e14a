"""Streams of batches: any number of items through a bounded window of requests in flight.

An item is read only when there is room for it: memory holds the window and the chunk being filled.
A result is yielded as soon as it and all earlier ones are known.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import aclosing
from typing import TypeAlias, TypeVar

from kvbench.client.commands import check_chunk, chunks_of
from kvbench.model import Pairs, Value

T = TypeVar("T")
R = TypeVar("R")

AnyIterable: TypeAlias = Iterable[T] | AsyncIterable[T]

StreamPairs: TypeAlias = Pairs | AsyncIterable[tuple[str, Value]]
"""Input of ``mset_stream``: a mapping, or pairs from a normal or asynchronous iterable."""


def pairs_of(pairs: StreamPairs) -> AnyIterable[tuple[str, Value]]:
    """The pairs of a mapping; other input unchanged."""
    return pairs.items() if isinstance(pairs, Mapping) else pairs


class Streaming(ABC):
    """Streams over the batch calls of a client or a pool."""

    @abstractmethod
    async def mget(self, keys: Iterable[str]) -> list[Value]:
        """The values of ``keys`` in their order."""

    @abstractmethod
    async def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Store pairs with one TTL."""

    async def mget_stream(
        self, keys: AnyIterable[str], *, chunk_size: int = 1000, window: int = 4
    ) -> AsyncGenerator[tuple[str, Value], None]:
        """(key, value) for any number of keys, in their order.

        When the ``async for`` is left early (``break``), ``aclose`` or garbage collection closes
        it; requests in flight are then cancelled.

        Args:
            keys: a normal or asynchronous iterable, read on demand.
            chunk_size: keys in a request.
            window: requests in flight; memory holds ``window`` chunks.
        """
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
        """Store any number of pairs, in chunks like :meth:`mget_stream`; returns how many."""

        async def store(chunk: list[tuple[str, Value]]) -> None:
            await self.mset(chunk, ttl)

        stored_count = 0
        async with aclosing(map_chunks(store, pairs_of(pairs), chunk_size, window)) as chunks:
            async for chunk, _ in chunks:
                stored_count += len(chunk)
        return stored_count


async def map_chunks(
    call: Callable[[list[T]], Awaitable[R]], items: AnyIterable[T], chunk_size: int, window: int
) -> AsyncGenerator[tuple[list[T], R], None]:
    """Call ``call`` with each chunk of ``items``, up to ``window`` at a time.

    Yields each chunk with its result, in the order of the items. When left early, or after an
    error, it cancels the calls in flight; they may have been applied.

    Raises:
        TypeError: ``items`` is one ``str`` or ``bytes``, or not iterable.
        ValueError: chunk_size or window is invalid.
    """
    check_chunk(chunk_size, window)
    in_flight: deque[tuple[list[T], asyncio.Future[R]]] = deque()
    try:
        async with aclosing(_chunks(items, chunk_size)) as chunks:
            async for chunk in chunks:
                in_flight.append((chunk, asyncio.ensure_future(call(chunk))))
                while in_flight and (len(in_flight) >= window or in_flight[0][1].done()):
                    done, result = in_flight.popleft()
                    yield done, await result
        while in_flight:
            done, result = in_flight.popleft()
            yield done, await result
    finally:
        for _, result in in_flight:
            result.cancel()
        await asyncio.gather(*[result for _, result in in_flight], return_exceptions=True)


async def _chunks(items: AnyIterable[T], chunk_size: int) -> AsyncGenerator[list[T], None]:
    if not isinstance(items, AsyncIterable):
        for ready in chunks_of(items, chunk_size):
            yield ready
        return
    chunk: list[T] = []
    async for item in items:
        chunk.append(item)
        if len(chunk) == chunk_size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
