"""From samples to records: what each round adds, and what cells say of each other."""

from __future__ import annotations

import pytest

from kvbench.bench.arms import Arm
from kvbench.bench.gather import Gathering
from kvbench.bench.messages import (
    BaselineSample,
    LaneSample,
    Measured,
    NoFigure,
    Opened,
    RoundTrips,
)
from kvbench.model import BatchOperation
from tests.bench.bench_targets import make_plan

MGET, MSET = BatchOperation.MGET, BatchOperation.MSET


def opened(place=0, **changes):
    fields = {"is_network": True, "facts": {"product": "x"}, "batch_kinds": {"mget": "native"}}
    return Opened(place, **(fields | changes))


def measured(individual, batch10, batch100, pipelined10=None, waited=0.0, control=(100, 100)):
    lanes = [
        LaneSample(Arm.INDIVIDUAL, 1, [individual] * 3, 0.5),
        LaneSample(Arm.SELF, 1, [individual * 1.01] * 3, 0.5),
        LaneSample(Arm.BATCH, 10, [batch10, batch10, batch10 * 90], 0.9),
        LaneSample(Arm.BATCH, 100, [batch100] * 3, 0.9),
    ]
    if pipelined10 is not None:
        lanes.append(LaneSample(Arm.PIPELINED, 10, [pipelined10] * 3, 1.0))
    return Measured(0, MGET, lanes, list(control), waited)


@pytest.fixture
def gathering():
    found = Gathering(make_plan("kvb://", batch_sizes=(10, 100)), keep_awake=True)
    found.add(opened())
    return found


def test_a_target_that_was_not_opened_has_no_record():
    empty = Gathering(make_plan("kvb://"), keep_awake=False)
    assert list(empty.targets()) == list(empty.cells()) == list(empty.curves()) == []
    assert empty.baselines() is None


def test_before_the_first_round_cells_have_a_reason(gathering):
    assert {cell.reason for cell in gathering.cells()} == {"no round was finished"}


def test_figures_come_from_rounds(gathering):
    gathering.add(measured(1000.0, 200.0, 100.0))
    gathering.add(measured(1100.0, 220.0, 121.0))
    ten, hundred = gathering.cells()
    assert ten.rounds == 2
    assert ten.arms["individual"].ns_per_key.rounds == [1000.0, 1100.0]
    assert ten.arms["batch"].ns_per_key.rounds == [200.0, 220.0]
    assert ten.speedup == ten.ratios["individual/batch"]
    assert ten.speedup.estimate == pytest.approx(5.0)
    assert ten.speedup.rounds == pytest.approx([5.0, 5.0])
    assert ten.arms["batch"].call_ns.rounds == [2000.0, 2200.0]
    assert hundred.arms["batch"].call_ns.rounds == [10_000.0, 12_100.0]
    assert ten.arms["batch"].client_cpu == pytest.approx(0.9)


def test_single_calls_are_the_same_figure_at_every_size_and_rows_agree(gathering):
    for factor in (1.0, 1.3, 0.9):
        gathering.add(measured(1000.0 * factor, 200.0, 100.0 / factor))
    ten, hundred = gathering.cells()
    assert ten.arms["individual"] == hundred.arms["individual"]
    for cell in (ten, hundred):
        quotient = (
            cell.arms["batch"].keys_per_s.estimate / cell.arms["individual"].keys_per_s.estimate
        )
        assert cell.speedup.estimate == pytest.approx(quotient, rel=1e-12)


def test_the_parts_of_a_speedup_multiply_to_it(gathering):
    gathering.add(measured(1000.0, 200.0, 100.0, pipelined10=400.0))
    gathering.add(measured(1200.0, 210.0, 100.0, pipelined10=410.0))
    ten, hundred = gathering.cells()
    assert set(ten.arms) == {"individual", "pipelined", "batch"}
    product = ten.ratios["individual/pipelined"].estimate * ten.ratios["pipelined/batch"].estimate
    assert product == pytest.approx(ten.speedup.estimate)
    assert set(hundred.ratios) == {"individual/batch"}


def test_waiting_and_drift_mark_a_cell(gathering):
    gathering.add(measured(1000.0, 200.0, 100.0, waited=0.0))
    assert all(cell.is_stable for cell in gathering.cells())
    gathering.add(measured(1000.0, 200.0, 100.0, waited=0.2))
    for cell in gathering.cells():
        assert cell.waited == pytest.approx(0.1)
        assert not cell.is_stable
    calm = Gathering(make_plan("kvb://", batch_sizes=(10, 100)), keep_awake=True)
    calm.add(opened())
    calm.add(measured(1000.0, 200.0, 100.0, control=(100, 100, 130, 130)))
    assert not any(cell.is_stable for cell in calm.cells())


def test_a_reason_of_a_size_or_of_all_sizes(gathering):
    gathering.add(NoFigure(0, MGET, 100, "mget gives too little"))
    gathering.add(measured(1000.0, 200.0, 100.0))
    ten, hundred = gathering.cells()
    assert (ten.reason, hundred.reason) == ("", "mget gives too little")
    assert hundred.arms == {}
    withheld = Gathering(make_plan("kvb://", batch_sizes=(10,)), keep_awake=True)
    withheld.add(opened())
    withheld.withhold(0, MGET, "does not conform")
    [cell] = withheld.cells()
    assert cell.reason == "does not conform"


def test_a_round_that_failed_does_not_undo_the_others(gathering):
    gathering.add(measured(1000.0, 200.0, 100.0))
    gathering.add(NoFigure(0, MGET, 0, "mget: RuntimeError: quota"))
    assert [cell.reason for cell in gathering.cells()] == ["", ""]


def test_targets_say_what_chance_does_and_what_conforms():
    from dataclasses import replace

    plan = make_plan("kvb://", batch_sizes=(10, 100))
    plan = replace(plan, targets=(replace(plan.targets[0], verdict="conforms"),))
    found = Gathering(plan, keep_awake=True)
    found.add(opened())
    found.add(measured(1000.0, 200.0, 100.0))
    [target] = found.targets()
    assert target.facts == {"product": "x", "conformance": "conforms"}
    assert target.self_ratio.estimate == pytest.approx(1 / 1.01)


def test_curves_need_two_sizes(gathering):
    gathering.add(measured(1000.0, 200.0, 100.0))
    gathering.add(measured(1000.0, 200.0, 100.0))
    [curve] = gathering.curves()
    assert (curve.target, curve.op) == ("kvb://", "mget")
    # 2,000 ns for 10 keys and 10,000 for 100.
    assert curve.per_key_ns.estimate == pytest.approx(8_000 / 90)
    assert curve.fixed_ns.estimate == pytest.approx(2_000 - 10 * 8_000 / 90)


def test_baselines_are_estimates_over_rounds(gathering):
    gathering.add(BaselineSample(50.0, 30.0, 60_000.0, 9_000.0))
    gathering.add(BaselineSample(50.0, 30.0, 60_000.0, 9_500.0))
    baselines = gathering.baselines()
    assert baselines.round_trip_apart_ns.estimate == pytest.approx(60_000.0)
    assert baselines.round_trip_together_ns.rounds == [9_000.0, 9_500.0]
    assert baselines.keep_awake
    gathering.add(BaselineSample(50.0, 30.0, 60_000.0, None))
    assert gathering.baselines().round_trip_together_ns is None


def test_measured_round_trips_stand_in_every_cell_of_the_operation(gathering):
    gathering.add(RoundTrips(0, MGET, 100, 1.02))
    assert {(cell.round_trips, cell.round_trips_at) for cell in gathering.cells()} == {(1.02, 100)}


def test_imprecise_cells_are_those_with_wide_intervals_or_none(gathering):
    gathering.add(measured(1000.0, 200.0, 100.0))
    assert len(gathering.imprecise(0.05)) == 2
    for factor in (1.0, 1.001, 0.999, 1.0):
        gathering.add(measured(1000.0, 200.0 * factor, 100.0 * factor**40))
    assert [cell.batch_size for cell in gathering.imprecise(0.02)] == [100]
