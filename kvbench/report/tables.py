"""Cells pivoted into tables: everything that a report says in figures, nothing of how it looks.

The tables are those of a results report: batch over individual, scalability, and for targets
behind a network single and batch calls side by side. Where an earlier report's figures are known,
they stand in a column of their own beside ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from kvbench.report import format as text
from kvbench.report.entries import BLANK, NOT_MEASURED, Entries, Entry, Tone, mean_entry
from kvbench.report.summary import TargetSummary
from kvbench.results import Cell, Floors, Reference

_HEADING_CHARS_MAX = 12
"""A reference's name stands over its columns when it is this short; otherwise only in a note."""


@dataclass(frozen=True, slots=True)
class Column:
    """What stands over a column, and what is in it.

    Attributes:
        heading: one line.
        is_text: words (left-aligned) rather than figures (right-aligned).
        is_url: URLs, which no renderer may take for markup.
        is_companion: compares with the column on its left, and is never parted from it.
    """

    heading: str
    is_text: bool = False
    is_url: bool = False
    is_companion: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready to be laid out.

    Attributes:
        title: what it shows.
        columns: as many as each row has entries; none in a list of names and facts.
        rows: from the top.
        notes: sentences to stand below it.
        key_columns: how many columns from the left say what a row is about.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...] = ()
    key_columns: int = 1


@dataclass(frozen=True, slots=True)
class _Quotes:
    """Figures of an earlier report: op -> batch size -> figure, and how they are written."""

    name: str
    figures: Mapping[str, Mapping[str, float]]
    write: Callable[[float], str]

    def knows(self, summary: TargetSummary, *ops: str) -> bool:
        return any(str(size) in self.figures.get(op, {}) for op in ops for size in summary.sizes)

    def entry(self, op: str, batch_size: int) -> Entry:
        figure = self.figures.get(op, {}).get(str(batch_size))
        return BLANK if figure is None else Entry(self.write(figure), tone=Tone.FAINT)


@dataclass(frozen=True, slots=True)
class _Lane:
    """A column of figures, with its companion where an earlier report knows any of them."""

    heading: str
    entry: Callable[[Cell], Entry]
    quotes: _Quotes | None = None

    def columns(self) -> list[Column]:
        companion = [Column(self.quotes.name, is_companion=True)] if self.quotes else []
        return [Column(self.heading), *companion]

    def entries(self, cell: Cell | None, op: str, batch_size: int) -> list[Entry]:
        companion = [self.quotes.entry(op, batch_size)] if self.quotes else []
        return [NOT_MEASURED if cell is None else self.entry(cell), *companion]


_SIZE = Column("batch size")
_SINGLE_OPS = {"mget": "GET", "mset": "SET", "mdel": "DELETE", "mexists": "EXISTS"}


def speedup_table(summary: TargetSummary, reference: Reference | None) -> Table:
    """Batch over individual: batch size by operation, with intervals and geometric means."""
    quotes = None
    if reference is not None:
        is_network = summary.target.is_network
        figures = reference.network_speedup if is_network else reference.engine_speedup
        quotes = _Quotes(reference_heading(reference), figures, text.quoted_ratio)
    entries = Entries(summary)
    lanes = _lanes(summary, entries.speedup, quotes)
    rows = _pivot(summary, lanes)
    if len(summary.sizes) > 1:
        means = [Entry("mean")]
        for op, lane in lanes.items():
            means += [mean_entry(summary.mean_by_op[op]), *([BLANK] if lane.quotes else [])]
        rows.append(tuple(means))
    notes = (*_batch_notes(summary), *entries.notes())
    title = "Batch over individual, with 95% intervals"
    return Table(title, _columns(lanes), tuple(rows), notes)


def scalability_table(summary: TargetSummary, reference: Reference | None) -> Table:
    """Keys per second of batch calls: batch size by operation."""
    quotes = None
    if reference is not None:
        is_network = summary.target.is_network
        figures = reference.network_keys_per_s if is_network else reference.engine_keys_per_s
        quotes = _Quotes(reference_heading(reference), figures, text.quoted_rate)
    lanes = _lanes(summary, Entries(summary).batch_rate, quotes)
    title = "Scalability: keys/s of batch calls"
    return Table(title, _columns(lanes), tuple(_pivot(summary, lanes)))


def time_table(summary: TargetSummary) -> Table:
    """The time of a batch call, and beside it that time divided by its keys."""
    lanes = _lanes(summary, Entries(summary).batch_time, None)
    title = "Scalability: time of a batch call, and amortised per key"
    return Table(title, _columns(lanes), tuple(_pivot(summary, lanes)))


def round_trip_table(summary: TargetSummary, reference: Reference | None) -> Table:
    """Single calls beside batch calls, in keys per second: for targets behind a network."""
    entries = Entries(summary)
    quotes = _round_trip_quotes(summary, reference) if reference else (None, None, None)
    speedup = partial(entries.speedup, with_bounds=False)
    lanes = (
        _Lane("individual/s", entries.individual_rate, quotes[0]),
        _Lane("batch/s", entries.batch_rate, quotes[1]),
        _Lane("speedup", speedup, quotes[2]),
    )
    rows = []
    for op in summary.ops:
        for size in summary.sizes:
            cell = summary.cell(op, size)
            row = [Entry(_SINGLE_OPS.get(op, text.plain(op).upper())), Entry(f"{size:,}")]
            if cell is not None:
                rows.append(
                    (*row, *[one for lane in lanes for one in lane.entries(cell, op, size)])
                )
    columns = [Column("operation", is_text=True), _SIZE]
    columns += [column for lane in lanes for column in lane.columns()]
    return Table("Single and batch calls: keys/s", tuple(columns), tuple(rows), key_columns=2)


def means_table(summaries: tuple[TargetSummary, ...]) -> Table:
    """The geometric mean of the speedups of each target, by operation."""
    ops = list(dict.fromkeys([op for summary in summaries for op in summary.ops]))
    columns = [Column("target", is_text=True, is_url=True)]
    columns += [Column(text.plain(op).upper()) for op in ops]
    columns += [Column("all")] if len(ops) > 1 else []
    rows = []
    for summary in summaries:
        means = [summary.mean_by_op.get(op) for op in ops]
        means += [summary.mean] if len(ops) > 1 else []
        entries = [mean_entry(mean, with_bounds=False) for mean in means]
        rows.append((Entry(text.plain(summary.target.target)), *entries))
    return Table("Geometric means over batch sizes", tuple(columns), tuple(rows))


def floors_table(floors: Floors) -> Table:
    """What no figure of the run can be better than."""
    loop = text.duration(floors.loop_ns_per_call)
    return facts_table(
        "Floors of this run",
        {
            "one reading of the clock": text.duration(floors.timer_ns),
            "one call of a backend that does nothing (null://)": loop,
            "loopback round trip of one byte": text.duration(floors.loopback_round_trip_ns),
            "cores kept awake": "on" if floors.keep_awake else "off",
        },
    )


def facts_table(title: str, facts: Mapping[str, object]) -> Table:
    """Names and what they stand for: a table without headings."""
    rows = []
    for name, fact in facts.items():
        shown = text.plain(name).replace("_", " ")
        rows.append((Entry(shown, tone=Tone.FAINT), Entry(text.value(fact))))
    return Table(title, (), tuple(rows))


def reference_heading(reference: Reference) -> str:
    """What a reference's columns are called."""
    name = text.plain(reference.name)
    return name if 0 < len(name) <= _HEADING_CHARS_MAX else "reference"


def _lanes(
    summary: TargetSummary, entry: Callable[[Cell], Entry], quotes: _Quotes | None
) -> dict[str, _Lane]:
    """A column for each operation, with a companion where the reference knows the operation."""
    return {
        op: _Lane(
            text.plain(op).upper(),
            entry,
            quotes if quotes is not None and quotes.knows(summary, op) else None,
        )
        for op in summary.ops
    }


def _columns(lanes: Mapping[str, _Lane]) -> tuple[Column, ...]:
    return (_SIZE, *[column for lane in lanes.values() for column in lane.columns()])


def _pivot(summary: TargetSummary, lanes: Mapping[str, _Lane]) -> list[tuple[Entry, ...]]:
    """Batch sizes down, operations across."""
    rows = []
    for size in summary.sizes:
        row = [Entry(f"{size:,}")]
        for op, lane in lanes.items():
            row += lane.entries(summary.cell(op, size), op, size)
        rows.append(tuple(row))
    return rows


def _round_trip_quotes(
    summary: TargetSummary, reference: Reference
) -> tuple[_Quotes | None, _Quotes | None, _Quotes | None]:
    name = reference_heading(reference)
    individual = _Quotes(name, reference.network_individual_keys_per_s, text.quoted_rate)
    batch_figures = reference.network_batch_keys_per_s or reference.network_keys_per_s
    batch = _Quotes(name, batch_figures, text.quoted_rate)
    speedup = _Quotes(name, reference.network_speedup, text.quoted_ratio)
    return (
        individual if individual.knows(summary, *summary.ops) else None,
        batch if batch.knows(summary, *summary.ops) else None,
        speedup if speedup.knows(summary, *summary.ops) else None,
    )


def _batch_notes(summary: TargetSummary) -> list[str]:
    """How the batches are done, what they come to, and what chance alone does."""
    kinds = summary.kinds()
    if len(set(kinds.values())) == 1:
        notes = [f"Batch calls: {next(iter(kinds.values()))}."]
    else:
        each = ", ".join([f"{text.plain(op).upper()} {kind}" for op, kind in kinds.items()])
        notes = [f"Batch calls: {each}."]
    if any("emulated" in kind for kind in kinds.values()):
        notes.append("Emulated is a loop of single calls behind a batch's name: no speedup.")
    if summary.mean.speedup is not None and summary.mean.counted > 1:
        mean = f"{text.speedup(summary.mean.speedup)} {text.bounds(summary.mean.speedup)}"
        notes.append(f"Geometric mean of {text.count(summary.mean.counted, 'cell')}: {mean}.")
    noise = summary.target.noise
    if noise is None:
        notes.append("No noise floor: a speedup is told from 1 by its interval alone.")
    else:
        place = text.plain(summary.target.noise_op)
        at = f" ({place})" if place else ""
        notes.append(f"Noise floor, A/A{at}: {text.speedup(noise)} {text.bounds(noise)}.")
    return notes
