"""Verdicts as one self-contained HTML page: no script, no network, no web font.

The page is a template, ``templates/conformance.html``; this module prepares its data. The page also
works on a phone: column headings are vertical, a clause's text is below its symbols, and colour is
never the only sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kvbench.report.causes import Cause, causes
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
from kvbench.report.format import count
from kvbench.report.html.template import render_template
from kvbench.specs import clauses
from kvbench.verdicts import ARROWS, Conformance, Outcome, TargetVerdicts, by_clause, command_again

NARROW_TARGETS_MAX = 7
"""Columns that fit next to a clause's id on a screen of 360 pixels; more are scrolled."""

WIDE_TARGETS_MAX = 18
"""Columns that leave room for the clause's text on other screens."""

_HEADLINES = ("product", "version")
"""Facts shown at once; the others can be unfolded."""


class Part(NamedTuple):
    """A segment of a target's bar: an outcome and its share in percent."""

    outcome: Outcome
    percent: float
    number: int


@dataclass(frozen=True, slots=True)
class Card:
    """A target's summary on the page.

    Attributes:
        anchor: of the target's details.
        label: its label in the matrix.
        product: name and version, if the target reports them.
        tallies: level and passed clauses, as text.
        parts: all checked clauses, by outcome.
        failures: what failed, by cause, under the headings of the page.
        besides: clauses with outcomes other than passed, by outcome.
        facts: other facts that the target reports.
    """

    anchor: str
    label: str
    target: TargetVerdicts
    product: str
    tallies: tuple[tuple[str, str], ...]
    parts: tuple[Part, ...]
    besides: dict[Outcome, int]
    failures: dict[str, tuple[Cause, ...]]
    facts: dict[str, str]


def render_html(conformance: Conformance) -> str:
    """The run as an HTML document."""
    matrix = build_matrix(conformance)
    labels = labels_of([target.target for target in conformance.targets])
    cards = [
        _card(place, label, target)
        for place, (label, target) in enumerate(zip(labels, conformance.targets, strict=True))
    ]
    return render_template(
        "conformance.html",
        run=conformance,
        matrix=matrix,
        cards=cards,
        counted=f"{count(matrix.clause_count, 'clause')}, {count(len(cards), 'target')}",
        conforming=sum(target.conforms for target in conformance.targets),
        moods=_moods(matrix),
        reasons=_reasons(matrix),
        signs=SIGNS,
        arrows=ARROWS,
        again=command_again,
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
        failures=_failures(target),
        facts={name: fact for name, fact in target.facts.items() if name not in _HEADLINES},
    )  # fmt: skip


def _failures(target: TargetVerdicts) -> dict[str, tuple[Cause, ...]]:
    """What failed by cause, under the headings of the page; only what there is."""
    found = {
        "What failed": causes(target.verdicts, Outcome.FAILED),
        "Recommended, and not kept": causes(target.verdicts, Outcome.WARNING),
    }
    return {heading: groups for heading, groups in found.items() if groups}


def _moods(matrix: Matrix) -> dict[str, int]:
    """How many clauses each filter of the matrix shows."""
    moods = [row.mood for section in matrix.sections for row in section.rows]
    return {
        "all": len(moods),
        "failed": moods.count("failed"),
        "open": len(moods) - moods.count("quiet"),
    }


def _reasons(matrix: Matrix) -> dict[Outcome, list[Note]]:
    """The notes by outcome, in the legend's order, without empty ones."""
    found = {
        outcome: [note for note in matrix.notes if note.outcome is outcome] for outcome in SIGNS
    }
    return {outcome: notes for outcome, notes in found.items() if notes}


def _scrolled(targets_count: int) -> str:
    """The screens on which the matrix scrolls; empty for none."""
    if targets_count > WIDE_TARGETS_MAX:
        return "always"
    return "narrow" if targets_count > NARROW_TARGETS_MAX else ""
