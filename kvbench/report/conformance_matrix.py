"""Verdicts as a matrix: clauses in rows, targets in columns, grouped by document and section.

Built once for every report that shows it. A cell has one sign: that of the worst of what the cases
said of the clause. What needs a reason has a numbered note; the same reason twice is one note. A
cell without an outcome is a clause that no case looked at for that target, for instance a clause of
the backend contract where only the wire was tested: it is left empty, never passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kvbench.report.format import plain
from kvbench.specs import Clause, clauses
from kvbench.verdicts import (
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
"""A few lines, which a person reads; the JSON has the rest."""

UNKNOWN = "Clauses of another version"
"""Where verdicts go whose clause this version's ledger does not have."""


class Sign(NamedTuple):
    """How an outcome is shown: a character of any font, and words."""

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
    Outcome.SKIPPED: Sign("○", "skipped", "not looked at: nothing is known"),
    Outcome.ERROR: Sign("⊗", "error", "the suite itself failed: nothing is known"),
}
"""In the order of legends and totals."""


@dataclass(frozen=True, slots=True)
class ClauseCell:
    """What came of one clause at one target.

    Attributes:
        outcome: None when no case looked.
        reason: why, in a line; empty when passed.
        note: number of the note that says it; 0 when there is nothing to say.
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


@dataclass(frozen=True, slots=True)
class Note:
    """A reason, and the cells that it stands for.

    Attributes:
        number: the same wherever the reason comes up again.
        outcome: what it is the reason of.
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
    def is_calm(self) -> bool:
        """Whether nothing in it is worth more than a glance."""
        quiet = (Outcome.PASSED, Outcome.UNSUPPORTED, None)
        return all(cell.outcome in quiet for row in self.rows for cell in row.cells)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole: targets with their labels, sections in the documents' order.

    Attributes:
        labels: one for each target, short.
        sections: those with a clause that was looked at.
        notes: every reason once, by its number.
        untestable: clauses of the documents shown that no suite can check, with the reason.
    """

    labels: tuple[str, ...]
    sections: tuple[ClauseSection, ...]
    notes: tuple[Note, ...]
    untestable: Mapping[str, str]

    @property
    def clause_count(self) -> int:
        """How many clauses were looked at, at any target."""
        return sum(len(section.rows) for section in self.sections)


class Tally(NamedTuple):
    """Clauses of one level at one target: kept, and those that bind it at all."""

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
    """How many clauses of a level are kept, of those that bind the target."""
    counts = target.counts.get(level, {})
    binding = sum(counts.values()) - counts.get(Outcome.UNSUPPORTED, 0)
    return Tally(counts.get(Outcome.PASSED, 0), binding)


def others(target: TargetVerdicts) -> dict[Outcome, int]:
    """How many clauses, of all levels, came out in each way but passed; only what there is."""
    found = {
        outcome: sum(counts.get(outcome, 0) for counts in target.counts.values())
        for outcome in SIGNS
        if outcome is not Outcome.PASSED
    }
    return {outcome: count for outcome, count in found.items() if count}


def labels_of(targets: Sequence[str]) -> list[str]:
    """Short names for columns: the scheme where only one target has it, else what was given."""
    schemes = [target.partition("://")[0] if "://" in target else "" for target in targets]
    return [
        plain(scheme if scheme and schemes.count(scheme) == 1 else target)
        for scheme, target in zip(schemes, targets, strict=True)
    ]


class _Notes:
    """Numbers reasons, each text once, and remembers where they came up."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._numbers: dict[tuple[Outcome, str], int] = {}
        self._all: _Places = {}
        self._section: _Places = {}

    def begin_section(self) -> None:
        self._section = {}

    def cell(self, clause: str, place: int, column: Mapping[str, ClauseVerdict]) -> ClauseCell:
        """The cell of a clause at the target of that place; its reason is noted."""
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
        """The reasons that came up since the section began, with their places in it."""
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
