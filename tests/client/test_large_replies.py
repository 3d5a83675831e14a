"""Replies that are large: bounded, decoded in turns of the loop, and given up at the deadline.

The hostile ones are lists of the smallest values: a few bytes of each become a Python object.
"""

from __future__ import annotations

import asyncio
import struct
import time

import pytest

from kvbench.client import KvClient, KvPool, PoolConfig, SyncKvClient, decoding
from kvbench.errors import KvProtocolError, KvServerError, KvTimeoutError, UsageError
from kvbench.protocol.client import MESSAGE_BYTES_MAX
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import encode_value
from tests.client.client_peers import Blocking, Peer, answering, value

FACES = [SyncKvClient, Blocking]


def list_of(item, count):
    """The frame of a list of ``count`` times the encoded ``item``."""
    return frame(Status.OK, b"\x06" + struct.pack(">I", count) + item * count)


EMPTY_LISTS = list_of(b"\x06\x00\x00\x00\x00", 3_000_000)
DECIMALS = list_of(b"\x03\x00\x017", 4_000_000)
NULLS = list_of(b"\x00", 40_000_000)
DEADLINE_S = 100.0
"""For replies that are decoded by a pure codec on a busy machine: only a hang takes longer."""

HOSTILE = {"lists": EMPTY_LISTS, "Decimals": DECIMALS, "nulls": NULLS}


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("kind", HOSTILE)
def test_decoding_a_hostile_reply_ends_at_the_request_timeout(face, kind):
    """What it would take in whole is several times the timeout; the connection stays in order."""

    def script(talk):
        talk.ask()
        talk.send(HOSTILE[kind])
        talk.ask()
        talk.send(value("next"))
        talk.wait_for_close()

    with Peer(script) as peer:
        for timeout_s in (0.15, 0.3, 0.6):
            with face.connect(peer.address, request_timeout=timeout_s) as client:
                with pytest.raises(KvTimeoutError) as caught:
                    client.get("k")
                if "no answer" in str(caught.value):
                    continue  # A busy machine took as long to carry it over.
                assert "was not decoded within the request_timeout" in str(caught.value)
                assert client.get("k") == "next" and client.reconnects == 0
                return
    pytest.fail("the reply never came in time to be decoded")


def test_the_event_loop_runs_while_a_hostile_reply_is_decoded():
    """Others on the loop wait for a turn, and never for the whole reply."""
    turns = []

    async def scenario():
        async def count_turns():
            while True:
                turns.append(time.monotonic())
                await asyncio.sleep(0)

        counter = asyncio.create_task(count_turns())
        with Peer(answering(list_of(b"\x03\x00\x017", 500_000))) as peer:
            async with KvClient.connect(peer.address, request_timeout=DEADLINE_S) as client:
                found = await client.get("k")
                assert len(found) == 500_000
                received = len(turns)
                again = await asyncio.gather(*[client.get("k") for _ in range(3)])
                assert again == [found] * 3
                assert len(turns) - received > 12, "each of the three takes several turns"
        counter.cancel()

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_what_waits_to_be_decoded_is_bounded():
    """Nothing more is read while replies of the largest size together are not decoded yet."""
    reply = list_of(b"\x00", 200_000)

    async def scenario():
        with Peer(answering(reply)) as peer:
            async with KvClient.connect(
                peer.address, max_reply_bytes=300_000, request_timeout=DEADLINE_S
            ) as client:
                most = 0
                calls = [asyncio.create_task(client.get("k")) for _ in range(60)]
                connection = client._connection
                while not all(call.done() for call in calls):
                    most = max(most, connection._held_bytes)
                    await asyncio.sleep(0)
                assert [len(await call) for call in calls] == [200_000] * 60
                assert len(reply) < most < 300_000 + 2 * 262_144
                assert connection._held_bytes == 0 and not connection._is_reading_paused

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


def test_a_caller_who_is_cancelled_while_its_reply_is_decoded_disturbs_no_other():
    async def scenario():
        with Peer(answering(list_of(b"\x00", 1_000_000))) as peer:
            async with KvClient.connect(
                peer.address, max_reply_bytes=1_500_000, request_timeout=DEADLINE_S
            ) as client:
                calls = [asyncio.create_task(client.get("k")) for _ in range(6)]
                while not client._connection._held_bytes:
                    await asyncio.sleep(0)  # Between two turns of the loop, to miss none.
                cancelled = {number: calls[number].cancel() for number in (0, 3)}
                assert cancelled[3]  # On a busy machine the first may be done before this runs.
                found = await asyncio.gather(*calls, return_exceptions=True)
                for number, one in enumerate(found):
                    is_cancelled = isinstance(one, asyncio.CancelledError)
                    assert is_cancelled == cancelled.get(number, False)
                assert client._connection is None or client._connection._held_bytes == 0
                assert len(await client.get("k")) == 1_000_000

    asyncio.run(asyncio.wait_for(scenario(), DEADLINE_S))


@pytest.mark.parametrize("face", FACES)
def test_a_reply_over_the_bound_is_refused_by_its_header(face):
    """The message says how to get it; not a byte of it is waited for."""

    def script(talk):
        talk.ask()
        talk.send(struct.pack(">BI", 0, 2049))
        talk.wait_for_close()

    with (
        Peer(script) as peer,
        face.connect(peer.address, max_reply_bytes=2048, request_timeout=5) as client,
        pytest.raises(KvProtocolError, match=r"2049 bytes is over the limit of 2048.*ask for less"),
    ):
        client.get("k")


@pytest.mark.parametrize("face", FACES)
def test_the_bound_can_be_raised_and_is_inclusive(face):
    large = b"x" * 100_000
    for bound in (100_005, 1 << 30):
        with (
            Peer(answering(value(large))) as peer,
            face.connect(peer.address, max_reply_bytes=bound) as client,
        ):
            assert client.get("k") == large


def test_a_pool_bounds_the_replies_of_each_connection():
    async def scenario():
        def script(talk):
            while (request := talk.ask()) is not None:
                is_ping = request[0] == Opcode.PING
                talk.send(frame(0, b"PONG") if is_ping else value(b"x" * 3000))

        with Peer(script) as peer:
            async with await KvPool.connect(PoolConfig(peer.address, max_reply_bytes=2048)) as pool:
                with pytest.raises(KvProtocolError, match="limit of 2048"):
                    await pool.get("k")

    asyncio.run(scenario())


@pytest.mark.parametrize("wrong", [0, -1, 1023, 1 << 32, 2048.0, "64 MiB", None])
def test_a_bound_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="max_reply_bytes is 1 KiB to 4 GiB less a byte"):
        SyncKvClient.connect("localhost", max_reply_bytes=wrong)
    with pytest.raises(UsageError, match="max_reply_bytes"):
        KvClient.connect("localhost", max_reply_bytes=wrong)
    with pytest.raises(UsageError, match="max_reply_bytes"):
        PoolConfig("localhost", max_reply_bytes=wrong)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("status", [Status.ERROR, Status.INVALID])
def test_a_message_is_cut_before_it_is_read(face, status):
    """60 MiB that are no UTF-8 would take seconds to decode, and longer to print."""
    reply = frame(status, b"sorry \xff" + b"\xff" * 30_000_000)
    with Peer(answering(reply)) as peer, face.connect(peer.address) as client:
        with pytest.raises(KvServerError) as caught:
            client.get("k")
        assert caught.value.message.startswith("sorry \N{REPLACEMENT CHARACTER}")
        assert len(caught.value.message) <= MESSAGE_BYTES_MAX + 3


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("method", ["info", "hello"])
def test_facts_of_a_server_are_bounded(face, method):
    reply = frame(0, b'{"a": [' + b"[]," * 100_000 + b"[]]}")
    with (
        Peer(answering(reply)) as peer,
        face.connect(peer.address) as client,
        pytest.raises(KvProtocolError, match="more than 65536"),
    ):
        getattr(client, method)()


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("size", [1000, decoding.AT_ONCE_BYTES - 5, decoding.AT_ONCE_BYTES - 4])
def test_small_and_large_replies_mean_the_same(face, size):
    """At the border between decoding at once and in steps: values, refusals, nonsense."""
    text = "x" * size

    def script(talk):
        while (request := talk.ask()) is not None:
            key = request[1]
            if request[0] == Opcode.MGET:
                talk.send(frame(0, struct.pack(">H", 2) + encode_value(text) + b"\x00"))
            elif key == b"good":
                talk.send(value(text))
            elif key == b"refused":
                talk.send(frame(Status.ERROR, text.encode()))
            else:
                talk.send(frame(0, encode_value(text) + b"more"))

    with Peer(script) as peer, face.connect(peer.address) as client:
        assert client.get("good") == text
        assert client.mget(["a", "b"]) == [text, None]
        assert client.pipelined_get(["good", "good"]) == [text, text]
        with pytest.raises(KvServerError):
            client.get("refused")
        with pytest.raises(KvServerError):
            client.pipelined_get(["good", "refused", "good"])
        assert client.reconnects == 0
        with pytest.raises(KvProtocolError, match="4 bytes follow"):
            client.get("nonsense")
        assert client.get("good") == text and client.reconnects == 1
