"""What ``pytest --pyargs kvbench.benchmarks --benchmark-only`` measures: each operation, each arm.

It can be imported into another test module::

    from kvbench.benchmarks.test_store import test_batch, test_single
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

_OPERATIONS = ("mget", "mset", "mdel", "mexists")


@pytest.mark.parametrize("operation", _OPERATIONS, ids=["get", "set", "delete", "exists"])
def test_single(kvbench_batch: Callable[..., None], operation: str) -> None:
    """A single call: the counterpart of the batch operation, for one key."""
    kvbench_batch(operation, 1, "individual")


@pytest.mark.parametrize("arm", ["individual", "pipelined", "batch"])
@pytest.mark.parametrize("operation", _OPERATIONS)
def test_batch(
    kvbench_batch: Callable[..., None], operation: str, arm: str, kvbench_batch_size: int
) -> None:
    """The same keys one by one, pipelined, and in one batch call: a group for each."""
    kvbench_batch(operation, kvbench_batch_size, arm)
