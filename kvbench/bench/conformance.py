"""Conformance in the benchmark: an operation that does not conform gets no figure.

A cell is withheld if its target failed a MUST clause about the operation, its single counterpart,
or their prerequisites (keys, values, frames): the speed of wrong answers is no result. A deviation
that the target's profile declares does not withhold anything.
"""

from __future__ import annotations

from kvbench.model import BatchOperation
from kvbench.registry import target_url
from kvbench.verdicts import VIOLATIONS, Conformance, TargetVerdicts

_GROUND = frozenset(
    {"FRAME", "PIPE", "STATUS", "KEY", "VALUE", "SET", "GET", "BKEY", "BVAL", "BSET", "BGET"}
)
"""Areas of the ledger that every cell depends on: each stores and reads keys."""

_AREAS = {"delete": "DEL"}
"""Areas of the ledger that are named differently from the backend's method."""


def _path(operation: BatchOperation) -> frozenset[str]:
    """The areas of the ledger for a batch operation and its single counterpart."""
    names = "BATCH", operation.upper(), _AREAS.get(operation.single, operation.single.upper())
    return _GROUND.union(names, [f"B{name}" for name in names])


def verdict_of(conformance: Conformance, target: str) -> TargetVerdicts | None:
    """The verdict of a conformance run on a target; None if it was not checked."""
    return next((one for one in conformance.targets if target_url(one.target) == target), None)


def withheld(verdicts: TargetVerdicts) -> dict[BatchOperation, str]:
    """For each operation that failed a MUST clause, the reason why it gets no figure."""
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
