"""Verdicts as records: what a conformance run found out, for every report and for `kvbench run`.

A verdict is about one clause, by one case. Outcomes that say different things are kept apart: a
deviation that was declared (known) is no failure, a declared one that is gone (unexpected-pass) is,
and what could not be looked at (unsupported, not-run) is never counted as passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from kvbench.decoding import decode
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean

SCHEMA = "kvbench-conformance/1"
"""Changes when a reader of the old form would misread the new one."""

EXCHANGES_SHOWN = 8
"""Exchanges in an explanation for a screen: where it went wrong. The JSON has more."""

HEX_CHARS_SHOWN = 96
"""Hex characters of one of them: 32 bytes, and the meaning still fits beside."""


class Outcome(StrEnum):
    """What a case says of a clause."""

    PASSED = "passed"
    FAILED = "failed"
    OPTIONAL_FAILED = "optional-failed"
    """A SHOULD or MAY clause is not kept: told, and not held against the target."""
    UNSUPPORTED = "unsupported"
    """The target does not declare a capability that the clause needs."""
    KNOWN = "known"
    """Failed as the target's profile says it would, with a reason."""
    UNEXPECTED_PASS = "unexpected-pass"
    """The profile declares a deviation that is not there: the profile must be mended."""
    NOT_RUN = "not-run"
    """Not looked at; the detail says why (a dependency failed, the setup failed, no time left)."""
    HARNESS_ERROR = "harness-error"
    """The suite itself failed: nothing is known about the target."""


VIOLATIONS = frozenset({Outcome.FAILED, Outcome.UNEXPECTED_PASS})
"""Outcomes that make a target not conform."""

UNVERIFIED = frozenset({Outcome.NOT_RUN, Outcome.HARNESS_ERROR})
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
        conforms: True only if no clause is violated and every MUST that binds was verified.
        summary: ``conforms``, ``does not conform`` or ``not verified``.
        counts: level -> outcome -> number of clauses.
        verdicts: in the order of the ledger.
        facts: product, version and what else the target tells of itself.
        capabilities: what was declared or found.
        elapsed_s: seconds that it took.
    """

    target: str
    suites: tuple[str, ...]
    conforms: bool
    summary: str
    counts: dict[str, dict[str, int]]
    verdicts: tuple[Verdict, ...]
    facts: dict[str, str] = {}
    capabilities: tuple[str, ...] = ()
    elapsed_s: float = 0.0


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


_SEVERITY = (
    Outcome.FAILED,
    Outcome.UNEXPECTED_PASS,
    Outcome.HARNESS_ERROR,
    Outcome.OPTIONAL_FAILED,
    Outcome.KNOWN,
    Outcome.NOT_RUN,
    Outcome.PASSED,
    Outcome.UNSUPPORTED,
)
"""Worst first: what a clause is worth that several cases looked at."""


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of a clause that several cases looked at: the worst of theirs.

    Raises:
        ValueError: there is none.
    """
    return min(outcomes, key=_SEVERITY.index)


def clause_outcomes(verdicts: Iterable[Verdict]) -> dict[str, Outcome]:
    """The outcome of each clause, in the order of the verdicts."""
    outcomes: dict[str, Outcome] = {}
    for verdict in verdicts:
        before = outcomes.get(verdict.clause)
        outcomes[verdict.clause] = (
            verdict.verdict if before is None else worst((before, verdict.verdict))
        )
    return outcomes


def judge(
    target: str,
    suites: tuple[str, ...],
    verdicts: tuple[Verdict, ...],
    facts: dict[str, str],
    capabilities: tuple[str, ...],
    elapsed_s: float,
) -> TargetVerdicts:
    """Sum the verdicts up. Every text is made fit to be shown, whatever a target answered.

    A target conforms when nothing is violated and every MUST clause that binds it was verified;
    it is not verified when a MUST clause could not be looked at, or none was.
    """
    levels = {verdict.clause: verdict.level for verdict in verdicts}
    counts: dict[str, dict[str, int]] = {}
    for clause, outcome in clause_outcomes(verdicts).items():
        of_level = counts.setdefault(levels[clause], {})
        of_level[outcome] = of_level.get(outcome, 0) + 1
    seen = {outcome for of_level in counts.values() for outcome in of_level}
    of_must = set(counts.get("MUST", {}))
    if seen & VIOLATIONS:
        summary = "does not conform"
    elif of_must & UNVERIFIED or not seen & {Outcome.PASSED, Outcome.KNOWN}:
        summary = "not verified"
    else:
        summary = "conforms"
    return clean(
        TargetVerdicts(
            target, suites, summary == "conforms", summary, counts, verdicts, facts, capabilities,
            elapsed_s,
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
        found = clean(decode(msgspec.json.Decoder(Conformance).decode, path.read_bytes()))
    except OSError as error:
        raise ResultsError(str(path), 0, f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ResultsError(str(path), 0, f"is no conformance result: {error}") from None
    if found.schema != SCHEMA:
        raise ResultsError(str(path), 0, f"schema {found.schema!r}; this version reads {SCHEMA!r}")
    return found
