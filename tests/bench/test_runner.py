"""Whole runs: records in order, keys removed, and every way to end early keeps what is finished."""

from __future__ import annotations

import os
import signal
from itertools import pairwise

import bench_targets as targets
import pytest
from bench_targets import DictBackend, make_plan, register, run_plan

from kvbench.bench.events import KeysLeft, Recorded, Step
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.plan import Operation
from kvbench.bench.runner import Ending, run
from kvbench.errors import KvConnectionError, UsageError
from kvbench.results import Cell, Footer, Header, Target


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    names = {cls.__name__.lower(): cls for cls in vars(targets).values() if is_target(cls)}
    register(monkeypatch, **names)


def is_target(thing):
    return isinstance(thing, type) and thing.__module__ == targets.__name__


def records(events, kind=object):
    return [e.record for e in events if isinstance(e, Recorded) and isinstance(e.record, kind)]


@pytest.mark.parametrize("scheme", ["dictbackend", "asyncdict"])
def test_a_run_measures_every_cell_and_leaves_no_key(scheme):
    DictBackend.data["mine"] = b"1"
    plan = make_plan(f"{scheme}://", operations=Operation, batch_sizes=(1, 100))
    outcome, events = run_plan(plan)
    assert (outcome.ending, outcome.failed_cells) == (Ending.COMPLETE, 0)
    assert [type(record) for record in records(events)] == [Header, Target, *[Cell] * 8, Footer]
    assert DictBackend.data == {"mine": b"1"}
    for cell in records(events, Cell):
        assert cell.reason == ""
        assert cell.speedup.low <= cell.speedup.estimate <= cell.speedup.high
        assert len(cell.samples.individual) == len(cell.samples.batch) == cell.blocks == 10
        assert cell.batch.call_ns_median == pytest.approx(cell.batch.ns_per_key * cell.batch_size)
        assert 0.0 < cell.client_cpu <= 1.0
        assert cell.is_stable == (cell.drift <= 0.05)
    [footer] = records(events, Footer)
    assert (footer.outcome, footer.cells, footer.reason) == ("complete", 8, "")


def test_the_target_record_holds_facts_and_the_noise_floor():
    _, events = run_plan(make_plan("dictbackend://", batch_sizes=(10, 50, 100)))
    [target] = records(events, Target)
    assert target.facts == {"product": "a dict"}
    assert target.noise_op == "mget/50"
    assert 0.5 < target.noise.estimate < 2.0


def test_the_header_holds_machine_settings_and_floors():
    _, events = run_plan(make_plan("dictbackend://"))
    header = records(events, Header)[0]
    assert header.settings["batch_sizes"] == [10]
    assert header.environment["python"]
    assert header.environment["keep_awake"].startswith("off: not wanted")
    assert header.floors.loop_ns_per_call > 0
    assert not header.floors.keep_awake


def test_steps_tell_progress_and_time_left():
    _, events = run_plan(make_plan("dictbackend://", operations=Operation))
    steps = [event for event in events if isinstance(event, Step)]
    assert any("mdel × 10" in step.text for step in steps)
    assert all(0.0 <= step.share <= 1.0 and step.left_s >= 0.0 for step in steps)
    shares = [step.share for step in steps if step.text == "dictbackend:// mexists × 10"]
    assert all(one <= other for one, other in pairwise(shares))


def test_a_cell_whose_check_fails_has_a_reason_and_no_number():
    outcome, events = run_plan(make_plan("reordering://", operations=Operation))
    assert outcome.failed_cells == 1
    cells = {cell.op: cell for cell in records(events, Cell)}
    assert cells["mget"].reason.startswith("mget gives")
    assert cells["mget"].speedup is cells["mget"].samples is None
    assert cells["mset"].speedup is not None
    assert DictBackend.data == {}


@pytest.mark.parametrize("scheme", ["deletesnothing", "firstpairwins", "countsrepeated"])
def test_wrong_batches_are_not_used_to_fill_or_to_clean_up(scheme):
    operations = (Operation.MGET, Operation.MEXISTS)
    outcome, _ = run_plan(make_plan(f"{scheme}://", operations=operations))
    assert outcome.failed_cells == 0
    assert DictBackend.data == {}


def test_a_failing_adapter_costs_the_cell_and_not_the_run():
    outcome, events = run_plan(make_plan("refuses://", "dictbackend://"))
    assert (outcome.ending, outcome.failed_cells) == (Ending.COMPLETE, 1)
    reasons = [cell.reason for cell in records(events, Cell)]
    assert reasons == ["mget: RuntimeError: cannot do that today", ""]


def test_a_target_that_cannot_be_reached_stops_the_run_before_anything_is_recorded():
    events = []
    plan = make_plan("dictbackend://", "unreachable://me:secret@host")
    with pytest.raises(KvConnectionError, match=r"me:\*\*\*@host: nobody answers at"):
        run(plan, events.append, Interrupts(), "")
    assert records(events) == []


def test_a_target_that_is_lost_ends_the_run_and_keeps_what_is_finished():
    plan = make_plan("dictbackend://", "vanishes://", batch_sizes=(10, 100))
    outcome, events = run_plan(plan)
    assert outcome.ending is Ending.TARGET_LOST
    assert outcome.reason == "vanishes://: connection reset"
    assert len(records(events, Cell)) == 2
    footer = records(events)[-1]
    assert (footer.outcome, footer.reason) == ("interrupted", outcome.reason)
    [left] = [event for event in events if isinstance(event, KeysLeft)]
    assert left.prefix.startswith("kb:")
    assert "secret" not in left.reason


@pytest.mark.parametrize("scheme", ["dictbackend", "asyncdict"])
def test_ctrl_c_keeps_finished_cells_and_removes_keys(scheme):
    interrupts = Interrupts()
    events = []

    def observe(event):
        events.append(event)
        if isinstance(event, Step) and event.text.endswith("mset × 10") and event.share > 0:
            os.kill(os.getpid(), signal.SIGINT)

    plan = make_plan(f"{scheme}://", operations=Operation)
    with interrupts.installed(lambda: None):
        outcome = run(plan, observe, interrupts, "")
    assert outcome.ending is Ending.INTERRUPTED
    assert [cell.op for cell in records(events, Cell)] == ["mget"]
    assert records(events)[-1].outcome == "interrupted"
    assert DictBackend.data == {}


def test_a_key_that_is_too_long_for_a_target_is_the_users_mistake(monkeypatch):
    def refuse(self, key):
        raise ValueError("key of 300 bytes with its namespace")

    monkeypatch.setattr(DictBackend, "exists", refuse)
    with pytest.raises(UsageError, match=r"300 bytes.*shorter --key-length"):
        run_plan(make_plan("dictbackend://"))
