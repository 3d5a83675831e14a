"""Runs one case, and says the result for each clause.

A clause fails only on evidence for it. What a case raises counts against the clauses that it names,
else against all of the case; a case that came past evidence of a clause which is not its own says
nothing about its clauses: they are skipped, with that as the reason.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Never, cast

from kvbench.backend import BackendDescription
from kvbench.conformance.case import Case, CaseContext, Setting
from kvbench.conformance.findings import (
    CaseFailed,
    DoesNotApply,
    SetupFailed,
    SeveralFindings,
    TargetLost,
)
from kvbench.conformance.isolation import ForeignKeyError
from kvbench.errors import KvError
from kvbench.verdicts import Failure, Outcome


@dataclass(frozen=True, slots=True)
class Finding:
    """What running one case gave, before levels and profile: for a clause, or the worst of all.

    Attributes:
        outcome: of the case.
        detail: one line on it.
        failure: what a failure is reported with.
        grounds: the clauses without which the failure shows nothing.
    """

    outcome: Outcome
    detail: str = ""
    failure: Failure | None = None
    grounds: tuple[str, ...] = ()


Findings = dict[str, Finding]
"""By clause: those of the case, and others of which it saw evidence."""


def worst(findings: Iterable[Finding]) -> Finding:
    """The finding that says the worst of a case."""
    severity = list(Outcome)
    return min(findings, key=lambda one: severity.index(one.outcome))


def examine(case: Case, setting: Setting, repro_directory: Path | None) -> Findings:
    """Run a case in a new context.

    Args:
        case: any.
        setting: what its context is made from.
        repro_directory: where a failure leaves a repro file; None for no file.
    """
    context = case.suite.context(setting)
    try:
        with context:
            case.run(cast(Never, context))  # The cases of a suite take its context.
    except CaseFailed as error:
        raised = [(error.clauses, error)]
        return _findings(case, raised, _Record(case, setting, context, repro_directory))
    except SeveralFindings as error:
        return _findings(case, error.findings, _Record(case, setting, context, repro_directory))
    except SetupFailed as error:
        return dict.fromkeys(case.clauses, Finding(Outcome.SKIPPED, str(error)))
    except DoesNotApply as error:
        return dict.fromkeys(case.clauses, Finding(Outcome.UNSUPPORTED, str(error)))
    except ForeignKeyError as error:
        finding = Finding(Outcome.ERROR, f"{error}; nothing was sent")
        return dict.fromkeys(case.clauses, finding)
    except (KvError, OSError) as error:
        clauses = case.suite.evidence(error)
        broken = CaseFailed("an answer", f"{type(error).__name__}: {error}", clauses=clauses)
        raised = [(clauses, broken)]
        return _findings(case, raised, _Record(case, setting, context, repro_directory))
    except Exception as error:  # noqa: BLE001 - a fault of the suite must not end the run
        place = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
        if _began_in_a_backend(error):
            clauses = case.suite.evidence(error)
            broken = CaseFailed("an answer or a KvError", detail, clauses=clauses)
            raised = [(clauses, broken)]
            return _findings(case, raised, _Record(case, setting, context, repro_directory))
        return dict.fromkeys(case.clauses, Finding(Outcome.ERROR, detail))
    return dict.fromkeys(case.clauses, Finding(Outcome.PASSED))


@dataclass(frozen=True, slots=True)
class _Record:
    """What a failure is reported with."""

    case: Case
    setting: Setting
    context: CaseContext
    repro_directory: Path | None

    def failed(self, error: CaseFailed) -> Finding:
        repro, case, target = "", self.case, self.setting.target.name
        if self.repro_directory is not None:
            repro = case.suite.write_repro(self.repro_directory, target, case, self.context, error)
        failure = Failure(
            expected=error.expected,
            actual=error.actual,
            exchanges=self.context.exchanges,
            seed=error.seed or self.setting.seed.rpartition("/")[0],
            repro=repro,
            timeline=error.timeline,
            traits=self.context.traits(error),
        )
        return Finding(Outcome.FAILED, str(error), failure, self._grounds(error))

    def _grounds(self, error: CaseFailed) -> tuple[str, ...]:
        if error.clauses or isinstance(error, TargetLost):
            # It shows what it names; and a target that is gone needs no more evidence.
            return error.stands_on
        grounds = self.context.grounds if error.grounds is None else error.grounds
        return (*error.stands_on, *grounds)


def _findings(
    case: Case,
    raised: Iterable[tuple[tuple[str, ...], CaseFailed | SetupFailed | DoesNotApply]],
    record: _Record,
) -> Findings:
    """What was raised, by clause; the worst where several are about one."""
    findings: Findings = {}
    foreign, number = "", 0
    for clauses, error in raised:
        if isinstance(error, CaseFailed):
            error.number, number = number, number + 1
            finding = record.failed(error)
            clauses = error.clauses or clauses
        elif isinstance(error, SetupFailed):
            finding = Finding(Outcome.SKIPPED, str(error))
        else:
            finding = Finding(Outcome.UNSUPPORTED, str(error))
        for clause in clauses or case.clauses:
            findings[clause] = worst([finding, *filter(None, [findings.get(clause)])])
            if clause not in case.clauses:
                foreign = f"{clause} was not kept: {error}"
    others = Finding(Outcome.SKIPPED, foreign) if foreign else Finding(Outcome.PASSED)
    return {clause: findings.pop(clause, others) for clause in case.clauses} | findings


def _began_in_a_backend(error: Exception) -> bool:
    """Whether a method of a backend raised it, or let it pass."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(isinstance(frame.f_locals.get("self"), BackendDescription) for frame, _ in frames)
