"""Streams: order, a window that is kept whatever the source, early ends, and constant memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import aclosing

import pytest

from kvbench.client import KvClient
from kvbench.client.streams import map_chunks, pairs_of
from kvbench.errors import KvServerError
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Status
from kvbench.protocol.responses import values_response
from tests.client.client_peers import OK, Peer, answering, eventually, gathered


def run(scenario):
    async def with_deadline():
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(with_deadline())


async def asynchronously(items):
    for item in items:
        yield item


SOURCES = pytest.mark.parametrize("source", [iter, asynchronously], ids=["iterable", "async"])


@SOURCES
def test_results_come_in_the_order_of_the_items_whatever_finishes_first(source):
    async def scenario():
        async def call(chunk):
            for _ in range(7 - chunk[0] % 7):
                await asyncio.sleep(0)
            return [number * 10 for number in chunk]

        found = await gathered(map_chunks(call, source(range(100)), 3, 5))
        assert [number for chunk, _ in found for number in chunk] == list(range(100))
        assert [number for _, result in found for number in result] == list(range(0, 1000, 10))

    run(scenario)


@SOURCES
@pytest.mark.parametrize(("chunk_size", "window"), [(1, 1), (10, 1), (1, 4), (7, 3)])
def test_the_window_is_kept(source, chunk_size, window):
    async def scenario():
        running = []

        async def call(chunk):
            running.append(chunk)
            assert len(running) <= window
            await asyncio.sleep(0.001)
            running.remove(chunk)

        async for _ in map_chunks(call, source(range(50)), chunk_size, window):
            pass

    run(scenario)


@SOURCES
def test_a_million_items_are_read_only_as_there_is_room(source):
    chunk_size, window = 1000, 4
    read_count = done_count = furthest = 0

    def numbers():
        nonlocal read_count
        for number in range(1_000_000):
            read_count += 1
            yield number

    async def call(chunk):
        nonlocal furthest
        furthest = max(furthest, read_count - done_count)
        await asyncio.sleep(0)

    async def scenario():
        nonlocal done_count
        async for chunk, _ in map_chunks(call, source(numbers()), chunk_size, window):
            done_count += len(chunk)

    run(scenario)
    assert read_count == done_count == 1_000_000
    assert chunk_size <= furthest <= chunk_size * (window + 1)


def test_a_result_does_not_wait_for_the_window_to_fill():
    """A source may depend on results: it gets each as soon as it is there."""

    async def scenario():
        results = []

        async def source():
            for number in range(5):
                yield number
                await eventually(lambda: len(called) > number)  # noqa: B023
                await asyncio.sleep(0)

        called = []

        async def call(chunk):
            called.append(chunk)
            return chunk[0]

        async for _, result in map_chunks(call, source(), 1, 100):
            results.append((result, len(called)))
        assert [result for result, _ in results] == list(range(5))
        assert results[0][1] < 5

    run(scenario)


@SOURCES
def test_left_early_it_cancels_what_is_in_flight_and_reads_no_more(source):
    async def scenario():
        read, cancelled = [], []

        def numbers():
            for number in range(1000):
                read.append(number)
                yield number

        async def call(chunk):
            try:
                await asyncio.sleep(60 if chunk[0] else 0)
            except asyncio.CancelledError:
                cancelled.append(chunk[0])
                raise

        async with aclosing(map_chunks(call, source(numbers()), 1, 4)) as chunks:
            async for _ in chunks:
                break
        assert cancelled == [1, 2, 3] and read == [0, 1, 2, 3]

    run(scenario)


def test_a_stream_of_the_client_that_is_left_early_can_be_closed():
    def script(talk):
        talk.ask()
        talk.send(values_response([b"\0"]))
        talk.wait_for_close()

    async def scenario():
        with Peer(script, answering(values_response([b"\0"]))) as peer:
            async with KvClient.connect(peer.address) as client:
                async with aclosing(client.mget_stream(map(str, range(9)), chunk_size=1)) as stream:
                    async for pair in stream:
                        assert pair == ("0", None)
                        break
                await eventually(lambda: peer.closed == [0])
                assert await client.mget(["k"]) == [None]
                assert client.reconnects == 1

    run(scenario)


@SOURCES
def test_an_error_in_the_middle_ends_the_stream_and_cancels_the_rest(source):
    async def scenario():
        cancelled, found = [], []

        async def call(chunk):
            if chunk[0] == 2:
                raise KvServerError(Status.ERROR, "full")
            try:
                await asyncio.sleep(60 if chunk[0] > 2 else 0)
            except asyncio.CancelledError:
                cancelled.append(chunk[0])
                raise

        with pytest.raises(KvServerError, match="full"):
            async for chunk, _ in map_chunks(call, source(range(100)), 1, 4):
                found.append(chunk[0])
        assert found == [0, 1] and cancelled == [3, 4, 5][: len(cancelled)]

    run(scenario)


@SOURCES
def test_an_error_of_the_source_is_the_streams_error(source):
    def broken():
        yield from range(5)
        raise LookupError("no more")

    async def scenario():
        async def call(chunk):
            await asyncio.sleep(60)

        with pytest.raises(LookupError, match="no more"):
            await gathered(map_chunks(call, source(broken()), 1, 10))
        assert len(asyncio.all_tasks()) == 1, "nothing is left running"

    run(scenario)


def test_a_cancelled_stream_leaves_nothing_running():
    async def scenario():
        async def call(chunk):
            await asyncio.sleep(60)

        task = asyncio.create_task(gathered(map_chunks(call, range(100), 1, 10)))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and len(asyncio.all_tasks()) == 1

    run(scenario)


def test_settings_that_make_no_sense_are_refused():
    async def scenario():
        async def call(chunk):
            return chunk

        for chunk_size in (0, 65_536):
            with pytest.raises(ValueError, match="chunk_size is 1 to 65535"):
                await gathered(map_chunks(call, [1], chunk_size, 1))
        with pytest.raises(ValueError, match="window is at least 1"):
            await gathered(map_chunks(call, [1], 1, 0))
        with pytest.raises(TypeError, match="not one str"):
            await gathered(map_chunks(call, "abc", 1, 1))
        assert await gathered(map_chunks(call, [], 1, 1)) == []

    run(scenario)


def test_pairs_of_a_mapping_are_its_items():
    assert list(pairs_of({"a": 1})) == [("a", 1)]
    pairs = iter([("a", 1)])
    assert pairs_of(pairs) is pairs


def test_mset_stream_says_how_many_and_stops_at_a_refusal():
    def script(talk):
        for answer in (OK, OK, frame(Status.ERROR, b"full")):
            talk.ask()
            talk.send(answer)
        talk.wait_for_close()

    async def scenario():
        with Peer(script, answering()) as peer:
            async with KvClient.connect(peer.address) as client:
                pairs = [(f"k{i}", i) for i in range(100)]
                with pytest.raises(KvServerError, match="full"):
                    await client.mset_stream(pairs, chunk_size=10, window=2)
                assert len(peer.requests) <= 4
                assert await client.mset_stream(asynchronously(pairs), chunk_size=30) == 100

    run(scenario)


def test_memory_is_that_of_the_window():
    """30,000 values of 1 kB are 30 MB; a window of 2 chunks of 200 is 0.4 MB, some times over."""

    def pairs():
        for i in range(30_000):
            yield f"key:{i}", b"%05d" % i * 200

    def forgetful(talk):
        while talk.ask() is not None:
            talk.peer.requests.clear()
            talk.send(OK)

    async def scenario():
        with Peer(forgetful) as peer:
            async with KvClient.connect(peer.address) as client:
                tracemalloc.start()
                try:
                    stored_count = await client.mset_stream(pairs(), chunk_size=200, window=2)
                    _, peak_bytes = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
        assert stored_count == 30_000
        assert peak_bytes < 6_000_000

    run(scenario)
