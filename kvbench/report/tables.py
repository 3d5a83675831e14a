"""The details of each target as tables, and the baselines of a run.

When results are compared with another run, its figures are in the column after ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report.entries import (
    BLANK,
    NOT_MEASURED,
    SINGLE,
    Entries,
    TableEntry,
    bare,
    faint,
    figure_entry,
)
from kvbench.report.summary import TargetSummary
from kvbench.report.table import Column, Table, facts_table
from kvbench.results import HEADLINE, Baselines, Cell, Figure

_HEADING_CHARS_MAX = 12
"""Longest title of another run used as a column heading; longer ones are only in a note."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Another run to compare with.

    Attributes:
        name: heading of its columns.
        targets: its targets, by URL.
    """

    name: str
    targets: Mapping[str, TargetSummary]


@dataclass(frozen=True, slots=True)
class _Lane:
    """A column of figures, with its companion if the other run has any of them."""

    heading: str
    entry: Callable[[Cell], TableEntry]
    other_name: str = ""
    other_entry: Callable[[Cell], TableEntry] | None = None
    other_cells: Mapping[int, Cell] | None = None

    def columns(self) -> list[Column]:
        companion = [Column(self.other_name, is_companion=True)] if self.other_entry else []
        return [Column(self.heading), *companion]

    def entries(self, cell: Cell | None, batch_size: int) -> list[TableEntry]:
        found = [NOT_MEASURED if cell is None else self.entry(cell)]
        if self.other_entry is not None and self.other_cells is not None:
            other = self.other_cells.get(batch_size)
            entry = BLANK if other is None else self.other_entry(other)
            found.append(BLANK if entry.text == text.NO_FIGURE else faint(entry))
        return found


_SIZE = Column("batch size")


def speedup_table(summary: TargetSummary, beside: Beside | None) -> Table:
    """Batch over individual: batch size by operation, with intervals."""
    entries = Entries(summary)
    lanes = _lanes(summary, beside, lambda one: one.speedup, entries.speedup)
    notes = (*_batch_notes(summary), *entries.notes())
    title = "Batch over individual: speedup with its 95% interval"
    return Table(title, _columns(lanes), tuple(_pivot(summary, lanes)), notes)


def parts_table(summary: TargetSummary) -> Table | None:
    """Factors of the speedup, where the target supports pipelining; otherwise None."""
    entries = Entries(summary)
    names = [name for name in _ratio_names(summary) if name != HEADLINE]
    if not names:
        return None
    rows = []
    for cell in summary.cells:
        if any(name in cell.ratios for name in names):
            keys = [TableEntry(text.plain(cell.op).upper()), TableEntry(f"{cell.batch_size:,}")]
            rows.append((*keys, *[entries.ratio(cell, name) for name in [*names, HEADLINE]]))
    columns = [Column("operation", is_text=True), _SIZE]
    columns += [Column(text.plain(name).replace("/", " / ")) for name in [*names, HEADLINE]]
    notes = (
        "Individual / pipelined is what saved round trips buy; pipelined / batch is what the batch "
        "command buys beyond that. Their product is the speedup.",
    )
    return Table("Is pipelining as good?", tuple(columns), tuple(rows), notes, key_columns=2)


def _ratio_names(summary: TargetSummary) -> list[str]:
    return list(dict.fromkeys([name for cell in summary.cells for name in cell.ratios]))


def rate_table(summary: TargetSummary, beside: Beside | None) -> Table:
    """Keys per second of batch calls: batch size by operation."""
    entries = Entries(summary)
    lanes = _lanes(summary, beside, lambda one: one.rate, entries.rate)
    title = "Keys/s of batch calls, with half of the interval's width"
    return Table(title, _columns(lanes), tuple(_pivot(summary, lanes)))


def time_table(summary: TargetSummary) -> Table:
    """Time for a number of keys: one by one, pipelined if supported, in one batch call."""
    entries = Entries(summary)
    has_pipelined = any("pipelined" in cell.arms for cell in summary.cells)
    heads = ["one by one", *(["pipelined"] if has_pipelined else []), "one batch call", "per key"]
    rows = []
    for cell in summary.cells:
        row = [TableEntry(text.plain(cell.op).upper()), TableEntry(f"{cell.batch_size:,}")]
        row.append(entries.keys_time(cell, "individual"))
        if has_pipelined:
            row.append(entries.keys_time(cell, "pipelined"))
        row += [entries.keys_time(cell, "batch"), entries.time_per_key(cell)]
        rows.append(tuple(row))
    columns = [Column("operation", is_text=True), Column("keys"), *[Column(one) for one in heads]]
    notes = ("Per key: the time of the batch call shared out (amortised), the latency of no key.",)
    return Table("Time for so many keys", tuple(columns), tuple(rows), notes, key_columns=2)


def single_table(summary: TargetSummary, beside: Beside | None) -> Table:
    """Single calls: time and rate."""
    entries = Entries(summary)
    other = beside.targets.get(summary.target.target) if beside else None
    columns = [Column("operation", is_text=True), Column("one call"), Column("calls/s")]
    columns += [Column(beside.name, is_companion=True)] if beside and other else []
    rows = []
    for one in summary.operations.values():
        if one.with_figures:
            cell = one.with_figures[0]
            row = [
                TableEntry(SINGLE.get(one.op, text.plain(one.op).upper())),
                bare(entries.call_time(cell, "individual")),
                entries.rate(cell, "individual"),
            ]
            if other:
                row.append(_other_single(other, one.op))
            rows.append(tuple(row))
    return Table("Single calls", tuple(columns), tuple(rows))


def _other_single(other: TargetSummary, op: str) -> TableEntry:
    found = other.operations.get(op)
    cells = [one for one in found.with_figures if "individual" in one.arms] if found else []
    return faint(Entries(other).rate(cells[0], "individual")) if cells else BLANK


def curve_table(summary: TargetSummary) -> Table | None:
    """The cost curves; None if there are none."""
    curves = [one.curve for one in summary.operations.values() if one.curve is not None]
    if not curves:
        return None
    rows = []
    notes = [
        "Cost of a call of B keys: fixed + B × per key, weighted least squares over the sizes."
    ]
    for curve in curves:
        rows.append(
            (
                TableEntry(text.plain(curve.op).upper()),
                figure_entry(curve.fixed_ns, text.duration),
                figure_entry(curve.per_key_ns, text.duration),
                figure_entry(curve.half_gain_size, text.size, "at once"),
                figure_entry(curve.limit, text.times, "unbounded"),
                figure_entry(curve.break_even_size, text.size, "never: batching is slower"),
            )
        )
        for misfit in curve.misfits:
            notes.append(
                f"{text.plain(curve.op).upper()}: the line does not fit at {misfit.batch_size:,} "
                f"keys, measured {misfit.ratio:.2f} of it."
            )
    heads = ("fixed", "per key", "half gain at", "tends to", "faster from")
    columns = (Column("operation", is_text=True), *[Column(head) for head in heads])
    return Table("Cost of a batch call", columns, tuple(rows), tuple(notes))


def baselines_table(baselines: Baselines) -> Table:
    """The cost of the harness and of the machine."""

    def shown(figure: Figure | None) -> str:
        if figure is None:
            return text.NO_FIGURE
        return f"{text.duration(figure.estimate)} {text.half_width(figure)}".strip()

    return facts_table(
        "Baselines: what the harness and a bare round trip cost",
        {
            "one reading of the clock": shown(baselines.timer_ns),
            "one call of a backend that does nothing (null://)": shown(baselines.loop_ns),
            "one byte over loopback and back, placed as private servers are": shown(
                baselines.round_trip_apart_ns
            ),
            "the same with both ends on one core": shown(baselines.round_trip_together_ns),
            "cores kept awake": "on" if baselines.keep_awake else "off",
        },
    )


def column_name(title: str) -> str:
    """The heading of another run's columns."""
    name = text.plain(title)
    return name if 0 < len(name) <= _HEADING_CHARS_MAX else "beside"


def _lanes(
    summary: TargetSummary,
    beside: Beside | None,
    choose: Callable[[Entries], Callable[[Cell], TableEntry]],
    entry: Callable[[Cell], TableEntry],
) -> dict[str, _Lane]:
    """A column for each operation, with a companion if the other run has the operation."""
    other = beside.targets.get(summary.target.target) if beside else None
    lanes = {}
    for op in summary.operations:
        heading = text.plain(op).upper()
        found = other.operations.get(op) if other else None
        if beside is None or other is None or found is None:
            lanes[op] = _Lane(heading, entry)
        else:
            lanes[op] = _Lane(heading, entry, beside.name, choose(Entries(other)), found.cells)
    return lanes


def _columns(lanes: Mapping[str, _Lane]) -> tuple[Column, ...]:
    return (_SIZE, *[column for lane in lanes.values() for column in lane.columns()])


def _pivot(summary: TargetSummary, lanes: Mapping[str, _Lane]) -> list[tuple[TableEntry, ...]]:
    """Rows are batch sizes, columns are operations."""
    rows = []
    for size in summary.sizes:
        row = [TableEntry(f"{size:,}")]
        for op, lane in lanes.items():
            row += lane.entries(summary.cell(op, size), size)
        rows.append(tuple(row))
    return rows


def _batch_notes(summary: TargetSummary) -> list[str]:
    """Notes on batch kinds, round trips, and variation by chance."""
    notes = []
    parts = []
    for one in summary.operations.values():
        kinds = "/".join(one.kinds)
        measured = [cell for cell in one.cells.values() if cell.round_trips is not None]
        trips = ""
        if measured:
            cell = measured[0]
            trips = f" ({cell.round_trips:.1f} round trips measured for {cell.round_trips_at} keys)"
        parts.append(f"{text.plain(one.op).upper()} {text.plain(kinds)}{trips}")
    notes.append(f"Batch calls, as declared: {', '.join(parts)}.")
    if any("emulated" in one.kinds for one in summary.operations.values()):
        notes.append("Emulated is a loop of single calls behind a batch's name: no speedup.")
    ratio = summary.target.self_ratio
    if ratio is not None:
        notes.append(
            f"Single calls against themselves: {text.ratio(ratio)} {text.bounds(ratio)}; it "
            "should be 1."
        )
    return notes
