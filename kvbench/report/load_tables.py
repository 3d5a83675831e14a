"""The tables of a load run: throughput and latency of each lane, targets side by side."""

from __future__ import annotations

from collections.abc import Sequence

from kvbench.report import format as text
from kvbench.report.entries import TableEntry, Tone, figure_entry
from kvbench.report.table import Column, Table
from kvbench.results import CapacityRecord, Figure, Latency, LoadRecord

PERCENTILES = {"p50_ns": "p50", "p90_ns": "p90", "p99_ns": "p99", "p999_ns": "p99.9"}
"""The percentiles of a latency, with their headings."""

KINDS = {
    "service_time": "Service time (closed loop: the next call is sent when the last is answered)",
    "since_intended": "Latency since the intended time (open loop: what a user waits for)",
    "since_sent": "Latency since sending (open loop: what the store takes)",
}
"""The latencies, with the titles of their tables."""

CLIENT_BOUND = "‡"
DISTURBED = "†"
UNSENT = "≥"
LOST_WORKER = "§"

WAITED_MAX = 0.05
"""A larger share of time spent waiting for a core may have changed the figures."""

_BARS = "▁▂▃▄▅▆▇█"
_BARS_MAX = 24

_LANE_COLUMNS = (Column("target", is_text=True, is_url=True), Column("calls", is_text=True))


def call_name(record: LoadRecord | CapacityRecord) -> str:
    """How a lane sends its calls, e.g. ``batch × 50, 10 deep``."""
    size = f" × {record.batch_size:,}" if record.batch_size > 1 else ""
    depth = f", {record.pipeline:,} deep" if record.pipeline > 1 else ""
    return f"{text.plain(record.arm)}{size}{depth}"


def lane_name(load: LoadRecord) -> str:
    """The same, with the window of batch formation."""
    window = f", window {text.duration(load.batch_window_ns, 2)}" if load.batch_window_ns else ""
    return f"{call_name(load)}{window}"


def throughput_table(loads: Sequence[LoadRecord]) -> Table:
    """Requests and keys per second, errors and the client's share."""
    is_open = any(load.rate_per_s for load in loads)
    rows = []
    for load in loads:
        row = [*_lane(load)]
        if is_open:
            asked = text.rate(load.rate_per_s) if load.rate_per_s else text.NO_FIGURE
            row.append(TableEntry(asked))
        row += [
            _rate(load.requests_per_s, load),
            _rate(load.keys_per_s, load),
            TableEntry(_error_count(load), tone=Tone.SLOWER if load.errors else Tone.PLAIN),
        ]
        if is_open:
            row += [TableEntry(f"{load.late:,}"), TableEntry(f"{load.unsent:,}")]
        row += [
            TableEntry(f"{load.client_cpu:.0%}"),
            TableEntry(_growth(load), tone=Tone.FAINT),
        ]
        rows.append(tuple(row))
    heads = ["requests/s", "keys/s", "errors"]
    if is_open:
        heads = ["asked for", *heads, "late", "not sent"]
    columns = [*_LANE_COLUMNS, *[Column(head) for head in heads], Column("client CPU")]
    columns.append(Column("over time", is_text=True))
    return Table("Throughput", tuple(columns), tuple(rows), _throughput_notes(loads), 2)


def latency_table(kind: str, loads: Sequence[LoadRecord]) -> Table:
    """The percentiles of one latency, a row for each lane."""
    rows = []
    for load in loads:
        if latency := load.latency.get(kind):
            is_bound = kind == "since_intended" and load.unsent > 0
            rows.append(
                (
                    *_lane(load),
                    *[_percentile(latency, name, is_bound) for name in PERCENTILES],
                    _time(latency.max_ns, is_bound),
                    TableEntry(f"{latency.samples:,}"),
                )
            )
    heads = (*PERCENTILES.values(), "max", "calls")
    columns = (*_LANE_COLUMNS, *[Column(head) for head in heads])
    notes = [
        "A percentile with fewer than 10 calls beyond it is not shown, nor an interval where a "
        "round has fewer."
    ]
    if kind == "since_intended" and any(load.unsent for load in loads):
        notes.append(
            f"{UNSENT} calls that were due were not sent by the end: the figure is a lower bound. "
            "The store, or the load generator, does not keep up with the rate."
        )
    return Table(KINDS.get(kind, text.plain(kind)), columns, tuple(rows), tuple(notes), 2)


def _lane(load: LoadRecord) -> tuple[TableEntry, TableEntry]:
    return TableEntry(text.plain(load.target)), TableEntry(lane_name(load))


def _rate(figure: Figure | None, load: LoadRecord) -> TableEntry:
    if figure is None:
        return TableEntry(text.NO_FIGURE, tone=Tone.FAINT)
    entry = figure_entry(figure, text.rate)
    signs = {
        CLIENT_BOUND: load.is_client_bound,
        DISTURBED: load.waited > WAITED_MAX,
        LOST_WORKER: bool(load.lost_workers),
    }
    mark = "".join([sign for sign, holds in signs.items() if holds])
    return TableEntry(entry.text, entry.detail, mark)


def _percentile(latency: Latency, name: str, is_bound: bool) -> TableEntry:
    value: float | None = getattr(latency, name)
    figure = latency.intervals.get(name)
    if figure is None or value is None:
        return _time(value, is_bound)
    entry = figure_entry(figure, text.duration)
    return TableEntry(f"{UNSENT} {entry.text}" if is_bound else entry.text, entry.detail)


def _time(time_ns: float | None, is_bound: bool) -> TableEntry:
    if time_ns is None:
        return TableEntry(text.NO_FIGURE, tone=Tone.FAINT)
    shown = text.duration(time_ns)
    return TableEntry(f"{UNSENT} {shown}" if is_bound else shown)


def _error_count(load: LoadRecord) -> str:
    return (
        ", ".join([f"{count:,} {text.plain(kind)}" for kind, count in load.errors.items()]) or "0"
    )


def _growth(load: LoadRecord) -> str:
    """Keys per second over all rounds, as bars from zero."""
    points = [rate for timeline in load.timelines for rate in timeline.keys_per_s]
    if not points or max(points) <= 0:
        return ""
    width = -(-len(points) // _BARS_MAX)
    means = [
        sum(part) / len(part)
        for part in (points[i : i + width] for i in range(0, len(points), width))
    ]
    top = max(means)
    return "".join([_BARS[round(mean / top * (len(_BARS) - 1))] for mean in means])


def _throughput_notes(loads: Sequence[LoadRecord]) -> tuple[str, ...]:
    notes = []
    if any(load.is_client_bound for load in loads):
        notes.append(
            f"{CLIENT_BOUND} the load generator used its whole core: the store can do more. Use "
            "--driver wire, or more --workers on more cores."
        )
    disturbed = [load.waited for load in loads if load.waited > WAITED_MAX]
    if disturbed:
        notes.append(
            f"{DISTURBED} other work held a core for up to {max(disturbed):.0%} of the time. Stop "
            "it, repeat."
        )
    apart_ns = max([load.start_error_ns for load in loads if load.workers > 1], default=0)
    if apart_ns:
        notes.append(f"Load workers began within {text.duration(apart_ns, 2)} of each other.")
    notes += lost_worker_notes(loads)
    for load in loads:
        if load.errors and load.silence_ns:
            notes.append(
                f"{text.plain(load.target)}, {lane_name(load)}: no call finished for "
                f"{text.duration(load.silence_ns, 2)}."
            )
        if load.reason:
            name = f"{text.plain(load.target)}, {lane_name(load)}"
            notes.append(f"{name}: no number: {text.plain(load.reason)}")
    return tuple(notes)


def lost_worker_notes(records: Sequence[LoadRecord | CapacityRecord]) -> list[str]:
    """What is missing from the figures of lanes that lost a load worker."""
    return [
        f"{LOST_WORKER} {text.plain(one.target)}, {call_name(one)}: the rate may be too low: "
        f"{text.plain('; '.join(one.lost_workers))}."
        for one in records
        if one.lost_workers
    ]


def formation_table(loads: Sequence[LoadRecord]) -> Table:
    """The frontier over batch windows: what keys wait, and what latency they have in the end."""
    rows = []
    for load in loads:
        since = load.latency.get("since_intended", Latency())
        rows.append(
            (
                TableEntry(text.plain(load.target)),
                TableEntry(text.duration(load.batch_window_ns, 3)),
                TableEntry(f"{load.formed_keys:.1f}"),
                _time(load.wait_ns, False),
                _time(load.expected_wait_ns, False),
                *[_percentile(since, name, load.unsent > 0) for name in ("p50_ns", "p99_ns")],
                _rate(load.requests_per_s, load),
                TableEntry(f"{load.client_cpu:.0%}"),
            )
        )
    heads = ("keys a batch", "wait, mean", "closed form", "p50", "p99", "batches/s", "client CPU")
    columns = (
        Column("target", is_text=True, is_url=True),
        Column("window"),
        *[Column(head) for head in heads],
    )
    notes = (
        "Keys arrive one at a time; a batch is sent when it is full or its window is over. p50 and "
        "p99 are of a key, from its arrival to its answer. The closed form of the mean wait is for "
        "Poisson arrivals and batches that the window ends.",
    )
    return Table("Batch formation", columns, tuple(rows), notes, 2)


def load_tables(loads: Sequence[LoadRecord]) -> tuple[Table, ...]:
    """All tables of a load run."""
    measured = [load for load in loads if not load.reason]
    kinds = [kind for kind in KINDS if any(kind in load.latency for load in measured)]
    formed = [load for load in measured if load.batch_window_ns]
    tables = [formation_table(formed)] if formed else []
    tables += [throughput_table(loads), *[latency_table(kind, measured) for kind in kinds]]
    return tuple(tables)
