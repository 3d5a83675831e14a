"""Lock: one holder at a time, its own expiry, and no error that hides another."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kvbench.client import KvClient, KvPool, Lock, PoolConfig
from kvbench.clock import ManualClock
from kvbench.errors import KvConnectionError, KvServerError, KvTimeoutError, LockLostError
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import KvServer
from tests.client.client_peers import Peer, answering, eventually, value


def with_client(scenario, namespace="locks"):
    """Run ``scenario(client, clock)`` with a server whose TTLs run on a clock of the test's."""

    async def around():
        clock = ManualClock()
        async with (
            asyncio.timeout(10),
            KvServer(ServerConfig(port=0), clock=clock) as server,
            KvClient.connect(f"{server.address}/{namespace}") as client,
        ):
            await scenario(client, clock)

    asyncio.run(around())


def test_it_is_held_inside_and_free_outside():
    async def scenario(client, clock):
        lock = Lock(client, "job", ttl=10)
        for _ in range(2):  # It may be used again.
            async with lock as held:
                assert held is lock
                assert await client.get("job") == lock.owner
                assert await client.ttl("job") == 10.0
                assert await client.lock("job", "other", 1) is False
            assert await client.exists("job") is False

    with_client(scenario)


@pytest.mark.parametrize("through", ["client", "pool"])
def test_one_holder_at_a_time(through):
    async def scenario(client, clock):
        inside = entered = 0

        async def work(connection):
            nonlocal inside, entered
            async with Lock(connection, "job", ttl=60):
                inside += 1
                entered += 1
                assert inside == 1
                await client.ping()
                inside -= 1

        async with await KvPool.connect(PoolConfig(str(client.address), max_size=3)) as pool:
            connection = pool if through == "pool" else client
            await asyncio.gather(*[work(connection) for _ in range(8)])
        assert entered == 8

    with_client(scenario)


def test_owners_are_unique_unless_they_are_given():
    owners = {Lock(None, "k").owner for _ in range(100)}
    assert len(owners) == 100 and all(owners)
    assert Lock(None, "k", owner="me").owner == "me"


def test_waiting_for_another_ends_after_acquire_timeout():
    async def scenario(client, clock):
        loop = asyncio.get_running_loop()
        async with Lock(client, "job", ttl=60):
            for timeout_s in (0, 0.12):
                began = loop.time()
                with pytest.raises(KvTimeoutError, match=f"held by another for {timeout_s:g} s"):
                    async with Lock(client, "job", acquire_timeout=timeout_s):
                        raise AssertionError("never entered")
                assert loop.time() - began >= timeout_s
            assert await client.exists("job") is True

    with_client(scenario)


def test_it_is_taken_when_the_other_lets_go_or_has_expired():
    async def scenario(client, clock):
        entered = asyncio.Event()

        async def wait_for_it():
            async with Lock(client, "job", acquire_timeout=5):
                entered.set()

        async with Lock(client, "job", ttl=60):
            waiter = asyncio.create_task(wait_for_it())
            await asyncio.sleep(0.01)
            assert not entered.is_set()
        await waiter
        assert entered.is_set()

        await client.lock("job", "somebody who died", 60)
        entered.clear()
        waiter = asyncio.create_task(wait_for_it())
        await asyncio.sleep(0.01)
        assert not entered.is_set()
        clock.advance_ms(60_000)
        await waiter

    with_client(scenario)


@pytest.mark.parametrize("next_holder", [None, "another"])
def test_a_lock_that_ended_before_its_holder_is_reported(next_holder):
    async def scenario(client, clock):
        with pytest.raises(LockLostError, match="longer ttl than 5 s, or extend it"):
            async with Lock(client, "job", ttl=5):
                clock.advance_ms(5000)
                if next_holder:
                    assert await client.lock("job", next_holder, 60) is True
        assert await client.get("job") == next_holder, "another's lock is left alone"

    with_client(scenario)


def test_extending_holds_it_on():
    async def scenario(client, clock):
        async with Lock(client, "job", ttl=5) as lock:
            for _ in range(5):
                clock.advance_ms(4000)
                await lock.extend()
            assert await client.ttl("job") == 5.0

    with_client(scenario)


@pytest.mark.parametrize("next_holder", [None, "another"])
def test_extending_what_has_ended_is_an_error(next_holder):
    async def scenario(client, clock):
        with pytest.raises(LockLostError):
            async with Lock(client, "job", ttl=5) as lock:
                clock.advance_ms(5000)
                if next_holder:
                    await client.lock("job", next_holder, 60)
                with pytest.raises(LockLostError):
                    await lock.extend()

    with_client(scenario)


def test_an_exception_of_the_body_releases_and_is_not_masked(caplog):
    async def scenario(client, clock):
        with pytest.raises(LookupError, match="mine"):
            async with Lock(client, "job"):
                raise LookupError("mine")
        assert await client.exists("job") is False
        with pytest.raises(LookupError, match="mine"):
            async with Lock(client, "job", ttl=5):
                clock.advance_ms(5000)
                raise LookupError("mine")

    with caplog.at_level(logging.WARNING, "kvbench.client"):
        with_client(scenario)
    assert "lock 'job' was not released" in caplog.text


def test_a_cancelled_body_releases():
    async def scenario(client, clock):
        inside = asyncio.Event()

        async def work():
            async with Lock(client, "job"):
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(work())
        await inside.wait()
        assert await client.exists("job") is True
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and await client.exists("job") is False

    with_client(scenario)


def test_a_server_that_is_gone_at_the_end_does_not_mask_the_body_either():
    def script(talk):
        talk.ask()
        talk.send(frame(Status.OK, b"\x01"))
        talk.ask()

    async def scenario():
        for error in (LookupError, None):
            with Peer(script) as peer:
                async with KvClient.connect(peer.address) as client:
                    with pytest.raises(error or KvConnectionError):
                        async with Lock(client, "job"):
                            if error:
                                raise error

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("stored", "error"), [("me", KvServerError), ("another", LockLostError), (None, LockLostError)]
)
@pytest.mark.parametrize("step", ["extend", "release"])
def test_only_the_owners_refusal_means_lost(step, stored, error):
    """An ERROR can mean anything: the key tells whether the lock is still ours."""

    def script(talk):
        while (request := talk.ask()) is not None:
            if request[0] == Opcode.LOCK:
                talk.send(frame(Status.OK, b"\x01"))
            elif request[0] == Opcode.GET:
                talk.send(value(stored) if stored else frame(Status.NULL, b""))
            else:
                talk.send(frame(Status.ERROR, b"a replica cannot write"))

    async def scenario():
        with Peer(script) as peer:
            async with KvClient.connect(peer.address) as client:
                lock = await Lock(client, "job", owner="me").__aenter__()
                with pytest.raises(error):
                    if step == "extend":
                        await lock.extend()
                    else:
                        await lock.__aexit__(None, None, None)

    asyncio.run(scenario())


def test_a_full_server_is_no_lost_lock():
    """The lock is held all the time, although the server has no connection for its holder."""

    async def scenario():
        async with (
            asyncio.timeout(10),
            KvServer(ServerConfig(port=0, max_connections=1)) as server,
            KvClient.connect(server.address) as client,
            Lock(client, "job", ttl=60) as lock,
        ):
            client._connection.abort("for the test")
            await eventually(lambda: server.stats.connections_now == 0)
            async with KvClient.connect(server.address) as other:
                assert await other.get("job") == lock.owner
                with pytest.raises((KvServerError, KvConnectionError), match="are taken"):
                    await lock.extend()
            await eventually(lambda: server.stats.connections_now == 0)
            await lock.extend()

    asyncio.run(scenario())


def test_a_server_without_locks_is_no_lost_lock():
    async def scenario():
        refusal = frame(Status.INVALID, b"unknown opcode")
        with Peer(answering(refusal)) as peer:
            async with KvClient.connect(peer.address) as client:
                with pytest.raises(KvServerError, match="unknown opcode"):
                    async with Lock(client, "job"):
                        raise AssertionError("never entered")
                with pytest.raises(KvServerError, match="unknown opcode"):
                    await Lock(client, "job").extend()
                assert [code for _, code, _ in peer.requests] == [Opcode.LOCK, Opcode.EXTEND]
                await eventually(lambda: client.is_connected)

    asyncio.run(scenario())


def test_a_ttl_that_is_no_time_is_refused_before_anything_is_sent():
    async def scenario(client, clock):
        for ttl in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="ttl must be a positive number"):
                async with Lock(client, "job", ttl=ttl):
                    raise AssertionError("never entered")
        with pytest.raises(TypeError, match="every lock expires"):
            async with Lock(client, "job", ttl=None):
                raise AssertionError("never entered")

    with_client(scenario)
