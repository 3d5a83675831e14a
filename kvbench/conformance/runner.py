"""Runs cases against a target and says what came of it.

The order is the suite's: what later cases stand on comes first, and a case whose ground has failed
is not run rather than failed. Every case has its own connections, its own key prefix and its own
seed, which follows from the run's seed and the case's name: one case alone runs as it did among
all. Nothing here prints.
"""

from __future__ import annotations

import fnmatch
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kvbench.backend import BackendDescription
from kvbench.conformance.case import Case, CaseFailed, DoesNotApply, SetupFailed, Suite, cases
from kvbench.conformance.profile import Profile
from kvbench.conformance.store import StoreContext
from kvbench.conformance.targets import Target
from kvbench.conformance.transcript import exchanges
from kvbench.conformance.wire import Moment, WireContext
from kvbench.errors import KvError
from kvbench.specs import Clause, clauses
from kvbench.verdicts import Failure, Outcome, TargetVerdicts, Verdict, judge

Reproduce = Callable[[Case, tuple[Moment, ...], CaseFailed], str]
"""Writes a file that plays a failed conversation again; returns its path."""


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
        if clause.level not in self.levels:
            return False
        return not self.only or any(fnmatch.fnmatch(clause.id, one) for one in self.only)


@dataclass(frozen=True, slots=True)
class Finding:
    """What running one case gave: an outcome for all of its clauses, before levels and profile."""

    outcome: Outcome
    detail: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What all targets of a run share.

    Attributes:
        selection: which clauses.
        profile: what the target declares.
        seed: of everything random.
        effort: multiplies generated examples and rounds; 1 by default.
        reproduce: writes repro files; None writes none.
        on_case: told of each case before it runs, with its place and the number of all.
    """

    selection: Selection
    profile: Profile
    seed: str
    effort: int = 1
    reproduce: Reproduce | None = None
    on_case: Callable[[Case, int, int], None] | None = None


def check_target(target: Target, capabilities: frozenset[str], options: Options) -> TargetVerdicts:
    """Run the selected cases against an opened target.

    Args:
        target: opened; closing it is the caller's.
        capabilities: what it declares, for both suites.
        options: what to run, and how.
    """
    began = time.monotonic()
    ledger = {clause.id: clause for clause in clauses()}
    suites = tuple([suite for suite in target.suites if suite in options.selection.suites])
    selected = [case for suite in suites for case in cases(suite)]
    selected = [
        case
        for case in selected
        if any(options.selection.wants(ledger[clause]) for clause in case.clauses)
    ]
    verdicts: list[Verdict] = []
    failed: set[str] = set()
    for place, case in enumerate(selected):
        if options.on_case is not None:
            options.on_case(case, place, len(selected))
        finding = _look(target, case, capabilities, failed, options)
        if finding.outcome is Outcome.FAILED:
            failed.update(case.clauses)
        wanted = [ledger[clause] for clause in case.clauses]
        verdicts += [
            _verdict(clause, case, finding, capabilities)
            for clause in wanted
            if options.selection.wants(clause)
        ]
    order = list(ledger)
    verdicts.sort(key=lambda verdict: order.index(verdict.clause))
    facts = dict(target.store.describe()) if target.store is not None else {}
    return judge(
        target.name,
        tuple([suite.value for suite in suites]),
        tuple(_with_deviations(verdicts, options.profile)),
        facts,
        tuple(sorted(capabilities)),
        time.monotonic() - began,
    )


def _look(
    target: Target,
    case: Case,
    capabilities: frozenset[str],
    failed: set[str],
    options: Options,
) -> Finding:
    missing = sorted(case.needs - capabilities)
    if missing:
        return Finding(Outcome.UNSUPPORTED, f"not declared: {', '.join(missing)}")
    ground = [clause for clause in case.after if clause in failed]
    if ground:
        return Finding(Outcome.NOT_RUN, f"it stands on {', '.join(ground)}, which failed")
    seed = f"{options.seed}/{case.name}"
    moments: list[Moment] = []
    try:
        _run(target, case, capabilities, seed, options.effort, moments)
    except CaseFailed as error:
        return _failed(case, error, moments, options)
    except SetupFailed as error:
        return Finding(Outcome.NOT_RUN, str(error))
    except DoesNotApply as error:
        return Finding(Outcome.UNSUPPORTED, str(error))
    except (KvError, OSError) as error:
        broken = CaseFailed("an answer", f"{type(error).__name__}: {error}")
        return _failed(case, broken, moments, options)
    except Exception as error:  # noqa: BLE001 - a fault of the suite must not end the run
        place = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        if _began_in_a_backend(error):
            return _failed(case, CaseFailed("an answer or a KvError", detail), moments, options)
        return Finding(Outcome.HARNESS_ERROR, detail)
    return Finding(Outcome.PASSED)


def _run(
    target: Target,
    case: Case,
    capabilities: frozenset[str],
    seed: str,
    effort: int,
    moments: list[Moment],
) -> None:
    """Run one case in a context of its own; ``moments`` gets the conversation."""
    if case.suite is Suite.WIRE:
        assert target.address is not None
        host, port = target.address
        wire = WireContext(host, port, capabilities=capabilities, seed=seed, effort=effort)
        wire.moments = moments
        with wire:
            case.run(wire)  # type: ignore[arg-type]  # a wire case takes a WireContext
    else:
        assert target.store is not None
        with StoreContext(
            target.store,
            target.another_store,
            capabilities=capabilities,
            seed=seed,
            effort=effort,
            clock=target.clock,
        ) as store:
            case.run(store)  # type: ignore[arg-type]  # a backend case takes a StoreContext


def _failed(case: Case, error: CaseFailed, moments: list[Moment], options: Options) -> Finding:
    repro = ""
    if options.reproduce is not None and moments:
        repro = options.reproduce(case, tuple(moments), error)
    failure = Failure(
        expected=error.expected,
        actual=error.actual,
        exchanges=exchanges(moments),
        seed=error.seed or options.seed,
        repro=repro,
        timeline=error.timeline,
    )
    return Finding(Outcome.FAILED, str(error), failure)


def _began_in_a_backend(error: Exception) -> bool:
    """Whether a method of a backend raised it, or let it pass."""
    frames = traceback.walk_tb(error.__traceback__)
    return any(isinstance(frame.f_locals.get("self"), BackendDescription) for frame, _ in frames)


def _verdict(clause: Clause, case: Case, finding: Finding, capabilities: frozenset[str]) -> Verdict:
    """A finding as the clause's level sees it."""
    outcome, detail, failure = finding.outcome, finding.detail, finding.failure
    missing = sorted(set(clause.needs) - capabilities)
    if missing:
        outcome, detail, failure = Outcome.UNSUPPORTED, f"not declared: {missing[0]}", None
    elif outcome is Outcome.FAILED and clause.level != "MUST":
        outcome = Outcome.OPTIONAL_FAILED
    return Verdict(clause.id, clause.level, case.name, outcome, detail, failure)


def _with_deviations(verdicts: Iterable[Verdict], profile: Profile) -> Iterable[Verdict]:
    """The verdicts in the light of the profile.

    A deviation is known when at least one of the clause's cases fails. It is an unexpected pass
    only when all that ran have passed.
    """
    failures = (Outcome.FAILED, Outcome.OPTIONAL_FAILED)
    verdicts = list(verdicts)
    deviating = {one.clause for one in verdicts if one.verdict in failures}
    for one in verdicts:
        reason = profile.reason(one.clause)
        if reason and one.verdict in failures:
            yield Verdict(
                one.clause, one.level, one.case, Outcome.KNOWN, f"{reason} ({one.detail})"
            )
        elif reason and one.verdict is Outcome.PASSED and one.clause not in deviating:
            detail = f"passes, but the profile says: {reason}"
            yield Verdict(one.clause, one.level, one.case, Outcome.UNEXPECTED_PASS, detail)
        else:
            yield one
