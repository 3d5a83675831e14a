"""Plans: what cannot be measured is refused by name, and no password is recorded."""

from __future__ import annotations

import pytest

from kvbench.bench.plan import Plan, Settings, TargetPlan, ValueType, check_target
from kvbench.errors import UnknownSchemeError, UsageError
from kvbench.model import BatchOperation
from tests.bench.bench_targets import BytesOnly, make_plan, register


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rounds": 1}, "1 rounds"),
        ({"rounds": 10_001}, "10001 rounds"),
        ({"precision": 2.0}, "precision 200"),
        ({"precision": 0.0001}, "precision 0.010%"),
        ({"max_time_s": 0.0}, "max time 0 s"),
        ({"key_length": 19}, "key length 19 is not 20 to 256"),
        ({"key_length": 257}, "key length 257"),
        ({"value_size": -1}, "value size -1"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_out_of_range_are_named(changes, words):
    with pytest.raises(UsageError, match=words):
        Settings(**changes)


@pytest.mark.parametrize("size", [0, -1, 1_000_001])
def test_batch_sizes_out_of_range_are_named(size):
    with pytest.raises(UsageError, match=f"batch size {size}"):
        make_plan("memory://", batch_sizes=(10, size))


def test_a_batch_that_would_fill_the_memory_is_refused():
    with pytest.raises(UsageError, match="over 1 GiB"):
        make_plan("memory://", batch_sizes=(1000,), settings=Settings(value_size=2 << 20))


def test_a_plan_needs_cells_and_different_targets():
    with pytest.raises(UsageError, match="given twice"):
        make_plan("memory://", "memory://")
    with pytest.raises(UsageError, match="nothing to measure"):
        Plan(())
    with pytest.raises(UsageError, match="redis://:\\*\\*\\*@h is given twice"):
        make_plan("redis://:one@h", "redis://:two@h")


def test_cells_come_operation_by_operation():
    target = TargetPlan("memory://", (BatchOperation.MGET, BatchOperation.MDEL), (10, 100))
    assert target.cells == (("mget", 10), ("mget", 100), ("mdel", 10), ("mdel", 100))


def test_targets_are_checked_without_opening_them(monkeypatch):
    register(monkeypatch, bytesonly=BytesOnly)
    check_target("bytesonly://", ValueType.BYTES)
    with pytest.raises(UsageError, match=r"bytesonly:// stores bytes only.*not int"):
        check_target("bytesonly://", ValueType.INT)
    with pytest.raises(UnknownSchemeError, match="did you mean memory://") as caught:
        check_target("memry://", ValueType.BYTES)
    assert caught.value.nearest == ("memory",)


def test_recorded_settings_hold_no_password():
    recorded = make_plan("redis://me:secret@host").recorded_settings()
    assert "secret" not in str(recorded)
    assert recorded["rounds"] == 3
