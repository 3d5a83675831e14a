"""Thresholds in a report: what failed for certain, what held, and what cannot be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kvbench.compare.gauges import Unit
from kvbench.compare.thresholds import JudgedThreshold, ThresholdOutcome
from kvbench.report import format as text
from kvbench.report.document import Document, Section
from kvbench.report.entries import TableEntry, Tone, figure_entry
from kvbench.report.table import Column, Table

_WRITERS: Mapping[Unit, Callable[[float, int], str]] = {
    Unit.TIMES: text.times,
    Unit.RATE: text.rate,
    Unit.DURATION: text.duration,
}

OUTCOME_TONES: Mapping[ThresholdOutcome, Tone] = {
    ThresholdOutcome.FAILS: Tone.SLOWER,
    ThresholdOutcome.HOLDS: Tone.FASTER,
    ThresholdOutcome.UNCLEAR: Tone.PLAIN,
}


def with_thresholds(document: Document, judged: Sequence[JudgedThreshold]) -> Document:
    """The document with a section on thresholds first, and a warning if one fails."""
    if not judged:
        return document
    section = Section("Thresholds", False, "", (_table(judged),))
    failed = [one for one in judged if one.outcome is ThresholdOutcome.FAILS]
    warning = f"FAILED: {'; '.join(map(sentence, failed))}." if failed else ""
    return replace(
        document,
        warning=" ".join([one for one in (warning, document.warning) if one]),
        sections=(section, *document.sections),
    )


def sentence(one: JudgedThreshold) -> str:
    """A threshold on a figure in words."""
    entry = _figure(one)
    measured = f"{entry.text} {entry.detail}".strip()
    return f"{text.plain(one.text)}: {_what(one)} is {measured}"


def _table(judged: Sequence[JudgedThreshold]) -> Table:
    rows = [
        (
            TableEntry(text.plain(one.text)),
            TableEntry(text.plain(one.gauge.target)),
            TableEntry(_name(one)),
            _figure(one),
            TableEntry(str(one.outcome), tone=OUTCOME_TONES[one.outcome]),
        )
        for one in judged
    ]
    columns = (
        Column("fails if", is_text=True),
        Column("target", is_text=True, is_url=True),
        Column("what", is_text=True),
        Column("measured"),
        Column("outcome", is_text=True),
    )
    notes = ["A threshold fails if the whole 95% interval is beyond it."]
    unclear = [one for one in judged if one.outcome is ThresholdOutcome.UNCLEAR]
    if any(one.gauge.figure is not None for one in unclear):
        notes.append("Cannot tell: the interval reaches to both sides; more --rounds may tell.")
    for one in unclear:
        if one.gauge.figure is None:
            notes.append(f"{_what(one)}: no number: {text.plain(one.gauge.reason)}")
    return Table("Thresholds", columns, tuple(rows), tuple(dict.fromkeys(notes)), 3)


def _figure(one: JudgedThreshold) -> TableEntry:
    return figure_entry(one.gauge.figure, _WRITERS[one.unit])


def _name(one: JudgedThreshold) -> str:
    gauge = one.gauge
    size = f" × {gauge.size:,}" if gauge.size > 1 else ""
    return f"{text.plain(gauge.lane or f'{gauge.subject}{size}')} {gauge.name}"


def _what(one: JudgedThreshold) -> str:
    return f"{text.plain(one.gauge.target)} {_name(one)}"
