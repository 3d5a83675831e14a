"""Verdicts as records: the results of a conformance run, for every report and for `kvbench run`.

A verdict is about one clause, by one case. Different outcomes are kept apart: a declared deviation
(xfail) is not a failure, a declared one that no longer occurs (xpass) is, and what could not be
checked (unsupported, skipped) never counts as passed. :func:`by_clause` merges the verdicts of
several cases on a clause, for the counts and for every report.
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
"""Exchanges shown on a screen in an explanation: the last ones. The JSON has more."""

HEX_CHARS_SHOWN = 96
"""Hex characters shown of one of them: 32 bytes, so that the meaning fits next to it."""


ARROWS = {">": "→", "<": "←", "!": "·"}
"""How the directions of an exchange are shown: to the target, from it, and other events."""


class Outcome(StrEnum):
    """The outcome of a case for a clause; pytest's word if there is one. The worst comes first."""

    FAILED = "failed"
    XPASS = "xpass"
    """The profile declares a deviation that does not occur: the profile is outdated."""
    ERROR = "error"
    """The suite itself failed: nothing is known about the target."""
    WARNING = "warning"
    """A SHOULD or MAY clause is not kept: reported, but the target still conforms."""
    XFAIL = "xfail"
    """Failed as the target's profile says it would, with a reason."""
    SKIPPED = "skipped"
    """Not checked; the detail says why (a prerequisite failed, the setup failed, Ctrl-C)."""
    PASSED = "passed"
    UNSUPPORTED = "unsupported"
    """The target does not declare a capability that the clause needs."""


class Summary(StrEnum):
    """The overall result of a target; the worst comes first."""

    VIOLATES = "does not conform"
    UNVERIFIED = "not verified"
    """A MUST clause could not be checked, or no clause was."""
    PARTIAL = "partial (subset)"
    """Nothing that was checked is violated, and not every clause was to be checked."""
    DEVIATES = "conforms with deviations"
    """All that is violated is declared in the profile, each with a reason."""
    CONFORMS = "conforms"


CONFORMING = frozenset({Summary.CONFORMS, Summary.DEVIATES})
"""Summaries of a target that keeps every applicable clause, except declared deviations."""

BROKEN = frozenset({Outcome.FAILED, Outcome.WARNING})
"""Outcomes of a clause that is not kept and not declared in the profile."""

VIOLATIONS = frozenset({Outcome.FAILED, Outcome.XPASS})
"""Outcomes with which a target does not conform."""

UNVERIFIED = frozenset({Outcome.SKIPPED, Outcome.ERROR})
"""Outcomes after which nothing is known about a clause."""


class Exchange(msgspec.Struct, frozen=True):
    """Bytes sent or received on a connection.

    Attributes:
        at_ms: milliseconds since the case began.
        connection: which one; ``a`` is the first.
        direction: ``>`` to the target, ``<`` from it, ``!`` an event such as a close.
        hex: the bytes; long ones are shortened, with a note in ``decoded``.
        decoded: their meaning, for people.
    """

    at_ms: float
    connection: str
    direction: str
    hex: str
    decoded: str


class Traits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a failure may share with others that have the same cause.

    Attributes:
        operation: of the request with the wrong answer; empty if no single request had one.
        refusal: the target's own message, if it refused.
        ending: ``closed`` or ``silent``, if no answer came; ``ended`` or ``stopped``, if the server
            was lost.
        types: of the values in that request.
    """

    operation: str = ""
    refusal: str = ""
    ending: str = ""
    types: tuple[str, ...] = ()


class Failure(msgspec.Struct, frozen=True):
    """Why a case failed: the information needed to find the fault.

    Attributes:
        expected: what the clause requires.
        actual: the target's behaviour.
        exchanges: the conversation in both directions, the latest last.
        seed: reproduces random choices; empty if there were none.
        repro: file for `kvbench replay`; empty if there is none.
        timeline: a concurrent history as text; empty if there was none.
        traits: what it may share with other failures.
    """

    expected: str
    actual: str
    exchanges: tuple[Exchange, ...] = ()
    seed: str = ""
    repro: str = ""
    timeline: str = ""
    traits: Traits = Traits()


class Verdict(msgspec.Struct, frozen=True):
    """The verdict of one case on one clause.

    Attributes:
        clause: permanent id.
        level: MUST, SHOULD or MAY.
        case: the case's name; empty if no case checked it.
        verdict: the outcome.
        detail: the reason in one line, or what was expected and received.
        failure: details, if it failed.
    """

    clause: str
    level: str
    case: str
    verdict: Outcome
    detail: str = ""
    failure: Failure | None = None


class TargetVerdicts(msgspec.Struct, frozen=True):
    """The results of one run for one target.

    Attributes:
        target: its URL or address as given, without passwords.
        suites: ``wire``, ``backend`` or both.
        conforms: True only if every applicable MUST was verified, and every violation is declared
            in the profile.
        summary: the overall result.
        counts: level -> outcome -> number of clauses.
        verdicts: in the order of the ledger.
        facts: product, version and other information from the target.
        capabilities: declared or discovered.
        elapsed_s: duration in seconds.
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
    """The first part read from a file: other members may belong to another schema."""

    schema: str


class Conformance(msgspec.Struct, frozen=True):
    """A whole run: one or more targets.

    Attributes:
        schema: :data:`SCHEMA`.
        suite_version: version of kvbench.
        started_at: ISO 8601, UTC.
        seed: of all randomness.
        targets: in the order given.
    """

    schema: str
    suite_version: str
    started_at: str
    seed: str
    targets: tuple[TargetVerdicts, ...]


@dataclass(frozen=True, slots=True)
class ClauseVerdict:
    """The verdicts of all cases on one clause.

    Attributes:
        clause: permanent id.
        level: MUST, SHOULD or MAY.
        outcome: the worst of them.
        verdicts: those with this outcome; the first one explains it.
    """

    clause: str
    level: str
    outcome: Outcome
    verdicts: tuple[Verdict, ...]


def by_clause(verdicts: Iterable[Verdict]) -> dict[str, ClauseVerdict]:
    """The merged verdicts on each clause, in the order of the verdicts."""
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
    """Compute the totals. All texts are made safe to show, whatever a target answered.

    A target conforms if nothing is violated and every applicable MUST clause was verified; it is
    not verified if a MUST clause could not be checked, or none was. ``is_partial``: only
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
    verdicts: Sequence[Verdict], texts: Mapping[str, str], target: str = "HOST:PORT"
) -> str:
    """The findings of one case as plain lines: clauses, their texts, the failure, the conversation.

    Args:
        verdicts: of one case and one outcome, at least one; a line for each comes first.
        texts: the sentence of each clause.
        target: its address or URL, for the command that shows the failure again.
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
    lines.append(f"  again     {command_again(verdict, target)}")
    lines += _conversation(failure)
    if failure.timeline:
        lines += ["  the history:", *[f"    {line}" for line in failure.timeline.splitlines()]]
    return "\n".join(lines)


def command_again(verdict: Verdict, target: str) -> str:
    """The command that shows a failure again: its repro file played, or its clause checked."""
    failure = verdict.failure
    if failure is not None and failure.repro:
        scheme, is_url, rest = target.partition("://")
        has_address = not is_url or (scheme in ("kvb", "kvb+async") and rest.strip("/"))
        return f"kvbench replay {target if has_address else 'HOST:PORT'} {failure.repro}"
    seed = f" --seed {failure.seed}" if failure is not None and failure.seed else ""
    return f"kvbench check {target} --only {verdict.clause}{seed}"


def _conversation(failure: Failure) -> list[str]:
    """The end of the conversation, and where the whole of it is."""
    shown = failure.exchanges[-EXCHANGES_SHOWN:]
    if not shown:
        return []
    less = len(failure.exchanges) - len(shown)
    lines = [f"  the last {len(shown)} exchanges:" if less else "  the conversation:"]
    lines += [f"    {describe(exchange)}" for exchange in shown]
    is_cut = less or any(len(exchange.hex) > HEX_CHARS_SHOWN for exchange in shown)
    if is_cut and failure.repro:
        lines.append(f"    whole in {failure.repro}")
    return lines


def describe(exchange: Exchange) -> str:
    """One exchange as a line: time, connection, direction, meaning, bytes."""
    shown = exchange.hex[:HEX_CHARS_SHOWN]
    if len(exchange.hex) > len(shown):
        shown = f"{shown.rpartition(' ')[0]} …"
    arrow = ARROWS.get(exchange.direction, exchange.direction)
    line = f"{exchange.at_ms:9.1f} ms {exchange.connection} {arrow} {exchange.decoded}"
    return f"{line}  [{shown}]" if shown else line


def read_conformance(path: Path) -> Conformance:
    """Read a file of ``kvbench check --json``. Its texts are safe to show, whatever their origin.

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
