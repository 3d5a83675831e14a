"""The wire suite set on a mutant."""

from __future__ import annotations

from kvbench.conformance.case import Case
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection, selected_cases
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.protocol.opcodes import Opcode
from kvbench.verdicts import Outcome

from .parts import Mutant
from .running import running

CORE = {"get", "set", "del", "exists", "ping", "info"}
CAPABILITIES = frozenset({opcode.name.lower() for opcode in Opcode} - CORE | {"atomic-batch"})
"""What the reference server has; mutants declare the same."""

REPLY_TIMEOUT_S = 1.0
"""Some mutants are silent, and a case should not wait for them as long as for others."""

SLOW_AREAS = ("wire.walks.", "wire.generated.", "wire.damage.", "wire.concurrency.")
"""Cases that draw many examples; against everything, each mutant would take a minute."""

SEED = "mutants"


class SuiteError(Exception):
    """A case went wrong by itself: nothing is known about the mutant."""


def options(*clauses: str, reply_timeout_s: float = REPLY_TIMEOUT_S) -> Options:
    """Look at these clauses of the wire suite; at all without any."""
    selection = Selection(suites=frozenset({WIRE}), only=clauses)
    return Options(selection, Profile(), SEED, reply_timeout_s=reply_timeout_s)


def cases_of(clause: str) -> tuple[Case, ...]:
    """The cases that look at a clause, in the order of the suite."""
    return selected_cases([WIRE], options(clause).selection)


def killers_of(mutant: Mutant) -> dict[str, str]:
    """For each of the mutant's clauses the first case that fails; a clause without one lives.

    Raises:
        SuiteError: a case went wrong.
    """
    killers: dict[str, str] = {}
    for clause in mutant.clauses:
        # A server for each: some die of the first.
        with running(mutant.part) as address:
            examiner = Runner(Target(mutant.name, address=address), CAPABILITIES, options())
            for case in cases_of(clause):
                if _fails(examiner, case):
                    killers[clause] = case.name
                    break
    return killers


def noticed_by(mutant: Mutant) -> list[str]:
    """The clauses of which a case fails, whosever they are; slow cases are left out.

    Raises:
        SuiteError: a case went wrong.
    """
    failed: set[str] = set()
    with running(mutant.part) as address:
        examiner = Runner(Target(mutant.name, address=address), CAPABILITIES, options())
        for case in WIRE.cases:
            if not case.name.startswith(SLOW_AREAS) and _fails(examiner, case):
                failed.update(case.clauses)
    return sorted(failed)


def _fails(examiner: Runner, case: Case) -> bool:
    finding = examiner.finding(case)
    if finding.outcome is Outcome.ERROR:
        raise SuiteError(f"{case.name}: {finding.detail}")
    return finding.outcome is Outcome.FAILED
