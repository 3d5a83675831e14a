"""What conformance means for a benchmark: no figure for a path that does not keep its promises.

A cell is withheld when a MUST clause about its operation, about its single twin, or about what both
stand on (keys, values, frames) has failed for its target: how fast a wrong answer comes is no
figure. A deviation that the target's profile declares withholds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from kvbench.bench.plan import Operation
from kvbench.registry import target_url
from kvbench.verdicts import VIOLATIONS, Conformance, TargetVerdicts

_GROUND = frozenset(
    {"FRAME", "PIPE", "STATUS", "KEY", "VALUE", "SET", "GET", "BKEY", "BVAL", "BSET", "BGET"}
)
"""Areas of the ledger that every cell stands on: each fills the store and looks at its keys."""

_PATHS: Mapping[Operation, frozenset[str]] = {
    Operation.MGET: frozenset({"MGET", "BATCH", "BMGET", "BBATCH"}),
    Operation.MSET: frozenset({"MSET", "BATCH", "BMSET", "BBATCH"}),
    Operation.MDEL: frozenset({"DEL", "MDEL", "BATCH", "BDEL", "BMDEL", "BBATCH"}),
    Operation.MEXISTS: frozenset({"EXISTS", "MEXISTS", "BATCH", "BEXISTS", "BMEXISTS", "BBATCH"}),
}


def verdict_of(conformance: Conformance, target: str) -> TargetVerdicts | None:
    """What a conformance run says of a target; None when it did not look at it."""
    return next((one for one in conformance.targets if target_url(one.target) == target), None)


def withheld(verdicts: TargetVerdicts) -> dict[Operation, str]:
    """For each operation whose path failed a MUST clause, why it gets no figure."""
    reasons: dict[Operation, str] = {}
    for operation, path in _PATHS.items():
        failed = [
            verdict
            for verdict in verdicts.verdicts
            if verdict.level == "MUST"
            and verdict.verdict in VIOLATIONS
            and verdict.clause.partition("-")[0] in _GROUND | path
        ]
        if failed:
            clauses = ", ".join(dict.fromkeys([verdict.clause for verdict in failed]))
            reasons[operation] = f"does not conform: {clauses} failed ({failed[0].detail})"
    return reasons
