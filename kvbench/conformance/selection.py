"""Which clauses and cases a run looks at."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from kvbench.conformance.case import Case, Suite
from kvbench.conformance.suites import SUITES
from kvbench.specs import Clause, clauses, vectors

LEVELS = frozenset({"MUST", "SHOULD", "MAY"})


_LARGE_CASES = frozenset(
    {
        "wire.vector.largest-batch",
        "wire.connections.silence_before_a_request",
        "backend.batches.a_hundred_thousand_keys",
        "backend.pipelines.large_values",
        "backend.pipelines.none_and_many",
        "backend.values.values_without_an_end",
    }
)
"""Each takes longer than dozens of others."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which clauses to look at.

    Attributes:
        suites: wire, backend or both.
        only: shell patterns of clause ids; empty takes all.
        levels: MUST, SHOULD, MAY.
        is_quick: of the cases only the first of each clause, those that take long last.
    """

    suites: frozenset[Suite] = frozenset(SUITES)
    only: tuple[str, ...] = ()
    levels: frozenset[str] = LEVELS
    is_quick: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether it leaves out clauses of its suites."""
        return self.is_quick or bool(self.only) or self.levels != LEVELS

    def wants(self, clause: Clause) -> bool:
        """Whether a clause is to be looked at."""
        parties = [suite.party for suite in self.suites]
        if clause.level not in self.levels or clause.party not in parties:
            return False
        return not self.only or any(fnmatch.fnmatch(clause.id, one) for one in self.only)


@cache
def ledger() -> dict[str, Clause]:
    """Every clause by its id, in order."""
    return {clause.id: clause for clause in clauses()}


def selected_cases(suites: Iterable[Suite], selection: Selection) -> tuple[Case, ...]:
    """The cases that look at a wanted clause, in the order of the suites."""
    found = [
        case
        for suite in suites
        if suite in selection.suites
        for case in suite.cases
        if any(selection.wants(ledger()[clause]) for clause in case.clauses)
    ]
    if selection.is_quick:
        found = [case for case in found if _is_first(case, selection)]
        found.sort(key=lambda case: case.name in _slow_cases())
    return tuple(found)


def _is_first(case: Case, selection: Selection) -> bool:
    """Whether no case before it looks at one of its wanted clauses."""
    first = case.suite.first_cases
    return any(first[one] is case for one in case.clauses if selection.wants(ledger()[one]))


@cache
def _slow_cases() -> frozenset[str]:
    """Cases that wait, and :data:`_LARGE_CASES`."""
    waiting = [one.id for one in vectors() if any(step.wait_ms for step in one.steps)]
    return _LARGE_CASES.union([f"wire.vector.{name}" for name in waiting])
