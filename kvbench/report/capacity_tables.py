"""The tables of a capacity search: the highest rate of each arm within a latency objective."""

from __future__ import annotations

from collections.abc import Sequence

from kvbench.report import format as text
from kvbench.report.entries import TableEntry, Tone, figure_entry
from kvbench.report.load_tables import (
    DISTURBED,
    LOST_WORKER,
    WAITED_MAX,
    call_name,
    lost_worker_notes,
)
from kvbench.report.table import Column, Table
from kvbench.results import CapacityRecord


def capacity_table(capacities: Sequence[CapacityRecord]) -> Table:
    """Capacity of each lane, with its gain over single calls."""
    rows = []
    for one in capacities:
        name = TableEntry(text.plain(one.target)), TableEntry(call_name(one))
        entry = figure_entry(one.keys_per_s, text.rate)
        mark = DISTURBED if one.waited > WAITED_MAX else ""
        mark += LOST_WORKER if one.lost_workers else ""
        gain = one.gain
        rows.append(
            (
                *name,
                TableEntry(entry.text, entry.detail, mark),
                figure_entry(one.requests_per_s, text.rate),
                TableEntry(text.NO_FIGURE, tone=Tone.FAINT)
                if gain is None
                else TableEntry(text.ratio(gain), text.bounds(gain), tone=Tone.FASTER),
                figure_entry(one.closed_keys_per_s, text.rate),
            )
        )
    objective = text.plain(capacities[0].objective or "the objective")
    heads = ("keys/s", "requests/s", "over individual", "closed loop keys/s")
    columns = (
        Column("target", is_text=True, is_url=True),
        Column("calls", is_text=True),
        *[Column(head) for head in heads],
    )
    return Table(f"Capacity within {objective}", columns, tuple(rows), _notes(capacities), 2)


def _notes(capacities: Sequence[CapacityRecord]) -> tuple[str, ...]:
    notes = [sentence for one in capacities if (sentence := gain_sentence(one))]
    for one in capacities:
        name = f"{text.plain(one.target)}, {call_name(one)}"
        if one.reason:
            notes.append(f"{name}: no number: {text.plain(one.reason)}")
        elif one.keys_per_s is not None and 0.0 in one.keys_per_s.rounds:
            notes.append(f"{name}: in some rounds no rate kept the objective.")
        if one.errors:
            notes.append(f"{name}: {one.errors:,} requests failed; a probe with errors fails.")
    disturbed = [one.waited for one in capacities if one.waited > WAITED_MAX]
    if disturbed:
        notes.append(
            f"{DISTURBED} other work held a core for up to {max(disturbed):.0%} of the time. Stop "
            "it, repeat."
        )
    return (*notes, *lost_worker_notes(capacities))


def gain_sentence(one: CapacityRecord) -> str:
    """What an arm buys, in words; empty if its gain is unknown."""
    if one.gain is None:
        return ""
    verb = "batching" if one.arm == "batch" else "pipelining"
    size = one.batch_size if one.arm == "batch" else one.pipeline
    gain = f"{text.ratio(one.gain)} {text.bounds(one.gain)}".strip()
    return (
        f"{text.plain(one.target)}: {verb} × {size:,} carries {gain} the keys/s within "
        f"{text.plain(one.objective)}."
    )
