"""The synchronous client by itself: interrupted, shared by threads, closed by one, forked."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import pytest

from kvbench.client import SyncKvClient
from kvbench.errors import KvConnectionError, KvTimeoutError
from kvbench.protocol.opcodes import Opcode
from tests.client.client_peers import OK, Peer, ServerThread, answering, value
from tests.waiting import wait_until


def test_ctrl_c_while_waiting_closes_the_connection_and_the_next_call_is_right():
    def interrupting(talk):
        talk.ask()
        os.kill(os.getpid(), signal.SIGINT)
        talk.wait_for_close()

    with (
        Peer(interrupting, answering(value("second"))) as peer,
        SyncKvClient.connect(peer.address) as client,
    ):
        with pytest.raises(KeyboardInterrupt):
            client.get("first")
        assert not client.is_connected
        assert client.get("second") == "second"
        assert peer.requests == [(0, Opcode.GET, b"first"), (1, Opcode.GET, b"second")]
        wait_until(lambda: 0 in peer.closed)


def test_ctrl_c_in_the_middle_of_sending_closes_the_connection():
    def interrupting(talk):
        talk.stream.recv(5)
        os.kill(os.getpid(), signal.SIGINT)
        stopped.wait(5)

    stopped = threading.Event()
    with (
        Peer(interrupting, answering()) as peer,
        SyncKvClient.connect(peer.address) as client,
    ):
        with pytest.raises(KeyboardInterrupt):
            client.set("k", b"x" * 50_000_000)
        assert not client.is_connected
        stopped.set()
        client.set("k", 1)
        assert [number for number, _, _ in peer.requests] == [1]


@pytest.mark.parametrize("delay_s", [0.0, 0.3])
def test_the_timeout_covers_sending_and_waiting_together(delay_s):
    """Half a second passes before an answer: too long, though no part of it is."""

    def lazy(talk):
        time.sleep(delay_s)
        if delay_s:
            talk.ask()
            time.sleep(0.2)
            talk.send(OK)
        stopped.wait(5)

    stopped = threading.Event()
    with Peer(lazy) as peer, SyncKvClient.connect(peer.address, request_timeout=0.4) as client:
        began = time.monotonic()
        with pytest.raises(KvTimeoutError):
            client.set("k", b"x" * 20_000_000)
        assert time.monotonic() - began > 0.39
        stopped.set()


def test_a_timeout_that_was_shortened_is_whole_again_for_the_next_call():
    def script(talk):
        talk.ask()
        answer = value("hello")
        time.sleep(0.15)
        talk.send(answer[:6])
        time.sleep(0.05)
        talk.send(answer[6:])
        talk.ask()
        time.sleep(0.2)
        talk.send(value("world"))

    with Peer(script) as peer, SyncKvClient.connect(peer.address, request_timeout=0.4) as client:
        assert client.get("a") == "hello"
        assert client.get("b") == "world"


def test_large_values_come_back_whole():
    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        large = os.urandom(3_000_000)
        client.mset({"a": large, "b": large[::-1]})
        assert client.mget(["a", "b"]) == [large, large[::-1]]


def test_threads_take_turns():
    failures = []

    def work(client, name):
        try:
            for i in range(100):
                client.set(name, i)
                assert client.get(name) == i
                assert client.incr("total") > 0
        except Exception as error:  # noqa: BLE001 - reported by the main thread.
            failures.append(error)

    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        threads = [threading.Thread(target=work, args=(client, f"k{i}")) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not failures
        assert client.get("total") == 800 and client.reconnects == 0


def test_closing_wakes_a_thread_that_waits():
    asked = threading.Event()
    outcome = []

    def script(talk):
        talk.ask()
        asked.set()
        talk.wait_for_close()

    def wait_for_reply():
        with pytest.raises(KvConnectionError, match="the client was closed"):
            client.get("k")
        outcome.append("woken")

    with Peer(script) as peer:
        client = SyncKvClient.connect(peer.address, request_timeout=20)
        waiter = threading.Thread(target=wait_for_reply)
        waiter.start()
        assert asked.wait(5)
        client.close()
        waiter.join(10)
        assert outcome == ["woken"]
        wait_until(lambda: peer.closed == [0])


def test_a_forked_child_leaves_the_connection_to_its_parent():
    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        client.set("who", "parent")
        child = os.fork()
        if child == 0:
            code = 1
            with contextlib.suppress(BaseException):
                fine = client.get("who") == "parent" and client.reconnects == 1
                client.set("child", True)
                client.close()
                code = 0 if fine else 2
            os._exit(code)
        for _ in range(50):
            assert client.get("who") == "parent"
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.get("child") is True
        assert client.is_connected and client.reconnects == 0


def test_closing_in_a_forked_child_leaves_the_parents_connection_alone():
    with ServerThread() as server, SyncKvClient.connect(server.address) as client:
        assert client.ping()
        child = os.fork()
        if child == 0:
            client.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client.ping() and client.reconnects == 0


def test_streams_read_a_chunk_ahead_and_no_more():
    read = []

    def pairs():
        for i in range(10):
            read.append(i)
            yield f"k{i}", i

    def script(talk):
        while talk.ask():
            reads.append(len(read))
            talk.send(OK)

    reads = []
    with Peer(script) as peer, SyncKvClient.connect(peer.address) as client:
        assert client.mset_stream(pairs(), chunk_size=3) == 10
        assert reads == [3, 6, 9, 10]
        assert client.mset_stream({"a": 1, "b": 2}) == 2
