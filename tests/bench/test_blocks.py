"""Blocks: balanced orders, calibrated lanes, and deletes of keys that are really there."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from bench_targets import FAST, DictBackend

from kvbench.bench.arms import Arm, Session, Slice, SyncSession
from kvbench.bench.blocks import (
    DELETE_KEYS,
    Lane,
    Work,
    block_orders,
    calibrate,
    is_mirrored,
    run_blocks,
    time_control,
)
from kvbench.bench.plan import Operation, Settings
from kvbench.bench.workload import Workload


class Clockwork(Session):
    """A session whose passes take exactly known times."""

    def __init__(self, individual_ns=30_000, batch_ns=1_000):
        self.backend = self.description = DictBackend()
        self.facts = {}
        self.pass_ns = {Arm.INDIVIDUAL: individual_ns, Arm.BATCH: batch_ns}
        self.slices = []

    def time_slice(self, operation, arm, batches):
        passes = len(list(batches))
        self.slices.append((arm, passes))
        wall_ns = passes * self.pass_ns[arm]
        return Slice(wall_ns, wall_ns // 2)


class Watching(SyncSession):
    """A session that looks at the store before each slice."""

    def __init__(self):
        super().__init__(DictBackend())
        self.store_sizes = Counter()
        self.keys_there = []

    def time_slice(self, operation, arm, batches):
        batches = list(batches)
        self.store_sizes[len(self.backend.data)] += 1
        self.keys_there.append(all(key in self.backend.data for keys in batches for key in keys))
        result = super().time_slice(operation, arm, batches)
        assert not any(key in self.backend.data for keys in batches for key in keys)
        return result


@pytest.fixture(autouse=True)
def empty_store():
    DictBackend.data.clear()


@pytest.mark.parametrize("blocks", [10, 15, 50])
def test_orders_are_abba_and_starts_balanced(blocks):
    orders = block_orders(2, blocks, random.Random(1), mirrored=True)
    assert set(orders) == {(0, 1, 1, 0), (1, 0, 0, 1)}
    starts = Counter(order[0] for order in orders)
    assert abs(starts[0] - starts[1]) <= 1
    assert orders != block_orders(2, blocks, random.Random(2), mirrored=True)
    assert orders == block_orders(2, blocks, random.Random(1), mirrored=True)


def test_starts_are_shuffled_not_alternating():
    starts = [order[0] for order in block_orders(2, 50, random.Random(1), mirrored=False)]
    assert starts != [0, 1] * 25
    assert starts != [1, 0] * 25


def test_three_lanes_are_mirrored_as_well():
    orders = block_orders(3, 12, random.Random(1), mirrored=True)
    assert all(order == order[::-1] for order in orders)
    assert Counter(Counter(order[:3]) == Counter({0: 1, 1: 1, 2: 1}) for order in orders) == {
        True: 12
    }


@pytest.mark.parametrize(("arm", "passes"), [(Arm.INDIVIDUAL, 100), (Arm.BATCH, 3000)])
def test_each_arm_is_calibrated_to_the_slice_time(arm, passes):
    work = Work(Clockwork(), Workload(FAST), Operation.MGET, 10)
    assert calibrate(work, arm, slice_ns=3_000_000) == Lane(arm, passes, 3_000_000)


def test_one_pass_is_the_least():
    work = Work(Clockwork(individual_ns=50_000_000), Workload(FAST), Operation.MGET, 1000)
    assert calibrate(work, Arm.INDIVIDUAL, 10_000_000) == Lane(Arm.INDIVIDUAL, 1, 50_000_000)


def test_a_slow_lane_runs_once_a_block():
    fast, slow = Lane(Arm.BATCH, 10, 10_000_000), Lane(Arm.INDIVIDUAL, 1, 100_000_000)
    assert is_mirrored((fast, fast), 10_000_000)
    assert not is_mirrored((slow, fast), 10_000_000)


@pytest.mark.parametrize("individual_ns", [30_000, 90_000_000])
def test_times_per_key_are_exact(individual_ns):
    session = Clockwork(individual_ns=individual_ns, batch_ns=1_000)
    work = Work(session, Workload(FAST), Operation.MSET, 10)
    lanes = [calibrate(work, arm, 300_000) for arm in Arm]
    seen = []
    blocks = run_blocks(work, lanes, FAST, "seed", seen.append)
    assert blocks.ns_per_key == ([individual_ns / 10] * 10, [100.0] * 10)
    assert blocks.client_cpu == pytest.approx(0.5)
    assert len(blocks.control_ns) == 10
    assert seen == list(range(1, 11))


@pytest.mark.parametrize("batch_size", [10, 1000, 20_000])
def test_deletes_always_find_their_keys_in_a_store_of_one_size(batch_size):
    session = Watching()
    workload = Workload(FAST)
    workload.can_mset = True
    work = Work(session, workload, Operation.MDEL, batch_size)
    lanes = [calibrate(work, arm, 2_000_000) for arm in Arm]
    session.store_sizes.clear()
    run_blocks(work, lanes, FAST, "seed", lambda done: None)
    assert session.keys_there
    assert all(session.keys_there)
    assert len(session.store_sizes) == 1
    assert max(session.store_sizes) <= max(DELETE_KEYS, batch_size)


def test_large_values_to_delete_do_not_fill_the_memory():
    settings = Settings(blocks=10, slice_ns=100_000, value_size=1 << 20)
    work = Work(Clockwork(), Workload(settings), Operation.MDEL, 8)
    work.time(Arm.BATCH, 1000)
    assert len(DictBackend.data) == 64


def test_the_control_lane_takes_time():
    assert time_control() > 0
