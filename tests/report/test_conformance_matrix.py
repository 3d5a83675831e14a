"""The matrix: every verdict has its cell, the worst of a clause shows, each reason once."""

from __future__ import annotations

from kvbench.foreign_text import printable
from kvbench.report.conformance_matrix import (
    REASON_CHARS_MAX,
    SIGNS,
    build_matrix,
    labels_of,
    others,
    tally,
)
from kvbench.specs import clauses
from kvbench.verdicts import Outcome
from tests.report.conformance_builders import (
    CONTROL,
    EVERYTHING,
    GOOD,
    NASTY,
    RUNS,
    conformance,
    target,
    verdict,
)


def cells(run):
    matrix = build_matrix(run)
    return {row.clause: row.cells for section in matrix.sections for row in section.rows}


def test_a_cell_shows_the_worst_verdict_and_what_was_not_looked_at_stays_empty():
    found = cells(RUNS["every outcome"])
    assert [cell.outcome for cell in found["GET-001"]] == [Outcome.PASSED, Outcome.FAILED]
    assert [cell.outcome for cell in found["GET-002"]] == [None, Outcome.XFAIL]
    assert {row[1].outcome for row in found.values() if row[1].outcome} == set(Outcome)
    assert found["GET-001"][0].reason == "" and found["GET-001"][0].note == 0


def test_sections_come_in_the_order_of_the_documents():
    ids = list(cells(RUNS["every outcome"]))
    order = [clause.id for clause in clauses()]
    assert ids == sorted(ids, key=order.index) and len(ids) == 9
    sections = build_matrix(RUNS["every outcome"]).sections
    assert [section.document for section in sections][-1] == "Backend contract"
    assert {section.document for section in sections[:-1]} == {"Wire protocol"}


def test_a_clause_that_this_version_does_not_know_is_shown_all_the_same():
    [last] = build_matrix(RUNS["nasty"]).sections[-1:]
    assert [row.clause for row in last.rows] == ["GONE-999"] and "another version" in last.title


def test_the_same_reason_is_one_note_with_all_its_places():
    matrix = build_matrix(RUNS["every outcome"])
    [note] = [note for note in matrix.notes if note.outcome is Outcome.UNSUPPORTED]
    assert note.places == {"redis": ["MGET-001", "MGET-002"]}
    numbers = [note.number for note in matrix.notes]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    for section in matrix.sections:
        shown = {cell.note for row in section.rows for cell in row.cells if cell.note}
        assert {note.number for note in section.notes} == shown


def test_a_reason_is_short_and_one_line():
    [note] = [one for one in build_matrix(conformance(NASTY)).notes if "GONE" in str(one.places)]
    assert len(note.text) == REASON_CHARS_MAX + 1
    several = target("a", *[verdict("GET-001", "failed", f"{n}\n", case=f"wire.{n}") for n in "12"])
    [note] = build_matrix(conformance(several)).notes
    assert note.text == "1\\n (and 1 more)"


def test_a_section_is_unremarkable_unless_a_clause_needs_attention():
    sections = build_matrix(RUNS["every outcome"]).sections
    unremarkable = {section.title for section in sections if section.is_unremarkable}
    assert "7. Batches" in unremarkable and "6.1 GET" not in unremarkable


def test_labels_are_short_where_that_is_clear():
    assert labels_of(["kvb://", "redis://a", "redis://b", "h:1"]) == [
        "kvb", "redis://a", "redis://b", "h:1",
    ]  # fmt: skip
    assert labels_of([CONTROL]) == [printable(CONTROL)]


def test_unsupported_clauses_do_not_bind():
    assert tally(EVERYTHING, "MUST") == (1, 6) and str(tally(EVERYTHING, "MAY")) == "none"
    assert others(EVERYTHING)[Outcome.UNSUPPORTED] == 2 and others(GOOD) == {}


def test_every_outcome_has_its_own_sign():
    assert set(SIGNS) == set(Outcome)
    assert len({sign.symbol for sign in SIGNS.values()}) == len(Outcome)
