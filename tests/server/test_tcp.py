"""The server over real sockets, on asyncio and on uvloop: order, limits, faults, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket

import pytest

from kvbench.errors import KvConnectionError
from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server import tcp
from kvbench.server.config import ServerConfig
from kvbench.server.connection import LINGER_S
from kvbench.server.tcp import KvServer

PING = req.empty_request(Opcode.PING)
DEADLINE_S = 10.0


def uvloop_factory():
    uvloop = pytest.importorskip("uvloop", reason="uvloop is not installed")
    return uvloop.new_event_loop


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """Run a coroutine to its end on the event loop under test, with a deadline."""
    factory = uvloop_factory() if request.param == "uvloop" else asyncio.new_event_loop

    def run_with_deadline(scenario):
        async def with_deadline():
            async with asyncio.timeout(DEADLINE_S):
                await scenario()

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(with_deadline())

    return run_with_deadline


class Client:
    """Raw bytes out, frames in."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.frames = FrameReader()

    @classmethod
    async def connect(cls, server):
        host, port = server.address.rsplit(":", 1)
        return cls(*await asyncio.open_connection(host.strip("[]"), int(port), limit=1 << 16))

    async def receive(self, count):
        """The next ``count`` frames; fewer when the server ends before."""
        found = []
        while len(found) < count:
            data = await self.reader.read(1 << 16)
            if not data:
                break
            found += self.frames.feed(data)
        return found

    async def ask(self, *requests):
        self.writer.write(b"".join(requests))
        return await self.receive(len(requests))

    async def ended(self):
        return await self.reader.read(1) == b""

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


PONG = (Status.OK, b"PONG")


def incr(key="n"):
    return req.counter_request(Opcode.INCR, b"", key, 1)


def numbers(frames):
    return [int.from_bytes(payload, "big") for _, payload in frames]


def test_pipelined_requests_are_answered_in_order(run):
    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            client = await Client.connect(server)
            answers = await client.ask(*[incr() for _ in range(5000)])
            assert numbers(answers) == list(range(1, 5001))
            await client.close()

    run(scenario)


def test_a_byte_at_a_time_gives_the_same_answers(run):
    session = [
        req.mset_request(b"", [("a", "x" * 50), ("b", [1, {"c": None}])], 0),
        req.keys_request(Opcode.MGET, b"", ["a", "b", "c"]),
        b"\x99\x00\x00\x00\x02zz",
        incr(),
        PING,
    ]

    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            client = await Client.connect(server)
            whole = await client.ask(*session)
            await client.ask(req.keys_request(Opcode.MDEL, b"", ["a", "b", "n"]))
            for byte in b"".join(session):
                client.writer.write(bytes([byte]))
                await client.writer.drain()
                await asyncio.sleep(0)
            assert await client.receive(len(session)) == whole
            assert [status for status, _ in whole] == [0, 0, Status.INVALID, 0, 0]
            await client.close()

    run(scenario)


def test_a_half_closed_client_gets_all_answers(run):
    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            client = await Client.connect(server)
            client.writer.write(incr() * 2000 + incr()[:4])
            client.writer.write_eof()
            assert numbers(await client.receive(9999)) == list(range(1, 2001))
            assert await client.ended()
            await client.close()

    run(scenario)


def test_the_idle_are_closed_and_the_busy_are_not(run):
    async def scenario():
        async with KvServer(ServerConfig(port=0, idle_timeout_s=0.2)) as server:
            idle, busy = await Client.connect(server), await Client.connect(server)
            assert await idle.ask(PING) == [PONG]
            end = asyncio.ensure_future(idle.ended())
            while not end.done():
                assert await busy.ask(PING) == [PONG]
            assert await end
            assert await busy.ask(PING) == [PONG]
            await idle.close()
            await busy.close()

    run(scenario)


def test_a_client_over_the_connection_limit_is_rejected(run):
    async def scenario():
        async with KvServer(ServerConfig(port=0, max_connections=2)) as server:
            first, second = await Client.connect(server), await Client.connect(server)
            assert await first.ask(PING) == await second.ask(PING) == [PONG]
            third = await Client.connect(server)
            [(status, message)] = await third.ask(PING)
            assert status == Status.ERROR
            assert b"2 connections" in message
            assert await third.ended()
            await third.close()
            await first.close()
            while server.stats.connections_now == 2:
                await asyncio.sleep(0)
            fourth = await Client.connect(server)
            assert await fourth.ask(PING) == [PONG]
            assert server.stats.connections_refused == 1
            assert server.stats.connections_total == 3
            await second.close()
            await fourth.close()

    run(scenario)


def test_an_oversize_frame_gets_its_reply_while_the_client_still_sends(run):
    async def scenario():
        async with KvServer(ServerConfig(port=0, max_payload_bytes=100_000)) as server:
            client = await Client.connect(server)
            client.writer.write(PING + b"\x02" + (20_000_000).to_bytes(4, "big"))
            for _ in range(200):
                client.writer.write(bytes(100_000))
            await client.writer.drain()
            [pong, (status, message)] = await client.receive(2)
            assert pong == PONG
            assert status == Status.ERROR
            assert b"20000000" in message
            assert await client.ended()
            await client.close()
            assert server.stats.bytes_in < 1_000_000, "the payload was taken in"

    run(scenario)


def test_a_client_that_stays_after_being_turned_away_is_cut_off(run, monkeypatch):
    assert LINGER_S > 0.1
    monkeypatch.setattr("kvbench.server.connection.LINGER_S", 0.1)

    async def scenario():
        async with KvServer(ServerConfig(port=0, max_connections=1)) as server:
            first = await Client.connect(server)
            assert await first.ask(PING) == [PONG]
            stubborn = await Client.connect(server)
            assert (await stubborn.receive(1))[0][0] == Status.ERROR
            with pytest.raises(ConnectionError):
                while True:
                    stubborn.writer.write(PING)
                    await stubborn.writer.drain()
                    await asyncio.sleep(0)
            await first.close()
            await stubborn.close()

    run(scenario)


def test_due_keys_are_dropped_without_traffic(run, monkeypatch):
    monkeypatch.setattr(tcp, "PURGE_EVERY_S", 0.01)

    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            items = {b"%d" % number: b"\x00" for number in range(5000)}
            server.engine.mset(items, ttl_ms=20)
            # From outside, memory is the only sign: no request sees a due key.
            while server.engine._data:
                await asyncio.sleep(0.001)

    run(scenario)


def test_stop_answers_what_was_received(run):
    async def scenario():
        server = KvServer(ServerConfig(port=0))
        await server.start()
        client = await Client.connect(server)
        assert await client.ask(PING) == [PONG]
        raw = client.writer.get_extra_info("socket")
        # Straight to the kernel: on loopback it has all of it when send returns.
        sent = socket.socket(fileno=os.dup(raw.fileno()))
        sent.send(incr() * 1000)
        sent.close()
        await server.stop()
        assert numbers(await client.receive(9999)) == list(range(1, 1001))
        await client.close()
        with pytest.raises(OSError):
            await Client.connect(server)

    run(scenario)


def test_stop_gives_up_on_a_client_that_does_not_read(run):
    async def scenario():
        server = KvServer(ServerConfig(port=0, drain_timeout_s=0.2))
        await server.start()
        server.engine.set(b"big", b"\x05" + (1 << 20).to_bytes(4, "big") + bytes(1 << 20))
        deaf = socket.create_connection(("127.0.0.1", int(server.address.split(":")[1])))
        deaf.sendall(req.key_request(Opcode.GET, b"", "big") * 100)
        while not server.stats.bytes_out:
            await asyncio.sleep(0.001)
        begin = asyncio.get_running_loop().time()
        await server.stop()
        assert asyncio.get_running_loop().time() - begin > 0.1
        assert server.stats.connections_now == 0
        deaf.close()

    run(scenario)


def test_info_tells_of_connections_bytes_and_loop(run):
    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            client = await Client.connect(server)
            [pong, (status, payload)] = await client.ask(PING, req.empty_request(Opcode.INFO))
            assert (pong, status) == (PONG, Status.OK)
            info = json.loads(payload)
            assert info["connections_now"] == info["connections_total"] == 1
            assert info["bytes_in"] == 10
            loop = type(asyncio.get_running_loop()).__module__
            assert info["event_loop"] == ("uvloop" if loop == "uvloop" else "asyncio")
            [(_, payload)] = await client.ask(req.empty_request(Opcode.INFO))
            assert json.loads(payload)["bytes_out"] > 9
            await client.close()

    run(scenario)


def test_ipv6_is_served_and_written_in_brackets(run):
    async def scenario():
        async with KvServer(ServerConfig(host="::1", port=0)) as server:
            assert server.address.startswith("[::1]:")
            client = await Client.connect(server)
            assert await client.ask(PING) == [PONG]
            await client.close()

    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError as error:
        pytest.skip(f"no IPv6 on this machine: {error}")
    run(scenario)


@pytest.mark.parametrize(
    ("host", "advice"),
    [("192.0.2.1", "another address"), ("no such host", "no such host")],
    ids=["not ours", "unknown"],
)
def test_an_address_that_cannot_be_had_is_named_with_advice(host, advice):
    async def scenario():
        config = ServerConfig(host=host, port=0, protected_mode=False)
        await KvServer(config).start()

    with pytest.raises(KvConnectionError, match=f"cannot listen on {host} port 0.*{advice}"):
        asyncio.run(scenario())


def test_a_taken_port_is_named_with_advice():
    async def scenario():
        async with KvServer(ServerConfig(port=0)) as server:
            port = int(server.address.split(":")[1])
            with pytest.raises(KvConnectionError, match=r"already in use.*--port"):
                await KvServer(ServerConfig(port=port)).start()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "limits",
    [
        {"port": -1},
        {"port": 65_536},
        {"max_connections": 0},
        {"max_payload_bytes": 100},
        {"max_payload_bytes": 1 << 32},
        {"idle_timeout_s": -1.0},
        {"idle_timeout_s": float("nan")},
        {"write_buffer_bytes": 0},
    ],
    ids=str,
)
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(ValueError, match=r"\d"):
        ServerConfig(**limits)
