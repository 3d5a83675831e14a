"""Verdicts as one HTML page that needs nothing else: no script, no network, no font of its own.

The page is a template, ``templates/conformance.html``; this module only prepares what it shows.
Every text is escaped by the template engine. The page is made for a phone as well: column headings
stand upright, the clause's text runs below its row's signs, and nothing is told by colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import jinja2
from markupsafe import Markup

from kvbench.report.conformance_matrix import (
    LEVELS,
    SIGNS,
    Matrix,
    Note,
    build_matrix,
    labels_of,
    others,
    tally,
)
from kvbench.report.format import count, plain
from kvbench.specs import clauses
from kvbench.verdicts import Conformance, Failure, Outcome, TargetVerdicts, Verdict, by_clause

NARROW_TARGETS_MAX = 7
"""So many columns fit beside a clause's id on a screen of 360 pixels; more can be scrolled."""

WIDE_TARGETS_MAX = 18
"""So many leave room for the clause's text on any other screen."""

_HEADLINES = ("product", "version")
"""Facts that are shown at once; the others can be unfolded."""


class FailedCase(NamedTuple):
    """A case that failed: the verdicts that it gave, and what they share."""

    verdicts: tuple[Verdict, ...]
    failure: Failure


class Part(NamedTuple):
    """A piece of the bar that shows how a target did: an outcome and its share in percent."""

    outcome: Outcome
    percent: float
    number: int


@dataclass(frozen=True, slots=True)
class Card:
    """A target as the page introduces it.

    Attributes:
        anchor: of what is said about it further down.
        label: as the matrix names it.
        product: name and version, where the target tells.
        tallies: level and clauses kept, as text.
        parts: all clauses that were looked at, by outcome.
        findings: cases that failed, with their conversations.
        besides: clauses that were not simply kept, by outcome.
        facts: what else the target tells.
    """

    anchor: str
    label: str
    target: TargetVerdicts
    product: str
    tallies: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    besides: dict[Outcome, int]
    findings: tuple[FailedCase, ...]
    facts: dict[str, str]


def render_html(conformance: Conformance) -> str:
    """The run as an HTML document."""
    matrix = build_matrix(conformance)
    labels = labels_of([target.target for target in conformance.targets])
    cards = [
        _card(place, label, target)
        for place, (label, target) in enumerate(zip(labels, conformance.targets, strict=True))
    ]
    return _environment().get_template("conformance.html").render(
        run=conformance,
        matrix=matrix,
        cards=cards,
        counted=f"{count(matrix.clause_count, 'clause')}, {count(len(cards), 'target')}",
        conforming=sum(target.conforms for target in conformance.targets),
        reasons=_reasons(matrix),
        signs=SIGNS,
        texts={clause.id: clause.text for clause in clauses()},
        scrolled=_scrolled(len(cards)),
    )  # fmt: skip


def _card(place: int, label: str, target: TargetVerdicts) -> Card:
    outcomes = [one.outcome for one in by_clause(target.verdicts).values()]
    parts = [
        Part(outcome, 100 * outcomes.count(outcome) / len(outcomes), outcomes.count(outcome))
        for outcome in SIGNS
        if outcome in outcomes
    ]
    return Card(
        anchor=f"target-{place + 1}",
        label=label,
        target=target,
        product=" ".join([target.facts[name] for name in _HEADLINES if name in target.facts]),
        tallies=tuple([(level, str(tally(target, level))) for level in LEVELS
                       if level in target.counts]),
        parts=tuple(parts),
        besides=others(target),
        findings=_findings(target),
        facts={name: fact for name, fact in target.facts.items() if name not in _HEADLINES},
    )  # fmt: skip


def _findings(target: TargetVerdicts) -> tuple[FailedCase, ...]:
    """What failed, case by case: one conversation may have broken several clauses."""
    found: dict[str, list[Verdict]] = {}
    for verdict in target.verdicts:
        if verdict.failure is not None:
            found.setdefault(verdict.case, []).append(verdict)
    return tuple(
        [
            FailedCase(tuple(verdicts), verdicts[0].failure)
            for verdicts in found.values()
            if verdicts[0].failure is not None
        ]
    )


def _reasons(matrix: Matrix) -> dict[Outcome, list[Note]]:
    """The notes by outcome, the legend's order; only what there is."""
    found = {
        outcome: [note for note in matrix.notes if note.outcome is outcome] for outcome in SIGNS
    }
    return {outcome: notes for outcome, notes in found.items() if notes}


def _scrolled(targets_count: int) -> str:
    """On which screens the matrix scrolls in itself; empty for none."""
    if targets_count > WIDE_TARGETS_MAX:
        return "always"
    return "narrow" if targets_count > NARROW_TARGETS_MAX else ""


def _sentence(text: str) -> Markup:
    """A clause's text: what stands between backticks is code."""
    parts = text.split("`")
    return Markup("").join(
        [Markup("<code>{}</code>").format(part) if place % 2 else part
         for place, part in enumerate(parts)]
    )  # fmt: skip


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kvbench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "sentence": _sentence}
    return environment
