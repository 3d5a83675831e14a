"""Our server keeps every vector: as a function of messages, and over TCP, byte by byte."""

from __future__ import annotations

import asyncio

import pytest

from kvbench import specs
from kvbench.clock import ManualClock
from kvbench.engine import Engine
from kvbench.model import ttl_to_ms
from kvbench.protocol.frames import HEADER_BYTES, frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.requests import set_request
from kvbench.server.config import ServerConfig
from kvbench.server.dispatch import Dispatcher
from kvbench.server.stats import Stats
from kvbench.server.tcp import KvServer
from tests.specs.vector_player import Player, play_into


def new_dispatcher(clock):
    return Dispatcher(Engine[bytes, bytes](clock), Stats(clock))


@pytest.mark.parametrize("vector", specs.vectors(), ids=lambda vector: vector.id)
def test_dispatcher_keeps(vector):
    clock = ManualClock()
    play_into(vector, new_dispatcher(clock).handle, clock.advance_ms)


def test_server_keeps_every_vector_over_tcp():
    async def play_all() -> int:
        clock = ManualClock()

        async def wait(ms: int) -> None:
            clock.advance_ms(ms)

        played = 0
        async with KvServer(ServerConfig(port=0), clock=clock) as server:
            host, port = server.address.rsplit(":", 1)
            player = Player(host, int(port), wait)
            for vector in specs.vectors():
                await player.play(vector)
                played += 1
            assert len(server.engine) == 0, "a vector left keys behind"
        return played

    assert asyncio.run(play_all()) == len(specs.vectors()) > 150


def test_a_wrong_answer_is_noticed():
    def broken(opcode: int, payload: bytes) -> bytes:
        return frame(Status.OK, b"")

    noticed = 0
    for vector in specs.vectors():
        try:
            play_into(vector, broken, lambda ms: None)
        except AssertionError:
            noticed += 1
    assert noticed >= len(specs.vectors()) - 3


def values_of_all_files():
    return [value for file in specs.vector_files() for value in file.values]


@pytest.mark.parametrize("vector", values_of_all_files(), ids=lambda vector: vector.id)
def test_a_stored_value_comes_back_byte_for_byte(vector):
    handle = new_dispatcher(ManualClock()).handle
    data = specs.unhex(vector.bytes)
    stored = handle(Opcode.SET, b"\x00\x01k" + bytes(8) + data)
    assert stored == frame(Status.OK, b"")
    assert handle(Opcode.GET, b"k") == frame(Status.OK, data)


def test_ttl_conversions_are_what_clients_send():
    conversions = [entry for file in specs.vector_files() for entry in file.ttl_conversions]
    assert conversions
    for entry in conversions:
        seconds = float(entry.seconds)
        if entry.ttl_ms is None:
            with pytest.raises(ValueError):
                ttl_to_ms(seconds)
        else:
            assert ttl_to_ms(seconds) == entry.ttl_ms
            request = set_request(Opcode.SET, b"", "k", None, entry.ttl_ms)
            assert int.from_bytes(request[HEADER_BYTES + 3 : HEADER_BYTES + 11], "big") == (
                entry.ttl_ms
            )


def test_no_garbage_raises_in_the_dispatcher():
    handle = new_dispatcher(ManualClock()).handle
    for opcode in range(256):
        for payload in (b"", b"\x00", b"\xff" * 7, b"\x00\x01k" + b"\xff" * 9):
            reply = handle(opcode, payload)
            assert reply[0] in (0, 1, 2, 3)
            assert int.from_bytes(reply[1:HEADER_BYTES], "big") == len(reply) - HEADER_BYTES
