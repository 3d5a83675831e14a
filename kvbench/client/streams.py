"""Streams of batches: any number of items through a bounded window of requests in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

from kvbench.client.commands import check_chunk, chunks_of

T = TypeVar("T")
R = TypeVar("R")

AnyIterable: TypeAlias = Iterable[T] | AsyncIterable[T]


async def map_chunks(
    call: Callable[[list[T]], Awaitable[R]], items: AnyIterable[T], chunk_size: int, window: int
) -> AsyncIterator[tuple[list[T], R]]:
    """Call ``call`` with each chunk of ``items``, up to ``window`` at a time.

    Yields each chunk with its result, in the order of the items. Left early, or after an error, it
    cancels the calls that are still in flight.

    Raises:
        ValueError: chunk_size or window make no sense.
    """
    check_chunk(chunk_size, window)
    in_flight: deque[tuple[list[T], asyncio.Future[R]]] = deque()
    try:
        async for chunk in _chunks(items, chunk_size):
            in_flight.append((chunk, asyncio.ensure_future(call(chunk))))
            if len(in_flight) == window:
                done, result = in_flight.popleft()
                yield done, await result
        while in_flight:
            done, result = in_flight.popleft()
            yield done, await result
    finally:
        for _, result in in_flight:
            result.cancel()
        await asyncio.gather(*[result for _, result in in_flight], return_exceptions=True)


async def _chunks(items: AnyIterable[T], chunk_size: int) -> AsyncIterator[list[T]]:
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
