"""Tallies of rounds become records: rates and percentiles with intervals, gains paired by round."""

from __future__ import annotations

import pytest

from kvbench.bench.arms import Arm
from kvbench.histogram import Histogram
from kvbench.load.capacity import Capacity
from kvbench.load.gather import LoadGathering
from kvbench.load.messages import CapacityMeasured, LaneRefused, LoadMeasured, LoadOpened
from kvbench.load.objective import parse_objective
from kvbench.load.plan import LoadLane, LoadPlan, LoadSettings
from kvbench.load.tally import SERVICE_TIME, SLICE_NS, LoadTally
from kvbench.report.capacity_tables import capacity_table
from kvbench.report.load_tables import load_tables

SINGLE, BATCH = LoadLane(Arm.INDIVIDUAL), LoadLane(Arm.BATCH, 50)
OPENED = LoadOpened(0, True, {"product": "real"})


def gathering(*messages, **options) -> LoadGathering:
    plan = LoadPlan(("kvb://",), (SINGLE, BATCH), **options)
    found = LoadGathering(plan)
    for message in (OPENED, *messages):
        found.add(message)
    return found


def tally(latencies_ns, keys=1000, **changes) -> LoadTally:
    histogram = Histogram()
    histogram.record_many(latencies_ns)
    fields = {
        "latency": {SERVICE_TIME: histogram.to_counts()}, "calls": len(latencies_ns),
        "requests": keys, "keys": keys, "hits": keys, "timeline_keys": [keys],
        "timeline_max_ns": [max(latencies_ns)], "elapsed_ns": SLICE_NS, "cpu_ns": SLICE_NS // 4,
    }  # fmt: skip
    return LoadTally(**{**fields, **changes})


def measured(one: LoadTally, lane=SINGLE, waited=0.01, **more) -> LoadMeasured:
    return LoadMeasured(0, lane, 20, one, waited, **more)


def test_rates_have_an_interval_from_rounds():
    found = gathering(*[measured(tally([1000] * 100, keys)) for keys in (900, 1000, 1100)])
    [load] = found.loads()
    assert load.keys_per_s.estimate == pytest.approx(9966, rel=0.001)
    assert load.keys_per_s.low < 9000 and load.keys_per_s.high > 11000
    assert load.keys_per_s.rounds == [9000, 10_000, 11_000]
    assert (load.rounds, load.clients, load.hits, load.waited) == (3, 20, 3000, 0.01)
    assert load.client_cpu == 0.25 and not load.is_client_bound


def test_a_lost_worker_marks_the_figure_and_is_not_counted_as_idle():
    whole = measured(tally([1000] * 100), workers=2, start_error_ns=900_000)
    less = measured(tally([1000] * 100, cpu_ns=SLICE_NS // 8), lost=["worker 2: 3 keys"])
    [load] = gathering(whole, less).loads()
    assert load.lost_workers == ["worker 2: 3 keys"]
    assert (load.workers, load.start_error_ns) == (2, 900_000)
    assert load.client_cpu == pytest.approx(3 / 8 / 3, abs=1e-4), "of three windows of workers"
    [table, *_] = load_tables([load])
    assert any(
        "§ kvb://, individual: the rate may be too low: worker 2: 3 keys." in note
        for note in table.notes
    )
    assert "Load workers began within 900 µs of each other." in table.notes
    lost = CapacityMeasured(0, SINGLE, 1, 20, Capacity(1000.0, 2000.0, [], 0), 0.0, ["worker 1"])
    objective = parse_objective("p99<5ms")
    [capacity] = gathering(lost, objective=objective).capacities()
    assert capacity.lost_workers == ["worker 1"]
    assert any("§" in note and "worker 1" in note for note in capacity_table([capacity]).notes)


def test_percentiles_are_of_all_calls_and_rise():
    fast, slow = [1000] * 2000, [1000] * 1900 + [50_000] * 100
    [load] = gathering(measured(tally(fast)), measured(tally(slow))).loads()
    latency = load.latency[SERVICE_TIME]
    shown = [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.max_ns]
    assert shown == sorted(shown)
    assert latency.p99_ns == pytest.approx(50_000, rel=0.01)
    assert latency.p999_ns is None, "fewer than ten calls beyond it"
    assert latency.samples == 4000
    interval = latency.intervals["p99_ns"]
    assert interval.estimate == latency.p99_ns
    assert interval.rounds == pytest.approx([1000, 50_000], rel=0.01)
    assert interval.low < 1000


def test_no_interval_where_a_round_has_too_few_calls():
    [load] = gathering(measured(tally([1000] * 500)), measured(tally([1000] * 3000))).loads()
    latency = load.latency[SERVICE_TIME]
    assert latency.p99_ns is not None and "p99_ns" not in latency.intervals


def test_a_generator_that_uses_its_core_is_the_bottleneck_of_a_network_store_only():
    busy = measured(tally([1000] * 100, cpu_ns=SLICE_NS))
    assert next(gathering(busy).loads()).is_client_bound
    found = gathering(busy)
    found.add(LoadOpened(0, False, {}))
    assert not next(found.loads()).is_client_bound


def test_errors_and_silence_add_up():
    one = tally(
        [1000] * 50, errors={"timeout": 2}, timeline_keys=[5, 0, 0], timeline_max_ns=[9, 0, 0]
    )
    other = tally([1000] * 50, errors={"timeout": 1, "OOM": 4})
    [load] = gathering(measured(one), measured(other)).loads()
    assert load.errors == {"timeout": 3, "OOM": 4}
    assert load.silence_ns == 2 * SLICE_NS
    assert [line.keys_per_s for line in load.timelines] == [[50.0, 0.0, 0.0], [10_000.0]]


def test_a_round_without_a_finished_call_has_no_interval():
    empty = LoadTally(latency={SERVICE_TIME: Histogram().to_counts()}, elapsed_ns=SLICE_NS)
    [load] = gathering(measured(tally([1000] * 50)), measured(empty)).loads()
    assert load.keys_per_s.low is None and load.keys_per_s.estimate == 5000


def test_a_refused_lane_has_its_reason():
    found = gathering(measured(tally([1000] * 50)), LaneRefused(0, BATCH, "it cannot"))
    single, batch = found.loads()
    assert single.reason == "" and batch.reason == "it cannot" and batch.keys_per_s is None
    assert found.refused(0, BATCH) and not found.refused(0, SINGLE)


def test_the_gain_of_a_capacity_is_paired_by_round():
    def capacity(lane, number, rate):
        return CapacityMeasured(0, lane, number, 20, Capacity(rate, 2 * rate, [], 0), 0.0)

    rounds = [(1, 1000.0, 100.0), (2, 2000.0, 200.0), (3, 500.0, 50.0)]
    messages = [
        capacity(lane, number, rate)
        for number, single, batch in rounds
        for lane, rate in ((SINGLE, single), (BATCH, batch))
    ]
    found = gathering(*messages, objective=parse_objective("p99<5ms"), settings=LoadSettings())
    single, batch = found.records()
    assert single.gain is None
    # Rounds differ by a factor of four, and each has the same gain.
    assert batch.gain.estimate == pytest.approx(5.0)
    assert batch.gain.low == pytest.approx(5.0)
    assert batch.keys_per_s.estimate == pytest.approx(5000)
    assert batch.closed_keys_per_s.estimate == pytest.approx(10_000)
