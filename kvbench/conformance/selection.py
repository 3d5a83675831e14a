"""All cases, and which of them and of the clauses a run looks at."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import kvbench.conformance.backend.cases
import kvbench.conformance.wire.cases  # noqa: F401 - registers the cases
from kvbench.conformance.case import Case, Suite, registered
from kvbench.specs import Clause, clauses

_PARTY = {Suite.WIRE: "server", Suite.BACKEND: "backend"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which clauses to look at.

    Attributes:
        suites: wire, backend or both.
        only: shell patterns of clause ids; empty takes all.
        levels: MUST, SHOULD, MAY.
    """

    suites: frozenset[Suite] = frozenset(Suite)
    only: tuple[str, ...] = ()
    levels: frozenset[str] = frozenset({"MUST", "SHOULD", "MAY"})

    def wants(self, clause: Clause) -> bool:
        """Whether a clause is to be looked at."""
        if clause.level not in self.levels or clause.party not in map(_PARTY.get, self.suites):
            return False
        return not self.only or any(fnmatch.fnmatch(clause.id, one) for one in self.only)


@cache
def ledger() -> dict[str, Clause]:
    """Every clause by its id, in order."""
    return {clause.id: clause for clause in clauses()}


@cache
def cases(suite: Suite) -> tuple[Case, ...]:
    """Every case of a suite in the order of running. Cases that others need come first."""
    return registered(suite)


def selected_cases(suites: Iterable[Suite], selection: Selection) -> tuple[Case, ...]:
    """The cases that look at a wanted clause, in the order of the suites."""
    return tuple(
        [
            case
            for suite in suites
            if suite in selection.suites
            for case in cases(suite)
            if any(selection.wants(ledger()[clause]) for clause in case.clauses)
        ]
    )


@cache
def first_cases(suite: Suite) -> dict[str, Case]:
    """For each clause the first case that checks it: the one that proves it for others."""
    first: dict[str, Case] = {}
    for case in cases(suite):
        for clause in case.clauses:
            first.setdefault(clause, case)
    return first
