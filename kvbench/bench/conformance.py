"""What conformance means for a benchmark: no figure for a path that does not keep its promises.

A cell is withheld when a MUST clause about its operation, about its single twin, or about what both
stand on (keys, values, frames) has failed for its target: how fast a wrong answer comes is no
figure. A deviation that the target's profile declares withholds nothing.
"""

from __future__ import annotations

from kvbench.model import BatchOperation
from kvbench.registry import target_url
from kvbench.verdicts import VIOLATIONS, Conformance, TargetVerdicts

_GROUND = frozenset(
    {"FRAME", "PIPE", "STATUS", "KEY", "VALUE", "SET", "GET", "BKEY", "BVAL", "BSET", "BGET"}
)
"""Areas of the ledger that every cell stands on: each fills the store and looks at its keys."""

_AREAS = {"delete": "DEL"}
"""Areas of the ledger that are not named like the backend's method."""


def _path(operation: BatchOperation) -> frozenset[str]:
    """The areas of the ledger that a batch operation and its single twin stand on."""
    names = "BATCH", operation.upper(), _AREAS.get(operation.single, operation.single.upper())
    return _GROUND.union(names, [f"B{name}" for name in names])


def verdict_of(conformance: Conformance, target: str) -> TargetVerdicts | None:
    """What a conformance run says of a target; None when it did not look at it."""
    return next((one for one in conformance.targets if target_url(one.target) == target), None)


def withheld(verdicts: TargetVerdicts) -> dict[BatchOperation, str]:
    """For each operation whose path failed a MUST clause, why it gets no figure."""
    reasons: dict[BatchOperation, str] = {}
    for operation in BatchOperation:
        path = _path(operation)
        failed = [
            verdict
            for verdict in verdicts.verdicts
            if verdict.level == "MUST"
            and verdict.verdict in VIOLATIONS
            and verdict.clause.partition("-")[0] in path
        ]
        if failed:
            clauses = ", ".join(dict.fromkeys([verdict.clause for verdict in failed]))
            reasons[operation] = f"does not conform: {clauses} failed ({failed[0].detail})"
    return reasons
