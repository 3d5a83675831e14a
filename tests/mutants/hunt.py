"""The wire suite set on a mutant."""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.conformance.case import Suite
from kvbench.conformance.examiner import Examiner, Options
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import check_target
from kvbench.conformance.selection import Selection, ledger, selected_cases
from kvbench.conformance.targets import Target
from kvbench.protocol.opcodes import Opcode
from kvbench.verdicts import Outcome, Verdict

from .parts import Mutant
from .running import running

CORE = {"get", "set", "del", "exists", "ping", "info"}
CAPABILITIES = frozenset({opcode.name.lower() for opcode in Opcode} - CORE | {"atomic-batch"})
"""What the reference server has; mutants declare the same."""

REPLY_TIMEOUT_S = 1.0
"""Some mutants are silent, and a case should not wait for them as long as for others."""

VIOLATED = (Outcome.FAILED, Outcome.OPTIONAL_FAILED)
SEED = "mutants"


@dataclass(frozen=True, slots=True)
class Kill:
    """What came of a hunt.

    Attributes:
        killers: clause -> the cases of it that failed.
        errors: what went wrong in the suite itself.
    """

    killers: dict[str, list[str]]
    errors: list[str]


def options(*clauses: str, reply_timeout_s: float = REPLY_TIMEOUT_S) -> Options:
    """Look at these clauses of the wire suite; at all without any."""
    selection = Selection(suites=frozenset({Suite.WIRE}), only=clauses)
    return Options(selection, Profile(), SEED, reply_timeout_s=reply_timeout_s)


def hunt_by_own_clauses(mutant: Mutant) -> Kill:
    """Run the cases of the mutant's clauses, each clause's until one fails."""
    killers: dict[str, list[str]] = {}
    errors: list[str] = []
    with running(mutant.part) as address:
        target = Target(mutant.name, address=address)
        examiner = Examiner(target, CAPABILITIES, options())
        for clause in mutant.clauses:
            for case in selected_cases([Suite.WIRE], options(clause).selection):
                outcome = examiner.finding(case).outcome
                if outcome is Outcome.HARNESS_ERROR:
                    errors.append(f"{case.name}: {examiner.finding(case).detail}")
                if outcome is Outcome.FAILED:
                    killers[clause] = [case.name]
                    break
    return Kill(killers, errors)


def hunt_by_all(mutant: Mutant) -> Kill:
    """Run every case of the suite."""
    with running(mutant.part) as address:
        target = Target(mutant.name, address=address)
        found = check_target(target, CAPABILITIES, options())
    return Kill(_killers(found.verdicts), _errors(found.verdicts))


def _killers(verdicts: tuple[Verdict, ...]) -> dict[str, list[str]]:
    killers: dict[str, list[str]] = {}
    for one in verdicts:
        if one.verdict in VIOLATED:
            killers.setdefault(one.clause, []).append(one.case)
    return {clause: killers[clause] for clause in ledger() if clause in killers}


def _errors(verdicts: tuple[Verdict, ...]) -> list[str]:
    bad = [one for one in verdicts if one.verdict is Outcome.HARNESS_ERROR]
    return [f"{one.case}: {one.detail}" for one in bad]
