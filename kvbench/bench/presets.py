"""Named plans: the tables of a published report, measured again.

``batch-operations`` is the report on which this project is based ("Batch Operations: Final
Results", 2026-01-06): an engine in Rust, and its server over loopback TCP. Its figures are a
results file:
``kvbench report RESULTS --beside reports/batch-operations/published.jsonl`` shows both.
"""

from __future__ import annotations

from collections.abc import Callable

from kvbench.bench.plan import Plan, Settings, TargetPlan
from kvbench.model import BatchOperation

_OPERATIONS = (BatchOperation.MGET, BatchOperation.MSET, BatchOperation.MDEL)
_ENGINE_SIZES = (10, 50, 100, 500, 1000, 5000, 10000)
_NETWORK_SIZES = (10, 50, 100, 500, 1000)


def _batch_operations(settings: Settings) -> Plan:
    return Plan(
        targets=(
            TargetPlan("memory://", _OPERATIONS, _ENGINE_SIZES),
            TargetPlan("kvb://", _OPERATIONS, _NETWORK_SIZES),
        ),
        settings=settings,
        preset="batch-operations",
    )


PRESETS: dict[str, Callable[[Settings], Plan]] = {"batch-operations": _batch_operations}
"""Each preset's name, for ``kvbench run --preset``, and the function that makes its plan."""
