"""One client's connection: a write for a read, bounded memory when it does not take its replies.

The transport here is a small one of our own, so that "the client is not reading" is a state and not
a matter of timing; tests/server/test_tcp.py has the same over real sockets.
"""

from __future__ import annotations

import asyncio

import pytest

from kvbench.clock import NS_PER_MS, NS_PER_S, ManualClock
from kvbench.engine import Engine
from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.config import ServerConfig
from kvbench.server.connection import ServerConnection
from kvbench.server.dispatch import Dispatcher
from kvbench.server.stats import Stats
from kvbench.server.turns import Turns

PING = req.empty_request(Opcode.PING)
PONG_BYTES = 9


class Wire(asyncio.Transport):
    """A transport with a buffer of its own: while ``is_blocked``, nothing leaves it."""

    def __init__(self, protocol):
        super().__init__()
        self._protocol = protocol
        self.writes = []
        self.unsent = 0
        self.is_blocked = False
        self.is_reading = True
        self.has_ended = self.is_closed = self.was_aborted = False

    def get_extra_info(self, name, default=None):
        return self if name == "socket" else default

    def setsockopt(self, *option):
        pass

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high

    def get_write_buffer_size(self):
        return self.unsent

    def write(self, data):
        assert not self.has_ended
        self.writes.append(data)
        if self.is_blocked:
            self.unsent += len(data)
            if self.unsent > self.high:
                self._protocol.pause_writing()

    def let_go(self):
        """The client takes all that is there."""
        self.unsent = 0
        self._protocol.resume_writing()

    def write_eof(self):
        self.has_ended = True

    def pause_reading(self):
        self.is_reading = False

    def resume_reading(self):
        self.is_reading = True

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def abort(self):
        self.is_closed = self.was_aborted = True


def with_connection(scenario, **limits):
    """Run ``scenario(connection, wire, engine)`` inside an event loop, where time stands still."""

    async def run():
        engine = Engine()
        config = ServerConfig(**limits)
        turns = Turns(ManualClock())
        connection = ServerConnection(
            Dispatcher(engine, Stats()), config, set(), lambda: False, turns
        )
        wire = Wire(connection)
        connection.connection_made(wire)
        scenario(connection, wire, engine)
        connection.connection_lost(None)
        await connection.closed

    asyncio.run(run())


class Ticking:
    """A clock that moves on by 1 ms whenever it is read: all time is over at once."""

    def __init__(self):
        self.ns = 0

    def now_ns(self):
        self.ns += NS_PER_MS
        return self.ns


def test_a_flood_waits_unread_while_others_are_served():
    """The rest of a backlog is answered in later turns; a PING beside it does not wait for it."""

    async def run():
        engine = Engine()
        turns = Turns(Ticking())
        parts = (Dispatcher(engine, Stats()), ServerConfig(), set(), lambda: False, turns)
        flooder, bystander = ServerConnection(*parts), ServerConnection(*parts)
        flood, ping = Wire(flooder), Wire(bystander)
        flooder.connection_made(flood)
        bystander.connection_made(ping)
        flooder.data_received(PING * 5000)
        assert 0 < len(statuses(flood)) < 500
        assert not flood.is_reading
        bystander.data_received(PING)
        for _ in range(2):
            await asyncio.sleep(0)
        assert statuses(ping) == [Status.OK]
        assert len(statuses(flood)) < 3000
        while flooder.is_queued:
            await asyncio.sleep(0)
        assert statuses(flood) == [Status.OK] * 5000
        assert flood.is_reading
        for connection in (flooder, bystander):
            connection.connection_lost(None)

    asyncio.run(run())


def test_requests_behind_a_large_one_wait_for_it_and_keep_their_order():
    """SET of 100,000 values in steps, then a GET of it, then a PING; a client that has ended."""

    async def run():
        turns = Turns(Ticking())
        parts = (Dispatcher(Engine(), Stats()), ServerConfig(), set(), lambda: False, turns)
        connection = ServerConnection(*parts)
        wire = Wire(connection)
        connection.connection_made(wire)
        value = list(range(100_000))
        connection.data_received(
            req.set_request(Opcode.SET, b"", "k", value, 0)
            + req.key_request(Opcode.GET, b"", "k")
            + PING
        )
        assert wire.writes == []
        assert connection.eof_received() is True
        turns_taken = 0
        while not wire.is_closed:
            await asyncio.sleep(0)
            turns_taken += 1
        assert turns_taken > 50
        frames = FrameReader().feed(b"".join(wire.writes))
        assert [len(payload) for _, payload in frames] == [0, 900_005, 4]
        assert max(map(len, wire.writes)) <= 256 * 1024, "a large reply is written in pieces"
        connection.connection_lost(None)

    asyncio.run(run())


def test_a_client_that_left_costs_nothing_more():
    """What it had asked for and was not answered is dropped, the large request under way too."""

    async def run():
        turns = Turns(Ticking())
        dispatcher = Dispatcher(Engine(), Stats())
        connection = ServerConnection(dispatcher, ServerConfig(), set(), lambda: False, turns)
        wire = Wire(connection)
        connection.connection_made(wire)
        connection.data_received(
            req.set_request(Opcode.SET, b"", "k", list(range(100_000)), 0) + PING * 1000
        )
        wire.abort()
        connection.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not connection.is_queued
        assert wire.writes == []
        assert sum(dispatcher.stats.requests) == 1

    asyncio.run(run())


def statuses(wire):
    return [status for status, _ in FrameReader().feed(b"".join(wire.writes))]


@pytest.mark.parametrize("requests", [1, 2, 1000])
def test_one_read_is_answered_with_one_write(requests):
    def scenario(connection, wire, engine):
        connection.data_received(PING * requests + PING[:3])
        assert len(wire.writes) == 1
        assert len(wire.writes[0]) == PONG_BYTES * requests
        connection.data_received(PING[3:])
        assert len(wire.writes) == 2

    with_connection(scenario)


def test_a_read_that_completes_nothing_writes_nothing():
    def scenario(connection, wire, engine):
        connection.data_received(PING[:4])
        assert wire.writes == []

    with_connection(scenario)


def test_replies_wait_unbuilt_while_the_client_does_not_read():
    """Asking 200 times for 100 kB costs the buffer and one reply more, until it is taken."""
    limit = 250_000

    def scenario(connection, wire, engine):
        engine.set(b"big", b"\x05" + (100_000).to_bytes(4, "big") + bytes(100_000))
        wire.is_blocked = True
        connection.data_received(req.key_request(Opcode.GET, b"", "big") * 200)
        assert limit < wire.unsent < limit + 2 * 100_100
        assert not wire.is_reading
        takes = 0
        while wire.unsent:
            wire.let_go()
            takes += 1
            assert wire.unsent < limit + 2 * 100_100
        assert takes > 60
        assert wire.is_reading
        assert statuses(wire) == [Status.OK] * 200

    with_connection(scenario, write_buffer_bytes=limit)


def test_requests_that_come_while_others_wait_keep_their_order():
    def scenario(connection, wire, engine):
        wire.is_blocked = True
        counts = [req.counter_request(Opcode.INCR, b"", "n", 1) for _ in range(40)]
        connection.data_received(b"".join(counts[:30]))
        connection.data_received(b"".join(counts[30:]))
        while wire.unsent:
            wire.let_go()
        numbers = [
            int.from_bytes(payload, "big")
            for _, payload in FrameReader().feed(b"".join(wire.writes))
        ]
        assert numbers == list(range(1, 41))

    with_connection(scenario, write_buffer_bytes=50)


def test_a_client_that_ended_gets_its_answers_then_the_end():
    def scenario(connection, wire, engine):
        wire.is_blocked = True
        connection.data_received(PING * 100)
        assert connection.eof_received() is True
        assert not wire.is_closed
        while not wire.is_closed:
            wire.let_go()
        assert statuses(wire) == [Status.OK] * 100

    with_connection(scenario, write_buffer_bytes=100)


def test_finish_answers_what_waits_and_takes_no_more():
    def scenario(connection, wire, engine):
        wire.is_blocked = True
        connection.data_received(PING * 100)
        connection.finish()
        connection.data_received(PING * 100)
        assert not wire.is_closed
        while not wire.is_closed:
            wire.let_go()
        assert statuses(wire) == [Status.OK] * 100

    with_connection(scenario, write_buffer_bytes=100)


def test_an_oversize_frame_is_refused_after_the_answers_before_it():
    def scenario(connection, wire, engine):
        wire.is_blocked = True
        too_big = bytes([Opcode.SET]) + (2000).to_bytes(4, "big")
        connection.data_received(PING * 100 + too_big + b"x" * 500)
        assert not wire.has_ended
        while not wire.has_ended:
            wire.let_go()
        assert statuses(wire) == [Status.OK] * 100 + [Status.ERROR]
        assert wire.is_reading, "the rest must be read and dropped, or RST overtakes the reply"
        connection.data_received(PING)
        wire.let_go()
        assert statuses(wire) == [Status.OK] * 100 + [Status.ERROR]
        assert not wire.is_closed
        assert connection.eof_received() is False

    with_connection(scenario, write_buffer_bytes=100, max_payload_bytes=1024)


def test_a_lost_connection_is_not_written_to():
    def scenario(connection, wire, engine):
        wire.is_blocked = True
        connection.data_received(PING * 100)
        written = len(wire.writes)
        wire.abort()
        wire.let_go()
        assert len(wire.writes) == written

    with_connection(scenario, write_buffer_bytes=100)


def test_the_sweep_closes_only_who_shows_no_sign_of_life():
    def scenario(connection, wire, engine):
        for second in range(0, 100, 10):
            connection.sweep(second * NS_PER_S)
            connection.data_received(PING)
        connection.sweep(100 * NS_PER_S)
        assert not wire.is_closed
        connection.sweep(119 * NS_PER_S)
        assert not wire.is_closed
        connection.sweep(120 * NS_PER_S)
        assert wire.is_closed
        assert not wire.was_aborted

    with_connection(scenario, idle_timeout_s=20)


def test_a_client_that_takes_its_replies_slowly_is_alive():
    def scenario(connection, wire, engine):
        wire.is_blocked = True
        connection.data_received(PING * 100)
        for second in range(20):
            connection.sweep(second * NS_PER_S)
            wire.unsent -= 1
        assert not wire.is_closed
        for second in range(20, 26):
            connection.sweep(second * NS_PER_S)
        assert wire.was_aborted, "what it did not take is dropped"

    with_connection(scenario, write_buffer_bytes=100, idle_timeout_s=5)


def test_a_request_must_come_to_its_end_in_time():
    """A byte now and then is a sign of life, and still not a request: it has its own deadline."""

    def scenario(connection, wire, engine):
        connection.data_received(PING + b"\x02\x00\x01\x00\x00")
        for second in range(60):
            connection.sweep(second * NS_PER_S)
            connection.data_received(b"x")
        assert not wire.is_closed
        connection.sweep(60 * NS_PER_S)
        assert not wire.is_closed, "what came earns it a little more"
        connection.sweep(61 * NS_PER_S)
        assert wire.is_closed

    with_connection(scenario, idle_timeout_s=20, frame_timeout_s=60)


def test_a_large_request_on_a_slow_line_gets_the_time_that_it_needs():
    """100 KiB a second, for longer than the timeout; then it stops, and so does the patience."""

    def scenario(connection, wire, engine):
        connection.data_received(bytes([Opcode.SET]) + (10_000_000).to_bytes(4, "big"))
        for second in range(60):
            connection.sweep(second * NS_PER_S)
            connection.data_received(bytes(100 * 1024))
        assert not wire.is_closed
        seconds = 60 * 100 / 64
        connection.sweep(int((19 + seconds) * NS_PER_S))
        assert not wire.is_closed
        connection.sweep(int((21 + seconds) * NS_PER_S))
        assert wire.is_closed

    with_connection(scenario, idle_timeout_s=0, frame_timeout_s=20)


def test_requests_one_after_the_other_are_never_overdue():
    def scenario(connection, wire, engine):
        for second in range(100):
            connection.sweep(second * NS_PER_S)
            connection.data_received(PING[3:] + PING[:3] if second else PING[:3])
        assert not wire.is_closed
        assert len(statuses(wire)) == 99

    with_connection(scenario, frame_timeout_s=2)
