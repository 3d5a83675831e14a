"""Verdicts as records: what a conformance run found out, for every report and for `kvbench run`.

A verdict is about one clause, by one case. Outcomes that say different things are kept apart: a
deviation that was declared (xfail) is no failure, a declared one that is gone (xpass) is, and what
could not be looked at (unsupported, skipped) is never counted as passed. What several cases say of
one clause is merged by :func:`by_clause`, for the counts and for every report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from kvbench.decoding import decode
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean

SCHEMA = "kvbench-conformance/2"
"""Changes when a reader of the old form would misread the new one."""

EXCHANGES_SHOWN = 8
"""Exchanges in an explanation for a screen: where it went wrong. The JSON has more."""

HEX_CHARS_SHOWN = 96
"""Hex characters of one of them: 32 bytes, and the meaning still fits beside."""


class Outcome(StrEnum):
    """What a case says of a clause; pytest's word where pytest has one. The worst comes first."""

    FAILED = "failed"
    XPASS = "xpass"
    """The profile declares a deviation that is not there: the profile is outdated."""
    ERROR = "error"
    """The suite itself failed: nothing is known about the target."""
    WARNING = "warning"
    """A SHOULD or MAY clause is not kept: reported, and not held against the target."""
    XFAIL = "xfail"
    """Failed as the target's profile says it would, with a reason."""
    SKIPPED = "skipped"
    """Not looked at; the detail says why (a prerequisite failed, the setup failed, Ctrl-C)."""
    PASSED = "passed"
    UNSUPPORTED = "unsupported"
    """The target does not declare a capability that the clause needs."""


class Summary(StrEnum):
    """What all verdicts say of a target; the worst comes first."""

    VIOLATES = "does not conform"
    UNVERIFIED = "not verified"
    """A MUST clause could not be checked, or no clause was."""
    PARTIAL = "partial (subset)"
    """Nothing that was checked is violated, and not every clause was to be checked."""
    DEVIATES = "conforms with deviations"
    """All that is violated is declared in the profile, each with a reason."""
    CONFORMS = "conforms"


CONFORMING = frozenset({Summary.CONFORMS, Summary.DEVIATES})
"""Summaries of a target that keeps what binds it, but for what its profile declares."""

BROKEN = frozenset({Outcome.FAILED, Outcome.WARNING})
"""Outcomes of a clause that is not kept and of which the profile says nothing."""

VIOLATIONS = frozenset({Outcome.FAILED, Outcome.XPASS})
"""Outcomes that make a target not conform."""

UNVERIFIED = frozenset({Outcome.SKIPPED, Outcome.ERROR})
"""Outcomes after which nothing is known about a clause."""


class Exchange(msgspec.Struct, frozen=True):
    """Bytes that crossed a connection.

    Attributes:
        at_ms: milliseconds since the case began.
        connection: which one, ``a`` being the first.
        direction: ``>`` to the target, ``<`` from it, ``!`` an event such as a close.
        hex: the bytes; long ones are cut, and say so in ``decoded``.
        decoded: what they mean, for people.
    """

    at_ms: float
    connection: str
    direction: str
    hex: str
    decoded: str


class Failure(msgspec.Struct, frozen=True):
    """Why a case failed, as far as a person needs it to find the fault.

    Attributes:
        expected: what the clause asks for.
        actual: what came.
        exchanges: the conversation in both directions, the latest last.
        seed: reproduces what was random; empty when nothing was.
        repro: file that plays the conversation again (`kvbench replay`); empty when there is none.
        timeline: a concurrent history as text; empty when there was none.
    """

    expected: str
    actual: str
    exchanges: tuple[Exchange, ...] = ()
    seed: str = ""
    repro: str = ""
    timeline: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """What one case says of one clause.

    Attributes:
        clause: permanent id.
        level: MUST, SHOULD or MAY.
        case: the case's name; empty when no case looked.
        verdict: the outcome.
        detail: one line for people: the reason, or what was expected and came.
        failure: more, when it failed.
    """

    clause: str
    level: str
    case: str
    verdict: Outcome
    detail: str = ""
    failure: Failure | None = None


class TargetVerdicts(msgspec.Struct, frozen=True):
    """All that one run found out about one target.

    Attributes:
        target: its URL or address as given, without passwords.
        suites: ``wire``, ``backend`` or both.
        conforms: True only if every MUST that binds was verified, and nothing is violated but what
            the profile declares.
        summary: what all verdicts say.
        counts: level -> outcome -> number of clauses.
        verdicts: in the order of the ledger.
        facts: product, version and what else the target tells of itself.
        capabilities: what was declared or found.
        elapsed_s: seconds that it took.
        is_interrupted: whether Ctrl-C ended it before all cases had run.
    """

    target: str
    suites: tuple[str, ...]
    conforms: bool
    summary: Summary
    counts: dict[str, dict[str, int]]
    verdicts: tuple[Verdict, ...]
    facts: dict[str, str] = {}
    capabilities: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    is_interrupted: bool = False

    @property
    def headline(self) -> str:
        """The summary, with the number of clauses that deviate as declared."""
        if self.summary is not Summary.DEVIATES:
            return self.summary
        deviating = sum([of_level.get(Outcome.XFAIL, 0) for of_level in self.counts.values()])
        return f"conforms with {deviating} {'deviation' if deviating == 1 else 'deviations'}"


class _Header(msgspec.Struct, frozen=True):
    """What is read of a file first: its other members may be those of another schema."""

    schema: str


class Conformance(msgspec.Struct, frozen=True):
    """A whole run: one or more targets.

    Attributes:
        schema: :data:`SCHEMA`.
        suite_version: version of kvbench.
        started_at: ISO 8601, UTC.
        seed: of all that was random.
        targets: in the order given.
    """

    schema: str
    suite_version: str
    started_at: str
    seed: str
    targets: tuple[TargetVerdicts, ...]


@dataclass(frozen=True, slots=True)
class ClauseVerdict:
    """What all cases say of one clause.

    Attributes:
        clause: permanent id.
        level: MUST, SHOULD or MAY.
        outcome: the worst of theirs.
        verdicts: those that say so; the first explains it.
    """

    clause: str
    level: str
    outcome: Outcome
    verdicts: tuple[Verdict, ...]


def by_clause(verdicts: Iterable[Verdict]) -> dict[str, ClauseVerdict]:
    """What all cases together say of each clause, in the order of the verdicts."""
    groups: dict[str, list[Verdict]] = {}
    for one in verdicts:
        groups.setdefault(one.clause, []).append(one)
    severity = list(Outcome)
    merged: dict[str, ClauseVerdict] = {}
    for clause, found in groups.items():
        worst = min([one.verdict for one in found], key=severity.index)
        same = tuple([one for one in found if one.verdict is worst])
        merged[clause] = ClauseVerdict(clause, found[0].level, worst, same)
    return merged


def judge(
    target: str,
    suites: tuple[str, ...],
    verdicts: tuple[Verdict, ...],
    facts: dict[str, str],
    capabilities: tuple[str, ...],
    elapsed_s: float,
    *,
    is_partial: bool = False,
    is_interrupted: bool = False,
) -> TargetVerdicts:
    """Sum the verdicts up. Every text is made fit to be shown, whatever a target answered.

    A target conforms when nothing is violated and every MUST clause that binds it was verified;
    it is not verified when a MUST clause could not be checked, or none was. ``is_partial``: only
    some clauses were selected.
    """
    counts: dict[str, dict[str, int]] = {}
    for one in by_clause(verdicts).values():
        of_level = counts.setdefault(one.level, {})
        of_level[one.outcome] = of_level.get(one.outcome, 0) + 1
    seen = {outcome for of_level in counts.values() for outcome in of_level}
    if seen & VIOLATIONS:
        summary = Summary.VIOLATES
    elif set(counts.get("MUST", {})) & UNVERIFIED or not seen & {Outcome.PASSED, Outcome.XFAIL}:
        summary = Summary.UNVERIFIED
    elif is_partial:
        summary = Summary.PARTIAL
    elif Outcome.XFAIL in seen:
        summary = Summary.DEVIATES
    else:
        summary = Summary.CONFORMS
    return clean(
        TargetVerdicts(
            target, suites, summary in CONFORMING, summary, counts, verdicts, facts,
            capabilities, elapsed_s, is_interrupted,
        )
    )  # fmt: skip


def explain(
    verdicts: Sequence[Verdict], texts: Mapping[str, str], address: str = "HOST:PORT"
) -> str:
    """What one case found, in full, as plain lines: clauses, what they ask for, what came, and how.

    Args:
        verdicts: of one case and one outcome, at least one; a line for each comes first.
        texts: the sentence of each clause.
        address: where the target listens, for the command that plays a conversation again.
    """
    lines = [f"{one.clause} ({one.level}) {texts.get(one.clause, '')}".rstrip() for one in verdicts]
    verdict = verdicts[0]
    lines.append(f"  {verdict.verdict} in {verdict.case or 'no case'}")
    failure = verdict.failure
    if failure is None:
        return "\n".join([*lines, f"  {verdict.detail}"] if verdict.detail else lines)
    lines += [f"  expected  {failure.expected}", f"  actual    {failure.actual}"]
    if failure.seed:
        lines.append(f"  seed      {failure.seed}")
    if failure.repro:
        lines.append(f"  again     kvbench replay {address} {failure.repro}")
    shown = failure.exchanges[-EXCHANGES_SHOWN:]
    if shown:
        less = len(failure.exchanges) - len(shown)
        lines.append(f"  the last {len(shown)} exchanges:" if less else "  the conversation:")
        lines += [f"    {describe(exchange)}" for exchange in shown]
    if failure.timeline:
        lines += ["  the history:", *[f"    {line}" for line in failure.timeline.splitlines()]]
    return "\n".join(lines)


def describe(exchange: Exchange) -> str:
    """One exchange as a line: time, connection, direction, bytes, meaning."""
    shown = exchange.hex[: HEX_CHARS_SHOWN - 1]
    if len(exchange.hex) > len(shown):
        shown = f"{shown.rpartition(' ')[0]} …"
    parts = (shown, exchange.decoded)
    return f"{exchange.at_ms:9.1f} ms {exchange.connection} {exchange.direction} " + "  ".join(
        [part for part in parts if part]
    )


def read_conformance(path: Path) -> Conformance:
    """Read what ``kvbench check --json`` wrote. Its texts are fit to be shown, whoever wrote it.

    Raises:
        ResultsError: the file cannot be read, is damaged, or is of another schema.
    """
    try:
        content = path.read_bytes()
        schema = decode(msgspec.json.Decoder(_Header).decode, content).schema
        if schema != SCHEMA:
            raise ResultsError(str(path), 0, f"schema {schema!r}; this version reads {SCHEMA!r}")
        return clean(decode(msgspec.json.Decoder(Conformance).decode, content))
    except OSError as error:
        raise ResultsError(str(path), 0, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ResultsError(str(path), 0, f"is no conformance result: {error}") from None
