"""Pipelined calls of both clients: one flush, answers in order, and what a bad server leaves.

Against sockets that answer by a script, and a real server for what is large.
"""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from kvbench.client import KvClient, SyncKvClient
from kvbench.errors import KvConnectionError, KvProtocolError, KvServerError, KvTimeoutError
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Opcode, Status
from tests.client.client_peers import OK, Blocking, Peer, ServerThread, answering, value

CLIENTS = pytest.mark.parametrize("client_class", [SyncKvClient, Blocking], ids=["sync", "async"])
KEYS = ["a", "b", "c"]
OVERSIZE = b"\x00" + (PAYLOAD_BYTES_MAX + 1).to_bytes(4, "big") + b"xxxx"


def after(count, data, *, close=False):
    """A script: read so many requests, send these bytes, and close or wait for the client to."""

    def script(talk):
        for _ in range(count):
            talk.ask()
        talk.send(data)
        if not close:
            talk.wait_for_close()

    return script


@CLIENTS
def test_all_requests_come_before_any_reply(client_class):
    """The peer answers only when it has read them all: a loop of single calls would time out."""
    answers = value(1) + frame(Status.NULL, b"") + value("x")
    with (
        Peer(after(3, answers)) as peer,
        client_class.connect(peer.address, request_timeout=2) as client,
    ):
        assert client.pipelined_get(KEYS) == [1, None, "x"]
        assert peer.requests == [(0, Opcode.GET, key.encode()) for key in KEYS]
        assert len(peer.reads) == 1, "and in one piece"


@CLIENTS
def test_a_refusal_is_raised_after_all_replies_and_the_connection_stays_good(client_class):
    def script(talk):
        for _ in KEYS:
            talk.ask()
        talk.send(frame(Status.ERROR, b"too full") + OK + frame(Status.ERROR, b"later"))
        answering(value("next"))(talk)

    with Peer(script) as peer, client_class.connect(peer.address) as client:
        with pytest.raises(KvServerError, match="too full"):
            client.pipelined_set([(key, 1) for key in KEYS])
        assert client.get("k") == "next"
        assert client.reconnects == 0 and peer.connections == 1


FAILS = {
    "closed in the middle": (after(3, value(1), close=True), KvConnectionError, "closed it"),
    "one reply is missing": (after(3, value(1) * 2), KvTimeoutError, "no answer within 0.3 s"),
    "none reads and none comes": (after(0, b""), KvTimeoutError, "no answer within 0.3 s"),
    "half a reply, then nothing": (after(3, value("hello")[:7]), KvTimeoutError, "0.3 s"),
    "one reply too many": (after(3, value(1) * 4), KvProtocolError, "more .*came than"),
    "a NULL has a payload": (after(3, value(1) + frame(1, b"x") + value(1)),
                             KvProtocolError, "NULL came with a payload"),
    "one reply makes no sense": (after(3, value(1) + frame(0, b"\xff") + value(1)),
                                 KvProtocolError, "unknown value tag"),
    "a reply over the limit": (after(3, value(1) + OVERSIZE), KvProtocolError, "67108865 bytes"),
}  # fmt: skip


@CLIENTS
@pytest.mark.parametrize("name", FAILS)
def test_a_broken_pipeline_fails_whole_and_the_next_call_reconnects(client_class, name):
    script, error, message = FAILS[name]
    with (
        Peer(script, answering(value("fine"))) as peer,
        client_class.connect(peer.address, request_timeout=0.3) as client,
    ):
        with pytest.raises(error, match=message):
            client.pipelined_get(KEYS)
        assert not client.is_connected
        assert client.get("second") == "fine" and client.reconnects == 1
        asked = [payload for number, _, payload in peer.requests if number == 1]
        assert asked == [b"second"], "nothing of the pipeline is sent again"


@CLIENTS
def test_a_refused_argument_sends_nothing(client_class):
    with Peer(answering(value(1))) as peer, client_class.connect(peer.address) as client:
        for wrong, error in [
            (lambda: client.pipelined_get("abc"), TypeError),
            (lambda: client.pipelined_get(["a", 5]), TypeError),
            (lambda: client.pipelined_delete(["a", ""]), ValueError),
            (lambda: client.pipelined_exists(["a", "x" * 257]), ValueError),
            (lambda: client.pipelined_set([("a", 1), ("b", object())]), TypeError),
            (lambda: client.pipelined_set([("a", 1), ("b",)]), TypeError),
            (lambda: client.pipelined_set({"a": 1}, ttl=-1), ValueError),
        ]:
            with pytest.raises(error):
                wrong()
        assert client.pipelined_get([]) == [] and client.pipelined_set({}) is None
        assert client.get("k") == 1
        assert peer.requests == [(0, Opcode.GET, b"k")]


@CLIENTS
def test_more_than_all_buffers_hold_goes_and_comes(client_class):
    """A server with bounded buffers stops reading while its replies are not fetched."""
    keys = [f"k{number}" for number in range(30)]
    with (
        ServerThread() as server,
        client_class.connect(f"{server.address}/space", request_timeout=20) as client,
    ):
        client.pipelined_set({key: key.encode() * 300_000 for key in keys})
        found = client.pipelined_get(keys * 3 + ["none" * 60] * 50_000)
        assert [len(one) for one in found[:90]] == [300_000 * len(key) for key in keys] * 3
        assert found[90:] == [None] * 50_000
        assert client.pipelined_exists([*keys, "none"]) == [True] * 30 + [False]
        assert client.pipelined_delete(["k1", "k1", "none"]) == [True, False, False]
        client.pipelined_set([("k1", 1)], ttl=100)
        assert 99 < client.ttl("k1") <= 100


def test_a_cancelled_pipeline_is_given_up_whole_and_logs_nothing(caplog):
    """100,000 requests are given up at once, and none of their futures complains later."""

    async def scenario(address):
        async with KvClient.connect(address) as client:
            keys = [f"k{number}" for number in range(100_000)]
            call = asyncio.ensure_future(client.pipelined_get(keys))
            await asyncio.sleep(0.1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not client.is_connected
            assert await client.get("k") == "fine"

    with (
        Peer(after(1, b""), answering(value("fine"))) as peer,
        caplog.at_level(logging.ERROR),
    ):
        asyncio.run(scenario(peer.address))
        gc.collect()
    assert caplog.records == []


def test_other_calls_run_concurrently_with_a_pipeline():
    """On one asynchronous connection every caller gets their own answers."""

    async def scenario(address):
        async with KvClient.connect(address) as client:
            await client.mset({f"k{number}": number for number in range(100)})
            keys = [f"k{number}" for number in range(100)]
            results = await asyncio.gather(
                client.pipelined_get(keys), client.get("k7"), client.pipelined_get(keys[::-1])
            )
            assert results == [list(range(100)), 7, list(range(99, -1, -1))]

    with ServerThread() as server:
        asyncio.run(scenario(server.address))
