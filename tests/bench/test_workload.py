"""Keys and values: distinct, of the size asked for, the same for a seed; and cleaned up exactly."""

from __future__ import annotations

import pytest

from kvbench.bench.plan import Settings, ValueType
from kvbench.bench.workload import Workload
from tests.bench.bench_targets import DictBackend


@pytest.fixture
def store():
    DictBackend.data.clear()
    return DictBackend()


@pytest.mark.parametrize("key_length", [20, 32, 256])
def test_keys_are_distinct_and_as_long_as_asked(key_length):
    keys = Workload(Settings(key_length=key_length)).keys(20_000)
    assert len(set(keys)) == 20_000
    assert {len(key) for key in keys} == {key_length}


def test_keys_differ_between_runs_in_their_prefix_only():
    one, other = Workload(Settings(seed=3)), Workload(Settings(seed=3))
    assert one.prefix != other.prefix
    assert [key.removeprefix(one.prefix) for key in one.keys(50)] == [
        key.removeprefix(other.prefix) for key in other.keys(50)
    ]


def test_keys_are_scattered_not_counted_up():
    keys = Workload(Settings()).keys(100)
    assert keys != sorted(keys)


def test_a_later_portion_continues_the_first():
    workload = Workload(Settings())
    assert workload.keys(10) == workload.keys(4) + workload.keys(6, start=4)


@pytest.mark.parametrize(
    ("value_type", "kinds"),
    [
        (ValueType.BYTES, {bytes}),
        (ValueType.STR, {str}),
        (ValueType.INT, {int}),
        (ValueType.FLOAT, {float}),
        (ValueType.MIXED, {bytes, str, int, float}),
    ],
)
def test_values_are_of_the_type_asked_for(value_type, kinds):
    values = Workload(Settings(value_type=value_type, value_size=30)).values(100)
    assert {type(value) for value in values} == kinds
    assert {len(value) for value in values if isinstance(value, bytes | str)} <= {30}
    assert len(set(values)) == 100


def test_values_are_the_same_for_a_seed():
    assert Workload(Settings(seed=1)).values(9) == Workload(Settings(seed=1)).values(9)
    assert Workload(Settings(seed=1)).values(9) != Workload(Settings(seed=2)).values(9)


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_values_of_every_size_are_enough_for_any_batch(size):
    values = Workload(Settings(value_size=size)).values(1500)
    assert len(values) == 1500
    assert {len(value) for value in values} == {size}


@pytest.mark.parametrize("in_bulk", [False, True])
def test_cleaning_removes_the_keys_that_were_given_out_and_no_other(store, in_bulk):
    store.data["mine"] = 1
    workload = Workload(Settings(key_length=20))
    workload.can_mset = workload.can_mdel = in_bulk
    workload.fill(store, workload.pairs(25_000))
    assert len(store.data) == 25_001
    workload.clean(store)
    assert store.data == {"mine": 1}


def test_filling_uses_requests_that_any_store_can_take(store, monkeypatch):
    sizes = []
    monkeypatch.setattr(DictBackend, "mset", lambda self, pairs, ttl: sizes.append(len(pairs)))
    workload = Workload(Settings(value_size=1 << 20))
    workload.can_mset = True
    workload.fill(store, workload.pairs(20))
    assert sizes == [8, 8, 4]
