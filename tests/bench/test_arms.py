"""Arms: all do the work, through both drivers, with garbage collection off and on again."""

from __future__ import annotations

import asyncio
import gc

import pytest

from kvbench.bench.arms import Arm, arms_of, open_session
from kvbench.model import BatchOperation
from tests.bench.bench_targets import AsyncDict, DictBackend, register

KEYS = [f"key{i}" for i in range(5)]
PAIRS = {key: key.encode() for key in KEYS}


@pytest.fixture(params=["dict://", "asyncdict://"])
def session(request, monkeypatch):
    register(monkeypatch, dict=DictBackend, asyncdict=AsyncDict)
    session = open_session(request.param)
    yield session
    session.close()


def test_a_pipelined_arm_needs_a_backend_that_can(session):
    assert arms_of(session) == (Arm.BATCH,)
    session.description = open_session("null://").description
    assert arms_of(session) == (Arm.BATCH,)


@pytest.mark.parametrize("arm", [arm for arm in Arm if arm is not Arm.PIPELINED])
def test_every_pass_does_the_work(session, arm):
    assert session.time_slice(BatchOperation.MSET, arm, [PAIRS]).wall_ns > 0
    assert DictBackend.data == PAIRS
    session.time_slice(BatchOperation.MGET, arm, [KEYS, KEYS])
    session.time_slice(BatchOperation.MEXISTS, arm, [KEYS])
    session.time_slice(BatchOperation.MDEL, arm, [KEYS[:2], KEYS[2:4]])
    assert DictBackend.data == {"key4": b"key4"}


def test_the_synchronous_face_sees_the_same_store(session):
    session.backend.mset(PAIRS)
    assert session.backend.mget([*KEYS, "no"]) == [*PAIRS.values(), None]


def test_garbage_collection_is_off_during_a_slice_only(session, monkeypatch):
    seen = []
    if isinstance(session.backend, DictBackend):
        monkeypatch.setattr(DictBackend, "mget", lambda self, keys: seen.append(gc.isenabled()))
    else:

        async def look(self, keys):
            seen.append(gc.isenabled())

        monkeypatch.setattr(AsyncDict, "mget", look)
    session.time_slice(BatchOperation.MGET, Arm.BATCH, [KEYS])
    assert seen == [False]
    assert gc.isenabled()


def test_an_interrupted_asynchronous_slice_does_not_go_on_later(monkeypatch):
    register(monkeypatch, asyncdict=AsyncDict)
    calls = []

    async def interrupted(self, key):
        calls.append(key)
        if len(calls) == 3:
            asyncio.get_running_loop().call_soon(press_ctrl_c)
        await asyncio.sleep(0)

    def press_ctrl_c():
        raise KeyboardInterrupt

    monkeypatch.setattr(AsyncDict, "get", interrupted)
    session = open_session("asyncdict://")
    with pytest.raises(KeyboardInterrupt):
        session.time_slice(BatchOperation.MGET, Arm.INDIVIDUAL, [KEYS] * 100)
    made = len(calls)
    session.backend.mset(PAIRS)
    session.close()
    assert 3 <= made <= 5
    assert len(calls) == made


def test_an_asynchronous_target_says_which_loop_drives_it(monkeypatch):
    register(monkeypatch, asyncdict=AsyncDict)
    session = open_session("asyncdict://")
    session.close()
    assert session.facts["event_loop"].split()[0] in ("uvloop", "asyncio")
