"""A forked child and its parent's connections: nothing hangs, and the parent's stream stays intact.

The parent's conversation is checked to its end after each child, by values that differ.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time

import pytest

from kvbench.client import KvClient, KvPool, PoolConfig, SyncKvClient
from kvbench.errors import KvConnectionError
from tests.client.client_peers import Peer, ServerThread, value
from tests.waiting import wait_until

CHILD_DEADLINE_S = 10.0


def in_child(work):
    """Fork, run ``work`` in the child and return its pid; what it raises is exit code 1."""
    child = os.fork()
    if child:
        return child
    code = 1
    with contextlib.suppress(BaseException):
        signal.alarm(int(CHILD_DEADLINE_S) * 2)  # Ends a child whose parent has gone.
        work()
        code = 0
    os._exit(code)


def ended(child):
    """The child's exit code; a child that hangs is killed and counts as a failure."""
    end = time.monotonic() + CHILD_DEADLINE_S
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it hangs"


@pytest.mark.parametrize("first", ["close", "call"])
def test_a_child_does_not_hang_when_another_thread_was_in_a_call_at_the_fork(first):
    """The lock is held for ever in the child, by a thread that is not there."""

    def slow(talk):
        talk.ask()
        asked.set()
        assert go_on.wait(CHILD_DEADLINE_S * 2)
        talk.send(value("parent"))
        talk.ask()
        talk.send(value("again"))
        talk.wait_for_close()

    def quick(talk):
        talk.ask()
        talk.send(value("child"))

    def work():
        if first == "call":
            assert client.get("k") == "child"
        client.close()
        with pytest.raises(KvConnectionError, match="the client is closed"):
            client.get("k")

    asked, go_on, found = threading.Event(), threading.Event(), []
    with Peer(slow, quick) as peer, SyncKvClient.connect(peer.address) as client:
        thread = threading.Thread(target=lambda: found.append(client.get("k")))
        thread.start()
        assert asked.wait(5)
        code = ended(in_child(work))
        go_on.set()
        thread.join(5)
        assert code == 0
        assert found == ["parent"] and client.get("k") == "again" and client.reconnects == 0
        assert [number for number, _, _ in peer.requests].count(0) == 2


def test_a_child_keeps_no_copy_of_the_connection():
    """Else the server would not see its client's end as long as a child lives."""

    def wait():
        os.read(hold, 1)

    hold, release = os.pipe()
    with Peer(lambda talk: talk.wait_for_close()) as peer:
        client = SyncKvClient.connect(peer.address)
        child = in_child(wait)
        client._drop()
        try:
            wait_until(lambda: peer.closed == [0])
        finally:
            os.write(release, b"x")
        assert ended(child) == 0
        client.close()


def test_a_fork_by_a_signal_handler_in_the_middle_of_a_call_leaves_the_reply_to_the_parent():
    """Parent and child are both in the call then, and only one reply comes."""

    def script(talk):
        talk.ask()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert forked.wait(5)
        time.sleep(0.2)
        talk.send(value("parent"))
        talk.wait_for_close()

    def fork_inside(*_):
        pids.append(os.fork())
        if pids[0]:
            forked.set()

    pids, forked = [], threading.Event()
    before = signal.signal(signal.SIGUSR1, fork_inside)
    code = 1
    try:
        with Peer(script) as peer, SyncKvClient.connect(peer.address) as client:
            try:
                found = client.get("k")
            except KvConnectionError as error:
                code = 0 if "leave" in str(error) or "forked during" in str(error) else 2
            finally:
                if pids == [0]:
                    os._exit(code)
            assert found == "parent" and client.reconnects == 0
            assert ended(pids[0]) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def loops():
    uvloop = pytest.importorskip("uvloop")
    return {"asyncio": None, "uvloop": uvloop.new_event_loop}


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kind", ["client", "pool"])
def test_an_asynchronous_client_belongs_to_its_process(kind, loop):
    """In the child its calls fail with the reason, it closes, a new one works; the parent's too."""

    async def opened(address):
        if kind == "client":
            return await KvClient.connect(address)
        return await KvPool.connect(PoolConfig(address, min_size=2))

    async def in_a_new_loop(old, address):
        for _ in range(3):
            with pytest.raises(KvConnectionError, match="belongs to the parent process"):
                await old.set("who", "child")
        if kind == "pool":
            assert old.stats().size == 0
        await old.close()
        with pytest.raises(KvConnectionError, match="belongs to the parent process"):
            await old.get("who")
        new = await opened(address)
        await new.set("child", True)
        await new.close()

    async def scenario(address):
        old = await opened(address)
        await old.set("who", "parent")
        calls = [asyncio.create_task(old.get("who")) for _ in range(20)]
        await asyncio.sleep(0)  # Some are on their way at the fork.
        child = in_child(lambda: asyncio.run(in_a_new_loop(old, address)))
        assert await asyncio.gather(*calls) == ["parent"] * 20
        assert await asyncio.to_thread(ended, child) == 0
        assert await asyncio.gather(*[old.get("who") for _ in range(20)]) == ["parent"] * 20
        assert await old.get("child") is True
        if kind == "client":
            assert old.reconnects == 0
        else:
            assert old.stats().closed == 0
        await old.close()

    with ServerThread() as server, asyncio.Runner(loop_factory=loops()[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(server.address), 20))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_forked_child_in_its_parents_loop_sends_nothing_on_its_connection(loop):
    """That is not supported by asyncio, but it must not cost the parent a wrong reply."""

    async def scenario(address):
        client = await KvClient.connect(address)
        await client.set("who", "parent")
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                signal.alarm(int(CHILD_DEADLINE_S))
                await client.get("who")
                os._exit(1)
            os._exit(0)
        assert await asyncio.to_thread(ended, child) == 0
        for number in range(50):
            assert await client.incr("count") == number + 1
        assert client.reconnects == 0
        await client.close()

    with ServerThread() as server, asyncio.Runner(loop_factory=loops()[loop]) as runner:
        runner.run(asyncio.wait_for(scenario(server.address), 20))
