"""The answer of a page in words, and its badges: the verdicts that a reader looks for first.

Words and figures are those of the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvbench.compare.comparison import Comparison
from kvbench.compare.judgement import Verdict
from kvbench.compare.thresholds import JudgedThreshold, ThresholdOutcome
from kvbench.report import format as text
from kvbench.report.capacity_tables import gain_sentence
from kvbench.report.comparison_document import VERDICT_TONES
from kvbench.report.entries import Entries, TableEntry, Tone, figure_entry
from kvbench.report.load_tables import PERCENTILES, WAITED_MAX, call_name, lane_name
from kvbench.report.overview import answer_entries
from kvbench.report.summary import Judgement, TargetSummary, judge
from kvbench.report.threshold_table import OUTCOME_TONES
from kvbench.results import CapacityRecord, LoadRecord, Results


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict.

    Attributes:
        text: a few words.
        tone: good, bad or neither.
        subject: what it is about; empty for the whole page.
    """

    text: str
    tone: Tone = Tone.PLAIN
    subject: str = ""


def run_sentences(summaries: Sequence[TargetSummary]) -> list[str]:
    """What to use on each target, one sentence for an operation."""
    sentences = []
    for summary in summaries:
        entries = Entries(summary)
        for one in summary.operations.values():
            use, rate, instead, gain, half = answer_entries(one, entries)
            target = text.plain(summary.target.target)
            if one.recommended is None:
                why = f" ({instead.text})" if instead.text != text.NO_FIGURE else ""
                sentences.append(f"{target}: use {use.text}, {_shown(rate)} keys/s{why}.")
            else:
                at = "" if half.text == text.NO_FIGURE else f"; half of the gain at {half.text}"
                sentences.append(
                    f"{target}: {use.text} keys moves {_shown(rate)} keys/s instead of "
                    f"{_shown(instead)}: {_shown(gain)}{at}."
                )
    return sentences


def _shown(entry: TableEntry) -> str:
    return f"{entry.text} {entry.detail}".strip()


def run_badges(summaries: Sequence[TargetSummary]) -> list[Badge]:
    """For each target and operation, whether batching gains."""
    badges = []
    for summary in summaries:
        for one in summary.operations.values():
            found = {judge(cell, summary.target) for cell in one.cells.values()}
            subject = f"{text.plain(summary.target.target)} {text.plain(one.op).upper()}"
            words, tone = _gain(found)
            badges.append(Badge(words, tone, subject))
    return badges


def _gain(judgements: set[Judgement]) -> tuple[str, Tone]:
    """The verdict on an operation from those on its cells."""
    if Judgement.FASTER in judgements:
        if Judgement.SLOWER in judgements:
            return "faster at some sizes", Tone.PLAIN
        return "batching is faster", Tone.FASTER
    if Judgement.SLOWER in judgements:
        return "batching is slower", Tone.SLOWER
    if Judgement.EMULATED in judgements:
        return "emulated batches", Tone.PLAIN
    if Judgement.UNCLEAR in judgements:
        return "cannot tell", Tone.PLAIN
    return "no number", Tone.SLOWER


def load_sentences(loads: Sequence[LoadRecord]) -> list[str]:
    """Throughput and percentiles of each lane."""
    sentences = []
    for load in loads:
        name = f"{text.plain(load.target)}, {lane_name(load)}"
        if load.keys_per_s is None:
            sentences.append(f"{name}: no number: {text.plain(load.reason)}.")
            continue
        said = []
        kind, latency = next(iter(load.latency.items()), ("", None))
        for field, percentile in PERCENTILES.items():
            value = None if latency is None else getattr(latency, field)
            if value is not None and field in ("p50_ns", "p99_ns"):
                said.append(f"{percentile} {text.duration(value)}")
        of = {"since_intended": "latency", "service_time": "service time"}.get(kind, "")
        rate = _shown(figure_entry(load.keys_per_s, text.rate))
        about = f"; {of} {', '.join(said)}" if said else ""
        sentences.append(f"{name}: {rate} keys/s{about}.")
    return sentences


def load_badges(loads: Sequence[LoadRecord]) -> list[Badge]:
    """For each lane, what may limit or spoil its figures; only what there is."""
    badges = []
    for load in loads:
        subject = f"{text.plain(load.target)} {lane_name(load)}"
        found = []
        if load.reason:
            found.append(("no number", Tone.SLOWER))
        if load.errors:
            found.append((text.count(sum(load.errors.values()), "error"), Tone.SLOWER))
        if load.unsent:
            found.append(("does not keep up", Tone.SLOWER))
        if load.lost_workers:
            found.append(("lost a worker", Tone.SLOWER))
        if load.is_client_bound:
            found.append(("limited by the client", Tone.PLAIN))
        if load.waited > WAITED_MAX:
            found.append(("disturbed by other work", Tone.PLAIN))
        badges += [Badge(words, tone, subject) for words, tone in found]
        if not found and load.rate_per_s:
            badges.append(Badge("keeps up", Tone.FASTER, subject))
    return badges


def capacity_sentences(capacities: Sequence[CapacityRecord]) -> list[str]:
    """The capacity of each lane; where it is known, its gain over single calls."""
    sentences = []
    for one in capacities:
        name = f"{text.plain(one.target)}, {call_name(one)}"
        if one.keys_per_s is None:
            sentences.append(f"{name}: no number: {text.plain(one.reason)}.")
        else:
            shown = _shown(figure_entry(one.keys_per_s, text.rate))
            sentences.append(f"{name}: {shown} keys/s within {text.plain(one.objective)}.")
    return [*sentences, *[said for one in capacities if (said := gain_sentence(one))]]


def capacity_badges(capacities: Sequence[CapacityRecord]) -> list[Badge]:
    """For each lane, what may spoil its figure; only what there is."""
    badges = []
    for one in capacities:
        found = []
        if one.reason:
            found.append(("no number", Tone.SLOWER))
        elif one.keys_per_s is not None and 0.0 in one.keys_per_s.rounds:
            found.append(("no rate kept the objective", Tone.SLOWER))
        if one.errors:
            found.append((text.count(one.errors, "error"), Tone.SLOWER))
        if one.waited > WAITED_MAX:
            found.append(("disturbed by other work", Tone.PLAIN))
        subject = f"{text.plain(one.target)} {call_name(one)}"
        badges += [Badge(words, tone, subject) for words, tone in found]
    return badges


def completeness_badge(results: Results) -> Badge:
    """Whether the run was completed."""
    if results.is_complete:
        return Badge("complete", Tone.FASTER)
    return Badge("interrupted", Tone.SLOWER)


def threshold_badges(judged: Sequence[JudgedThreshold]) -> list[Badge]:
    """How many thresholds fail, hold, and cannot be told."""
    counts = [
        (len([1 for one in judged if one.outcome is each]), each) for each in ThresholdOutcome
    ]
    return [
        Badge(f"{text.count(number, 'threshold')}: {outcome}", OUTCOME_TONES[outcome])
        for number, outcome in counts
        if number
    ]


def comparison_badges(comparison: Comparison) -> list[Badge]:
    """How many figures have each verdict."""
    return [
        Badge(f"{number} {verdict}", VERDICT_TONES[verdict], text.plain(comparison.head_name))
        for verdict in Verdict
        if (number := comparison.count(verdict))
    ]
