"""Runs the selected cases against a target and sums up what came of it. Nothing here prints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kvbench.conformance.examiner import INTERRUPTED, Capabilities, Examiner, Options
from kvbench.conformance.profile import Profile
from kvbench.conformance.selection import ledger, selected_cases
from kvbench.conformance.targets import Target
from kvbench.errors import KvError
from kvbench.verdicts import Outcome, TargetVerdicts, Verdict, judge


def check_target(
    target: Target,
    capabilities: frozenset[str] | Capabilities,
    options: Options,
    facts: Mapping[str, str] | None = None,
) -> TargetVerdicts:
    """Run the selected cases against an opened target.

    Ctrl-C ends it early: what was found until then is returned, the rest is not-run because
    :data:`INTERRUPTED`.

    Args:
        target: opened; closing it is the caller's.
        capabilities: what it can do: for each suite, or the same for both.
        options: what to run, and how.
        facts: what is known of it already, for the record.
    """
    began = time.monotonic()
    examiner = Examiner(target, capabilities, options)
    suites = tuple([suite for suite in target.suites if suite in options.selection.suites])
    selected = selected_cases(suites, options.selection)
    verdicts: list[Verdict] = []
    for place, case in enumerate(selected):
        if options.on_case is not None:
            options.on_case(case, place, len(selected))
        found = examiner.verdicts(case)
        if options.on_verdicts is not None:
            options.on_verdicts(found)
        verdicts += found
    place_of = {clause: place for place, clause in enumerate(ledger())}
    verdicts.sort(key=lambda verdict: place_of[verdict.clause])
    return judge(
        target.name,
        tuple([suite.value for suite in suites]),
        with_deviations(verdicts, options.profile),
        {**_facts(target), **(facts or {})},
        tuple(sorted({word for suite in suites for word in examiner.capabilities[suite]})),
        time.monotonic() - began,
    )


def was_interrupted(found: TargetVerdicts) -> bool:
    """Whether somebody ended :func:`check_target` early."""
    return any(one.detail == INTERRUPTED for one in found.verdicts)


def with_deviations(verdicts: Iterable[Verdict], profile: Profile) -> tuple[Verdict, ...]:
    """The verdicts in the light of the profile.

    A deviation is known when at least one of the clause's cases fails. It is an unexpected pass
    only when all that ran have passed.
    """
    failures = (Outcome.FAILED, Outcome.OPTIONAL_FAILED)
    verdicts = list(verdicts)
    deviating = {one.clause for one in verdicts if one.verdict in failures}
    mended = []
    for one in verdicts:
        reason = profile.reason(one.clause)
        outcome, detail = one.verdict, one.detail
        if reason and outcome in failures:
            outcome, detail = Outcome.KNOWN, f"{reason} ({one.detail})"
        elif reason and outcome is Outcome.PASSED and one.clause not in deviating:
            outcome, detail = Outcome.UNEXPECTED_PASS, f"passes, but the profile says: {reason}"
        failure = one.failure if outcome in failures else None
        mended.append(Verdict(one.clause, one.level, one.case, outcome, detail, failure))
    return tuple(mended)


def _facts(target: Target) -> dict[str, str]:
    """What the store tells of itself; one that is broken by now tells nothing."""
    try:
        return dict(target.store.describe()) if target.store is not None else {}
    except KvError:
        return {}
