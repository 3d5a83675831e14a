"""Every opcode answers by the rulings of the protocol, without a socket and at exact times.

Each scenario is a list of steps played against a fresh dispatcher with a clock that stands still
until a step moves it. A step is a request frame and the frame that answers it; for ERROR and
INVALID the message is for people, so the status and the presence of a text are what counts.
"""

from __future__ import annotations

import json
import logging
import struct
from decimal import Decimal

import pytest

from kvbench.clock import ManualClock
from kvbench.engine import Engine
from kvbench.protocol import requests as req
from kvbench.protocol.frames import FrameReader, frame
from kvbench.protocol.opcodes import EXTENSIONS, TTL_MS_MAX, RequestLayout, Status
from kvbench.protocol.opcodes import Opcode as Op
from kvbench.protocol.values import encode_value
from kvbench.server.dispatch import Dispatcher
from kvbench.server.stats import Stats

ERROR, INVALID = Status.ERROR, Status.INVALID
MARK = 0x0102030405
"""A TTL that a test finds in a request, to put there what the client's side would not."""
NULL = frame(Status.NULL, b"")
I64_MIN, I64_MAX = -(2**63), 2**63 - 1
TEN_YEARS_MS = 3653 * 86_400_000


def ok(payload=b""):
    return frame(Status.OK, payload)


def value(python_value):
    return ok(encode_value(python_value))


def values(*python_values):
    return ok(struct.pack(">H", len(python_values)) + b"".join(map(encode_value, python_values)))


def i64(number):
    return ok(struct.pack(">q", number))


def u32(number):
    return ok(struct.pack(">I", number))


YES, NO, DONE = ok(b"\x01"), ok(b"\x00"), ok()


def advance(ms):
    return ("advance", ms)


def get(key):
    return req.key_request(Op.GET, b"", key)


def set_(key, python_value, ttl_ms=0):
    return req.set_request(Op.SET, b"", key, python_value, ttl_ms)


def setnx(key, python_value, ttl_ms=0):
    return req.set_request(Op.SETNX, b"", key, python_value, ttl_ms)


def delete(key):
    return req.key_request(Op.DEL, b"", key)


def exists(key):
    return req.key_request(Op.EXISTS, b"", key)


def ttl(key):
    return req.key_request(Op.TTL, b"", key)


def getdel(key):
    return req.key_request(Op.GETDEL, b"", key)


def incr(key, delta=1):
    return req.counter_request(Op.INCR, b"", key, delta)


def decr(key, delta=1):
    return req.counter_request(Op.DECR, b"", key, delta)


def cas(key, expected, new, ttl_ms=0):
    return req.cas_request(b"", key, expected, new, ttl_ms)


def expire(key, ttl_ms):
    return req.expire_request(b"", key, ttl_ms)


def lock(key, owner, ttl_ms):
    return req.lock_request(Op.LOCK, b"", key, owner, ttl_ms)


def extend(key, owner, ttl_ms):
    return req.lock_request(Op.EXTEND, b"", key, owner, ttl_ms)


def unlock(key, owner):
    return req.unlock_request(b"", key, owner)


def mget(*keys):
    return req.keys_request(Op.MGET, b"", list(keys))


def mdel(*keys):
    return req.keys_request(Op.MDEL, b"", list(keys))


def mexists(*keys):
    return req.keys_request(Op.MEXISTS, b"", list(keys))


def mset(*pairs, ttl_ms=0):
    return req.mset_request(b"", list(pairs), ttl_ms)


def msetex(*entries):
    return req.msetex_request(b"", list(entries))


def with_ttl(request, ttl_ms):
    assert request.count(struct.pack(">Q", MARK)) == 1
    return request.replace(struct.pack(">Q", MARK), struct.pack(">Q", ttl_ms))


SCENARIOS = {
    "get answers null for an absent key": [(get("a"), NULL)],
    "get answers the stored bytes": [
        (set_("a", {"n": [1, 2.5, None, True, b"\xff", Decimal("1.50")]}), DONE),
        (get("a"), value({"n": [1, 2.5, None, True, b"\xff", Decimal("1.50")]})),
    ],
    "a stored null looks absent to mget but exists": [
        (set_("a", None), DONE),
        (get("a"), value(None)),
        (exists("a"), YES),
        (mget("a", "b"), values(None, None)),
        (mexists("a", "b"), ok(b"\x00\x02\x01\x00")),
    ],
    "del and exists": [
        (set_("a", 1), DONE),
        (exists("a"), YES),
        (delete("a"), YES),
        (delete("a"), NO),
        (exists("a"), NO),
    ],
    "set with a ttl ends at its millisecond": [
        (set_("a", 1, ttl_ms=10), DONE),
        advance(9),
        (exists("a"), YES),
        advance(1),
        (exists("a"), NO),
        (delete("a"), NO),
    ],
    "set replaces the ttl, and 0 removes it": [
        (set_("a", 1, ttl_ms=10), DONE),
        (set_("a", 2), DONE),
        (ttl("a"), i64(-1)),
    ],
    "ttl tells ms left, -1 without, null when absent": [
        (ttl("a"), NULL),
        (set_("a", 1, ttl_ms=1500), DONE),
        advance(400),
        (ttl("a"), i64(1100)),
        (expire("a", 0), YES),
        (ttl("a"), i64(-1)),
        (expire("a", 5), YES),
        advance(5),
        (expire("a", 5), NO),
        (ttl("a"), NULL),
    ],
    "ten years of ttl work": [
        (set_("a", 1, ttl_ms=TEN_YEARS_MS), DONE),
        (mset(("b", 1), ttl_ms=TEN_YEARS_MS), DONE),
        advance(TEN_YEARS_MS - 1),
        (mexists("a", "b"), ok(b"\x00\x02\x01\x01")),
        (ttl("a"), i64(1)),
        advance(1),
        (mexists("a", "b"), ok(b"\x00\x02\x00\x00")),
    ],
    "a ttl of more than a hundred years is refused and changes nothing": [
        (set_("a", 1, ttl_ms=TTL_MS_MAX), DONE),
        (with_ttl(set_("a", 2, ttl_ms=MARK), TTL_MS_MAX + 1), INVALID),
        *[
            (with_ttl(request, 2**64 - 1), INVALID)
            for request in (
                set_("a", 2, ttl_ms=MARK),
                setnx("b", 2, ttl_ms=MARK),
                mset(("a", 2), ttl_ms=MARK),
                msetex(("b", 2, 1), ("a", 2, MARK)),
                cas("a", 1, 2, ttl_ms=MARK),
                expire("a", MARK),
                lock("b", "me", MARK),
                extend("a", "me", MARK),
            )
        ],
        (mget("a", "b"), values(1, None)),
        (ttl("a"), i64(TTL_MS_MAX)),
    ],
    "setnx stores only where nothing is": [
        (setnx("a", 1, ttl_ms=5), YES),
        (setnx("a", 2), NO),
        (get("a"), value(1)),
        advance(5),
        (setnx("a", 3), YES),
        (get("a"), value(3)),
        (ttl("a"), i64(-1)),
    ],
    "counters start at 0 and keep the ttl": [
        (incr("a", 5), i64(5)),
        (decr("b", 5), i64(-5)),
        (get("a"), value(5)),
        (expire("a", 10), YES),
        (decr("a", 7), i64(-2)),
        (ttl("a"), i64(10)),
        advance(10),
        (incr("a"), i64(1)),
        (ttl("a"), i64(-1)),
    ],
    "a counter beyond i64 is an error and stays": [
        (set_("a", I64_MAX), DONE),
        (incr("a"), ERROR),
        (get("a"), value(I64_MAX)),
        (decr("a", I64_MIN), ERROR),
        (decr("b", I64_MIN), ERROR),
        (exists("b"), NO),
        (decr("b", I64_MAX), i64(-I64_MAX)),
        (decr("b"), i64(I64_MIN)),
        (decr("b"), ERROR),
    ],
    "a counter on what is no int is an error and stays": [
        *[
            step
            for other in ("1", 1.0, True, None, b"1", [1], Decimal(1))
            for step in [(set_("a", other), DONE), (incr("a"), ERROR), (get("a"), value(other))]
        ],
    ],
    "cas swaps by value, answers null when absent": [
        (cas("a", 1, 2), NULL),
        (exists("a"), NO),
        (set_("a", 1), DONE),
        (cas("a", 1.0, 2), NO),
        (cas("a", True, 2), NO),
        (cas("a", 1, {"x": 1, "y": [1]}), YES),
        (cas("a", {"y": [1], "x": 1}, 3), YES),
        (get("a"), value(3)),
        (set_("a", float("nan")), DONE),
        (cas("a", float("nan"), 1), NO),
        (set_("a", None), DONE),
        (cas("a", None, 1), YES),
    ],
    "cas keeps the ttl unless it brings one": [
        (set_("a", 1, ttl_ms=100), DONE),
        (cas("a", 1, 2), YES),
        (ttl("a"), i64(100)),
        (cas("a", 2, 3, ttl_ms=5), YES),
        (cas("a", 2, 4, ttl_ms=500), NO),
        (ttl("a"), i64(5)),
        advance(5),
        (cas("a", 3, 4), NULL),
    ],
    "a lock has one holder and ends by itself": [
        (lock("l", "me", 10), YES),
        (lock("l", "me", 10), NO),
        (lock("l", "you", 10), NO),
        (get("l"), value("me")),
        (exists("l"), YES),
        advance(10),
        (lock("l", "you", 10), YES),
        (get("l"), value("you")),
    ],
    "unlock and extend are for the owner": [
        (unlock("l", "me"), NO),
        (extend("l", "me", 10), NO),
        (lock("l", "me", 10), YES),
        (unlock("l", "you"), ERROR),
        (extend("l", "you", 10), ERROR),
        advance(9),
        (extend("l", "me", 10), YES),
        advance(9),
        (ttl("l"), i64(1)),
        (unlock("l", "me"), YES),
        (exists("l"), NO),
        (set_("l", 7), DONE),
        (unlock("l", "me"), ERROR),
        (get("l"), value(7)),
    ],
    "an unlocked key leaves no deadline behind": [
        (lock("l", "me", 10), YES),
        (unlock("l", "me"), YES),
        (set_("l", 1), DONE),
        advance(10),
        (get("l"), value(1)),
    ],
    "a lock without a ttl is refused": [
        (lock("l", "me", 0), INVALID),
        (lock("l", "me", 5), YES),
        (extend("l", "me", 0), INVALID),
    ],
    "mget answers in request order, repeated keys each time": [
        (mset(("a", 1), ("b", "x")), DONE),
        (mget("b", "a", "c", "b"), values("x", 1, None, "x")),
        (mget(), values()),
    ],
    "mset: the last of a key wins, one ttl for all": [
        (mset(("a", 1), ("b", 2), ("a", 3), ttl_ms=10), DONE),
        (mget("a", "b"), values(3, 2)),
        (ttl("b"), i64(10)),
        (mset(("a", 4)), DONE),
        advance(10),
        (mget("a", "b"), values(4, None)),
        (mset(), DONE),
    ],
    "mdel counts a repeated key once and no expired key": [
        (mset(("a", 1), ("b", 2)), DONE),
        (set_("c", 3, ttl_ms=5), DONE),
        advance(5),
        (mdel("a", "a", "c", "d", "b"), u32(2)),
        (mdel("a", "b"), u32(0)),
        (mdel(), u32(0)),
    ],
    "msetex gives each key its ttl": [
        (msetex(("a", 1, 5), ("b", 2, 0), ("c", 3, 50), ("a", 9, 10)), DONE),
        (ttl("a"), i64(10)),
        (ttl("b"), i64(-1)),
        advance(10),
        (mget("a", "b", "c"), values(None, 2, 3)),
    ],
    "a bad pair anywhere means that none is applied": [
        (frame(Op.MSET, mset(("a", 1), ("b", 2))[5:-1]), INVALID),
        (frame(Op.MSET, mset(("a", 1), ("b", True))[5:-1] + b"\x07"), INVALID),
        (frame(Op.MSETEX, msetex(("a", 1, 0), ("b", True, 0))[5:-1] + b"\x07"), INVALID),
        (mget("a", "b"), values(None, None)),
    ],
    "ping": [(req.empty_request(Op.PING), ok(b"PONG"))],
    "getdel gives the value, and the key is gone": [
        (getdel("a"), NULL),
        (set_("a", 5, ttl_ms=1000), DONE),
        (getdel("a"), ok(encode_value(5))),
        (exists("a"), NO),
        (set_("a", None), DONE),
        (ttl("a"), i64(-1)),
        (getdel("a"), ok(b"\x00")),
        (getdel("a"), NULL),
        (set_("a", 1, ttl_ms=1000), DONE),
        ("advance", 1000),
        (getdel("a"), NULL),
    ],
    "hello announces the extensions": [
        (
            frame(Op.HELLO, req.hello_payload(9, ["x-future"])),
            ok(req.hello_payload(1, list(EXTENSIONS))),
        ),
        (frame(Op.HELLO, b"\x00\x01"), INVALID),
    ],
    "unassigned opcodes are invalid, and life goes on": [
        *[(frame(op, b""), INVALID) for op in (0x00, 0x11, 0x17, 0x41, 0x47, 0xFF)],
        (req.empty_request(Op.PING), ok(b"PONG")),
    ],
}


def play(dispatcher, request):
    [(opcode, payload)] = FrameReader().feed(request)
    return dispatcher.handle(opcode, payload)


@pytest.fixture
def clock():
    return ManualClock(start_ns=1_000_000_000)


@pytest.fixture
def dispatcher(clock):
    return Dispatcher(Engine(clock), Stats(clock))


@pytest.mark.parametrize("steps", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_scenario(steps, clock, dispatcher):
    for number, (what, expected) in enumerate(steps):
        if what == "advance":
            clock.advance_ms(expected)
            continue
        answer = play(dispatcher, what)
        if expected in (ERROR, INVALID):
            assert answer[0] == expected, f"step {number}: {answer!r}"
            assert answer[5:].decode(), f"step {number}: no message"
        else:
            assert answer == expected, f"step {number}"


def test_every_opcode_has_a_scenario():
    played = {what[0] for steps in SCENARIOS.values() for what, _ in steps if what != "advance"}
    assert played >= set(Op) - {Op.INFO}


@pytest.mark.parametrize("opcode", set(Op), ids=lambda opcode: opcode.name)
def test_malformed_payloads_are_invalid_and_change_nothing(opcode, dispatcher):
    """Every truncation of a good request, and every good request with a byte too many."""
    whole = {
        what[0]: what
        for steps in SCENARIOS.values()
        for what, expected in steps
        if isinstance(expected, bytes)  # Neither a refusal nor a move of the clock.
    }
    payload = whole.get(opcode, frame(opcode, b""))[5:]
    key_is_all = opcode.request is RequestLayout.KEY
    broken = [] if key_is_all else [payload[:size] for size in range(len(payload))]
    broken.append(payload + (b"\xff" if key_is_all else b"\x00"))
    for bad in broken:
        answer = dispatcher.handle(opcode, bad)
        assert answer[0] == INVALID, (bad, answer)
    assert play(dispatcher, mget("a", "b", "c", "l")) == values(None, None, None, None)


@pytest.mark.parametrize(
    "key", [b"", b"k" * 257, b"\xff", b"\xed\xa0\x80"], ids=["empty", "long", "bytes", "surrogate"]
)
def test_bad_keys_are_invalid_everywhere(key, dispatcher):
    sized = struct.pack(">H", len(key)) + key
    for opcode in [one for one in Op if one.request is RequestLayout.KEY]:
        assert dispatcher.handle(opcode, key)[0] == INVALID
    for opcode, rest in (
        (Op.SET, bytes(8) + b"\x00"),
        (Op.SETNX, bytes(8) + b"\x00"),
        (Op.INCR, bytes(8)),
        (Op.EXPIRE, bytes(8)),
        (Op.CAS, bytes(10)),
        (Op.LOCK, b"\x00\x01o" + bytes(7) + b"\x01"),
        (Op.UNLOCK, b"\x00\x01o"),
    ):
        assert dispatcher.handle(opcode, sized + rest)[0] == INVALID
    for opcode in (Op.MGET, Op.MDEL, Op.MEXISTS):
        assert dispatcher.handle(opcode, b"\x00\x01" + sized)[0] == INVALID
    assert dispatcher.handle(Op.MSET, b"\x00\x01" + bytes(8) + sized + b"\x00")[0] == INVALID


def test_a_key_of_256_bytes_is_fine(dispatcher):
    assert play(dispatcher, set_("é" * 128, 1)) == DONE
    assert play(dispatcher, get("é" * 128)) == value(1)


def test_a_reply_over_the_limit_is_refused_before_it_is_built(clock):
    """One key named 65,535 times would otherwise be an amplifier without bound."""
    dispatcher = Dispatcher(Engine(clock), Stats(clock), reply_bytes_max=100_000)
    play(dispatcher, set_("big", b"x" * 10_000))
    assert play(dispatcher, mget(*["big"] * 9)) == values(*[b"x" * 10_000] * 9)
    answer = play(dispatcher, mget(*["big"] * 65_535))
    assert answer[0] == ERROR
    assert b"fewer keys" in answer
    assert play(dispatcher, mget(*["absent"] * 65_535))[0] == Status.OK


def test_the_limit_holds_exactly(clock):
    dispatcher = Dispatcher(Engine(clock), Stats(clock), reply_bytes_max=2 + 2 * 1005)
    play(dispatcher, set_("big", b"x" * 1000))
    assert play(dispatcher, mget("big", "big"))[0] == Status.OK
    assert play(dispatcher, mget("big", "big", "absent"))[0] == ERROR


def test_a_failure_inside_answers_error_and_is_logged(clock, caplog):
    class BrokenEngine(Engine):
        __slots__ = ()

        def get(self, key):
            raise RuntimeError("broken")

    dispatcher = Dispatcher(BrokenEngine(clock), Stats(clock))
    with caplog.at_level(logging.ERROR, "kvbench.server"):
        answer = play(dispatcher, get("a"))
    assert answer[0] == ERROR
    assert b"internal error in GET" in answer
    assert "RuntimeError: broken" in caplog.text
    assert play(dispatcher, exists("a")) == NO


def test_info_counts_what_came(clock, dispatcher):
    play(dispatcher, mset(*[(f"k{i}", i) for i in range(100)]))
    play(dispatcher, mget("k1", "k1", "k2"))
    play(dispatcher, mget("k1", "k1"))
    play(dispatcher, mget())
    play(dispatcher, set_("gone", 1, ttl_ms=5))
    play(dispatcher, frame(0x11, b""))
    clock.advance_ms(2500)
    answer = play(dispatcher, req.empty_request(Op.INFO))
    assert answer[0] == Status.OK
    info = json.loads(answer[5:])
    assert info["entries"] == 100
    assert info["uptime_s"] == 2.5
    assert info["commands"] == {"set": 1, "info": 1, "mget": 3, "mset": 1, "unknown": 1}
    assert info["batch_sizes"] == {"0": 1, "2": 2, "64": 1}
    assert info["codec"] in ("compiled", "pure")
