"""Plans with a name: a published report's tables, measured again beside its figures.

``batch-operations`` is the report that this project grew from ("Batch Operations: Final Results",
2026-01-06): an engine in Rust, and its server over loopback TCP. Its figures are given as printed.
"""

from __future__ import annotations

from collections.abc import Callable

from kvbench.bench.plan import Operation, Plan, Settings, TargetPlan
from kvbench.results import Reference

_OPERATIONS = (Operation.MGET, Operation.MSET, Operation.MDEL)
_ENGINE_SIZES = (10, 50, 100, 500, 1000, 5000, 10000)
_NETWORK_SIZES = (10, 50, 100, 500, 1000)


def _column(sizes: tuple[int, ...], figures: tuple[float, ...]) -> dict[str, float]:
    """One column of a table: batch size, as text, to figure."""
    return {str(size): figure for size, figure in zip(sizes, figures, strict=True)}


_REFERENCE = Reference(
    name="report of 2026-01-06",
    note=(
        "Another machine, which the report does not describe, and another engine: Rust there, a "
        "CPython dict here, called from Python. Each of its figures is one cold call or a single "
        "run without an interval, which is why its 100-key MGET reads 21,926 keys/s in one table "
        "and 276,593 in the next; here they are medians of repeated, paired blocks on warm "
        "connections. Its ops/sec are keys per second. Its sizes and types of values are unknown."
    ),
    engine_speedup={
        "mget": _column(_ENGINE_SIZES[:5], (1.31, 1.40, 1.41, 1.20, 1.03)),
        "mset": _column(_ENGINE_SIZES[:5], (1.41, 1.38, 1.26, 1.32, 1.25)),
        "mdel": _column(_ENGINE_SIZES[:5], (1.48, 1.43, 1.36, 1.34, 2.27)),
    },
    engine_keys_per_s={
        "mget": _column(_ENGINE_SIZES, (2.4e6, 11.6e6, 12.3e6, 10.9e6, 11.7e6, 10.3e6, 9.3e6)),
        "mset": _column(_ENGINE_SIZES, (4.7e6, 6.6e6, 7.1e6, 6.5e6, 6.5e6, 5.8e6, 6.5e6)),
        "mdel": _column(_ENGINE_SIZES, (10.9e6, 11.6e6, 11.8e6, 11.3e6, 11.4e6, 11.4e6, 2.5e6)),
    },
    network_keys_per_s={
        "mget": _column(_NETWORK_SIZES, (25_633, 162_536, 276_593, 630_682, 1_007_345)),
        "mset": _column(_NETWORK_SIZES, (22_622, 173_712, 154_490, 285_939, 435_390)),
        "mdel": _column(_NETWORK_SIZES, (35_805, 204_152, 223_007, 1_085_088, 1_346_954)),
    },
    network_speedup={"mget": {"100": 4.3}, "mset": {"100": 58.0}, "mdel": {"100": 84.0}},
    network_individual_keys_per_s={
        "mget": {"100": 5_077},
        "mset": {"100": 5_677},
        "mdel": {"100": 6_369},
    },
    network_batch_keys_per_s={
        "mget": {"100": 21_926},
        "mset": {"100": 329_715},
        "mdel": {"100": 534_642},
    },
)


def _batch_operations(settings: Settings) -> Plan:
    return Plan(
        targets=(
            TargetPlan("memory://", _OPERATIONS, _ENGINE_SIZES),
            TargetPlan("kvb://", _OPERATIONS, _NETWORK_SIZES),
        ),
        settings=settings,
        suite="batch-operations",
        reference=_REFERENCE,
    )


SUITES: dict[str, Callable[[Settings], Plan]] = {"batch-operations": _batch_operations}
"""Name of each suite, as ``kvbench run --suite`` takes it, and how to make its plan."""
