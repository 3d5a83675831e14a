"""The guard of the wire suite: it reads as a sloppy server would, and every byte passes it."""

from __future__ import annotations

import struct

import pytest

from kvbench import specs
from kvbench.conformance.findings import SetupFailed
from kvbench.conformance.isolation import PREFIX_START, ForeignKeyError, fresh_prefix
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire import guard as guard_module
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.guard import StreamGuard
from kvbench.protocol import requests
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, RequestLayout
from kvbench.protocol.values import encode_value
from kvbench.verdicts import Outcome
from tests.conformance.broken_servers import ThreadedDispatcher, serving

PREFIX = "kvbench-check:aaaaaaaaaa"
OWN = PREFIX.encode() + b":k"


def sized(key: bytes) -> bytes:
    return struct.pack(">H", len(key)) + key


def check(*sends: bytes, pieces: int = 0) -> bool:
    guard = StreamGuard(PREFIX)
    looks = [guard.check(data, pieces) for data in sends]
    return any(looks)


HEADER_OF_DEL = struct.pack(">BI", Opcode.DEL, len(OWN))
SET_OWN = frame(Opcode.SET, sized(OWN) + bytes(8) + b"\0")

FOREIGN = {
    "a whole key": frame(Opcode.DEL, b"\0"),
    "a key that only holds the prefix": frame(Opcode.DEL, b"x" + OWN),
    "a cut prefix": frame(Opcode.DEL, OWN[:5]),
    "a sized key where DEL takes a whole one": frame(Opcode.DEL, sized(b"k")),
    "a sized key": frame(Opcode.INCR, sized(b"k") + bytes(8)),
    "a sized key with bytes behind it": frame(Opcode.DECR, b"\0\1k" + b"\xff" * 20),
    "a key whose length is too large": frame(Opcode.SET, b"\xff\xffk"),
    "a key whose length cuts the prefix": frame(Opcode.SET, b"\0\3" + OWN),
    "a frame whose length is too large": struct.pack(">BI", Opcode.DEL, 99) + b"k",
    "an EXPIRE": frame(Opcode.EXPIRE, sized(b"k") + bytes(8)),
    "a lock": frame(Opcode.LOCK, sized(b"k") + sized(b"me") + bytes(8)),
    "the second key of a batch": frame(Opcode.MDEL, b"\0\2" + sized(OWN) + sized(b"k")),
    "a key that the count leaves out": frame(Opcode.MDEL, b"\0\1" + sized(OWN) + sized(b"k")),
    "a pair behind a List": frame(
        Opcode.MSET,
        b"\0\2" + bytes(8) + sized(OWN) + encode_value([1, {"a": "b"}]) + sized(b"k") + b"\0",
    ),
    "a pair behind a Map": frame(
        Opcode.MSETEX,
        b"\0\2" + sized(OWN) + bytes(8) + encode_value({"a": [None], "b": b"c"}) + sized(b"k"),
    ),
    "a request behind a good one": SET_OWN + frame(Opcode.DEL, b"k"),
    "a request behind a frame over the limit": b"\2\xff\xff\xff\xff" + frame(Opcode.DEL, b"k"),
    "a private command with a key": frame(0x00, b"k"),
    "a private command with a sized key": frame(0x3F, sized(b"k")),
    "an opcode that a private command may have": frame(0x47, OWN),
    "an opcode of later members": frame(0x11, b""),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_what_could_write_a_foreign_key_is_refused(data):
    with pytest.raises(ForeignKeyError):
        check(data)


OWN_REQUESTS = {
    "SET": SET_OWN,
    "a key with any bytes behind the prefix": frame(Opcode.DEL, OWN + b"\0\xff"),
    "a key that is too long": frame(Opcode.DEL, OWN + b"x" * 300),
    "a value that is none": frame(Opcode.SET, sized(OWN) + bytes(8) + b"\xff\1k"),
    "a batch": frame(Opcode.MDEL, b"\0\2" + sized(OWN) * 2),
    "pairs": frame(Opcode.MSET, b"\0\2" + bytes(8) + (sized(OWN) + encode_value(["v", {}])) * 2),
    "reading a foreign key": frame(Opcode.GET, b"k") + frame(Opcode.MGET, b"\0\1" + sized(b"k")),
    "no keys": frame(Opcode.PING, b"\0\1k") + frame(Opcode.INFO, b"") + b"\2\0\0",
    "a private command with an own key": frame(0x00, OWN) + frame(0x3F, sized(OWN) + b"\xff"),
}


@pytest.mark.parametrize("data", OWN_REQUESTS.values(), ids=OWN_REQUESTS)
def test_what_can_only_write_own_keys_passes(data):
    assert check(data) is False


EMPTY = {
    "DEL": frame(Opcode.DEL, b""),
    "SET without a payload": frame(Opcode.SET, b""),
    "SET of it": frame(Opcode.SET, b"\0\0" + bytes(9)),
    "a batch with it": frame(Opcode.MDEL, b"\0\2" + sized(OWN) + b"\0\0"),
    "a batch that ends early": frame(Opcode.MDEL, b"\0\2" + sized(OWN)),
    "a header": struct.pack(">BI", Opcode.SET, 1000),
    "a private command": frame(0x00, b""),
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
def test_what_could_write_the_empty_key_needs_a_look(data):
    assert check(data) is True


def test_a_request_that_ends_within_the_prefix_is_refused_and_one_behind_it_passes():
    """A connection may end after any send, and a sloppy server acts on what it has."""
    for cut in range(1, len(PREFIX)):
        with pytest.raises(ForeignKeyError):
            check(HEADER_OF_DEL + OWN[:cut])
    assert check(HEADER_OF_DEL, OWN) is True, "the header alone names the empty key"
    assert check(HEADER_OF_DEL + PREFIX.encode(), OWN[len(PREFIX) :]) is False


def test_pieces_are_looked_at_one_by_one():
    with pytest.raises(ForeignKeyError):
        check(SET_OWN, pieces=9)
    assert check(frame(Opcode.GET, b"k"), pieces=1) is False


def test_a_piece_that_reads_as_a_request_is_refused():
    """What a server makes of a piece when it has forgotten the one before."""
    inner = frame(Opcode.DEL, b"k")
    whole = frame(Opcode.SET, sized(OWN) + bytes(8) + encode_value(inner))
    cut = len(whole) - len(inner)
    assert check(whole) is False
    with pytest.raises(ForeignKeyError):
        check(whole[:cut], whole[cut:])


def test_every_operation_is_read():
    """An opcode that the protocol gets later is refused until the guard knows how to read it."""
    whole = {opcode for opcode in Opcode if opcode.request is RequestLayout.KEY}
    batches = {opcode for opcode in Opcode if opcode.request in guard_module._BEFORE_KEYS}
    known = guard_module._READING | whole | batches
    for opcode in set(Opcode) - known:
        assert check(frame(opcode, sized(OWN) + bytes(30))) is False
        with pytest.raises(ForeignKeyError):
            check(frame(opcode, sized(b"k") + bytes(30)))


def test_prefixes_say_whose_keys_these_are_and_fit_the_vectors():
    one, other = fresh_prefix(), fresh_prefix()
    assert one != other
    assert one.startswith(PREFIX_START)
    assert specs.KEY_TOKEN.startswith(PREFIX_START)
    assert len(one) == len(specs.KEY_TOKEN)


@pytest.mark.parametrize("vector", specs.vectors(), ids=lambda vector: vector.id)
def test_every_vector_passes(vector):
    guards: dict[str, StreamGuard] = {}
    for step in vector.steps:
        guard = guards.setdefault(step.connection, StreamGuard(specs.KEY_TOKEN))
        guard.check(step.request(), step.pieces)


# --- Where it stands -----------------------------------------------------------------------------


@pytest.fixture
def dispatcher():
    return ThreadedDispatcher()


@pytest.fixture
def address(dispatcher):
    with serving(dispatcher) as port:
        yield "127.0.0.1", port


def context(address, **options) -> WireContext:
    return WireContext(*address, capabilities=frozenset(), seed="s", **options)


def test_nothing_is_sent_that_does_not_pass(dispatcher, address):
    dispatcher._engine.set(b"k", b"\0")
    with context(address) as wire:
        connection = wire.connect()
        with pytest.raises(ForeignKeyError, match="DEL"):
            connection.send(frame(Opcode.DEL, b"k"))
        assert not [event for event in wire.trace.events if event.direction == ">"]
        connection.request(Opcode.PING).expect(0, b"PONG")
    assert dispatcher._engine.exists(b"k")


def test_a_foreign_key_is_an_error_of_the_suite(address):
    def run(wire):
        wire.connect().request(Opcode.DEL, b"k")

    case = type(WIRE.cases[0])("wire.own.foreign", WIRE, ("DEL-001",), run, frozenset(), (), "")
    options = Options(Selection(), Profile(), "s")
    finding = Runner(Target("x", address=address), frozenset(), options).finding(case)
    assert finding.outcome is Outcome.ERROR
    assert "nothing was sent" in finding.detail
    assert case not in WIRE.cases


def test_the_empty_key_is_written_only_where_it_was_seen_absent(address):
    with context(address) as wire:
        assert wire.connect().request(Opcode.SET, b"").is_refusal
        assert len([event for event in wire.trace.events if event.direction == ">"]) == 1


def test_the_empty_key_of_somebody_else_is_left_alone():
    class Stores(ThreadedDispatcher):
        def _get(self, payload):
            return super()._get(payload) if payload else b"\0\0\0\0\1\0"

    with (
        serving(Stores()) as port,
        context(("127.0.0.1", port)) as wire,
        pytest.raises(SetupFailed, match="empty key holds a value"),
    ):
        wire.connect().request(Opcode.DEL, b"")


def test_what_a_server_stores_under_the_empty_key_is_removed():
    class TakesAnything(ThreadedDispatcher):
        def handle(self, opcode, payload):
            if opcode == Opcode.SET and payload[:2] == b"\0\0":
                self._engine.set(b"", payload[10:])
                return b"\0\0\0\0\0"
            if opcode == Opcode.DEL and not payload:
                return super().handle(Opcode.PING, b"") if self._engine.delete(b"") else b""
            return super().handle(opcode, payload)

    dispatcher = TakesAnything()
    with serving(dispatcher) as port, context(("127.0.0.1", port)) as wire:
        wire.connect().request(Opcode.SET, b"\0\0" + bytes(9)).expect(0)
        assert dispatcher._engine.exists(b"")
        wire.__exit__(None, None, None)
        assert not dispatcher._engine.exists(b"")


def test_without_a_guard_any_key_can_be_written(dispatcher, address):
    dispatcher._engine.set(b"k", b"\0")
    with context(address, is_guarded=False) as wire:
        wire.connect().exchange(requests.key_request(Opcode.DEL, b"", "k")).expect(0, b"\1")
