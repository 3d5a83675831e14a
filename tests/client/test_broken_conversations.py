"""Servers that misbehave: the right error, a new connection for the next call, nothing sent twice.

The same for both clients, against sockets that answer by a script.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time

import pytest

from kvbench.client import KvPool, PoolConfig, SyncKvClient
from kvbench.client.sockets import prepare
from kvbench.errors import (
    KvConnectionError,
    KvProtocolError,
    KvServerError,
    KvTimeoutError,
    UsageError,
)
from kvbench.local_server import free_port
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Opcode, Status
from tests.client.client_peers import (
    OK,
    Blocking,
    Peer,
    ServerThread,
    answering,
    eventually,
    granting,
    value,
)
from tests.waiting import wait_until

CLIENTS = pytest.mark.parametrize("client_class", [SyncKvClient, Blocking], ids=["sync", "async"])


def says(*parts):
    """A script: read a request, send these bytes, and close."""

    def script(talk):
        talk.ask()
        for part in parts:
            talk.send(part)

    return script


def says_and_waits(data):
    def script(talk):
        talk.ask()
        talk.send(data)
        talk.wait_for_close()

    return script


def reset(talk):
    talk.ask()
    talk.reset()


def slowly(talk):
    """A byte of the reply now and then."""
    talk.ask()
    talk.stream.settimeout(0.02)
    for byte in value("x" * 1000):
        talk.send(bytes([byte]))
        try:
            if not talk.stream.recv(1):
                break
        except TimeoutError:
            pass
    talk.peer.closed.append(talk.number)


HALF = value("hello")[:7]
OVERSIZE = b"\x00" + (PAYLOAD_BYTES_MAX + 1).to_bytes(4, "big") + b"xxxx"

GET_FAILS = {
    "closed without a word": (says(), KvConnectionError, "the server closed it"),
    "half a header, then closed": (says(b"\0\0"), KvConnectionError, "the server closed it"),
    "half a reply, then closed": (says(HALF), KvConnectionError, "the server closed it"),
    "reset": (reset, KvConnectionError, "reset by peer"),
    "never answered": (says_and_waits(b""), KvTimeoutError, "no answer within 0.3 s"),
    "half a reply, then nothing": (says_and_waits(HALF), KvTimeoutError, "may have been applied"),
    "byte by byte, too slowly": (slowly, KvTimeoutError, "no answer within 0.3 s"),
    "no value": (says_and_waits(frame(0, b"\xff")), KvProtocolError, "unknown value tag"),
    "more than a value": (says_and_waits(frame(0, b"\0\0")), KvProtocolError, "follow the value"),
    "status CAS_FAILED": (says_and_waits(frame(4, b"")), KvProtocolError, "0x04"),
    "status unknown": (says_and_waits(frame(99, b"")), KvProtocolError, "0x63"),
    "text of another protocol": (
        says_and_waits(b"HTTP/1.1 400 Bad Request\r\n\r\n"), KvProtocolError, "over the limit"
    ),
    "a header over the limit": (says_and_waits(OVERSIZE), KvProtocolError, "67108865 bytes"),
    "two replies at once": (says_and_waits(value(1) * 2), KvProtocolError, "more .*came than"),
    "a reply and a byte": (says_and_waits(value(1) + b"\0"), KvProtocolError, "more .*came than"),
    "a reply and a refusal": (
        says_and_waits(value(1) + frame(2, b"full")), KvProtocolError, "more .*came than"
    ),
    "NULL with a payload": (
        says_and_waits(frame(1, b"x")), KvProtocolError, "NULL came with a payload"
    ),
}  # fmt: skip


@CLIENTS
@pytest.mark.parametrize("name", GET_FAILS)
def test_a_broken_reply_fails_its_call_and_the_next_call_reconnects(client_class, name, caplog):
    script, error, message = GET_FAILS[name]
    with (
        Peer(script, answering(value("fine"))) as peer,
        client_class.connect(peer.address, request_timeout=0.3) as client,
    ):
        with pytest.raises(error, match=message):
            client.get("first")
        assert not client.is_connected and client.reconnects == 0
        with caplog.at_level(logging.WARNING, "kvbench.client"):
            assert client.get("second") == "fine"
        assert client.is_connected and client.reconnects == 1
        assert f"reconnected to {peer.address}" in caplog.text
        assert peer.requests == [(0, Opcode.GET, b"first"), (1, Opcode.GET, b"second")]


@CLIENTS
def test_a_reply_may_come_in_any_pieces(client_class):
    def script(talk):
        talk.ask()
        for byte in value("hello"):
            talk.send(bytes([byte]))
            time.sleep(0.001)
        answering(value("again"))(talk)

    with Peer(script) as peer, client_class.connect(peer.address) as client:
        assert client.get("k") == "hello"
        assert client.get("k") == "again"
        assert client.reconnects == 0


@CLIENTS
def test_null_for_a_set_is_nonsense_and_closes(client_class):
    with (
        Peer(says_and_waits(frame(1, b"")), answering()) as peer,
        client_class.connect(peer.address) as client,
    ):
        with pytest.raises(KvProtocolError, match="0x01"):
            client.set("k", 1)
        client.set("k", 2)
        assert [number for number, _, _ in peer.requests] == [0, 1]


@CLIENTS
def test_a_refusal_leaves_the_connection_good(client_class):
    def script(talk):
        talk.ask()
        talk.send(frame(Status.ERROR, b"too full"))
        talk.ask()
        talk.send(frame(Status.INVALID, b"no such thing"))
        answering()(talk)

    with Peer(script) as peer, client_class.connect(peer.address) as client:
        with pytest.raises(KvServerError, match="too full") as caught:
            client.set("k", 1)
        assert caught.value.status == Status.ERROR
        with pytest.raises(KvServerError, match="no such thing") as caught:
            client.set("k", 1)
        assert caught.value.status == Status.INVALID
        client.set("k", 1)
        assert client.is_connected and client.reconnects == 0 and peer.connections == 1


@CLIENTS
def test_wrong_arguments_send_nothing_and_leave_the_connection_good(client_class):
    with Peer(answering(value(1))) as peer, client_class.connect(peer.address) as client:
        for wrong, error in [
            (lambda: client.set("k", 2**63), ValueError),
            (lambda: client.set("k", object()), TypeError),
            (lambda: client.set("k", 1, ttl=-1), ValueError),
            (lambda: client.get(""), ValueError),
            (lambda: client.mset([("a", 1), ("b", {1: 2})]), TypeError),
            (lambda: client.mget(["a", 5]), TypeError),
            (lambda: client.mget([*(f"k{i}" for i in range(70_000)), "\ud800"]), ValueError),
            (lambda: client.mset_stream([("a", 1)], chunk_size=0), ValueError),
            (lambda: list(client.mget_stream("abc")), TypeError),
        ]:
            with pytest.raises(error):
                wrong()
        assert client.get("k") == 1
        assert peer.requests == [(0, Opcode.GET, b"k")] and client.reconnects == 0


@CLIENTS
def test_empty_batches_send_nothing(client_class):
    with Peer(answering()) as peer, client_class.connect(peer.address) as client:
        assert client.mget([]) == [] and client.mexists(iter(())) == [] and client.mdel([]) == 0
        assert client.mset({}) is None and client.mset_each([]) is None
        assert client.mset_stream([]) == 0 and list(client.mget_stream([])) == []
        assert peer.requests == []


@CLIENTS
def test_a_split_batch_stops_at_its_first_failure(client_class):
    def script(talk):
        talk.ask()
        talk.send(OK)
        talk.ask()
        talk.send(frame(Status.ERROR, b"full"))
        answering()(talk)

    with Peer(script) as peer, client_class.connect(peer.address) as client:
        with pytest.raises(KvServerError, match="full"):
            client.mset([(f"k{i}", None) for i in range(65_535 * 2 + 1)])
        assert len(peer.requests) == 2


@CLIENTS
def test_a_late_second_reply_is_not_taken_for_the_next_ones(client_class):
    def script(talk):
        talk.ask()
        talk.send(value("first"))
        again.wait(5)
        talk.send(value("stray"))
        sent.set()
        talk.wait_for_close()

    again, sent = threading.Event(), threading.Event()
    with (
        Peer(script, answering(value("second"))) as peer,
        client_class.connect(peer.address) as client,
    ):
        assert client.get("a") == "first"
        again.set()
        assert sent.wait(5)
        if client_class is Blocking:  # Its loop hears of the stray reply when it runs.
            wait_until(lambda: client._usable() and client.reconnects == 1)
        assert client.get("b") == "second"
        assert peer.requests == [(0, Opcode.GET, b"a"), (1, Opcode.GET, b"b")]


@CLIENTS
@pytest.mark.parametrize("cut", [0, 3, 9])
def test_an_unasked_error_is_logged_and_the_next_call_opens_a_new_connection(
    client_class, cut, caplog
):
    """Nothing of that call was sent on the connection that the server has turned away."""
    refusal = frame(Status.ERROR, b"shutting down")

    def script(talk):
        talk.ask()
        talk.send(value("first"))
        again.wait(5)
        talk.send(refusal[: cut or None])
        sent.set()
        if cut:
            time.sleep(0.05)
            talk.send(refusal[cut:])

    again, sent = threading.Event(), threading.Event()
    with (
        caplog.at_level(logging.WARNING, "kvbench.client"),
        Peer(script, answering(value("second"))) as peer,
        client_class.connect(peer.address) as client,
    ):
        assert client.get("a") == "first"
        again.set()
        assert sent.wait(5)
        if client_class is Blocking:  # Its loop hears of the refusal when it runs.
            wait_until(lambda: client._usable() and client.reconnects == 1)
        assert client.get("b") == "second" and client.reconnects == 1
        assert peer.requests == [(0, Opcode.GET, b"a"), (1, Opcode.GET, b"b")]
    words = "" if cut else "shutting down"
    assert f"{peer.address}: the server rejected the connection: {words}" in caplog.text


def test_a_pool_replaces_a_connection_that_was_turned_away_while_idle(caplog):
    def script(talk):
        talk.ask()
        talk.send(value("first"))
        again.wait(5)
        talk.send(frame(Status.ERROR, b"shutting down"))

    again = threading.Event()

    async def scenario(address):
        async with await KvPool.connect(PoolConfig(address, min_size=1)) as pool:
            assert await pool.get("a") == "first"
            again.set()
            await eventually(lambda: "rejected the connection: shutting down" in caplog.text)
            assert await pool.get("b") == "second"
            assert pool.stats().closed == 1

    with (
        caplog.at_level(logging.WARNING, "kvbench.client"),
        Peer(granting(script), granting(answering(value("second")))) as peer,
    ):
        asyncio.run(asyncio.wait_for(scenario(peer.address), 20))


@CLIENTS
def test_a_connection_that_the_server_closed_while_idle_is_replaced_before_it_is_used(client_class):
    with (
        Peer(says(value(1)), answering(value(2))) as peer,
        client_class.connect(peer.address) as client,
    ):
        assert client.get("a") == 1
        if client_class is Blocking:  # Its loop hears of the end when it runs.
            wait_until(lambda: client._usable() and client.reconnects == 1)
        else:
            wait_until(lambda: client._poll.poll(0))
        assert client.get("b") == 2
        assert client.reconnects == 1


@CLIENTS
def test_the_reason_of_a_rejection_is_in_the_error(client_class):
    with (
        ServerThread(max_connections=1) as server,
        client_class.connect(server.address) as first,
    ):
        assert first.ping()
        with (
            pytest.raises((KvServerError, KvConnectionError), match="all 1 connections are taken"),
            client_class.connect(server.address) as second,
        ):
            second.ping()
        assert first.ping() and first.reconnects == 0


@CLIENTS
def test_an_oversize_request_is_refused_and_the_next_call_works(client_class):
    with (
        ServerThread(max_payload_bytes=100_000) as server,
        client_class.connect(server.address) as client,
    ):
        with pytest.raises(KvServerError, match="over the limit"):
            client.set("k", b"x" * 5_000_000)
        wait_until(lambda: works(client))
        assert client.get("k") is None


def works(client):
    try:
        return client.ping()
    except KvConnectionError:
        return False


@CLIENTS
def test_an_address_where_no_server_listens(client_class):
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(KvConnectionError, match=rf"{address}: .*refused; is a server running"):
        client_class.connect(address)
    with pytest.raises(KvConnectionError, match=r"no\.such\.host\.invalid:1: "):
        client_class.connect("no.such.host.invalid:1")
    for host in ("a..b", "x" * 64 + ".example"):
        with pytest.raises(KvConnectionError, match="no such host"):
            client_class.connect(host)


@CLIENTS
def test_a_server_that_accepts_nothing_is_given_up(client_class):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(place)
        with pytest.raises(KvConnectionError, match=r"no connection within 0\.2 s"):
            client_class.connect(f"127.0.0.1:{place[1]}", connect_timeout=0.2)
        for filler in fillers:
            filler.close()


@CLIENTS
def test_what_is_no_timeout_is_refused(client_class):
    for name in ("connect_timeout", "request_timeout"):
        for wrong in (0, -1, float("nan"), float("inf"), 1e9, None, "5"):
            with pytest.raises(UsageError, match=f"{name} must be above 0"):
                client_class.connect("localhost:1", **{name: wrong})
    with pytest.raises(UsageError, match="is not an address"):
        client_class.connect("localhost:x")


@CLIENTS
def test_after_close_every_call_raises_closed(client_class):
    with Peer(answering(value(1))) as peer, client_class.connect(peer.address) as client:
        assert client.get("k") == 1
        client.close()
        client.close()
        assert not client.is_connected
        with pytest.raises(KvConnectionError, match="client is closed"):
            client.get("k")
        wait_until(lambda: peer.closed == [0])
        assert peer.connections == 1


@CLIENTS
def test_a_server_that_comes_back_is_found_again(client_class):
    with ServerThread() as server, client_class.connect(server.address) as client:
        client.set("k", 1)
        port = int(server.address.rpartition(":")[2])
        server.stop()
        with pytest.raises(KvConnectionError):
            client.get("k")
        with pytest.raises(KvConnectionError, match="refused"):
            client.get("k")
        with ServerThread(port=port):
            wait_until(lambda: works(client))
            assert client.get("k") is None and client.reconnects == 1


def test_a_connection_to_itself_is_none():
    place = ("127.0.0.1", free_port())
    with (
        socket.create_connection(place, source_address=place) as own,
        pytest.raises(ConnectionRefusedError, match="no server listens there"),
    ):
        prepare(own)
