"""A comparison of results as a document: the answer in words, then a table for each measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kvbench.compare.comparison import Comparison, Row, Unpaired
from kvbench.compare.differences import Difference
from kvbench.compare.judgement import Judged, Verdict
from kvbench.compare.readings import Measure
from kvbench.report import format as text
from kvbench.report.document import Document, Section
from kvbench.report.entries import BLANK, UNSTABLE, TableEntry, Tone, bare, figure_entry
from kvbench.report.table import Column, Table
from kvbench.results import Figure

UNCHANGED = "~"
_NAMED_MAX = 5
"""More slowdowns are counted in the answer, and named in the tables only."""

MEASURE_TITLES: Mapping[Measure, str] = {
    Measure.SPEEDUP: "Speedup of batch calls over single calls",
    Measure.KEYS_PER_S: "Keys/s",
    Measure.CALL_NS: "Time of a call",
    Measure.P99: "Latency: 99th percentile",
    Measure.CAPACITY: "Capacity: keys/s within the objective",
}

VERDICT_TONES: Mapping[Verdict, Tone] = {
    Verdict.FASTER: Tone.FASTER,
    Verdict.SLOWER: Tone.SLOWER,
    Verdict.SAME: Tone.FAINT,
    Verdict.INCONCLUSIVE: Tone.PLAIN,
}


def comparison_document(
    comparisons: Sequence[Comparison], notes: Sequence[str] = (), warning: str = ""
) -> Document:
    """The report of heads against one base.

    Args:
        comparisons: at least one; all with the same base.
        notes: sentences about the whole, e.g. the gate's.
        warning: why the gate fails; empty if it does not.
    """
    first = comparisons[0]
    sections = [section for one in comparisons for section in _sections(one, len(comparisons) > 1)]
    heads = ", ".join(dict.fromkeys([text.plain(one.head_name) for one in comparisons]))
    return Document(
        title="kvbench comparison",
        subtitle=f"base {text.plain(first.base_name)} · head {heads}",
        warning=warning,
        sections=tuple(sections),
        notes=(
            *[sentence for one in comparisons for sentence in answer(one, len(comparisons) > 1)],
            *notes,
        ),
    )


def answer(comparison: Comparison, has_several: bool = False) -> list[str]:
    """The comparison in words: verdicts counted, and what is slower or faster by name."""
    counts = [(comparison.count(verdict), verdict) for verdict in Verdict]
    said = ", ".join([f"{count} {verdict}" for count, verdict in counts if count])
    head = f"{text.plain(comparison.head_name)}: " if has_several else ""
    compared = f"{text.count(len(comparison.rows), 'figure')} compared"
    sentences = [f"{head}{compared}{': ' if said else ''}{said}."]
    for verdict in (Verdict.SLOWER, Verdict.FASTER):
        rows = [row for row in comparison.rows if row.judged.verdict is verdict]
        if rows:
            named = "; ".join([row_sentence(row) for row in rows[:_NAMED_MAX]])
            more = len(rows) - _NAMED_MAX
            rest = f"; and {more} more" if more > 0 else ""
            sentences.append(f"{verdict.capitalize()}: {named}{rest}.")
    return sentences


def row_sentence(row: Row) -> str:
    """A row in words: ``kvb:// MGET × 100 keys/s 0.81× [0.79, 0.83]``."""
    ratio = row.judged.ratio
    what = row.base.measure.replace("_per_s", "/s").replace("_ns", " time")
    name = f"{text.plain(row.head.target)} {text.plain(row.head.name)} {what}"
    return f"{name} {text.ratio(ratio)} {text.bounds(ratio)}"


def slowdown_sentence(comparisons: Sequence[Comparison], threshold: float) -> str:
    """What is slower than the threshold for certain, in words; empty if nothing is."""
    slow = [row for one in comparisons for row in one.slowdowns]
    if not slow:
        return ""
    named = "; ".join(map(row_sentence, slow))
    return f"slower by more than {threshold * 100:.6g}%: {named}."


def passed_sentence(threshold: float) -> str:
    """That the gate passes, in words."""
    return f"Passed: no figure is slower by more than {threshold * 100:.6g}% for certain."


def _sections(comparison: Comparison, has_several: bool) -> list[Section]:
    head = f": {text.plain(comparison.head_name)}" if has_several else ""
    tables = []
    for measure in Measure:
        rows = [row for row in comparison.rows if row.base.measure is measure]
        if rows:
            tables.append(_measure_table(comparison, measure, rows))
    if comparison.unpaired:
        tables.append(_unpaired_table(comparison.unpaired))
    method = (
        "Both sides were measured in the same rounds; the ratio is that of each round."
        if comparison.is_paired
        else "Rounds of the two files are independent."
    )
    found = [Section(f"Comparison{head}", False, method, tuple(tables))]
    if comparison.differences or comparison.pairs:
        table = _difference_table(comparison)
        found.append(Section(f"What else differs{head}", False, "", (table,)))
    return found


def _measure_table(comparison: Comparison, measure: Measure, rows: Sequence[Row]) -> Table:
    columns = (
        Column("target", is_text=True, is_url=True),
        Column("what", is_text=True),
        Column("base"),
        Column("head", is_companion=True),
        Column("head / base"),
        Column("verdict", is_text=True),
    )
    lines = [_line(row) for row in rows]
    if len(rows) > 1:
        mean = comparison.means[measure]
        entry = TableEntry(text.ratio(mean), text.bounds(mean))
        lines.append((BLANK, TableEntry("geometric mean"), BLANK, BLANK, entry, BLANK))
    return Table(
        MEASURE_TITLES[measure], columns, tuple(lines), _notes(comparison, measure, rows), 2
    )


def _line(row: Row) -> tuple[TableEntry, ...]:
    judged = row.judged
    tone = VERDICT_TONES[judged.verdict]
    marks = "" if row.base.is_stable and row.head.is_stable else UNSTABLE
    is_same = judged.verdict is Verdict.SAME
    ratio = text.ratio(judged.ratio)
    return (
        TableEntry(text.plain(row.head.target)),
        TableEntry(text.plain(row.head.name)),
        _figure(row.base.measure, row.base.figure),
        _figure(row.base.measure, row.head.figure),
        TableEntry(
            f"{UNCHANGED} {ratio}" if is_same else ratio, text.bounds(judged.ratio), marks, tone
        ),
        TableEntry(_verdict(judged), tone=tone),
    )


def _verdict(judged: Judged) -> str:
    if judged.verdict is not Verdict.INCONCLUSIVE:
        return str(judged.verdict)
    if judged.rounds_more is None:
        return "inconclusive, too noisy"
    return f"inconclusive, +{judged.rounds_more:,}" if judged.rounds_more else "inconclusive"


def _figure(measure: Measure, figure: Figure | None) -> TableEntry:
    return bare(figure_entry(figure, measure_writer(measure)))


def measure_writer(measure: Measure) -> text.Writer:
    """How a figure of this measure is written."""
    if measure is Measure.SPEEDUP:
        return text.times
    return text.duration if measure.is_time else text.rate


def _notes(comparison: Comparison, measure: Measure, rows: Sequence[Row]) -> tuple[str, ...]:
    percent = f"{comparison.threshold * 100:.6g}%"
    notes = []
    if measure.is_time:
        notes.append("Over 1 is slower.")
    elif measure is Measure.SPEEDUP:
        notes.append("A lower speedup may mean faster single calls.")
    else:
        notes.append("Under 1 is slower.")
    verdicts = {row.judged.verdict for row in rows}
    if Verdict.SAME in verdicts:
        notes.append(f"{UNCHANGED} the whole interval is within {percent} to either side.")
    if Verdict.INCONCLUSIVE in verdicts:
        notes.append(
            "Inconclusive: a change is neither certain nor excluded. +N: with N rounds more on "
            f"both sides, a change of {percent} is found in 80% of cases."
        )
    if any(not (row.base.is_stable and row.head.is_stable) for row in rows):
        notes.append(f"{UNSTABLE} unstable: other work may have changed it. Stop it, repeat.")
    return tuple(notes)


def _unpaired_table(unpaired: Sequence[Unpaired]) -> Table:
    rows = [
        (
            TableEntry(text.plain(one.target)),
            TableEntry(text.plain(one.name)),
            TableEntry(one.measure.replace("_per_s", "/s").replace("_ns", " time")),
            TableEntry(text.plain(one.reason)),
        )
        for one in unpaired
    ]
    columns = (
        Column("target", is_text=True, is_url=True),
        *[Column(head, is_text=True) for head in ("what", "figure", "why")],
    )
    return Table("Not compared", columns, tuple(rows), (), 3)


def _difference_table(comparison: Comparison) -> Table:
    rows = [
        tuple([TableEntry(one) for one in ("target", "name", *pair)]) for pair in comparison.pairs
    ]
    for one in comparison.differences:
        kind = TableEntry(str(one.kind), tone=Tone.FAINT if one.is_expected else Tone.PLAIN)
        shown = [TableEntry(text.value(value)) for value in (one.base, one.head)]
        rows.append((kind, TableEntry(text.plain(one.name).replace("_", " ")), *shown))
    columns = [Column(head, is_text=True) for head in ("kind", "name", "base", "head")]
    return Table("Base and head", tuple(columns), tuple(rows), (), 2)


def difference_text(one: Difference, sides: tuple[str, str] = ("in base", "in head")) -> str:
    """A difference in words: ``machine cpu: A in base, B in head``."""
    name = text.plain(one.name).replace("_", " ")
    base, head = text.value(one.base), text.value(one.head)
    return f"{one.kind} {name}: {base} {sides[0]}, {head} {sides[1]}"
