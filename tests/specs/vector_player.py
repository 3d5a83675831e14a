"""Plays vectors: straight into a dispatcher, or over TCP against any server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kvbench.protocol.frames import HEADER_BYTES, FrameReader, frame
from kvbench.protocol.opcodes import Opcode
from kvbench.specs import KEY_TOKEN, Vector, VectorStep

REPLY_TIMEOUT_S = 10.0
KEY_OF_THIS_PLAYER = "kvbench-check:tests-0001"
assert len(KEY_OF_THIS_PLAYER) == len(KEY_TOKEN)


def cut(data: bytes, pieces: int) -> list[bytes]:
    """``data`` in pieces of so many bytes; 0 is one piece."""
    size = pieces or max(1, len(data))
    return [data[start : start + size] for start in range(0, len(data), size)]


def compare(vector: Vector, step: VectorStep, replies: list[tuple[int, bytes]]) -> None:
    place = f"{vector.id}, {step.note!r} ({' '.join(vector.clauses)})"
    assert len(replies) == len(step.expect), f"{place}: {len(replies)} replies"
    for expected, (status, payload) in zip(step.expect, replies, strict=True):
        problem = expected.mismatch(status, payload)
        assert not problem, f"{place}: {problem}"


def play_into(
    vector: Vector, handle: Callable[[int, bytes], bytes], advance_ms: Callable[[int], None]
) -> None:
    """Play against something that answers a request with a frame, without connections."""
    readers: dict[str, FrameReader] = {}
    for step in vector.steps:
        advance_ms(step.wait_ms)
        reader = readers.setdefault(step.connection, FrameReader())
        replies = []
        for piece in cut(step.request(), step.pieces):
            for opcode, payload in reader.feed(piece):
                reply = handle(opcode, payload)
                replies.append((reply[0], reply[HEADER_BYTES:]))
        if reader.oversize_bytes:
            assert step.closed, "only a vector that ends its connection declares too much"
            replies.append((3, b""))
        compare(vector, step, replies)


class Player:
    """Plays vectors against ``host:port``, each on connections and keys of its own.

    ``wait`` lets a vector's time pass, ``token`` stands where its keys begin.
    """

    def __init__(
        self,
        host: str,
        port: int,
        wait: Callable[[int], Awaitable[None]],
        token: str = KEY_OF_THIS_PLAYER,
    ) -> None:
        self.address = (host, port)
        self.wait = wait
        self.token = token

    async def play(self, vector: Vector) -> None:
        await self.delete(vector.keys)
        open_streams: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        try:
            for step in vector.steps:
                if step.wait_ms:
                    await self.wait(step.wait_ms)
                if step.connection not in open_streams:
                    open_streams[step.connection] = await asyncio.open_connection(*self.address)
                await self.take(vector, step, *open_streams[step.connection])
        finally:
            for _, writer in open_streams.values():
                writer.close()
        await self.delete(vector.keys)

    async def take(
        self,
        vector: Vector,
        step: VectorStep,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        for piece in cut(step.request(self.token), step.pieces):
            writer.write(piece)
            await writer.drain()
        if step.finish:
            writer.write_eof()
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            replies = [await read_reply(reader) for _ in step.expect]
            compare(vector, step, replies)
            if step.closed:
                assert await reader.read(1) == b"", f"{vector.id}: more than was expected"

    async def delete(self, keys: list[str]) -> None:
        reader, writer = await asyncio.open_connection(*self.address)
        for key in keys:
            name = key.replace(KEY_TOKEN, self.token).encode()
            writer.write(frame(Opcode.DEL, name))
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            for _ in keys:
                assert (await read_reply(reader))[0] == 0
        writer.close()


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    header = await reader.readexactly(HEADER_BYTES)
    return header[0], await reader.readexactly(int.from_bytes(header[1:], "big"))
