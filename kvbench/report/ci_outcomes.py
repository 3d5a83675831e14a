"""Results and comparisons as a CI sees them: a list of cases, each with one outcome.

JUnit, the Markdown summary and annotations are made from this list, so they cannot disagree. A case
fails if and only if it is a reason for an exit code other than 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from kvbench.compare.comparison import Comparison, Row, Unpaired
from kvbench.compare.judgement import Verdict
from kvbench.compare.readings import Reading, readings
from kvbench.compare.thresholds import JudgedThreshold, ThresholdOutcome
from kvbench.report import format as text
from kvbench.report.comparison_document import measure_writer, row_sentence
from kvbench.report.entries import figure_entry
from kvbench.report.threshold_table import sentence
from kvbench.results import Results


class CiStatus(IntEnum):
    """What a case says to a CI, the most urgent first."""

    FAILED = 0
    SLOWER = 1
    UNCLEAR = 2
    SKIPPED = 3
    PASSED = 4


@dataclass(frozen=True, slots=True)
class CiCase:
    """A case of a CI report.

    Attributes:
        group: the target.
        name: what was measured, or the threshold.
        status: the outcome.
        message: in words, with figures.
    """

    group: str
    name: str
    status: CiStatus
    message: str


@dataclass(frozen=True, slots=True)
class CiReport:
    """All cases of a command.

    Attributes:
        title: ``kvbench run``, ``kvbench compare``.
        started_at: ISO 8601; empty if unknown.
        cases: the most urgent first.
    """

    title: str
    started_at: str
    cases: tuple[CiCase, ...]

    def count(self, status: CiStatus) -> int:
        """Number of cases with a status."""
        return len([one for one in self.cases if one.status is status])

    @property
    def has_failed(self) -> bool:
        """Whether a case failed."""
        return bool(self.count(CiStatus.FAILED))


def results_report(results: Results, judged: Sequence[JudgedThreshold]) -> CiReport:
    """A run: its thresholds, then a case for each figure; one without a result has failed."""
    cases = []
    if not results.is_complete:
        reason = results.footer.reason if results.footer else ""
        message = f"interrupted: {text.plain(reason) or 'cut off before its end'}"
        cases.append(CiCase("run", "complete", CiStatus.FAILED, message))
    cases += [_threshold(one) for one in judged]
    cases += [_figure(one) for one in readings(results)]
    title = " ".join(results.header.command.split()[:2]) or "kvbench run"
    return _report(title, results.header.started_at, cases)


def comparison_report(comparisons: Sequence[Comparison], failed: Sequence[Row]) -> CiReport:
    """Comparisons: a case for each figure of each head.

    Args:
        comparisons: of each head, or both measurements of a pair of targets.
        failed: the rows that fail the gate; empty without a gate, or if it passed.
    """
    cases = []
    for one in comparisons:
        head = text.plain(one.head_name)
        cases += [_row(row, head, any(row is other for other in failed)) for row in one.rows]
        cases += [_unpaired(other, head) for other in one.unpaired]
    if not any(one.rows for one in comparisons):
        message = "no figure is on both sides: nothing was compared"
        cases.append(CiCase("comparison", "compared", CiStatus.FAILED, message))
    return _report("kvbench compare", "", cases)


def _report(title: str, started_at: str, cases: Sequence[CiCase]) -> CiReport:
    return CiReport(title, started_at, tuple(sorted(cases, key=lambda one: one.status)))


def _threshold(one: JudgedThreshold) -> CiCase:
    statuses = {
        ThresholdOutcome.FAILS: CiStatus.FAILED,
        ThresholdOutcome.UNCLEAR: CiStatus.UNCLEAR,
        ThresholdOutcome.HOLDS: CiStatus.PASSED,
    }
    words = {ThresholdOutcome.FAILS: "fails", ThresholdOutcome.UNCLEAR: "cannot tell"}
    word = words.get(one.outcome, "holds")
    gauge = one.gauge
    what = text.plain(gauge.lane or (f"{gauge.subject}[{gauge.size}]"))
    name = f"fail on {text.plain(one.text)}: {what}"
    return CiCase(text.plain(gauge.target), name, statuses[one.outcome], f"{word}: {sentence(one)}")


def _figure(one: Reading) -> CiCase:
    name = f"{text.plain(one.name)} {_measure(one)}"
    if one.figure is None:
        # A percentile of too few calls is no failure; a cell that was not measured is.
        status = CiStatus.SKIPPED if one.measure.is_time else CiStatus.FAILED
        return CiCase(text.plain(one.target), name, status, f"no result: {text.plain(one.reason)}")
    entry = figure_entry(one.figure, measure_writer(one.measure))
    measured = f"{entry.text} {entry.detail}".strip()
    if not one.is_stable:
        message = f"{measured}; unstable: other work may have changed it"
        return CiCase(text.plain(one.target), name, CiStatus.UNCLEAR, message)
    return CiCase(text.plain(one.target), name, CiStatus.PASSED, measured)


def _row(row: Row, head: str, has_failed: bool) -> CiCase:
    verdict = row.judged.verdict
    statuses = {Verdict.SLOWER: CiStatus.SLOWER, Verdict.INCONCLUSIVE: CiStatus.UNCLEAR}
    status = CiStatus.FAILED if has_failed else statuses.get(verdict, CiStatus.PASSED)
    name = f"{text.plain(row.head.name)} {_measure(row.head)} in {head}"
    return CiCase(text.plain(row.head.target), name, status, f"{verdict}: {row_sentence(row)}")


def _unpaired(one: Unpaired, head: str) -> CiCase:
    name = f"{text.plain(one.name)} {_measure(one)} in {head}"
    return CiCase(text.plain(one.target), name, CiStatus.SKIPPED, text.plain(one.reason))


def _measure(one: Reading | Unpaired) -> str:
    return one.measure.replace("_per_s", "/s").replace("_ns", " time")
