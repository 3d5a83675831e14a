"""The first tables: which batch size to use, and a comparison of targets in absolute terms."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kvbench.report import format as text
from kvbench.report.entries import (
    BLANK,
    NOT_MEASURED,
    SINGLE,
    UNCLEAR,
    Entries,
    TableEntry,
    Tone,
    bare,
)
from kvbench.report.summary import Judgement, OperationSummary, TargetSummary
from kvbench.report.table import Column, Table
from kvbench.results import Cell

_BARS = "▁▂▃▄▅▆▇█"


def answer_table(summaries: Sequence[TargetSummary]) -> Table:
    """For each target and operation: the recommended size, and its gain."""
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
            name = TableEntry(text.plain(summary.target.target))
            rows.append((name, *answer_entries(one, entries)))
    notes = (
        "Use: the smallest measured size within 10% of the best keys/s. Half of the possible gain "
        "is there at so many keys. Gains say what batching buys on a store; to choose a store, "
        "compare keys/s below.",
    )
    return Table("What to use", columns, tuple(rows), notes, key_columns=2)


def answer_entries(one: OperationSummary, entries: Entries) -> list[TableEntry]:
    """What to use, its keys/s, those of single calls, the gain, and the size with half of it.

    Where single calls are the answer, the third is the reason, and the rest is blank.
    """
    single = SINGLE.get(one.op, text.plain(one.op).upper())
    best = one.recommended
    half_gain = one.curve.half_gain_size if one.curve else None
    if best is None:
        measured = one.with_figures
        rate = entries.rate(measured[0], "individual") if measured else TableEntry(text.NO_FIGURE)
        reason = TableEntry(_why_single(one, entries), tone=Tone.FAINT)
        return [TableEntry(f"single {single}"), bare(rate), reason, BLANK, BLANK]
    return [
        TableEntry(f"{text.plain(one.op).upper()} of {best.batch_size:,}"),
        bare(entries.rate(best)),
        bare(entries.rate(best, "individual")),
        entries.speedup(best),
        TableEntry(text.NO_FIGURE, tone=Tone.FAINT)
        if half_gain is None
        else TableEntry(f"{text.size(half_gain.estimate, 2)} keys"),
    ]


def _why_single(one: OperationSummary, entries: Entries) -> str:
    judgements = {entries.judge(cell) for cell in one.with_figures}
    if not judgements:
        return text.NO_FIGURE
    if Judgement.UNCLEAR in judgements:
        return f"{UNCLEAR} cannot tell"
    return "emulated" if Judgement.EMULATED in judgements else "no gain seen"


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
        row = [TableEntry(text.plain(summary.target.target))]
        if measured:
            call = entries.call_time(measured[0], "individual")
            row += [bare(call), bare(entries.rate(measured[0], "individual"))]
        else:
            row += [TableEntry(text.NO_FIGURE), TableEntry(text.NO_FIGURE)]
        cells = [one.cells.get(size) for size in sizes]
        row += [NOT_MEASURED if cell is None else bare(entries.rate(cell)) for cell in cells]
        if len(sizes) > 1:
            row.append(TableEntry(_bars(measured, top), tone=Tone.FAINT))
        rows.append(tuple(row))
    title = f"{single} one by one, and {text.plain(op).upper()} by batch size: keys/s"
    return Table(title, tuple(columns), tuple(rows))


def _bars(cells: Sequence[Cell], top: float) -> str:
    """Keys/s of single calls and of each batch size as bars, on the table's logarithmic scale."""
    if not cells or top <= 0:
        return ""
    rates = [_rate(cells[0], "individual"), *[_rate(cell) for cell in cells]]
    decades = 4.0
    heights = [1 + math.log10(max(rate, 1e-9) / top) / decades for rate in rates]
    return "".join([_BARS[round(max(0.0, height) * (len(_BARS) - 1))] for height in heights])


def _rate(cell: Cell, arm: str = "batch") -> float:
    return cell.arms[arm].keys_per_s.estimate if arm in cell.arms else 0.0
