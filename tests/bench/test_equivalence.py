"""The check before timing: it passes right stores and names what wrong ones do."""

from __future__ import annotations

import re

import pytest

from kvbench.bench.equivalence import check
from kvbench.bench.plan import Settings, ValueType
from kvbench.bench.workload import Workload
from kvbench.model import BatchOperation
from kvbench.registry import open_backend
from tests.bench import bench_targets as targets


@pytest.fixture(autouse=True)
def empty_store():
    targets.DictBackend.data.clear()


@pytest.mark.parametrize("batch_size", [1, 2, 10, 1000])
@pytest.mark.parametrize("operation", BatchOperation)
@pytest.mark.parametrize("value_type", [ValueType.BYTES, ValueType.MIXED])
def test_right_stores_pass(operation, batch_size, value_type):
    workload = Workload(Settings(value_type=value_type))
    for backend in (targets.DictBackend(), open_backend("memory://")):
        assert check(backend, operation, workload, batch_size) == ""
        workload.clean(backend)
    assert targets.DictBackend.data == {}


@pytest.mark.parametrize(
    ("backend", "operation", "words"),
    [
        (targets.Reordering, BatchOperation.MGET, "mget gives .* get gives"),
        (targets.DropsRepeated, BatchOperation.MGET, "mget gives 15 values for 20 keys"),
        (targets.DropsMissing, BatchOperation.MGET, "mget gives 15 values for 20 keys"),
        (targets.AnswersText, BatchOperation.MGET, "mget gives ['\"].*get gives b"),
        (targets.FirstPairWins, BatchOperation.MSET, "get after mset gives"),
        (targets.CountsRepeated, BatchOperation.MDEL, "mdel gives 14, single deletes count 9"),
        (targets.DeletesAll, BatchOperation.MDEL, "mdel leaves 0 keys"),
        (targets.DeletesNothing, BatchOperation.MDEL, "mdel leaves 10 keys"),
        (targets.SaysOneForTrue, BatchOperation.MEXISTS, "mexists gives [01] .* exists gives"),
    ],
)
def test_wrong_stores_are_caught(backend, operation, words):
    problem = check(backend(), operation, Workload(Settings()), 20)
    assert "\n" not in problem
    assert re.search(words, problem), problem


@pytest.mark.parametrize(
    ("backend", "operation", "words"),
    [
        (targets.Reordering, BatchOperation.MGET, "mget gives"),
        (targets.DropsMissing, BatchOperation.MGET, "mget gives 15000 values for 20000 keys"),
        (targets.FirstPairWins, BatchOperation.MSET, "get after mset gives"),
        (targets.CountsRepeated, BatchOperation.MDEL, "mdel gives"),
        (targets.DeletesAll, BatchOperation.MDEL, "mdel leaves 0 keys"),
        (targets.DeletesNothing, BatchOperation.MDEL, "mdel leaves 10000 keys"),
        (targets.SaysOneForTrue, BatchOperation.MEXISTS, "mexists gives"),
    ],
)
def test_wrong_stores_are_caught_at_large_sizes(backend, operation, words):
    problem = check(backend(), operation, Workload(Settings()), 20_000)
    assert re.search(words, problem), problem


@pytest.mark.parametrize("operation", BatchOperation)
def test_a_large_batch_is_tried_with_few_single_calls(operation, monkeypatch):
    """Over a network 100,000 keys one by one, for each operation, took minutes."""
    calls = []
    for name in ("get", "set", "delete", "exists"):
        whole = getattr(targets.DictBackend, name)

        def counted(self, *args, whole=whole):
            calls.append(whole)
            return whole(self, *args)

        monkeypatch.setattr(targets.RealBatches, name, counted)
    workload = Workload(Settings())
    workload.can_mset = True
    assert check(targets.RealBatches(), operation, workload, 20_000) == ""
    assert 1000 <= len(calls) <= 3000


@pytest.mark.parametrize("operation", BatchOperation)
def test_a_store_that_forgets_everything_does_not_pass(operation):
    with open_backend("null://") as backend:
        assert check(backend, operation, Workload(Settings()), 10) != ""
