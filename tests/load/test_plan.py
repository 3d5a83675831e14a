"""A load plan is checked as a whole, and a wrong one is one line that says what to write."""

from __future__ import annotations

import pytest

from kvbench.bench.arms import Arm
from kvbench.errors import UsageError
from kvbench.load.plan import Driver, LoadLane, LoadPlan, LoadSettings, make_lane
from kvbench.load.workload import Action, LoadWorkload


def plan(*lanes: LoadLane, workload: LoadWorkload | None = None, **settings) -> LoadPlan:
    return LoadPlan(
        ("kvb://",), lanes or (LoadLane(Arm.INDIVIDUAL),), workload or LoadWorkload(),
        LoadSettings(**settings),
    )  # fmt: skip


def test_an_arm_sends_its_keys_in_its_way():
    assert make_lane(Arm.INDIVIDUAL, 50, 1) == LoadLane(Arm.INDIVIDUAL)
    assert make_lane(Arm.INDIVIDUAL, 1, 16) == LoadLane(Arm.INDIVIDUAL, 1, 16)
    assert make_lane(Arm.PIPELINED, 50, 1) == LoadLane(Arm.PIPELINED, 1, 50)
    assert make_lane(Arm.BATCH, 30, 10) == LoadLane(Arm.BATCH, 30, 10)
    assert make_lane(Arm.BATCH, 30, 10).keys == 300


def test_a_rate_is_of_requests_or_of_keys():
    lanes = LoadLane(Arm.INDIVIDUAL), LoadLane(Arm.PIPELINED, 1, 50), LoadLane(Arm.BATCH, 50)
    by_requests, by_keys = LoadSettings(rate=1000.0), LoadSettings(rate_keys=1000.0)
    assert [by_requests.calls_per_s(lane) for lane in lanes] == [1000, 20, 1000]
    assert [by_keys.calls_per_s(lane) for lane in lanes] == [1000, 20, 20]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"clients": 0}, "clients 0 is not 1 to 10,000"),
        ({"rounds": 1}, "rounds 1 is not 2"),
        ({"workers": 21}, "workers 21 is not 1 to 20, the clients"),
        ({"duration_s": 0.1}, "each needs 0.1 s at least"),
        ({"duration_s": 0.0}, "each needs 0.1 s at least"),
        ({"warm_up_s": -1.0}, "warm-up -1 s"),
        ({"rate": -1.0}, "rate -1/s is not above 0"),
        ({"rate": float("nan")}, "rate nan/s"),
        ({"rate": 1e9}, "up to 100,000,000/s"),
        ({"rate": 1.0, "rate_keys": 1.0}, "not both"),
        ({"rate": 0.1}, "less than one call in a round"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_out_of_range(settings, words):
    with pytest.raises(UsageError, match=words):
        plan(**settings)


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        ({"records": 0}, "records 0 is not 1"),
        ({"mix": {}}, "give each operation a share"),
        ({"mix": {Action.GET: 0.0}}, "all shares are 0"),
        ({"hit_ratio": 1.1}, "hit ratio 1.1 is not 0 to 1"),
        ({"duplicates": -0.1}, "duplicates -0.1"),
        ({"zipfian_constant": 0.0}, "zipfian constant 0"),
        ({"key_length": "19"}, "size 19 of '19' is not 20 to 256"),
        ({"key_length": "300"}, "size 300"),
        ({"value_size": "1GB"}, "size 1,000,000,000"),
        ({"records": 1_000_000, "value_size": "10kB"}, "over 4 GiB"),
        ({"ttl_s": -1.0}, "ttl -1 s"),
    ],
)
def test_workloads_out_of_range(workload, words):
    with pytest.raises(UsageError, match=words):
        plan(workload=LoadWorkload(**workload))


@pytest.mark.parametrize(
    ("arm", "batch_size", "pipeline", "words"),
    [
        (Arm.BATCH, 1, 1, "needs --batch-size"),
        (Arm.PIPELINED, 1, 1, "needs --batch-size or --pipeline"),
        (Arm.BATCH, 0, 1, "batch size 0"),
        (Arm.INDIVIDUAL, 1, 0, "pipeline 0"),
        (Arm.BATCH, 10_000, 1_000, "over 1,000,000"),
    ],
)
def test_lanes_out_of_range(arm, batch_size, pipeline, words):
    with pytest.raises(UsageError, match=words):
        make_lane(arm, batch_size, pipeline)


def test_a_batch_window_needs_arrivals_of_keys_and_one_client_driver():
    lane = LoadLane(Arm.BATCH, 50, window_ns=10**6)
    assert plan(lane, rate_keys=1000.0).settings.calls_per_s(lane) == 1000
    for settings, words in (
        ({}, "--rate '20k keys/s'"),
        ({"rate": 100.0}, "--rate '20k keys/s'"),
        ({"rate_keys": 100.0, "driver": Driver.WIRE}, "--driver client"),
        ({"rate_keys": 100.0, "workers": 2}, "one worker"),
    ):
        with pytest.raises(UsageError, match=words):
            plan(lane, **settings)
    with pytest.raises(UsageError, match="batch arm"):
        plan(LoadLane(Arm.INDIVIDUAL, window_ns=10**6), rate_keys=1000.0)


def test_a_target_or_lane_given_twice_and_none():
    with pytest.raises(UsageError, match="kvb:// is given twice"):
        LoadPlan(("kvb://", "kvb://"), (LoadLane(Arm.INDIVIDUAL),))
    with pytest.raises(UsageError, match="individual is given twice"):
        plan(LoadLane(Arm.INDIVIDUAL), LoadLane(Arm.INDIVIDUAL))
    with pytest.raises(UsageError, match="give a target"):
        LoadPlan((), (LoadLane(Arm.INDIVIDUAL),))
