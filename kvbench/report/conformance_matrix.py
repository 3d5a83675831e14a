"""Verdicts as a matrix: clauses in rows, targets in columns, grouped by document and section.

Built once, and used by every report that shows it. A cell has one sign: the worst outcome of the
clause's cases. A reason gets a numbered note; a repeated reason is one note. An empty cell means
that no case checked the clause for that target, for instance a clause of the backend contract when
only the wire suite ran; it never means passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kvbench.report.format import plain
from kvbench.specs import Clause, clauses
from kvbench.verdicts import (
    VIOLATIONS,
    ClauseVerdict,
    Conformance,
    Outcome,
    TargetVerdicts,
    Verdict,
    by_clause,
)

LEVELS = ("MUST", "SHOULD", "MAY")

DOCUMENTS = {"server": "Wire protocol", "backend": "Backend contract"}
"""The document of a clause, by the party that it binds."""

REASON_CHARS_MAX = 400
"""A few lines for a person to read; the JSON has the rest."""

UNKNOWN = "Clauses of another version"
"""The section for clauses that this version's ledger does not have."""


_QUIET = frozenset({Outcome.PASSED, Outcome.UNSUPPORTED, None})
"""What needs no second look; None is a clause that no case checked."""


class Sign(NamedTuple):
    """How an outcome is shown: a symbol of any font, and words."""

    symbol: str
    word: str
    meaning: str


SIGNS: Mapping[Outcome, Sign] = {
    Outcome.PASSED: Sign("✓", "passed", "the clause is kept"),
    Outcome.FAILED: Sign("✗", "failed", "the clause is not kept"),
    Outcome.XPASS: Sign("↑", "xpass", "the profile declares a deviation that is not there"),
    Outcome.WARNING: Sign(
        "△", "warning", "a SHOULD or MAY is not kept; not held against the target"
    ),
    Outcome.XFAIL: Sign("≈", "xfail", "a deviation that the profile declares, with a reason"),
    Outcome.UNSUPPORTED: Sign("–", "unsupported", "the target does not claim to do this"),
    Outcome.SKIPPED: Sign("○", "skipped", "not checked: nothing is known"),
    Outcome.ERROR: Sign("⊗", "error", "the suite itself failed: nothing is known"),
}
"""In the order of legends and totals."""


@dataclass(frozen=True, slots=True)
class ClauseCell:
    """The outcome of one clause at one target.

    Attributes:
        outcome: None if no case checked it.
        reason: in a line; empty when passed.
        note: number of the note with the reason; 0 for none.
    """

    outcome: Outcome | None = None
    reason: str = ""
    note: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One clause; ``cells`` are in the order of the targets."""

    clause: str
    level: str
    text: str
    cells: tuple[ClauseCell, ...]

    @property
    def mood(self) -> str:
        """For a filter: ``failed`` at any target, ``quiet`` at all of them, or ``other``."""
        outcomes = {cell.outcome for cell in self.cells}
        if outcomes & VIOLATIONS:
            return "failed"
        return "quiet" if outcomes <= _QUIET else "other"


@dataclass(frozen=True, slots=True)
class Note:
    """A reason, and the cells that it applies to.

    Attributes:
        number: the same wherever the reason is repeated.
        outcome: the outcome that it explains.
        text: one line.
        places: clauses by the label of their target.
    """

    number: int
    outcome: Outcome
    text: str
    places: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ClauseSection:
    """A section of one of the documents: its rows, and the notes of their cells."""

    document: str
    title: str
    rows: tuple[Row, ...]
    notes: tuple[Note, ...]

    @property
    def is_unremarkable(self) -> bool:
        """Whether all outcomes in it are unremarkable."""
        return all(row.mood == "quiet" for row in self.rows)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole matrix: targets with their labels, sections in the documents' order.

    Attributes:
        labels: a short one for each target.
        sections: those with a checked clause.
        notes: every reason once, by its number.
        untestable: clauses of these documents that no suite can check, with the reason.
    """

    labels: tuple[str, ...]
    sections: tuple[ClauseSection, ...]
    notes: tuple[Note, ...]
    untestable: Mapping[str, str]

    @property
    def clause_count(self) -> int:
        """How many clauses were checked, on any target."""
        return sum(len(section.rows) for section in self.sections)


class Tally(NamedTuple):
    """Clauses of one level at one target: passed, and applicable."""

    passed: int
    binding: int

    def __str__(self) -> str:
        return f"{self.passed} of {self.binding}" if self.binding else "none"


def build_matrix(conformance: Conformance) -> Matrix:
    """Arrange the verdicts of a run."""
    ledger = {clause.id: clause for clause in clauses()}
    columns = [by_clause(target.verdicts) for target in conformance.targets]
    labels = tuple(labels_of([target.target for target in conformance.targets]))
    levels = {one.clause: one.level for target in conformance.targets for one in target.verdicts}
    order = [clause for clause in ledger if clause in levels]
    groups: dict[tuple[str, str], list[str]] = {}
    for clause in [*order, *sorted(set(levels) - set(ledger))]:
        groups.setdefault(_place(ledger.get(clause)), []).append(clause)
    sections: list[ClauseSection] = []
    notes = _Notes(labels)
    for (document, title), members in groups.items():
        notes.begin_section()
        rows = [
            Row(
                clause,
                levels[clause],
                ledger[clause].text if clause in ledger else "",
                tuple([notes.cell(clause, place, one) for place, one in enumerate(columns)]),
            )
            for clause in members
        ]
        sections.append(ClauseSection(document, title, tuple(rows), notes.of_section()))
    shown = {section.document for section in sections}
    untestable = {
        clause.id: clause.untestable
        for clause in ledger.values()
        if clause.untestable and DOCUMENTS.get(clause.party) in shown
    }
    return Matrix(labels, tuple(sections), notes.of_all(), untestable)


def tally(target: TargetVerdicts, level: str) -> Tally:
    """How many clauses of a level passed, of those that apply to the target."""
    counts = target.counts.get(level, {})
    binding = sum(counts.values()) - counts.get(Outcome.UNSUPPORTED, 0)
    return Tally(counts.get(Outcome.PASSED, 0), binding)


def others(target: TargetVerdicts) -> dict[Outcome, int]:
    """Number of clauses by outcome, all levels, without passed and without zeros."""
    found = {
        outcome: sum(counts.get(outcome, 0) for counts in target.counts.values())
        for outcome in SIGNS
        if outcome is not Outcome.PASSED
    }
    return {outcome: count for outcome, count in found.items() if count}


def labels_of(targets: Sequence[str]) -> list[str]:
    """Short names for columns: the scheme if only one target has it, else the given URL."""
    schemes = [target.partition("://")[0] if "://" in target else "" for target in targets]
    return [
        plain(scheme if scheme and schemes.count(scheme) == 1 else target)
        for scheme, target in zip(schemes, targets, strict=True)
    ]


class _Notes:
    """Numbers reasons, each text once, and records where they occur."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._numbers: dict[tuple[Outcome, str], int] = {}
        self._all: _Places = {}
        self._section: _Places = {}

    def begin_section(self) -> None:
        self._section = {}

    def cell(self, clause: str, place: int, column: Mapping[str, ClauseVerdict]) -> ClauseCell:
        """The cell of a clause at the target with that index; records its reason."""
        found = column.get(clause)
        if found is None:
            return ClauseCell()
        outcome = found.outcome
        if outcome is Outcome.PASSED:
            return ClauseCell(outcome)
        reason = _reason(found.verdicts)
        number = self._numbers.setdefault((outcome, reason), len(self._numbers) + 1)
        for places in (self._all, self._section):
            of_note = places.setdefault((outcome, reason), {})
            of_note.setdefault(self._labels[place], []).append(clause)
        return ClauseCell(outcome, reason, number)

    def of_section(self) -> tuple[Note, ...]:
        """The reasons recorded since the section began, with their places in it."""
        return self._noted(self._section)

    def of_all(self) -> tuple[Note, ...]:
        """All reasons with all their places."""
        return self._noted(self._all)

    def _noted(self, places: _Places) -> tuple[Note, ...]:
        return tuple([Note(self._numbers[key], *key, found) for key, found in places.items()])


_Places = dict[tuple[Outcome, str], dict[str, list[str]]]
"""Clauses by target, by reason."""


def _place(clause: Clause | None) -> tuple[str, str]:
    """Document and section."""
    return (DOCUMENTS.get(clause.party, UNKNOWN), clause.section) if clause else (UNKNOWN, UNKNOWN)


def _reason(verdicts: Sequence[Verdict]) -> str:
    reasons = list(dict.fromkeys([plain(one.detail) for one in verdicts if one.detail]))
    if not reasons:
        return "no reason was given"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    text = reasons[0]
    return (text if len(text) <= REASON_CHARS_MAX else f"{text[:REASON_CHARS_MAX]}…") + more
