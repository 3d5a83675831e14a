"""Verdicts for a terminal: failures first, then what was not verified, then sums and verdict.

The last lines stay visible on a screen, so they hold the verdict. Failures are grouped by cause
(:mod:`kvbench.report.causes`), and one of each group is shown in full; a case that fails several
clauses is reported once. On a terminal long lines are wrapped between words; a log file gets them
whole, so that they can be searched. Colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from kvbench.report.causes import FailedCase, causes
from kvbench.report.conformance_matrix import LEVELS, SIGNS
from kvbench.report.format import count, plain
from kvbench.specs import clauses
from kvbench.verdicts import (
    VIOLATIONS,
    Conformance,
    Outcome,
    Summary,
    TargetVerdicts,
    Verdict,
    by_clause,
    command_again,
    explain,
)

FAILURES_SHOWN = 10
"""Cases explained in full; of the rest the detail, and the command that shows them again."""

OTHERS_SHOWN = 6
"""Of a group, each with its file; the others' files are in the same directory."""

_CLAUSES_NAMED = 8
_HANGING = 2
_DETAIL_CHARS = 160
_STYLES = {
    Outcome.FAILED: "bold red",
    Outcome.XPASS: "bold red",
    Outcome.ERROR: "bold magenta",
    Outcome.WARNING: "yellow",
    Outcome.XFAIL: "cyan",
}
_SUMMARY_STYLES = {
    Summary.CONFORMS: "bold green",
    Summary.DEVIATES: "bold green",
    Summary.VIOLATES: "bold red",
}
_HEADINGS = {
    Outcome.FAILED: "Not kept",
    Outcome.XPASS: "Passed, but the profile declares a deviation: the profile is outdated",
    Outcome.ERROR: "The suite itself failed: nothing is known of these",
    Outcome.WARNING: "Recommended, and not kept",
    Outcome.XFAIL: "Deviations that the profile declares",
}


def render_terminal(conformance: Conformance, console: Console) -> None:
    """Print the results of a run, target by target."""
    for target in conformance.targets:
        for line in _lines(target):
            _print(line, console)
    if len(conformance.targets) > 1:
        console.print(Text("All targets", "bold"))
        for target in conformance.targets:
            _print(_verdict_line(target), console)


def _print(line: Text, console: Console) -> None:
    """Print a line; on a terminal wrapped, with the continuation indented."""
    indent = len(line.plain) - len(line.plain.lstrip())
    if not console.is_terminal or line.cell_len <= console.width:
        console.print(line, highlight=False, soft_wrap=True)
        return
    rest_indent = indent + _HANGING
    parts = line[indent:].wrap(console, max(console.width - rest_indent, _HANGING))
    for place, part in enumerate(parts):
        part.rstrip()
        margin = Text(" " * (rest_indent if place else indent))
        console.print(margin.append_text(part), highlight=False, soft_wrap=True)


def _lines(target: TargetVerdicts) -> Iterator[Text]:
    yield Text(plain(target.target), "bold cyan")
    facts = [f"{name} {fact}" for name, fact in target.facts.items()]
    yield Text(plain(" · ".join(facts)), "dim")
    for outcome, heading in _HEADINGS.items():
        found = [one for one in target.verdicts if one.verdict is outcome]
        if found:
            yield Text()
            yield Text(f"{heading} ({count(len({one.clause for one in found}), 'clause')})", "bold")
            yield from _entries(outcome, found, target.target)
    unverified = list(_unverified(target))
    if unverified:
        yield Text()
        yield Text("Not verified", "bold")
        yield from unverified
    yield Text()
    yield from _counts(target)
    yield _verdict_line(target)
    yield Text()


def _entries(outcome: Outcome, verdicts: Sequence[Verdict], target: str) -> Iterator[Text]:
    texts = {clause.id: clause.text for clause in clauses()}
    explained = 0
    for place, cause in enumerate(causes(verdicts, outcome)):
        first, *others = cause.failures
        if place:
            yield Text()
        if cause.text:
            yield Text(f"  {cause.text}", "bold")
            ids = ", ".join(cause.clauses)
            yield Text(f"  {cause.share}: {count(len(cause.clauses), 'clause')} ({ids})")
        if outcome is Outcome.FAILED and explained < FAILURES_SHOWN:
            explained += 1
            indent = "    " if cause.text else "  "
            yield from _explanation(first.verdicts, texts, target, indent)
        elif cause.text:
            others = list(cause.failures)
        else:
            yield from _short(first.verdicts, target)
        yield from _others(others, target)
    yield from _reasons(outcome, [one for one in verdicts if one.failure is None])


def _others(others: Sequence[FailedCase], target: str) -> Iterator[Text]:
    """The rest of a group, a line for each of the first."""
    for one in others[:OTHERS_SHOWN]:
        ids = ", ".join([verdict.clause for verdict in one.verdicts])
        again = one.failure.repro or command_again(one.verdicts[0], target)
        line = Text("    ").append(SIGNS[one.verdicts[0].verdict].symbol, "red")
        yield line.append(f" {ids}", "bold").append(f": {plain(again)}")
    left = others[OTHERS_SHOWN:]
    if left:
        places = sorted({str(Path(one.failure.repro).parent) for one in left if one.failure.repro})
        where = f" in {plain(', '.join(places))}" if places else ""
        yield Text(f"    and {len(left)} more{where}", "dim")


def _reasons(outcome: Outcome, verdicts: Sequence[Verdict]) -> Iterator[Text]:
    """Verdicts with a reason and no conversation, each clause once."""
    shown_clauses: set[str] = set()
    for one in verdicts:
        if outcome is Outcome.ERROR:
            yield from _explanation([one], {}, "", "  ")
        elif one.clause not in shown_clauses:
            shown_clauses.add(one.clause)
            yield _headline(one, "").append(f" {_detail(one)}")


def _explanation(
    verdicts: Sequence[Verdict], texts: Mapping[str, str], target: str, indent: str
) -> Iterator[Text]:
    """A failure in full."""
    for one in verdicts:
        yield _headline(one, texts.get(one.clause, ""), indent)
    for line in explain(verdicts, texts, target).splitlines()[len(verdicts) :]:
        yield Text(f"{indent}{plain(line)}")


def _short(verdicts: Sequence[Verdict], target: str) -> Iterator[Text]:
    """A failure in two lines: what it is, and how to see the rest of it."""
    for one in verdicts[:-1]:
        yield _headline(one, "")
    yield _headline(verdicts[-1], "").append(f" {_detail(verdicts[-1])}")
    yield Text(f"    again     {plain(command_again(verdicts[0], target))}", "dim")


def _detail(verdict: Verdict) -> str:
    detail = plain(verdict.detail)
    return detail if len(detail) <= _DETAIL_CHARS else f"{detail[: _DETAIL_CHARS - 1]}…"


def _headline(verdict: Verdict, text: str, indent: str = "  ") -> Text:
    line = Text(indent)
    line.append(SIGNS[verdict.verdict].symbol, _STYLES[verdict.verdict])
    line.append(f" {verdict.clause} ({verdict.level})", "bold")
    return line.append(f" {text}".rstrip())


def _unverified(target: TargetVerdicts) -> Iterator[Text]:
    """What was not checked, by reason."""
    reasons: dict[str, list[str]] = {}
    for one in by_clause(target.verdicts).values():
        if one.outcome in (Outcome.UNSUPPORTED, Outcome.SKIPPED):
            reason = f"{SIGNS[one.outcome].word}: {one.verdicts[0].detail}"
            reasons.setdefault(reason, []).append(one.clause)
    for reason, named in reasons.items():
        yield Text(f"  {plain(reason)}: {_named(named)}")
    untestable = _untestable(target)
    if untestable:
        yield Text(f"  not testable by any suite: {_named(untestable)}")


def _untestable(target: TargetVerdicts) -> list[str]:
    """Clauses that no suite can check, of the checked sections."""
    places = {clause.id: (clause.party, clause.section) for clause in clauses()}
    seen = {places[one.clause] for one in target.verdicts if one.clause in places}
    return [
        clause.id
        for clause in clauses()
        if clause.untestable and (clause.party, clause.section) in seen
    ]


def _named(ids: Iterable[str]) -> str:
    known = list(ids)
    more = f" and {len(known) - _CLAUSES_NAMED} more" if len(known) > _CLAUSES_NAMED else ""
    return f"{count(len(known), 'clause')} ({', '.join(known[:_CLAUSES_NAMED])}{more})"


def _counts(target: TargetVerdicts) -> Iterator[Text]:
    """A table of levels (rows) and the outcomes that occur (columns)."""
    there = [
        outcome
        for outcome in SIGNS
        if any(of_level.get(outcome) for of_level in target.counts.values())
    ]
    if not there:
        return
    words = [SIGNS[outcome].word for outcome in there]
    yield Text(f"  {'':6}  {'  '.join(words)}", "dim")
    for level in LEVELS:
        of_level = target.counts.get(level, {})
        line = Text(f"  {level:6}")
        for outcome, word in zip(there, words, strict=True):
            number = of_level.get(outcome, 0)
            style = _STYLES.get(outcome, "") if number else "dim"
            line.append("  ").append(f"{number:>{len(word)}}", style)
        if of_level:
            yield line


def _verdict_line(target: TargetVerdicts) -> Text:
    line = Text(f"  {plain(target.target)} ")
    line.append(target.headline, _SUMMARY_STYLES.get(target.summary, "bold yellow"))
    broken = [one for one in by_clause(target.verdicts).values() if one.outcome in VIOLATIONS]
    why = f", {count(len(broken), 'clause')} violated" if broken else ""
    return line.append(
        f"{why} ({', '.join(target.suites) or 'no'} suite, {target.elapsed_s:.1f} s)"
    )
