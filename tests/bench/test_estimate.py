"""The time left: it follows what was seen, and ends at nothing."""

from __future__ import annotations

import pytest
from bench_targets import make_plan

from kvbench.bench.arms import Arm
from kvbench.bench.blocks import Lane
from kvbench.bench.estimate import TimeLeft, cell_seconds
from kvbench.bench.plan import Operation, Settings

SETTINGS = Settings(blocks=10, slice_ns=10_000_000)


def test_cells_that_are_done_are_no_longer_counted():
    plan = make_plan("memory://", batch_sizes=(10, 1000), settings=SETTINGS)
    left = TimeLeft(plan, [False])
    whole = left.seconds()
    assert left.seconds(0.5) == pytest.approx(whole * 0.75)
    left.finish(0, Operation.MGET, 10)
    left.finish(0, Operation.MGET, 1000)
    assert left.seconds() == 0.0


def test_a_slow_target_is_believed_once_it_is_seen():
    plan = make_plan("memory://", batch_sizes=(1000,), settings=SETTINGS)
    left = TimeLeft(plan, [False])
    guessed = left.seconds()
    left.learn(0, Lane(Arm.INDIVIDUAL, 1, 5_000_000_000), 1000)
    assert left.seconds() > 50 * guessed


def test_a_network_is_expected_to_be_slower():
    assert cell_seconds(SETTINGS, 60_000.0, 1000) > cell_seconds(SETTINGS, 200.0, 1000)
