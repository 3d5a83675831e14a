"""A history as documents: its entries, one entry, and trends with a small chart for each figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kvbench.compare.judgement import Verdict
from kvbench.compare.readings import Measure
from kvbench.history.entry import HistoryEntry, StoredReading
from kvbench.history.trend import FigureTrend, LevelChange
from kvbench.report import format as text
from kvbench.report.comparison_document import MEASURE_TITLES, difference_text, measure_writer
from kvbench.report.document import Document, Section
from kvbench.report.entries import UNSTABLE, TableEntry, Tone, figure_entry
from kvbench.report.table import Column, Table, facts_table

SPARK_POINTS = 24
"""A row with a longer chart is wider than a terminal; the newest entries are shown."""

_BARS = "▁▂▃▄▅▆▇█"
_STEP = "|"
"""Stands in a chart where the level changed."""

_PLOT_CHARS = 41
_NAMED_MAX = 5
_SCALE_MIN = math.log(1.1)
"""A narrower range fills only a part of a chart: noise must not look like news."""

_TONES = {Verdict.FASTER: Tone.FASTER, Verdict.SLOWER: Tone.SLOWER}


def list_document(entries: Sequence[HistoryEntry], name: str) -> Document:
    """All entries of a history, the newest first."""
    rows = [
        (
            TableEntry(one.id),
            TableEntry(_date(one)),
            TableEntry(_commit(one)),
            TableEntry(text.value(one.header.environment.get("cpu"))),
            TableEntry(", ".join([text.plain(target) for target in one.facts])),
            TableEntry(f"{len(one.readings):,}"),
            TableEntry("complete" if one.is_complete else "interrupted"),
        )
        for one in reversed(entries)
    ]
    heads = ("entry", "started", "commit", "machine", "targets")
    columns = (
        *[Column(head, is_text=True) for head in heads],
        Column("figures"),
        Column("run", is_text=True),
    )
    table = Table("Entries, the newest first", columns, tuple(rows), (), 3)
    count = f"{len(entries):,} {'entry' if len(entries) == 1 else 'entries'}"
    return Document("kvbench history", f"{text.plain(name)} · {count}", "", _only(table), ())


def entry_document(entry: HistoryEntry) -> Document:
    """One entry: its figures, then machine and settings."""
    columns = (
        Column("target", is_text=True, is_url=True),
        Column("what", is_text=True),
        Column("figure"),
    )
    found = []
    for measure in Measure:
        rows = [
            (TableEntry(text.plain(one.target)), TableEntry(text.plain(one.name)), _figure(one))
            for one in entry.readings
            if one.measure is measure
        ]
        if rows:
            found.append(Table(MEASURE_TITLES[measure], columns, tuple(rows), (), 2))
    header = entry.header
    about = [
        facts_table("Machine", header.environment),
        facts_table("Settings", {"command": header.command} | header.settings),
    ]
    for target, facts in entry.facts.items():
        if facts:
            about.append(facts_table(text.plain(target), facts))
    return Document(
        title=f"kvbench history: entry {entry.id}",
        subtitle=f"{_date(entry)} · commit {_commit(entry)} · added {text.plain(entry.added_at)}",
        warning="" if entry.is_complete else "The run was interrupted.",
        sections=(
            Section("Figures", False, "", tuple(found)),
            Section("How it was measured", False, "", tuple(about)),
        ),
        notes=(),
    )


def trend_document(found: Sequence[FigureTrend], name: str) -> Document:
    """Trends: changes of level first, then a chart for each figure.

    Args:
        found: at least one.
        name: of the history.
    """
    changed = [(one, change) for one in found for change in one.changes]
    # The newest first: it is the one that can still be undone.
    changed.sort(key=lambda pair: _at(*pair).started, reverse=True)
    tables = [_changes_table(changed)] if changed else []
    for measure in Measure:
        rows = [one for one in found if one.measure is measure]
        if rows:
            tables.append(_measure_table(measure, rows))
    if len(found) == 1:
        tables.append(_points_table(found[0]))
    entries = {point.entry.digest for one in found for point in one.points}
    counted = f"{text.count(len(found), 'figure')} · {text.count(len(entries), 'run')}"
    return Document(
        title="kvbench history: trend",
        subtitle=f"{text.plain(name)} · {counted}",
        warning="",
        sections=_only(*tables),
        notes=tuple(_answer(changed, found)),
    )


def _only(*tables: Table) -> tuple[Section, ...]:
    return (Section("History", False, "", tables),)


def _answer(
    changed: Sequence[tuple[FigureTrend, LevelChange]], found: Sequence[FigureTrend]
) -> list[str]:
    if not changed:
        said = ["No change of level is certain."]
    else:
        named = [_change_sentence(*pair) for pair in changed[:_NAMED_MAX]]
        more = len(changed) - _NAMED_MAX
        rest = f"; and {more} more" if more > 0 else ""
        said = [f"{text.count(len(changed), 'change')} of level: {'; '.join(named)}{rest}."]
        said += [_beside(*pair) for pair in changed[:_NAMED_MAX]]
    left_out = max([one.left_out for one in found])
    if left_out:
        said.append(
            f"{text.count(left_out, 'run')} on another machine or with other settings left out; "
            "--mix machine,setting includes them."
        )
    return [one for one in dict.fromkeys(said) if one]


def _change_sentence(trend: FigureTrend, change: LevelChange) -> str:
    what = f"{text.plain(trend.target)} {text.plain(trend.name)} {_measure(trend)}"
    entry = _at(trend, change)
    ratio = f"{text.ratio(change.ratio)} {text.bounds(change.ratio)}".strip()
    return f"{what} {change.verdict} since {_date(entry)}, {_commit(entry)}: {ratio}"


def _beside(trend: FigureTrend, change: LevelChange) -> str:
    """What else changed with a level, in one sentence; empty if nothing is known."""
    found = [one for one in change.differences if one.name != "git"]
    if not found:
        return ""
    named = "; ".join([difference_text(one, ("before", "after")) for one in found[:_NAMED_MAX]])
    return f"With {_commit(_at(trend, change))} also changed: {named}."


def _changes_table(changed: Sequence[tuple[FigureTrend, LevelChange]]) -> Table:
    rows = []
    for trend, change in changed:
        entry, tone = _at(trend, change), _TONES[change.verdict]
        write = measure_writer(trend.measure)
        rows.append(
            (
                TableEntry(text.plain(trend.target)),
                TableEntry(text.plain(trend.name)),
                TableEntry(_measure(trend)),
                TableEntry(_date(entry)),
                TableEntry(_commit(entry)),
                TableEntry(write(change.before, text.DIGITS_MAX)),
                TableEntry(write(change.after, text.DIGITS_MAX)),
                TableEntry(text.ratio(change.ratio), text.bounds(change.ratio), tone=tone),
                TableEntry(str(change.verdict), tone=tone),
            )
        )
    columns = (
        Column("target", is_text=True, is_url=True),
        *[Column(head, is_text=True) for head in ("what", "figure", "since", "commit")],
        Column("before"),
        Column("after", is_companion=True),
        Column("after / before"),
        Column("verdict", is_text=True),
    )
    return Table("Changes of level, the newest first", columns, tuple(rows), (), 3)


def _measure_table(measure: Measure, found: Sequence[FigureTrend]) -> Table:
    rows = []
    for one in found:
        last = one.points[-1]
        latest = one.changes[-1] if one.changes else None
        rows.append(
            (
                TableEntry(text.plain(one.target)),
                TableEntry(text.plain(one.name)),
                TableEntry(f"{len(one.points):,}"),
                TableEntry(sparkline(one), tone=_TONES[latest.verdict] if latest else Tone.PLAIN),
                _figure(one.points[0].reading),
                _figure(last.reading),
                TableEntry(f"{latest.verdict} {text.ratio(latest.ratio)}" if latest else "~"),
            )
        )
    columns = (
        Column("target", is_text=True, is_url=True),
        Column("what", is_text=True),
        Column("runs"),
        Column("trend", is_text=True),
        Column("first"),
        Column("last", is_companion=True),
        Column("last change", is_text=True),
    )
    notes = []
    if any(one.changes for one in found):
        notes.append(f"{_STEP} the level changed here.")
    if any(not one.changes for one in found):
        notes.append("~ no change of level is certain.")
    if any(not point.reading.is_stable for one in found for point in one.points):
        notes.append(f"{UNSTABLE} unstable: other work may have changed it.")
    return Table(MEASURE_TITLES[measure], columns, tuple(rows), tuple(notes), 2)


def sparkline(trend: FigureTrend) -> str:
    """The newest points as bars, on a logarithmic scale, with a sign where the level changed."""
    first = max(0, len(trend.points) - SPARK_POINTS)
    logs = [math.log(one.reading.figure.estimate) for one in trend.points[first:]]
    low, high = _scale(logs)
    edges = {change.index - first for change in trend.changes}
    drawn = ""
    for place, value in enumerate(logs):
        level = int((value - low) / (high - low) * len(_BARS))
        bar = _BARS[min(max(level, 0), len(_BARS) - 1)]
        drawn += f"{_STEP if place in edges else ''}{bar}"
    return drawn


def _scale(logs: Sequence[float]) -> tuple[float, float]:
    """The ends of a chart's scale."""
    low, high = min(logs), max(logs)
    missing = max(0.0, _SCALE_MIN - (high - low)) / 2
    return low - missing, high + missing


def _points_table(trend: FigureTrend) -> Table:
    """Every run of one figure, with its interval drawn to scale."""
    figures = [point.reading.figure for point in trend.points]
    ends = [value for one in figures for value in (one.low, one.estimate, one.high)]
    low, high = _scale([math.log(value) for value in ends if value is not None and value > 0])

    def place(value: float | None, otherwise: int) -> int:
        if value is None or value <= 0:
            return otherwise
        return round((math.log(value) - low) / (high - low) * (_PLOT_CHARS - 1))

    rows = []
    edges = {change.index: change for change in trend.changes}
    for index, point in enumerate(trend.points):
        figure = point.reading.figure
        middle = place(figure.estimate, 0)
        drawn = ["·"] * _PLOT_CHARS
        left, right = place(figure.low, middle), place(figure.high, middle)
        drawn[left : right + 1] = ["─"] * (right + 1 - left)
        drawn[middle] = "●"
        change = edges.get(index)
        rows.append(
            (
                TableEntry(_date(point.entry)),
                TableEntry(_commit(point.entry)),
                _figure(point.reading),
                TableEntry("".join(drawn)),
                TableEntry(str(change.verdict), tone=_TONES[change.verdict])
                if change
                else TableEntry(""),
            )
        )
    columns = (
        Column("started", is_text=True),
        Column("commit", is_text=True),
        Column("figure"),
        Column("95% interval, logarithmic scale", is_text=True),
        Column("change", is_text=True),
    )
    return Table("Runs", columns, tuple(rows), (), 2)


def _figure(reading: StoredReading) -> TableEntry:
    entry = figure_entry(reading.figure, measure_writer(reading.measure))
    return TableEntry(entry.text, entry.detail, "" if reading.is_stable else UNSTABLE)


def _at(trend: FigureTrend, change: LevelChange) -> HistoryEntry:
    return trend.points[change.index].entry


def _measure(trend: FigureTrend) -> str:
    return trend.measure.replace("_per_s", "/s").replace("_ns", " time")


def _date(entry: HistoryEntry) -> str:
    return f"{entry.started:%Y-%m-%d %H:%M}"


def _commit(entry: HistoryEntry) -> str:
    """A commit's name, shortened as git does."""
    return text.plain(entry.commit)[:12] or text.NO_FIGURE
