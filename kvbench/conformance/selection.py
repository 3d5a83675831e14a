"""Which clauses and cases a run looks at."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from kvbench.conformance.case import Case, Suite
from kvbench.conformance.suites import SUITES
from kvbench.specs import Clause, clauses

LEVELS = frozenset({"MUST", "SHOULD", "MAY"})


@dataclass(frozen=True, slots=True)
class Selection:
    """Which clauses to look at.

    Attributes:
        suites: wire, backend or both.
        only: shell patterns of clause ids; empty takes all.
        levels: MUST, SHOULD, MAY.
    """

    suites: frozenset[Suite] = frozenset(SUITES)
    only: tuple[str, ...] = ()
    levels: frozenset[str] = LEVELS

    @property
    def is_partial(self) -> bool:
        """Whether it leaves out clauses of its suites."""
        return bool(self.only) or self.levels != LEVELS

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
    return tuple(
        [
            case
            for suite in suites
            if suite in selection.suites
            for case in suite.cases
            if any(selection.wants(ledger()[clause]) for clause in case.clauses)
        ]
    )
