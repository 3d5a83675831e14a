"""Requests in steps: the same answers as in one go, and right when others write."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kvbench.engine import Engine
from kvbench.protocol import requests as req
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import encode_value
from kvbench.server.dispatch import Dispatcher
from kvbench.server.jobs import Job
from kvbench.server.stats import Stats

STEPS_MAX = 100_000
TRUE, FALSE = frame(Status.OK, b"\x01"), frame(Status.OK, b"\x00")
NULL = frame(Status.NULL, b"")


def begin(dispatcher, request):
    job = dispatcher.begin(request[0], request[5:])
    assert isinstance(job, Job), "this one has no steps"
    return job


def finish(job):
    """The rest of a job, and how many steps that took."""
    for steps in range(1, STEPS_MAX):
        reply = job.advance()
        if reply is not None:
            return reply, steps
    raise AssertionError("the job does not end")


def fresh():
    engine = Engine()
    return engine, Dispatcher(engine, Stats())


KEYS = [f"key:{number}" for number in range(12_000)]
BIG = [Decimal("1.25")] * 20_000
LARGE = {
    "set": req.set_request(Opcode.SET, b"", "k", BIG, 0),
    "setnx": req.set_request(Opcode.SETNX, b"", "k", BIG, 0),
    "cas": req.cas_request(b"", "k", BIG, BIG, 0),
    "mget": req.keys_request(Opcode.MGET, b"", KEYS),
    "mexists": req.keys_request(Opcode.MEXISTS, b"", KEYS),
    "mset": req.mset_request(b"", [(key, 1) for key in KEYS], 0),
    "mset of few": req.mset_request(b"", [("a", BIG), ("b", {"k": BIG})], 0),
    "msetex": req.msetex_request(b"", [(key, 1, 5000) for key in KEYS]),
    "mdel": req.keys_request(Opcode.MDEL, b"", KEYS),
}


@pytest.mark.parametrize("request_", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("damage", ["none", "cut", "longer", "changed"])
def test_in_steps_as_in_one_go(request_, damage):
    """Same reply, same store, whole or damaged; in many steps."""
    whole = {
        "none": request_,
        "cut": request_[:-1],
        "longer": request_ + b"x",
        "changed": request_[:-40] + b"\xff" * 40,
    }[damage]
    (one_engine, one), (engine, dispatcher) = fresh(), fresh()
    for store in (one_engine, engine):
        store.set(b"k", encode_value(BIG))
        store.set(b"key:7", encode_value(7))
    expected = one.handle(whole[0], whole[5:])
    reply, steps = finish(begin(dispatcher, whole))
    assert reply == expected
    assert (reply[0] == Status.OK) == (damage == "none")
    assert steps >= 10
    assert engine.mget([b"k", b"key:7", b"key:11999", b"a"]) == one_engine.mget(
        [b"k", b"key:7", b"key:11999", b"a"]
    )
    assert dispatcher.stats.requests == one.stats.requests


def test_nothing_changes_before_the_last_step():
    for name in ("set", "mset", "msetex", "mset of few"):
        engine, dispatcher = fresh()
        job = begin(dispatcher, LARGE[name])
        while job.advance() is None:
            assert len(engine) == 0
        assert len(engine) > 0


# --- CAS while others write ----------------------------------------------------------------------

STORED = encode_value([Decimal("1.50")] * 50_000)
EQUAL = [Decimal("1.5")] * 50_000
EQUAL_BYTES = encode_value(EQUAL)
OTHER = [*EQUAL[1:], Decimal(2)]


def cas_under_way(expected):
    """A CAS that has seen the stored value, and has compared a part of it."""
    engine, dispatcher = fresh()
    engine.set(b"k", STORED)
    job = begin(dispatcher, req.cas_request(b"", "k", expected, "new", 0))
    for _ in range(70):
        assert job.advance() is None
    return engine, job


def test_a_cas_without_concurrent_writes_swaps():
    engine, job = cas_under_way(EQUAL)
    assert finish(job)[0] == TRUE
    assert engine.get(b"k") == encode_value("new")


def test_a_cas_does_not_overwrite_a_concurrent_write():
    engine, job = cas_under_way(EQUAL)
    engine.set(b"k", encode_value("theirs"))
    assert finish(job)[0] == FALSE
    assert engine.get(b"k") == encode_value("theirs")


def test_a_cas_swaps_an_equal_value_of_a_concurrent_write():
    """It compares again, with what is there now."""
    engine, job = cas_under_way(EQUAL)
    engine.set(b"k", EQUAL_BYTES)
    assert finish(job)[0] == TRUE
    assert engine.get(b"k") == encode_value("new")


def test_a_cas_of_a_key_that_went_away_is_null():
    engine, job = cas_under_way(EQUAL)
    engine.delete(b"k")
    assert finish(job)[0] == NULL
    assert engine.get(b"k") is None


def test_a_cas_that_differs_took_effect_when_it_saw_the_value():
    """However often the value is replaced meanwhile, it comes to an end, and changes nothing."""
    engine, job = cas_under_way(OTHER)
    for number in range(STEPS_MAX):
        engine.set(b"k", encode_value(number))
        reply = job.advance()
        if reply is not None:
            break
    assert reply == FALSE
    assert engine.get(b"k") == encode_value(number)


def test_a_cas_of_few_bytes_takes_few_steps_on_a_large_value():
    """The count differs: nothing of the stored list is walked."""
    engine, dispatcher = fresh()
    engine.set(b"k", STORED)
    for expected in ([Decimal("1.50")], [], {}, 0.0):
        reply, steps = finish(begin(dispatcher, req.cas_request(b"", "k", expected, "new", 0)))
        assert (reply, steps) == (FALSE, 1)


def test_a_cas_that_bytes_decide_is_answered_at_once():
    engine, dispatcher = fresh()
    for expected in ("text", 1, None, True, b"bytes"):
        request = req.cas_request(b"", "k", expected, "new", 0)
        engine.set(b"k", STORED)
        assert dispatcher.begin(request[0], request[5:]) == FALSE
        engine.set(b"k", encode_value(expected))
        assert dispatcher.begin(request[0], request[5:]) == TRUE
        assert engine.get(b"k") == encode_value("new")
        engine.delete(b"k")
        assert dispatcher.begin(request[0], request[5:]) == NULL
        assert dispatcher.begin(request[0], request[5:-1])[0] == Status.INVALID
