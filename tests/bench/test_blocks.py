"""Blocks: balanced orders, calibrated lanes, one set of keys, deletes of keys that are there."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from kvbench.bench.arms import Arm, Session, Slice, SyncSession
from kvbench.bench.blocks import (
    DELETE_KEYS,
    KEYS_MIN,
    Work,
    block_orders,
    calibrate,
    is_mirrored,
    run_blocks,
    time_control,
)
from kvbench.bench.messages import Lane
from kvbench.bench.plan import Settings
from kvbench.bench.workload import Workload
from kvbench.model import BatchOperation
from tests.bench.bench_targets import FAST, DictBackend

SINGLE = Lane(Arm.INDIVIDUAL, 1)


class Clockwork(Session):
    """A session whose calls take exactly known times: a single call, and a batch call."""

    def __init__(self, single_ns=3_000, batch_ns=1_000):
        self.backend = self.description = DictBackend()
        self.facts = {}
        self.single_ns = single_ns
        self.batch_ns = batch_ns
        self.seen = []

    def time_slice(self, operation, arm, batches):
        batches = list(batches)
        self.seen.append((arm, batches))
        calls = sum(map(len, batches)) if arm in (Arm.INDIVIDUAL, Arm.SELF) else len(batches)
        wall_ns = calls * (self.batch_ns if arm is Arm.BATCH else self.single_ns)
        return Slice(wall_ns, wall_ns // 2)


class Watching(SyncSession):
    """A session that looks at the store around each slice."""

    def __init__(self):
        super().__init__(DictBackend())
        self.store_sizes = Counter()
        self.keys_there = []

    def time_slice(self, operation, arm, batches):
        batches = list(batches)
        keys = [key for batch in batches for key in batch]
        self.store_sizes[len(self.backend.data)] += 1
        self.keys_there.append(all(key in self.backend.data for key in keys))
        assert len(set(keys)) == len(keys)
        result = super().time_slice(operation, arm, batches)
        assert not any(key in self.backend.data for key in keys)
        return result


@pytest.fixture(autouse=True)
def empty_store():
    DictBackend.data.clear()


def work_on(session, operation=BatchOperation.MGET, sizes=(10, 100), settings=FAST):
    workload = Workload(settings)
    workload.can_mset = True
    return Work(session, workload, operation, sizes)


@pytest.mark.parametrize("blocks", [1, 5, 7, 10])
def test_orders_are_mirrored_and_starts_balanced(blocks):
    orders = block_orders(2, blocks, random.Random(1), mirrored=True)
    assert len(orders) == blocks
    assert set(orders) <= {(0, 1, 1, 0), (1, 0, 0, 1)}
    starts = Counter(order[0] for order in orders)
    assert abs(starts[0] - starts[1]) <= 1
    assert orders == block_orders(2, blocks, random.Random(1), mirrored=True)


def test_orders_of_many_lanes_are_shuffled_and_hold_each_lane_twice():
    orders = block_orders(7, 6, random.Random(1), mirrored=True)
    assert len(set(orders)) > 3
    assert all(
        order == order[::-1] and Counter(order) == dict.fromkeys(range(7), 2) for order in orders
    )
    plain = block_orders(7, 6, random.Random(1), mirrored=False)
    assert all(sorted(order) == list(range(7)) for order in plain)


@pytest.mark.parametrize(
    ("lane", "units"),
    [(SINGLE, 1_000), (Lane(Arm.BATCH, 10), 3_000), (Lane(Arm.BATCH, 100), 3_000)],
)
def test_each_lane_is_calibrated_to_the_time_of_a_sample(lane, units):
    found = calibrate(work_on(Clockwork()), lane, sample_ns=3_000_000)
    assert found == Lane(lane.arm, lane.batch_size, units, 3_000_000)


def test_one_call_is_the_least():
    work = work_on(Clockwork(single_ns=50_000_000))
    assert calibrate(work, SINGLE, 10_000_000) == Lane(Arm.INDIVIDUAL, 1, 1, 50_000_000)


def test_a_slow_lane_runs_once_a_block():
    fast, slow = Lane(Arm.BATCH, 10, 10, 10_000_000), Lane(Arm.BATCH, 1000, 1, 100_000_000)
    assert is_mirrored((fast, fast), 10_000_000)
    assert not is_mirrored((slow, fast), 10_000_000)


@pytest.mark.parametrize("single_ns", [3_000, 90_000_000])
def test_times_per_key_are_exact(single_ns):
    session = Clockwork(single_ns=single_ns, batch_ns=1_000)
    work = work_on(session, BatchOperation.MSET)
    lanes = [
        calibrate(work, lane, 300_000)
        for lane in (SINGLE, Lane(Arm.BATCH, 10), Lane(Arm.BATCH, 100))
    ]
    seen = []
    blocks = run_blocks(work, lanes, 4, 300_000, random.Random(1), (), seen.append)
    assert [lane.ns_per_key for lane in blocks.lanes] == [[single_ns] * 4, [100.0] * 4, [10.0] * 4]
    assert [(lane.arm, lane.batch_size) for lane in blocks.lanes] == [
        (Arm.INDIVIDUAL, 1), (Arm.BATCH, 10), (Arm.BATCH, 100),
    ]  # fmt: skip
    assert {lane.client_cpu for lane in blocks.lanes} == {0.5}
    assert len(blocks.control_ns) == 4
    assert blocks.waited >= 0.0
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("sizes", [(3, 7), (10, 1000), (1500,)])
def test_all_lanes_go_round_through_the_same_keys(sizes):
    session = Clockwork()
    work = work_on(session, sizes=sizes)
    count = max(KEYS_MIN, *sizes)
    everything = set(DictBackend.data)
    assert len(everything) == count
    for lane in (SINGLE, *[Lane(Arm.BATCH, size) for size in sizes]):
        session.seen.clear()
        for _ in range(3):
            work.time(lane, 2 * count // lane.batch_size)
        batches = [batch for _, batches in session.seen for batch in batches]
        assert sum(map(len, batches)) == 3 * (2 * count // lane.batch_size) * lane.batch_size
        reached = {key for batch in batches for key in batch}
        assert len(reached) > count - lane.batch_size
        if lane.arm is Arm.BATCH:
            assert {len(batch) for batch in batches} == {lane.batch_size}
        assert reached <= everything


@pytest.mark.parametrize("size", [10, 1000, 20_000])
def test_deletes_always_find_their_keys_in_a_store_of_one_size(size):
    session = Watching()
    work = work_on(session, BatchOperation.MDEL, (size,))
    lanes = [calibrate(work, lane, 2_000_000) for lane in (SINGLE, Lane(Arm.BATCH, size))]
    session.store_sizes.clear()
    run_blocks(work, lanes, 4, 2_000_000, random.Random(1), (), lambda done: None)
    assert session.keys_there
    assert all(session.keys_there)
    assert set(session.store_sizes) == {max(DELETE_KEYS, size)}


def test_large_values_do_not_fill_the_memory():
    work_on(Clockwork(), BatchOperation.MDEL, (8,), Settings(value_size=1 << 20))
    assert len(DictBackend.data) == 64


def test_the_safety_ttl_comes_back_after_a_block_of_mset(monkeypatch):
    """MSET itself is measured without a TTL, and removes the one that the filling gave."""
    ttls = []
    monkeypatch.setattr(DictBackend, "mset", lambda self, pairs, ttl=None: ttls.append(ttl))
    workload = Workload(FAST)
    workload.can_mset = True
    workload.safety_ttl_s = 3600.0
    work = Work(SyncSession(DictBackend()), workload, BatchOperation.MSET, (10,))
    lanes = [Lane(Arm.BATCH, 10, 2, 1_000)]
    run_blocks(work, lanes, 2, 1_000, random.Random(1), (), lambda done: None)
    assert ttls[0] == ttls[-1] == 3600.0
    assert ttls.count(3600.0) == 3
    assert None in ttls


def test_the_control_measurement_takes_time():
    assert time_control() > 0
