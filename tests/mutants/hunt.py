"""The wire suite set on a mutant."""

from __future__ import annotations

from dataclasses import replace

from kvbench.conformance.case import Case
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection, selected_cases
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire.cases import first
from kvbench.verdicts import Outcome

from .parts import Edited, Mutant, Part
from .running import running

CAPABILITIES = WIRE.vocabulary
"""What the reference server has; mutants declare the same."""

REPLY_TIMEOUT_S = 1.0
"""Some mutants are silent, and a case should not wait for them as long as for others."""

first.SILENCE_S = 0.03
"""A mutant that speaks unasked does so at once, and every case of every mutant waits for it."""

SEED = "mutants"


class SuiteError(Exception):
    """A case went wrong by itself: nothing is known about the mutant."""


def options(
    *clauses: str, reply_timeout_s: float = REPLY_TIMEOUT_S, is_ground_checked: bool = True
) -> Options:
    """Look at these clauses of the wire suite; at all without any."""
    return Options(
        Selection(suites=frozenset({WIRE}), only=clauses),
        Profile(),
        SEED,
        reply_timeout_s=reply_timeout_s,
        is_ground_checked=is_ground_checked,
    )


def cases_of(clause: str) -> tuple[Case, ...]:
    """The cases that look at a clause, in the order of the suite."""
    return selected_cases([WIRE], options(clause).selection)


def hunt(mutant: Mutant, *, with_prerequisites: bool = True) -> dict[str, str]:
    """Set the suite on a mutant, in a separate process where the codec is edited.

    Args:
        mutant: a wrong server.
        with_prerequisites: run a case's prerequisites first, and the case only if they pass, as
            `kvbench check` does. Many of them wait for a key to expire.

    Returns:
        For each of the mutant's clauses the first case that fails, none for one that lives.

    Raises:
        SuiteError: a case went wrong.
    """
    if issubclass(mutant.part, Edited):
        from .edited import hunt_elsewhere

        return hunt_elsewhere(mutant)
    return hunt_here(mutant, mutant.part, with_prerequisites=with_prerequisites)


def hunt_here(
    mutant: Mutant, part: Part | None, *, with_prerequisites: bool = True
) -> dict[str, str]:
    """As :func:`hunt`, with a server in this process of which ``part`` is replaced."""
    killers: dict[str, str] = {}
    for clause in mutant.clauses:
        # A server for each: some die of the first.
        with running(part) as address:
            # Whether another clause explains the failure is a matter of the table of precision.
            looking = options(is_ground_checked=False)
            runner = Runner(Target(mutant.name, address=address), CAPABILITIES, looking)
            for case in cases_of(clause):
                alone = case if with_prerequisites else replace(case, after=())
                if clause in _failed(runner, alone):
                    killers[clause] = case.name
                    break
    return killers


def _failed(runner: Runner, case: Case) -> set[str]:
    """The clauses that a case accuses."""
    findings = runner.findings(case)
    wrong = next((one for one in findings.values() if one.outcome is Outcome.ERROR), None)
    if wrong is not None:
        raise SuiteError(f"{case.name}: {wrong.detail}")
    return {clause for clause, one in findings.items() if one.outcome is Outcome.FAILED}
