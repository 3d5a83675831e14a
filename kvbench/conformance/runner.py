"""Runs the selected cases against a target, one by one, and sums up the results.

Every case has its own connections, its own key prefix and its own seed, which follows from the
run's seed and the case's name: one case alone runs as it did among all, in any order and in any
process. What a case stands on is looked at first: the first case of each clause that it names as
its ground. When that failed, the case is not run rather than failed. A case that fails is skipped
too when an operation that it used does not work at all (:attr:`CaseContext.grounds
<kvbench.conformance.case.CaseContext.grounds>`): its failure shows nothing else. When the target is
gone, for good, the cases that are left are not run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kvbench.conformance.case import Case, Setting, Suite
from kvbench.conformance.evidence import Finding, Findings, examine, worst
from kvbench.conformance.findings import INTERRUPTED
from kvbench.conformance.profile import Profile, with_deviations
from kvbench.conformance.selection import Selection, ledger, selected_cases
from kvbench.conformance.suites import SUITES, suites_of
from kvbench.conformance.target import Target
from kvbench.conformance.wire.connection import REPLY_TIMEOUT_S
from kvbench.errors import KvError
from kvbench.specs import Clause
from kvbench.verdicts import Outcome, TargetVerdicts, Verdict, judge

BROKEN_AFTER_S = 45.0
"""After so long, times the effort, a run stops that has found more wrong than right.

Whatever a broken server does, its run takes a minute at most: the case that runs then ends as well.
"""

Capabilities = Mapping[Suite, frozenset[str]]
"""What a target can do, by suite: both know the word ``ttl``, and mean different things by it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What all targets of a run share.

    Attributes:
        selection: which clauses.
        profile: what the target declares.
        seed: of everything random.
        effort: multiplies generated examples and rounds; 1 by default.
        reply_timeout_s: how long a wire target may take for one reply.
        repro_directory: where failures that the profile does not declare leave repro files; None
            for no files.
        is_ground_checked: whether a failure counts only where what the case used works at all.
        time_limit_s: no case begins after so long; those that are left have no verdict.
        on_case: called with each case before it runs, with its place and the number of all.
        on_verdicts: called with the verdicts of each case, before the profile has its say.
    """

    selection: Selection
    profile: Profile
    seed: str
    effort: int = 1
    reply_timeout_s: float = REPLY_TIMEOUT_S
    repro_directory: Path | None = None
    is_ground_checked: bool = True
    time_limit_s: float = math.inf
    on_case: Callable[[Case, int, int], None] | None = None
    on_verdicts: Callable[[tuple[Verdict, ...]], None] | None = None


class Runner:
    """Looks at one target, case by case, in any order; at no case twice.

    Args:
        target: opened.
        capabilities: as for :func:`check_target`.
        options: as for :func:`check_target`.

    Attributes:
        capabilities: by suite.
        is_interrupted: whether Ctrl-C ended a case; those that are left are not run.
    """

    def __init__(
        self, target: Target, capabilities: frozenset[str] | Capabilities, options: Options
    ) -> None:
        if isinstance(capabilities, frozenset):
            capabilities = dict.fromkeys(SUITES, capabilities)
        self.capabilities = capabilities
        self._target = target
        self._options = options
        self._found: dict[str, Findings] = {}
        self._explained_ones: set[tuple[str, str]] = set()
        self._stopped = ""
        self._began = time.monotonic()
        self.is_interrupted = False

    def verdicts(self, case: Case) -> tuple[Verdict, ...]:
        """What a case says of each wanted clause, as the clause's level sees it."""
        return tuple(
            [
                _verdict(ledger()[clause], case, finding, self.capabilities[case.suite])
                for clause, finding in self.findings(case).items()
                if self._options.selection.wants(ledger()[clause])
            ]
        )

    def finding(self, case: Case) -> Finding:
        """The worst of what a case gives."""
        return worst(self.findings(case).values())

    def findings(self, case: Case) -> Findings:
        """What a case gives; it runs when it is asked for first, after the cases it stands on."""
        if case.name not in self._found:
            missing = sorted(case.needs - self.capabilities[case.suite])
            reason = "" if missing else self._reason_not_to_run(case)
            if missing:
                found = _of_all(case, Outcome.UNSUPPORTED, f"not declared: {', '.join(missing)}")
            elif reason:
                found = _of_all(case, Outcome.SKIPPED, reason)
            else:
                found = self._explained(case, self._examine(case))
            self._found[case.name] = found
        return self._found[case.name]

    def _reason_not_to_run(self, case: Case) -> str:
        if not self._stopped and self._is_hopeless():
            limit_s = BROKEN_AFTER_S * self._options.effort
            self._stopped = f"after {limit_s:g} s more had failed than passed"
        if not self._stopped:
            first = case.suite.first_cases
            places = {one.name: place for place, one in enumerate(case.suite.cases)}
            failed = []
            for clause in case.after:
                ground = first.get(clause)
                # Base cases stand on each other; what comes first stands alone.
                if ground is None or places[ground.name] >= places.get(case.name, len(places)):
                    continue
                if self.findings(ground)[clause].outcome is Outcome.FAILED:
                    failed.append(clause)
            if failed:
                return _stands_on(failed)
        return self._stopped

    def _explained(self, case: Case, found: Findings) -> Findings:
        """The findings, without failures that show only that something else does not work."""
        if not self._options.is_ground_checked or self._stopped:
            return found
        explained = dict(found)
        for clause, finding in found.items():
            if finding.outcome is Outcome.FAILED:
                broken = self._broken_ground(case, clause, finding.grounds)
                if broken:
                    explained[clause] = Finding(Outcome.SKIPPED, _stands_on([broken]))
                    self._explained_ones.add((case.name, clause))
        return explained

    def _broken_ground(self, case: Case, clause: str, grounds: tuple[str, ...]) -> str:
        """The first of the grounds of a failure that has failed itself; empty when none has.

        Of two cases that others stand on, only the one that comes first can explain the other.
        """
        first = case.suite.first_cases
        places = {one.name: place for place, one in enumerate(case.suite.cases)}
        is_ground = case.name in case.suite.ground_cases
        for ground in grounds:
            proof = first.get(ground)
            if proof is None or proof.name == case.name or ground == clause:
                continue
            if is_ground and places[proof.name] >= places[case.name]:
                continue
            finding = self.findings(proof)[ground]
            if finding.outcome is Outcome.FAILED or (proof.name, ground) in self._explained_ones:
                return ground
        return ""

    def _is_hopeless(self) -> bool:
        """Whether the run has taken long, and found more wrong than right."""
        if time.monotonic() - self._began < BROKEN_AFTER_S * self._options.effort:
            return False
        outcomes = [worst(found.values()).outcome for found in self._found.values()]
        wrong = outcomes.count(Outcome.FAILED) + outcomes.count(Outcome.SKIPPED)
        return wrong > outcomes.count(Outcome.PASSED)

    def _examine(self, case: Case) -> Findings:
        options = self._options
        try:
            setting = Setting(
                self._target,
                self.capabilities[case.suite],
                f"{options.seed}/{case.name}",
                options.effort,
                options.reply_timeout_s,
            )
            found = examine(
                case, setting, None if self._is_declared(case) else options.repro_directory
            )
            if worst(found.values()).outcome is Outcome.FAILED:
                problem = case.suite.why_gone(self._target, options.reply_timeout_s)
                if problem:
                    self._stopped = f"{problem} since {case.name}"
        except KeyboardInterrupt:
            self.is_interrupted = True
            self._stopped = INTERRUPTED
            return _of_all(case, Outcome.SKIPPED, INTERRUPTED)
        return found

    def _is_declared(self, case: Case) -> bool:
        """Whether the profile has a reason for each failure that the case can give."""
        options = self._options
        wanted = [one for one in case.clauses if options.selection.wants(ledger()[one])]
        return all(options.profile.reason(clause) for clause in wanted)


def check_target(
    target: Target,
    capabilities: frozenset[str] | Capabilities,
    options: Options,
    facts: Mapping[str, str] | None = None,
) -> TargetVerdicts:
    """Run the selected cases against an opened target.

    Ctrl-C ends it early: what was found until then is returned, the rest is skipped.

    Args:
        target: opened; closing it is the caller's.
        capabilities: what it can do: for each suite, or the same for both.
        options: what to run, and how.
        facts: what is known of it already, for the record.
    """
    began = time.monotonic()
    runner = Runner(target, capabilities, options)
    suites = tuple([suite for suite in suites_of(target) if suite in options.selection.suites])
    selected = selected_cases(suites, options.selection)
    verdicts: list[Verdict] = []
    left_out = 0
    for place, case in enumerate(selected):
        if time.monotonic() - began >= options.time_limit_s:
            left_out = len(selected) - place
            break
        if options.on_case is not None:
            options.on_case(case, place, len(selected))
        found = runner.verdicts(case)
        if options.on_verdicts is not None:
            options.on_verdicts(found)
        verdicts += found
    place_of = {clause: place for place, clause in enumerate(ledger())}
    verdicts.sort(key=lambda verdict: place_of[verdict.clause])
    return judge(
        target.name,
        tuple([suite.name for suite in suites]),
        with_deviations(verdicts, options.profile),
        {**_facts(target), **(facts or {}), **_left_out(left_out, len(selected))},
        tuple(sorted({word for suite in suites for word in runner.capabilities[suite]})),
        time.monotonic() - began,
        is_partial=options.selection.is_partial,
        is_interrupted=runner.is_interrupted,
    )


def _stands_on(failed: list[str]) -> str:
    return f"it stands on {', '.join(failed)}, which failed"


def _left_out(left_out: int, of: int) -> dict[str, str]:
    return {"out of time": f"{left_out} of {of} cases were left out"} if left_out else {}


def _facts(target: Target) -> dict[str, str]:
    """What the store tells of itself; one that is broken by now tells nothing."""
    try:
        return dict(target.store.describe()) if target.store is not None else {}
    except KvError:
        return {}


def _of_all(case: Case, outcome: Outcome, detail: str) -> Findings:
    return dict.fromkeys(case.clauses, Finding(outcome, detail))


def _verdict(clause: Clause, case: Case, finding: Finding, capabilities: frozenset[str]) -> Verdict:
    """A finding as the clause's level sees it."""
    outcome, detail, failure = finding.outcome, finding.detail, finding.failure
    missing = sorted(set(clause.needs) - capabilities)
    if missing:
        outcome, detail, failure = Outcome.UNSUPPORTED, f"not declared: {missing[0]}", None
    elif outcome is Outcome.FAILED and clause.level != "MUST":
        outcome = Outcome.WARNING
    return Verdict(clause.id, clause.level, case.name, outcome, detail, failure)
