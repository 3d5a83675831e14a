"""The pool: who gets a connection and when, what breaks, what is closed, and that nothing leaks.

Its books are checked all the time: size is idle and active together, and never above max_size.
"""

from __future__ import annotations

import asyncio
import random

import pytest

from kvbench.client import KvPool, PoolConfig
from kvbench.clock import ManualClock
from kvbench.errors import KvConnectionError, KvServerError, PoolTimeoutError, UsageError
from kvbench.local_server import free_port
from kvbench.protocol.opcodes import Opcode
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import KvServer
from tests.client.client_peers import Peer, ServerThread, answering, eventually, granting, value


def run(scenario):
    async def with_deadline():
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(with_deadline())


class WatchedPool(KvPool):
    """A pool whose books are checked whenever they may have changed."""

    def check(self):
        stats = self.stats()
        assert stats.size == stats.idle + stats.active <= self.config.max_size
        assert min(stats.idle, stats.active, stats.waiting) >= 0
        assert not (stats.waiting and stats.idle), "a call waits although a connection is idle"
        assert stats.opened - stats.closed == stats.idle + len(self._lent)

    async def _take(self):
        self.check()
        try:
            return await super()._take()
        finally:
            self.check()

    def _give_back(self, client):
        super()._give_back(client)
        self.check()


def open_pool(server, **settings):
    return WatchedPool.connect(PoolConfig(server.address, **settings))


def with_pool(scenario, **settings):
    """Run ``scenario(pool, server)`` with a server on the same loop."""

    async def around():
        async with (
            KvServer(ServerConfig(port=0)) as server,
            await open_pool(server, **settings) as pool,
        ):
            await scenario(pool, server)
            stats = pool.stats()
            assert stats.active == 0 and stats.waiting == 0, "no connection is left in use"
        assert pool.stats().size == 0

    run(around)


@pytest.mark.parametrize(
    "settings",
    [{"min_size": -1}, {"min_size": 3, "max_size": 2}, {"min_size": 0, "max_size": 0}],
)
def test_sizes_that_make_no_sense_are_refused(settings):
    with pytest.raises(UsageError, match="min_size <= max_size"):
        PoolConfig("localhost", **settings)


@pytest.mark.parametrize(
    "name", ["idle_timeout", "acquire_timeout", "connect_timeout", "request_timeout"]
)
def test_times_that_make_no_sense_are_refused(name):
    for wrong in (0, -1, float("nan"), float("inf"), None):
        with pytest.raises(UsageError, match=f"{name} must be above 0"):
            PoolConfig("localhost", **{name: wrong})


@pytest.mark.parametrize(("min_size", "opened"), [(0, 1), (1, 1), (3, 3)])
def test_min_size_connections_are_opened_at_once(min_size, opened):
    async def scenario(pool, server):
        assert pool.stats().idle == pool.stats().opened == opened
        await eventually(lambda: server.stats.connections_now == opened)
        assert await pool.ping()
        assert pool.stats().opened == opened

    with_pool(scenario, min_size=min_size, max_size=5)


def test_more_are_opened_up_to_max_size_and_the_last_used_is_lent_first():
    async def scenario(pool, server):
        async with pool.acquire() as first, pool.acquire() as second, pool.acquire() as third:
            assert len({first, second, third}) == 3
            assert pool.stats().active == 3 and pool.stats().idle == 0
        assert pool.stats().idle == 3 and server.stats.connections_total == 3
        async with pool.acquire() as again:
            assert again is first  # The first of a nested with is given back last.

    with_pool(scenario, min_size=1, max_size=3)


def test_two_hundred_callers_share_four_connections():
    async def scenario(pool, server):
        await pool.mset({f"k{i}": i for i in range(200)})
        found = await asyncio.gather(*[pool.get(f"k{i}") for i in range(200)])
        assert found == list(range(200))
        assert server.stats.connections_total <= 4 and pool.stats().size <= 4

    with_pool(scenario, max_size=4)


def test_who_came_first_is_served_first():
    async def scenario(pool, server):
        served = []

        async def work(number):
            async with pool.acquire():
                served.append(number)
                await asyncio.sleep(0)

        async with pool.acquire():
            tasks = [asyncio.create_task(work(number)) for number in range(10)]
            await eventually(lambda: pool.stats().waiting == 10)
        tasks += [asyncio.create_task(work(number)) for number in range(10, 20)]
        await asyncio.gather(*tasks)
        assert served == list(range(20))

    with_pool(scenario, min_size=1, max_size=1)


def test_waiting_too_long_for_a_connection_is_a_timeout_and_nothing_was_sent():
    async def scenario(pool, server):
        async with pool.acquire():
            with pytest.raises(
                PoolTimeoutError, match=r"all 1 connections stayed busy for 0\.05 s"
            ):
                await pool.set("k", 1)
            assert pool.stats().waiting == 0
        assert await pool.exists("k") is False

    with_pool(scenario, min_size=1, max_size=1, acquire_timeout=0.05)


def test_a_caller_cancelled_while_waiting_leaves_no_trace():
    async def scenario(pool, server):
        async with pool.acquire():
            waiter = asyncio.create_task(pool.get("k"))
            await eventually(lambda: pool.stats().waiting == 1)
            waiter.cancel()
            await asyncio.wait([waiter])
            assert waiter.cancelled() and pool.stats().waiting == 0
        assert await pool.get("k") is None

    with_pool(scenario, min_size=1, max_size=1)


@pytest.mark.parametrize("others", [0, 1])
def test_a_caller_cancelled_in_the_moment_of_its_turn_passes_it_on(others):
    async def scenario(pool, server):
        async with pool.acquire():
            waiter = asyncio.create_task(pool.get("k"))
            next_ones = [asyncio.create_task(pool.get("k")) for _ in range(others)]
            await eventually(lambda: pool.stats().waiting == 1 + others)
        waiter.cancel()  # It was handed the connection, and has not run since.
        await asyncio.wait([waiter])
        assert waiter.cancelled(), "a cancellation is never swallowed"
        assert await asyncio.gather(*next_ones) == [None] * others
        assert pool.stats().idle == 1 and await pool.get("k") is None

    with_pool(scenario, min_size=1, max_size=1)


def test_a_broken_connection_in_that_moment_passes_on_its_place():
    async def scenario(pool, server):
        async with pool.acquire() as client:
            waiter = asyncio.create_task(pool.get("k"))
            await eventually(lambda: pool.stats().waiting == 1)
            client._connection.abort("for the test")
        waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled() and pool.stats().size == 0
        assert await pool.get("k") is None

    with_pool(scenario, min_size=1, max_size=1)


def test_a_waiter_gets_a_new_connection_for_a_broken_one():
    async def scenario(pool, server):
        async with pool.acquire() as client:
            waiter = asyncio.create_task(pool.get("k"))
            await eventually(lambda: pool.stats().waiting == 1)
            client._connection.abort("for the test")
        assert await waiter is None
        assert (pool.stats().opened, pool.stats().closed) == (2, 1)

    with_pool(scenario, min_size=1, max_size=1)


def test_a_cancelled_request_costs_its_connection_and_no_more():
    async def scenario():
        with Peer(
            granting(lambda talk: talk.wait_for_close()), granting(answering(value(2)))
        ) as peer:
            config = PoolConfig(peer.address, min_size=1, max_size=1)
            async with await WatchedPool.connect(config) as pool:
                call = asyncio.create_task(pool.get("a"))
                await eventually(lambda: len(peer.requests) == 2)
                call.cancel()
                await asyncio.wait([call])
                assert await pool.get("b") == 2
                assert (pool.stats().opened, pool.stats().closed) == (2, 1)
                keys = [key for _, opcode, key in peer.requests if opcode == Opcode.GET]
                assert keys == [b"a", b"b"]
                await eventually(lambda: peer.closed == [0])

    run(scenario)


def test_idle_connections_that_broke_are_replaced_without_a_failure():
    async def scenario(pool, server):
        await eventually(lambda: server.stats.connections_now == 3)
        idle = [client for client, _ in pool._idle]
        server.abort()
        await eventually(lambda: not any(client.is_connected for client in idle))
        assert await asyncio.gather(*[pool.get("k") for _ in range(3)]) == [None] * 3
        assert pool.stats().closed == 3

    with_pool(scenario, min_size=3, max_size=3)


def test_a_refusal_or_a_wrong_argument_keeps_the_connection():
    async def scenario(pool, server):
        await pool.set("text", "x")
        with pytest.raises(KvServerError):
            await pool.incr("text")
        with pytest.raises(TypeError):
            await pool.set("k", object())
        assert pool.stats().opened == 1 and pool.stats().closed == 0

    with_pool(scenario, min_size=1)


def test_an_exception_of_the_borrower_gives_back():
    async def scenario(pool, server):
        with pytest.raises(LookupError):
            async with pool.acquire():
                raise LookupError
        assert pool.stats().idle == 1

    with_pool(scenario, min_size=1, max_size=1)


def test_idle_connections_are_closed_down_to_min_size():
    async def scenario():
        clock = ManualClock()
        async with KvServer(ServerConfig(port=0)) as server:
            config = PoolConfig(server.address, min_size=2, max_size=5, idle_timeout=0.02)
            async with await WatchedPool.connect(config, clock=clock) as pool:
                loans = [pool.acquire() for _ in range(5)]
                for loan in loans:
                    await loan.__aenter__()
                clock.advance_ms(1000)
                for loan in loans:
                    await loan.__aexit__(None, None, None)
                clock.advance_ms(19)
                pool._sweep_once()
                assert pool.stats().idle == 5
                assert await pool.ping()  # The one used last stays fresh.
                (fresh, _) = pool._idle[-1]
                clock.advance_ms(1)
                await eventually(lambda: pool.stats().size == 2)
                assert pool._idle[-1][0] is fresh
                await eventually(lambda: server.stats.connections_now == 2)
                assert await asyncio.gather(*[pool.ping() for _ in range(5)]) == [True] * 5

    run(scenario)


def test_idle_connections_that_broke_are_swept_away_too():
    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            config = PoolConfig(server.address, min_size=2, max_size=2, idle_timeout=0.02)
            async with await WatchedPool.connect(config, clock=ManualClock()) as pool:
                await eventually(lambda: server.stats.connections_now == 2)
                server.abort()
                await eventually(lambda: pool.stats().size == 0)
                assert await pool.ping()

    run(scenario)


def test_closing_while_in_use_fails_calls_and_waiters():
    async def scenario():
        with Peer(granting(lambda talk: talk.wait_for_close())) as peer:
            pool = await WatchedPool.connect(PoolConfig(peer.address, min_size=1, max_size=1))
            call, waiter = (asyncio.create_task(pool.get(key)) for key in "ab")
            await eventually(lambda: len(peer.requests) == 2 and pool.stats().waiting == 1)
            await pool.close()
            with pytest.raises(KvConnectionError, match="client was closed"):
                await call
            with pytest.raises(KvConnectionError, match="pool is closed"):
                await waiter
            with pytest.raises(KvConnectionError, match="pool is closed"):
                await pool.get("c")
            await pool.close()
            await eventually(lambda: peer.closed == [0])
            assert pool.stats().size == 0 and pool.stats().closed == 1

    run(scenario)


def test_closing_while_a_connection_is_opened_leaves_none():
    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            pool = await open_pool(server, min_size=1, max_size=2)
            async with pool.acquire():
                call = asyncio.create_task(pool.get("k"))
                await asyncio.sleep(0)
                assert pool.stats().active == 2
                await pool.close()
                with pytest.raises(KvConnectionError, match="closed"):
                    await call
            await pool.close()
            assert pool.stats().size == 0
            await eventually(lambda: server.stats.connections_now == 0)

    run(scenario)


def test_an_address_where_no_server_listens():
    async def scenario():
        with pytest.raises(KvConnectionError, match="refused"):
            await KvPool.connect(PoolConfig(f"127.0.0.1:{free_port()}"))
        with pytest.raises(UsageError, match="is not an address"):
            await KvPool.connect(PoolConfig("localhost:x"))

    run(scenario)


def test_the_pool_reconnects_after_a_server_restart():
    async def scenario():
        with ServerThread() as server:
            port = int(server.address.rpartition(":")[2])
            pool = await open_pool(server, min_size=2, max_size=4)
            await asyncio.gather(*[pool.set(f"k{i}", i) for i in range(20)])
            await asyncio.to_thread(server.stop)
        found = await asyncio.gather(*[pool.get("k1") for _ in range(20)], return_exceptions=True)
        assert {type(error) for error in found} == {KvConnectionError}
        pool.check()
        assert pool.stats().active == 0
        with ServerThread(port=port):
            assert await asyncio.gather(*[pool.get("k1") for _ in range(20)]) == [None] * 20
            pool.check()
            await pool.close()
        assert pool.stats().size == 0

    run(scenario)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_leaks_when_anything_is_cancelled_at_any_time(seed):
    chance = random.Random(seed)

    async def scenario(pool, server):
        async def work(number):
            async with pool.acquire() as client:
                await client.incr("calls")
                if chance.random() < 0.1:
                    client._connection.abort("for the test")
                await asyncio.sleep(0)

        tasks = set()
        for number in range(300):
            tasks.add(asyncio.create_task(work(number)))
            if chance.random() < 0.5:
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                chance.choice(sorted(tasks, key=id)).cancel()
            pool.check()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert any(one is None for one in found)
        assert any(isinstance(one, asyncio.CancelledError) for one in found)
        assert all(isinstance(one, asyncio.CancelledError | None) for one in found)
        pool.check()
        assert await asyncio.gather(*[pool.ping() for _ in range(8)]) == [True] * 8

    with_pool(scenario, min_size=1, max_size=4)
