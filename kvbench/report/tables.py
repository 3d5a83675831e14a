"""Results as tables: everything that a report says in figures, nothing of how it looks.

First the answer (which batch size, and what it buys), then targets side by side in absolute terms,
then the details of each. Where another run's results are shown beside these, its figures stand in a
column behind ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report.entries import BLANK, NOT_MEASURED, Entries, Entry, Tone, figure_entry
from kvbench.report.summary import OperationSummary, TargetSummary
from kvbench.results import HEADLINE, Cell, Figure, Floors

_HEADING_CHARS_MAX = 12
"""Another run's title stands over its columns when it is this short; otherwise only in a note."""

_BARS = "▁▂▃▄▅▆▇█"
SINGLE = {"mget": "GET", "mset": "SET", "mdel": "DELETE", "mexists": "EXISTS"}
"""The single call of each batch operation, as people call it."""


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
class Beside:
    """Another run whose figures are shown beside ours.

    Attributes:
        name: what its columns are called.
        targets: its targets, by URL.
    """

    name: str
    targets: Mapping[str, TargetSummary]


@dataclass(frozen=True, slots=True)
class _Lane:
    """A column of figures, with its companion where the other run has any of them."""

    heading: str
    entry: Callable[[Cell], Entry]
    other_name: str = ""
    other_entry: Callable[[Cell], Entry] | None = None
    other_cells: Mapping[int, Cell] | None = None

    def columns(self) -> list[Column]:
        companion = [Column(self.other_name, is_companion=True)] if self.other_entry else []
        return [Column(self.heading), *companion]

    def entries(self, cell: Cell | None, batch_size: int) -> list[Entry]:
        found = [NOT_MEASURED if cell is None else self.entry(cell)]
        if self.other_entry is not None and self.other_cells is not None:
            other = self.other_cells.get(batch_size)
            entry = BLANK if other is None else self.other_entry(other)
            found.append(BLANK if entry.text == text.NO_FIGURE else _faint(entry))
        return found


_SIZE = Column("batch size")


def answer_table(summaries: Sequence[TargetSummary]) -> Table:
    """For each target and operation: what to use, and what it buys."""
    heads = ("target", "use", "keys/s", "instead of", "gain", "half of it at")
    columns = (
        Column(heads[0], is_text=True, is_url=True),
        Column(heads[1], is_text=True),
        *[Column(head) for head in heads[2:]],
    )
    rows = []
    for summary in summaries:
        entries = Entries(summary)
        for one in summary.operations.values():
            name = Entry(text.plain(summary.target.target))
            rows.append((name, *_answer(one, entries)))
    notes = (
        "Use: the smallest measured size within 10% of the best keys/s. Half of the possible gain "
        "is there at so many keys. Gains say what batching buys on a store; to choose a store, "
        "compare keys/s below.",
    )
    return Table("What to use", columns, tuple(rows), notes, key_columns=2)


def _answer(one: OperationSummary, entries: Entries) -> list[Entry]:
    single = SINGLE.get(one.op, text.plain(one.op).upper())
    best = one.recommended
    half_gain = one.curve.half_gain_size if one.curve else None
    if best is None:
        measured = one.with_figures
        why = "emulated" if "emulated" in one.kinds else "no gain seen"
        rate = entries.rate(measured[0], "individual") if measured else Entry(text.NO_FIGURE)
        reason = Entry(why if measured else text.NO_FIGURE, tone=Tone.FAINT)
        return [Entry(f"single {single}"), _bare(rate), reason, BLANK, BLANK]
    return [
        Entry(f"{text.plain(one.op).upper()} of {best.batch_size:,}"),
        _bare(entries.rate(best)),
        _bare(entries.rate(best, "individual")),
        entries.speedup(best),
        Entry(text.NO_FIGURE, tone=Tone.FAINT)
        if half_gain is None
        else Entry(f"{text.size(half_gain.estimate, 2)} keys"),
    ]


def absolute_table(op: str, summaries: Sequence[TargetSummary]) -> Table:
    """Targets side by side: single calls, and keys per second at each batch size."""
    sizes = sorted({size for one in summaries for size in one.sizes})
    single = SINGLE.get(op, text.plain(op).upper())
    columns = [Column("target", is_text=True, is_url=True), Column("one call"), Column("1 by 1")]
    columns += [Column(f"{size:,}") for size in sizes]
    columns += [Column("growth", is_text=True)] if len(sizes) > 1 else []
    shown = [one for one in summaries if op in one.operations]
    top = max(
        [_rate(cell) for one in shown for cell in one.operations[op].with_figures], default=0.0
    )
    rows = []
    for summary in shown:
        entries, one = Entries(summary), summary.operations[op]
        measured = one.with_figures
        row = [Entry(text.plain(summary.target.target))]
        if measured:
            call = entries.call_time(measured[0], "individual")
            row += [_bare(call), _bare(entries.rate(measured[0], "individual"))]
        else:
            row += [Entry(text.NO_FIGURE), Entry(text.NO_FIGURE)]
        cells = [one.cells.get(size) for size in sizes]
        row += [NOT_MEASURED if cell is None else _bare(entries.rate(cell)) for cell in cells]
        if len(sizes) > 1:
            row.append(Entry(_bars(measured, top), tone=Tone.FAINT))
        rows.append(tuple(row))
    title = f"{single} one by one, and {text.plain(op).upper()} by batch size: keys/s"
    return Table(title, tuple(columns), tuple(rows))


def _bars(cells: Sequence[Cell], top: float) -> str:
    """Keys/s of single calls and of each batch size as bars, on the table's logarithmic scale."""
    if not cells or top <= 0:
        return ""
    rates = [cells[0].arms["individual"].keys_per_s.estimate, *[_rate(cell) for cell in cells]]
    decades = 4.0
    heights = [1 + math.log10(max(rate, 1e-9) / top) / decades for rate in rates]
    return "".join([_BARS[round(max(0.0, height) * (len(_BARS) - 1))] for height in heights])


def speedup_table(summary: TargetSummary, beside: Beside | None) -> Table:
    """Batch over individual: batch size by operation, with intervals."""
    entries = Entries(summary)
    lanes = _lanes(summary, beside, lambda one: one.speedup, entries.speedup)
    notes = (*_batch_notes(summary), *entries.notes())
    title = "Batch over individual: speedup with its 95% interval"
    return Table(title, _columns(lanes), tuple(_pivot(summary, lanes)), notes)


def parts_table(summary: TargetSummary) -> Table | None:
    """What the speedup is made of, where the target can pipeline; None where it cannot."""
    entries = Entries(summary)
    names = [name for name in _ratio_names(summary) if name != HEADLINE]
    if not names:
        return None
    rows = []
    for cell in summary.cells:
        if any(name in cell.ratios for name in names):
            keys = [Entry(text.plain(cell.op).upper()), Entry(f"{cell.batch_size:,}")]
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
    """How long so many keys take: one by one, pipelined where the target can, in one batch call."""
    entries = Entries(summary)
    has_pipelined = any("pipelined" in cell.arms for cell in summary.cells)
    heads = ["one by one", *(["pipelined"] if has_pipelined else []), "one batch call", "per key"]
    rows = []
    for cell in summary.cells:
        row = [Entry(text.plain(cell.op).upper()), Entry(f"{cell.batch_size:,}")]
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
                Entry(SINGLE.get(one.op, text.plain(one.op).upper())),
                _bare(entries.call_time(cell, "individual")),
                entries.rate(cell, "individual"),
            ]
            if other:
                row.append(_other_single(other, one.op))
            rows.append(tuple(row))
    return Table("Single calls", tuple(columns), tuple(rows))


def _other_single(other: TargetSummary, op: str) -> Entry:
    found = other.operations.get(op)
    cells = [one for one in found.with_figures if "individual" in one.arms] if found else []
    return _faint(Entries(other).rate(cells[0], "individual")) if cells else BLANK


def curve_table(summary: TargetSummary) -> Table | None:
    """The cost curves; None where there is none."""
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
                Entry(text.plain(curve.op).upper()),
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


def floors_table(floors: Floors) -> Table:
    """What the harness and the machine cost by themselves."""

    def shown(figure: Figure | None) -> str:
        if figure is None:
            return text.NO_FIGURE
        return f"{text.duration(figure.estimate)} {text.half_width(figure)}".strip()

    return facts_table(
        "Floors: what the harness and a bare round trip cost",
        {
            "one reading of the clock": shown(floors.timer_ns),
            "one call of a backend that does nothing (null://)": shown(floors.loop_ns),
            "one byte over loopback and back, placed as private servers are": shown(
                floors.round_trip_apart_ns
            ),
            "the same with both ends on one core": shown(floors.round_trip_together_ns),
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


def column_name(title: str) -> str:
    """What another run's columns are called."""
    name = text.plain(title)
    return name if 0 < len(name) <= _HEADING_CHARS_MAX else "beside"


def _lanes(
    summary: TargetSummary,
    beside: Beside | None,
    choose: Callable[[Entries], Callable[[Cell], Entry]],
    entry: Callable[[Cell], Entry],
) -> dict[str, _Lane]:
    """A column for each operation, with a companion where the other run has the operation."""
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


def _pivot(summary: TargetSummary, lanes: Mapping[str, _Lane]) -> list[tuple[Entry, ...]]:
    """Batch sizes down, operations across."""
    rows = []
    for size in summary.sizes:
        row = [Entry(f"{size:,}")]
        for op, lane in lanes.items():
            row += lane.entries(summary.cell(op, size), size)
        rows.append(tuple(row))
    return rows


def _batch_notes(summary: TargetSummary) -> list[str]:
    """How the batches are done, how many round trips they take, and what chance alone does."""
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


def _rate(cell: Cell) -> float:
    return cell.arms["batch"].keys_per_s.estimate if "batch" in cell.arms else 0.0


def _bare(entry: Entry) -> Entry:
    """An entry without its second figure, for tables that have no room for it."""
    return Entry(entry.text, mark=entry.mark, tone=entry.tone)


def _faint(entry: Entry) -> Entry:
    return Entry(entry.text, tone=Tone.FAINT)
