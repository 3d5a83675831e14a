"""Verdicts as a complete GitHub Markdown document: totals first, then the matrix by section.

A section in which all passed is folded; others are open, with their reasons below. Text from
outside is escaped as in :mod:`kvbench.report.markdown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from kvbench.report.conformance_failures import failures_of
from kvbench.report.conformance_matrix import (
    LEVELS,
    SIGNS,
    ClauseCell,
    ClauseSection,
    Matrix,
    Note,
    build_matrix,
    others,
    tally,
)
from kvbench.report.format import count, plain
from kvbench.report.markdown import code_span, escape_markdown
from kvbench.verdicts import Conformance, Outcome, TargetVerdicts

CLAUSES_SHOWN_MAX = 6
"""Clauses named per reason and target; the matrix shows them all."""


def render_markdown(conformance: Conformance) -> str:
    """The run as Markdown, with a newline at the end."""
    matrix = build_matrix(conformance)
    lines = [*_head(conformance, matrix), *_summary(conformance.targets)]
    for target, label in zip(conformance.targets, matrix.labels, strict=True):
        lines += failures_of(target, label)
    if matrix.sections:
        lines += [*_totals(conformance.targets, matrix.labels), *_legend()]
    for document, sections in groupby(matrix.sections, key=lambda section: section.document):
        lines += ["", f"## {document}"]
        for section in sections:
            lines += _section(section, matrix.labels)
    if matrix.untestable:
        lines += ["", "## Clauses that no suite can check", ""]
        lines += [f"- {name}: {escape_markdown(why)}" for name, why in matrix.untestable.items()]
    return "\n".join(lines) + "\n"


def _head(conformance: Conformance, matrix: Matrix) -> Iterator[str]:
    yield "# Conformance"
    yield ""
    facts = [
        f"kvbench suite {conformance.suite_version}",
        conformance.started_at,
        f"seed {conformance.seed}",
        count(matrix.clause_count, "clause"),
        count(len(conformance.targets), "target"),
    ]
    yield _text(" · ".join(facts))


def _summary(targets: Sequence[TargetVerdicts]) -> Iterator[str]:
    yield ""
    if not targets:
        yield "Nothing was checked."
        return
    yield _row(["Target", "Verdict", *LEVELS, "Besides", "Suites", "Time"])
    yield _row([":---", ":---", *["---:"] * len(LEVELS), ":---", ":---", "---:"])
    for target in targets:
        summary = _text(target.headline)
        version = " ".join([target.facts[name] for name in ("product", "version")
                            if name in target.facts])  # fmt: skip
        besides = [f"{number} {SIGNS[outcome].word}" for outcome, number in others(target).items()]
        yield _row(
            [
                f"{_code(target.target)} {_text(version)}".rstrip(),
                summary if target.conforms else f"**{summary}**",
                *[str(tally(target, level)) for level in LEVELS],
                ", ".join(besides),
                _text(" ".join(target.suites)),
                f"{target.elapsed_s:.1f} s",
            ]
        )


def _totals(targets: Sequence[TargetVerdicts], labels: Sequence[str]) -> Iterator[str]:
    yield ""
    yield f"Clauses by outcome, each as {' / '.join(LEVELS)}:"
    yield ""
    yield _row(["Outcome", *map(_code, labels)])
    yield _row([":---", *["---:"] * len(labels)])
    for outcome, sign in SIGNS.items():
        numbers = [
            [target.counts.get(level, {}).get(outcome, 0) for level in LEVELS] for target in targets
        ]
        if any(map(any, numbers)):
            cells = [" / ".join(map(str, one)) if any(one) else "" for one in numbers]
            yield _row([f"{sign.symbol} {sign.word}", *cells])


def _legend() -> Iterator[str]:
    yield ""
    for sign in SIGNS.values():
        yield f"- {sign.symbol} **{sign.word}**: {sign.meaning}"
    yield "- an empty cell: no case checked this clause there"


def _section(section: ClauseSection, labels: Sequence[str]) -> Iterator[str]:
    title = escape_markdown(section.title)
    yield ""
    if section.is_unremarkable:
        yield f"<details><summary>{title}: {count(len(section.rows), 'clause')}</summary>"
    else:
        yield f"### {title}"
    yield ""
    yield _row(["Clause", "Level", *map(_code, labels), "Requirement"])
    yield _row([":---", ":---", *[":---:"] * len(labels), ":---"])
    for row in section.rows:
        cells = map(_cell, row.cells)
        yield _row([_text(row.clause), _text(row.level), *cells, _sentence(row.text)])
    if section.notes:
        yield ""
        yield from map(_note, section.notes)
    if section.is_unremarkable:
        yield ""
        yield "</details>"


def _cell(cell: ClauseCell) -> str:
    if cell.outcome is None:
        return ""
    symbol = SIGNS[cell.outcome].symbol
    if cell.outcome in (Outcome.FAILED, Outcome.XPASS):
        symbol = f"**{symbol}**"
    return f"{symbol}<sup>{cell.note}</sup>" if cell.note else symbol


def _note(note: Note) -> str:
    places = "; ".join([_place(*place) for place in note.places.items()])
    text = _text(note.text)
    return f"- <sup>{note.number}</sup> {SIGNS[note.outcome].word}: {text} ({places})"


def _place(label: str, named: Sequence[str]) -> str:
    shown = _text(", ".join(named[:CLAUSES_SHOWN_MAX]))
    more = f" and {len(named) - CLAUSES_SHOWN_MAX} more" if len(named) > CLAUSES_SHOWN_MAX else ""
    return f"{code_span(label)} {shown}{more}"


def _sentence(text: str) -> str:
    """A clause's text: what stands between backticks stays code."""
    parts = text.split("`")
    return "".join(
        [_code(part) if place % 2 else escape_markdown(part) for place, part in enumerate(parts)]
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    return escape_markdown(plain(text))


def _code(text: str) -> str:
    # In a table even a code span ends at a pipe, unless it is escaped.
    return code_span(plain(text)).replace("|", r"\|")
