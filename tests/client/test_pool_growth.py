"""A pool on a server that grants fewer connections than it may open, or none.

Callers queue for what is granted instead of failing; the pool grows again when the server allows
it; and where nothing can be opened at all the failure says so at once.
"""

from __future__ import annotations

import asyncio

import pytest

from kvbench.client import KvPool, PoolConfig, connection_pool
from kvbench.errors import KvConnectionError, PoolTimeoutError
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import KvServer
from tests.client.client_peers import Peer, eventually, granting
from tests.client.test_pool import open_pool, run

REFUSAL = frame(Status.ERROR, b"no more connections")


@pytest.mark.parametrize("min_size", [0, 2, 10])
def test_a_pool_of_ten_uses_the_three_that_a_server_grants(min_size):
    """200 of 200 calls succeed; a pool that fails where it is refused lost 124 of them."""

    async def scenario():
        async with (
            KvServer(ServerConfig(port=0, max_connections=3)) as server,
            await open_pool(server, min_size=min_size, max_size=10) as pool,
        ):
            await asyncio.gather(*[pool.set(f"k{i}", i) for i in range(100)])
            found = await asyncio.gather(*[pool.get(f"k{i}") for i in range(100)])
            assert found == list(range(100))
            stats = pool.stats()
            assert (stats.size, stats.max_size, stats.active, stats.idle) == (3, 10, 0, 3)

    run(scenario)


def test_who_was_refused_takes_the_place_in_the_queue_that_is_due():
    """Refusals come in any order, and after others have queued: the order of coming decides."""

    async def scenario():
        served = []

        async def work(number):
            async with pool.acquire():
                served.append(number)
                await asyncio.sleep(0)

        async with (
            KvServer(ServerConfig(port=0, max_connections=1)) as server,
            await open_pool(server, min_size=1, max_size=5) as pool,
        ):
            async with pool.acquire():
                tasks = [asyncio.create_task(work(number)) for number in range(20)]
                await eventually(lambda: pool.stats().waiting == 20)
            await asyncio.gather(*tasks)
            assert served == list(range(20))

    run(scenario)


def test_the_pool_grows_again_by_one_after_a_pause_and_on_with_each_success(monkeypatch):
    """Waiting callers get the new connections; none of them has to come again."""
    monkeypatch.setattr(connection_pool, "PAUSE_S_MIN", 0.05)

    async def scenario():
        async with KvServer(ServerConfig(port=0, max_connections=2)) as server:
            others = await open_pool(server, min_size=1, max_size=1)
            async with await open_pool(server, min_size=1, max_size=2, acquire_timeout=8) as pool:
                async with pool.acquire():
                    waiter = asyncio.create_task(pool.get("k"))
                    await eventually(lambda: pool._grower is not None)
                    assert not waiter.done() and pool.stats().size == 1
                    await others.close()
                    assert await waiter is None, "served by a second connection"
                    assert pool.stats().size == 2
                assert pool._size_limit == 2 and pool._grower is None

    run(scenario)


def test_each_further_refusal_doubles_the_pause_up_to_its_most(monkeypatch):
    monkeypatch.setattr(connection_pool, "PAUSE_S_MIN", 0.01)
    monkeypatch.setattr(connection_pool, "PAUSE_S_MAX", 0.08)

    async def scenario():
        with Peer(
            granting(lambda talk: talk.wait_for_close()), lambda talk: talk.send(REFUSAL)
        ) as (peer):
            config = PoolConfig(peer.address, min_size=1, max_size=9, acquire_timeout=8)
            async with await KvPool.connect(config) as pool, pool.acquire():
                waiters = [asyncio.create_task(pool.ping()) for _ in range(30)]
                pauses = []

                def note_pause():
                    if pool._pause_s not in pauses:
                        pauses.append(pool._pause_s)
                    return len(pauses) >= 4

                await eventually(note_pause)
                await eventually(lambda: peer.connections >= 12)
                assert pauses == [0.01, 0.02, 0.04, 0.08][-len(pauses) :] or pauses[-1] == 0.08
                assert pool._pause_s == 0.08
                for waiter in waiters:
                    waiter.cancel()
                await asyncio.wait(waiters)

    run(scenario)


def test_who_waits_too_long_for_what_is_granted_reads_why():
    async def scenario():
        async with (
            KvServer(ServerConfig(port=0, max_connections=1)) as server,
            await open_pool(server, min_size=1, max_size=3, acquire_timeout=0.1) as pool,
        ):
            async with pool.acquire() as client:
                assert await client.ping()
                for _ in range(4):
                    with pytest.raises(
                        PoolTimeoutError,
                        match=r"all 1 connections.* server accepts.*max_size is 3.*are taken",
                    ):
                        await pool.ping()
            await eventually(lambda: pool.stats().idle == 1)
            assert await pool.ping() and pool.stats().size == 1

    run(scenario)


@pytest.mark.parametrize("how", ["refusal", "silence"])
def test_where_no_connection_can_be_opened_at_all_each_call_fails_with_the_reason(how):
    """A call without any connection to wait for does not sit in the queue until it times out."""

    def script(talk):
        if how == "refusal":
            talk.send(REFUSAL)
        talk.wait_for_close()

    reason = {"refusal": "rejected the connection: no more", "silence": "no answer within 0.2 s"}

    async def scenario():
        with Peer(granting(lambda talk: talk.wait_for_close()), script) as peer:
            config = PoolConfig(peer.address, min_size=1, max_size=4, connect_timeout=0.2)
            pool = await KvPool.connect(config)
            client, _ = pool._idle[0]
            client._connection.abort("for the test")
            found = await asyncio.gather(*[pool.ping() for _ in range(8)], return_exceptions=True)
            assert {type(error) for error in found} == {KvConnectionError}
            assert all(reason[how] in str(error) for error in found)
            assert pool.stats().size == 0
            await pool.close()
            with pytest.raises(KvConnectionError, match=reason[how]):
                await KvPool.connect(config)

    run(scenario)


def test_a_server_without_ping_grants_its_connections_all_the_same():
    def script(talk):
        while (request := talk.ask()) is not None:
            is_ping = request[0] == Opcode.PING
            talk.send(frame(Status.INVALID, b"unknown opcode") if is_ping else frame(0, b"\x01"))

    async def scenario():
        with Peer(script) as peer:
            async with await KvPool.connect(PoolConfig(peer.address)) as pool:
                assert await pool.exists("k") is True
                assert pool.stats().opened == 2

    run(scenario)
