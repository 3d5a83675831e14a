"""The asynchronous client by itself: what is written, who gets which answer, what is left behind.

Pipelining, cancellation, deadlines, a server that does not read, connections that come and go.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import threading

import pytest

from kvbench.client import KvClient, connection
from kvbench.errors import (
    KvConnectionError,
    KvProtocolError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.local_server import free_port
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Status
from tests.client.client_peers import Peer, ServerThread, answering, eventually, value


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    def __init__(self):
        super().__init__()
        self.timer_count = 0

    def call_at(self, *args, **kwargs):
        self.timer_count += 1
        return super().call_at(*args, **kwargs)


def run(scenario, loop_factory=None):
    """Run to the end within a deadline; nothing may be left unawaited or unreported."""
    problems = []

    async def with_deadline():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(context))
        async with asyncio.timeout(10):
            await scenario()
        gc.collect()
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(with_deadline())
    assert problems == []


class Gate:
    """Holds a peer's script until a test opens it."""

    def __init__(self):
        self._event = threading.Event()
        self.open = self._event.set

    def wait(self):
        assert self._event.wait(10), "the test never opened the gate"


def holding(gate, count, answers):
    """A script: take ``count`` requests, wait, send the answers, then wait for the end."""

    def script(talk):
        for _ in range(count):
            talk.ask()
        gate.wait()
        talk.send(b"".join(answers))
        talk.wait_for_close()

    return script


# --- Pipelining ------------------------------------------------------------------------------


@pytest.mark.parametrize("loop_factory", [None, "uvloop"])
def test_a_hundred_gets_leave_in_one_write(loop_factory):
    if loop_factory:
        uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
        loop_factory = uvloop.new_event_loop

    def script(talk):
        while (asked := talk.ask()) is not None:
            talk.send(value(asked[1].decode()))

    async def scenario():
        with Peer(script) as peer:
            async with KvClient.connect(peer.address) as client:
                keys = [f"key:{i}" for i in range(100)]
                assert await asyncio.gather(*[client.get(key) for key in keys]) == keys
            assert len(peer.requests) == 100 and len(peer.reads) <= 2

    run(scenario, loop_factory)


def test_every_caller_gets_their_own_answer():
    async def scenario():
        with ServerThread() as server:
            async with KvClient.connect(server.address) as client:
                await client.mset({f"k{i}": i for i in range(1000)})

                async def check(i):
                    for turn in range(3):
                        assert await client.get(f"k{i}") == i
                        assert await client.exists(f"none{turn}") is False

                await asyncio.gather(*map(check, range(1000)))
                assert client.reconnects == 0

    run(scenario)


def test_refusals_and_answers_mix():
    async def scenario():
        with ServerThread() as server:
            async with KvClient.connect(server.address) as client:
                await client.set("text", "x")
                found = await asyncio.gather(
                    client.incr("n"), client.incr("text"), client.get("text"),
                    client.incr("n"), return_exceptions=True,
                )  # fmt: skip
                assert [found[0], found[2], found[3]] == [1, "x", 2]
                assert isinstance(found[1], KvServerError) and found[1].status == Status.ERROR
                assert client.reconnects == 0

    run(scenario)


def test_one_timer_serves_all_requests():
    async def scenario():
        with Peer(answering(value(1))) as peer:
            async with KvClient.connect(peer.address) as client:
                loop = asyncio.get_running_loop()
                loop.timer_count = 0
                for _ in range(10):
                    await asyncio.gather(*[client.get("k") for _ in range(100)])
                assert loop.timer_count <= 1

    run(scenario, CountingLoop)


# --- Cancellation ----------------------------------------------------------------------------


def test_a_cancelled_request_that_was_sent_closes_after_the_others_have_their_answers(caplog):
    async def scenario():
        gate = Gate()
        answers = [value("a"), value("b"), value("c")]
        with Peer(holding(gate, 3, answers), answering(value("new"))) as peer:
            async with KvClient.connect(peer.address) as client:
                a, b, c = (asyncio.create_task(client.get(key)) for key in "abc")
                await eventually(lambda: len(peer.requests) == 3)
                b.cancel()
                await asyncio.wait([b])
                assert b.cancelled() and not client.is_connected
                assert await client.get("d") == "new"
                assert peer.closed == [] and not a.done()
                gate.open()
                assert await a == "a" and await c == "c"
                await eventually(lambda: peer.closed == [0])
                assert client.is_connected and client.reconnects == 1
                assert [(number, key) for number, _, key in peer.requests] == [
                    (0, b"a"), (0, b"b"), (0, b"c"), (1, b"d"),
                ]  # fmt: skip

    with caplog.at_level(logging.WARNING, "kvbench.client"):
        run(scenario)
    assert "reconnected" in caplog.text


def test_a_request_cancelled_before_it_was_sent_is_not_sent():
    async def scenario():
        with Peer(answering(value(1))) as peer:
            async with KvClient.connect(peer.address) as client:
                kept, given_up = (asyncio.create_task(client.get(key)) for key in ("a", "b"))
                await asyncio.sleep(0)
                given_up.cancel()
                assert await kept == 1
                await asyncio.wait([given_up])
                assert given_up.cancelled()
                assert client.is_connected and await client.get("c") == 1
                assert client.reconnects == 0
            assert [key for _, _, key in peer.requests] == [b"a", b"c"]

    run(scenario)


def test_everyone_cancelled_closes_at_once():
    async def scenario():
        gate = Gate()
        with Peer(holding(gate, 20, []), answering(value("new"))) as peer:
            async with KvClient.connect(peer.address) as client:
                tasks = [asyncio.create_task(client.get("k")) for _ in range(20)]
                await eventually(lambda: len(peer.requests) == 20)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                gate.open()
                await eventually(lambda: peer.closed == [0])
                assert await client.get("k") == "new"

    run(scenario)


def test_cancelled_in_the_moment_of_the_answer_keeps_the_connection():
    def script(talk):
        talk.ask()
        answering(value("second"))(talk)

    async def scenario():
        with Peer(script) as peer:
            async with KvClient.connect(peer.address) as client:
                task = asyncio.create_task(client.get("a"))
                await eventually(lambda: len(peer.requests) == 1)
                client._connection.data_received(value("first"))
                task.cancel()
                await asyncio.wait([task])
                assert task.cancelled() and client.is_connected
                assert await client.get("b") == "second"
                assert client.reconnects == 0 and peer.connections == 1

    run(scenario)


def test_timeout_of_the_caller_counts_as_cancellation():
    async def scenario():
        with Peer(lambda talk: talk.wait_for_close(), answering(value("new"))) as peer:
            async with KvClient.connect(peer.address) as client:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await client.get("a")
                assert await client.get("b") == "new"
                await eventually(lambda: peer.closed == [0])
                assert [key for _, _, key in peer.requests] == [b"a", b"b"]

    run(scenario)


# --- Deadlines -------------------------------------------------------------------------------


def test_many_requests_time_out_together_and_those_answered_do_not(caplog):
    async def scenario():
        gate = Gate()
        gate.open()
        with Peer(holding(gate, 50, [value(0), value(1)]), answering(value("new"))) as peer:
            async with KvClient.connect(peer.address, request_timeout=0.4) as client:
                loop = asyncio.get_running_loop()
                began = loop.time()
                found = await asyncio.gather(
                    *[client.get(f"k{i}") for i in range(50)], return_exceptions=True
                )
                assert loop.time() - began > 0.39
                assert found[:2] == [0, 1]
                assert {type(error) for error in found[2:]} == {KvTimeoutError}
                assert len(set(map(id, found[2:]))) == 48, "each has an error of their own"
                assert "may have been applied" in str(found[2])
                await eventually(lambda: peer.closed == [0])
                assert await client.get("k") == "new"

    with caplog.at_level(logging.WARNING, "kvbench.client"):
        run(scenario)
    counts = re.findall(r"no answer within 0\.4 s to (\d+) requests", caplog.text)
    assert sum(map(int, counts)) == 48, "by two timers on a busy machine"


def test_a_later_request_has_its_own_deadline():
    async def scenario():
        gate = Gate()
        with Peer(holding(gate, 2, [value("a"), value("b")]), answering(value("c"))) as peer:
            async with KvClient.connect(peer.address, request_timeout=0.5) as client:
                early = asyncio.create_task(client.get("a"))
                await asyncio.sleep(0.3)
                late = asyncio.create_task(client.get("b"))
                with pytest.raises(KvTimeoutError):
                    await early
                assert not client.is_connected and not late.done()
                gate.open()
                assert await late == "b"
                await eventually(lambda: peer.closed == [0])
                assert await client.get("c") == "c"

    run(scenario)


# --- A server that does not read ---------------------------------------------------------------


def unread(gate):
    def script(talk):
        gate.wait()
        answering()(talk)

    return script


def test_what_a_server_does_not_read_waits_with_the_callers():
    async def scenario():
        gate = Gate()
        with Peer(unread(gate)) as peer:
            async with KvClient.connect(peer.address) as client:
                sets = [
                    asyncio.create_task(client.set(f"k{i}", bytes(1_000_000))) for i in range(30)
                ]
                await eventually(lambda: client._connection._is_paused)
                await asyncio.sleep(0.05)
                assert client._connection._transport.get_write_buffer_size() < 1_100_000
                assert len(client._connection.protocol.unsent()) > 10
                gate.open()
                await asyncio.gather(*sets)
                assert len(peer.requests) == 30 and client.reconnects == 0

    run(scenario)


def test_what_waits_behind_a_server_that_does_not_read_can_still_be_recalled():
    async def scenario():
        gate = Gate()
        with Peer(unread(gate)) as peer:
            async with KvClient.connect(peer.address) as client:
                sets = [
                    asyncio.create_task(client.set(f"k{i}", bytes(1_000_000))) for i in range(30)
                ]
                await eventually(lambda: client._connection._is_paused)
                sets[-1].cancel()
                await asyncio.wait([sets[-1]])
                assert client.is_connected
                gate.open()
                await asyncio.gather(*sets[:-1])
                assert len(peer.requests) == 29 and client.reconnects == 0

    run(scenario)


def test_a_server_that_never_reads_is_a_timeout_that_names_what_was_not_sent():
    async def scenario():
        gate = Gate()
        with Peer(unread(gate)) as peer:
            async with KvClient.connect(peer.address, request_timeout=0.2) as client:
                found = await asyncio.gather(
                    *[client.set("k", bytes(1_000_000)) for i in range(30)], return_exceptions=True
                )
                assert {type(error) for error in found} == {KvTimeoutError}
                assert "may have been applied" in str(found[0])
                assert "it was not sent" in str(found[-1])
            gate.open()

    run(scenario)


# --- Ends --------------------------------------------------------------------------------------


def test_each_call_in_flight_gets_its_own_error_when_the_connection_breaks():
    def script(talk):
        for _ in range(10):
            talk.ask()
        talk.send(value(0) + value(1))
        talk.reset()

    async def scenario():
        with Peer(script, answering(value("new"))) as peer:
            async with KvClient.connect(peer.address) as client:
                found = await asyncio.gather(
                    *[client.get(f"k{i}") for i in range(10)], return_exceptions=True
                )
                assert {type(error) for error in found[2:]} == {KvConnectionError}
                assert len(set(map(id, found[2:]))) == 8
                assert "may have been applied" in str(found[-1])
                assert await client.get("k") == "new"
                assert len(peer.requests) == 11

    run(scenario)


def test_a_server_that_ends_its_side_is_noticed_although_nothing_of_ours_can_leave():
    def script(talk):
        gate.wait()
        talk.stream.shutdown(1)
        closed.wait()

    gate, closed = Gate(), Gate()

    async def scenario():
        with Peer(script) as peer:
            async with KvClient.connect(peer.address) as client:
                sets = [asyncio.create_task(client.set("k", bytes(1_000_000))) for _ in range(30)]
                await eventually(lambda: client._connection._is_paused)
                gate.open()
                found = await asyncio.gather(*sets, return_exceptions=True)
                assert {type(error) for error in found} == {KvConnectionError}
                closed.open()

    run(scenario)


def test_nonsense_for_one_closes_for_all_and_says_why():
    gate = Gate()
    gate.open()

    async def scenario():
        with Peer(holding(gate, 3, [frame(0, b"\xff")]), answering(value("new"))) as peer:
            async with KvClient.connect(peer.address) as client:
                found = await asyncio.gather(
                    *[client.get(key) for key in "abc"], return_exceptions=True
                )
                assert [type(error) for error in found] == [
                    KvProtocolError, KvConnectionError, KvConnectionError,
                ]  # fmt: skip
                assert "earlier request was invalid" in str(found[1])
                assert await client.get("d") == "new"

    run(scenario)


def test_more_responses_than_requests_fail_all_in_flight():
    gate = Gate()
    gate.open()

    async def scenario():
        with Peer(holding(gate, 2, [value("stray"), value("a"), value("b")])) as peer:
            async with KvClient.connect(peer.address) as client:
                found = await asyncio.gather(
                    client.get("a"), client.get("b"), return_exceptions=True
                )
                assert [type(error) for error in found] == [KvProtocolError] * 2
                assert not client.is_connected

    run(scenario)


def test_closing_fails_what_is_in_flight_on_every_connection():
    gate = Gate()

    async def scenario():
        with Peer(holding(gate, 2, []), holding(gate, 1, [])) as peer:
            client = await KvClient.connect(peer.address)
            given_up, old = (asyncio.create_task(client.get(key)) for key in "ab")
            await eventually(lambda: len(peer.requests) == 2)
            given_up.cancel()
            await asyncio.wait([given_up])
            new = asyncio.create_task(client.get("c"))
            await eventually(lambda: len(peer.requests) == 3)
            await asyncio.gather(client.close(), client.close())
            for task in (old, new):
                with pytest.raises(KvConnectionError, match="client was closed"):
                    await task
            with pytest.raises(KvConnectionError, match="client is closed"):
                await client.get("d")
            gate.open()
            await eventually(lambda: sorted(peer.closed) == [0, 1])

    run(scenario)


def test_one_closer_that_is_cancelled_does_not_cancel_the_other():
    async def scenario():
        with Peer(answering()) as peer:
            client = await KvClient.connect(peer.address)
            closers = [asyncio.create_task(client.close()) for _ in range(2)]
            await asyncio.sleep(0)
            closers[0].cancel()
            await asyncio.gather(*closers, return_exceptions=True)
            assert closers[1].exception() is None
            await eventually(lambda: peer.closed == [0])

    run(scenario)


def test_closing_while_connecting_leaves_no_connection():
    async def scenario():
        with Peer(answering(value(1))) as peer:
            async with KvClient.connect(peer.address) as client:
                client._connection.abort("for the test")
                call = asyncio.create_task(client.get("k"))
                await asyncio.sleep(0)
                await client.close()
                with pytest.raises(KvConnectionError, match="client is closed"):
                    await call
                assert not client.is_connected and client._live == set()

    run(scenario)


def test_calls_that_wait_for_a_connection_share_one_attempt():
    async def scenario():
        with Peer(answering(value(1))) as peer:
            async with KvClient.connect(peer.address) as client:
                client._connection.abort("for the test")
                assert await asyncio.gather(*[client.get("k") for _ in range(50)]) == [1] * 50
                assert peer.connections == 2 and client.reconnects == 1

    run(scenario)


def test_calls_that_wait_for_a_connection_share_its_failure():
    async def scenario():
        with ServerThread() as server:
            client = await KvClient.connect(server.address)
            await client.ping()
        async with client:
            await eventually(lambda: not client.is_connected)
            client._open, attempts = counted(client._open)
            found = await asyncio.gather(
                *[client.get("k") for _ in range(50)], return_exceptions=True
            )
            assert {type(error) for error in found} == {KvConnectionError}
            assert attempts == [1]
            with pytest.raises(KvConnectionError, match="refused"):
                await client.get("k")
            assert attempts == [1, 1], "who comes later tries anew"

    run(scenario)


def counted(call):
    calls = []

    async def counting():
        calls.append(1)
        return await call()

    return counting, calls


def test_a_caller_cancelled_while_connecting_leaves_it_to_the_next():
    async def scenario():
        with Peer(answering(value(1))) as peer:
            async with KvClient.connect(peer.address) as client:
                client._connection.abort("for the test")
                first, second = (asyncio.create_task(client.get("k")) for _ in range(2))
                await asyncio.sleep(0)
                first.cancel()
                assert await second == 1
                await asyncio.wait([first])
                assert first.cancelled()
                assert len(client._live) == 1

    run(scenario)


def test_a_client_may_be_awaited_or_entered():
    async def scenario():
        with Peer(answering(value(1))) as peer:
            client = await KvClient.connect(peer.address)
            async with client:
                assert await client.get("k") == 1
            assert not client.is_connected
            with pytest.raises(KvConnectionError):
                await KvClient.connect(f"127.0.0.1:{free_port()}")

    run(scenario)


def test_big_and_small_requests_keep_their_order():
    async def scenario():
        with ServerThread() as server:
            async with KvClient.connect(server.address) as client:
                big = bytes(connection._WRITE_BYTES)
                calls = [client.set("k", (i, big if i % 3 else b"")) for i in range(20)]
                await asyncio.gather(*calls, client.set("k", "last"))
                assert await client.get("k") == "last"

    run(scenario)
