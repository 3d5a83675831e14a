"""Conversations as people see them: fields instead of bytes, both directions, nothing cut silently.

And what a failure is told to have in common with others.
"""

from __future__ import annotations

import struct

import pytest

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.describe import describe_reply, describe_request
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.trace import (
    EXCHANGES_MAX,
    HEX_BYTES_MAX,
    TraceEvent,
    WireReply,
    exchanges,
)
from kvbench.conformance.wire.traits import traits_of
from kvbench.conformance.wire.values import encode_value
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.verdicts import Traits


def of(action):
    data = encode(action)
    return describe_request(data[0], data[5:])


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action("get", ("k",)), "GET key 'k'"),
        (Action("set", ("k",), (5,)), "SET key 'k', no TTL, value Int 5"),
        (Action("set", ("k",), ("x",), 250), "SET key 'k', TTL 250 ms, value String 'x'"),
        (Action("incr", ("k",), (-2,)), "INCR key 'k', delta -2"),
        (Action("cas", ("k",), (True, None)), "CAS key 'k', no TTL, expected Bool True, new Null"),
        (Action("lock", ("k",), ("me",), 9), "LOCK key 'k', owner 'me', TTL 9 ms"),
        (Action("mget", ("a", "b")), "MGET 2 keys, 'a', 'b'"),
        (Action("mset", ("a",), (1,)), "MSET 1 key, no TTL, 'a' = Int 1"),
        (Action("msetex", ("a",), (1,), ttls_ms=(7,)), "MSETEX 1 key, 'a' TTL 7 ms = Int 1"),
        (Action("mdel", tuple("abcdef")), "MDEL 6 keys, 'a', 'b', 'c', 'd', and 2 more"),
    ],
    ids=lambda one: one.name if isinstance(one, Action) else "",
)
def test_requests_are_told_by_their_fields(action, words):
    assert of(action) == words


@pytest.mark.parametrize(
    ("code", "payload", "opcode", "words"),
    [
        (Status.OK, encode_value(5), Opcode.GET, "OK Int 5"),
        (Status.OK, b"", Opcode.SET, "OK"),
        (Status.OK, b"\1", Opcode.EXISTS, "OK 1"),
        (Status.OK, struct.pack(">q", -3), Opcode.INCR, "OK -3"),
        (Status.OK, b"\0\2\1\0", Opcode.MEXISTS, "OK 2 of them, 1, 0"),
        (Status.OK, b"\0\1" + encode_value("x"), Opcode.MGET, "OK 1 of them, String 'x'"),
        (Status.OK, b"PONG", Opcode.PING, "OK 'PONG'"),
        (Status.NULL, b"", Opcode.GET, "NULL"),
        (Status.ERROR, b"no Bool", Opcode.SET, "ERROR 'no Bool'"),
        (Status.OK, b"xyz", Opcode.SET, "OK malformed as a reply of SET: 3 bytes follow"),
        (7, b"xyz", Opcode.SET, "status 0x07, which has no meaning, 3 bytes of payload"),
    ],
)
def test_replies_are_told_by_their_requests(code, payload, opcode, words):
    assert describe_reply(code, payload, opcode) == words


def test_what_is_malformed_is_told_as_far_as_it_goes():
    assert describe_request(Opcode.SET, b"\0\1k\0\0") == (
        "SET key 'k', malformed: truncated: 8 bytes declared, 2 there"
    )
    assert describe_request(0x3F, b"x") == "opcode 0x3f, which has no meaning, 1 bytes of payload"
    assert "2 bytes follow" in describe_request(Opcode.PING, b"no")


@pytest.mark.parametrize("opcode", Opcode)
@pytest.mark.parametrize("payload", [b"", b"\xff", b"\0\1k", bytes(40), b"\xff" * 40])
def test_any_bytes_can_be_told(opcode, payload):
    assert describe_request(opcode, payload)
    assert describe_reply(Status.OK, payload, opcode)


def sent(data, connection="a"):
    return TraceEvent(0.0, connection, ">", data)


def came(data, connection="a"):
    return TraceEvent(0.0, connection, "<", data)


def test_a_reply_is_read_as_that_of_its_request_however_it_comes():
    get = encode(Action("get", ("k",)))
    answer = frame(Status.OK, encode_value("there"))
    incr = encode(Action("incr", ("n",), (1,)))
    counted = frame(Status.OK, struct.pack(">q", 1))
    events = [sent(get + incr), came(answer[:7]), sent(get, "b"), came(answer[7:] + counted)]
    told = [one.decoded for one in exchanges(events)]
    assert told[1] == f"a frame 0x00 that declares {len(answer) - 5} bytes, 2 of them so far"
    assert told[3] == "OK String 'there'; OK 1"


def test_what_is_cut_says_so_and_a_file_has_the_whole():
    long = sent(encode(Action("set", ("k",), (b"x" * 1000,))))
    [shown] = exchanges([long])
    [whole] = exchanges([long], is_whole=True)
    assert len(bytes.fromhex(shown.hex)) == HEX_BYTES_MAX
    assert f"({len(long.data):,} bytes, the first {HEX_BYTES_MAX} as hex)" in shown.decoded
    assert bytes.fromhex(whole.hex) == long.data
    many = [sent(frame(Opcode.PING, b""))] * (EXCHANGES_MAX + 5)
    assert len(exchanges(many)) == EXCHANGES_MAX
    assert len(exchanges(many, is_whole=True)) == len(many)
    assert len(exchanges(many, since=EXCHANGES_MAX)) == 5


def test_a_refusal_is_told_as_text():
    assert str(WireReply(Status.ERROR, b"no such type")) == "02 ERROR 'no such type'"
    assert str(WireReply(Status.OK, encode_value(True))) == "00 OK, payload 08 01 (Bool True)"
    assert str(WireReply(Status.OK, b"pong")) == "00 OK, payload 70 6f 6e 67 ('pong')"


def test_traits_are_those_of_the_request_that_was_answered_wrongly():
    first, second = encode(Action("set", ("k",), (True,))), encode(Action("get", ("k",)))
    refusal, null = frame(Status.INVALID, b"tag 8"), frame(Status.NULL, b"")
    events = [sent(first), came(refusal), sent(second), came(null)]
    failed = CaseFailed("00", f"{WireReply(Status.INVALID, b'tag 8')}; with an example")
    assert traits_of(events, failed) == Traits("SET", "tag 8", "", ("Bool",))
    assert traits_of(events, CaseFailed("00", str(WireReply(1, b"")))) == Traits("GET")


def test_traits_without_an_answer_are_those_of_the_last_request():
    get = encode(Action("get", ("k",)))
    assert traits_of([sent(get)], CaseFailed("a response", "nothing")) == Traits(
        "GET", "", "silent"
    )
    closed = [sent(get), TraceEvent(0.0, "a", "!", note="closed by the target")]
    assert traits_of(closed, CaseFailed("a response", "closed")) == Traits("GET", "", "closed")
    assert traits_of([], CaseFailed("a", "b")) == Traits()
