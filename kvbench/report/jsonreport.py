"""A report for programs: the figures of a run with what they mean, and without the raw samples.

A results file is for keeping, line by line as it came; this is one object, to be read at once.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kvbench.report.summary import Mean, TargetSummary, judge, noise_floor, summarise
from kvbench.results import Cell, Header, Interval, Rate, Results, Target

SCHEMA = "kvbench-report/1"
"""Changes when a reader of the old form would misread the new one."""


class ReportCell(msgspec.Struct, frozen=True, kw_only=True):
    """A :class:`kvbench.results.Cell` without samples, judged.

    Attributes:
        judgement: faster, slower, not-distinguishable (from the noise floor), emulated, no-number.
    """

    target: str
    op: str
    batch_size: int
    batch_kind: str
    judgement: str
    speedup: Interval | None
    individual: Rate | None
    batch: Rate | None
    blocks: int
    drift: float
    is_stable: bool
    client_cpu: float
    reason: str


class ReportMean(msgspec.Struct, frozen=True):
    """A geometric mean of speedups with its 95% interval, None when no cell counts.

    Attributes:
        counted: cells in the mean.
        cells: cells there are.
    """

    estimate: float | None
    low: float | None
    high: float | None
    counted: int
    cells: int


class ReportSummary(msgspec.Struct, frozen=True):
    """One target.

    Attributes:
        target: its URL.
        batch_kinds: operation -> batch kind.
        noise_floor: lowest and highest speedup that chance alone reaches.
        geometric_mean: over all cells that count.
        geometric_mean_by_op: the same for each operation.
    """

    target: str
    batch_kinds: dict[str, str]
    noise_floor: tuple[float, float]
    geometric_mean: ReportMean
    geometric_mean_by_op: dict[str, ReportMean]


class Report(msgspec.Struct, frozen=True):
    """The whole report.

    Attributes:
        outcome: ``interrupted`` also when the file has no footer.
        outcome_reason: why a run ended early, as far as it could tell.
        elapsed_s: None when the file has no footer.
    """

    schema: str
    outcome: Literal["complete", "interrupted"]
    outcome_reason: str
    header: Header
    targets: tuple[Target, ...]
    summary: tuple[ReportSummary, ...]
    cells: tuple[ReportCell, ...]
    elapsed_s: float | None


def render_json(results: Results) -> str:
    """A report as indented JSON, with a newline at the end."""
    summaries = summarise(results)
    report = Report(
        schema=SCHEMA,
        outcome="complete" if results.is_complete else "interrupted",
        outcome_reason=results.footer.reason if results.footer else "",
        header=results.header,
        targets=tuple([one.target for one in summaries]),
        summary=tuple([_summary(one) for one in summaries]),
        cells=tuple([_cell(cell, one.target) for one in summaries for cell in one.cells]),
        elapsed_s=results.footer.elapsed_s if results.footer else None,
    )
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def _summary(summary: TargetSummary) -> ReportSummary:
    return ReportSummary(
        target=summary.target.target,
        batch_kinds=summary.kinds(),
        noise_floor=noise_floor(summary.target),
        geometric_mean=_mean(summary.mean),
        geometric_mean_by_op={op: _mean(mean) for op, mean in summary.mean_by_op.items()},
    )


def _mean(mean: Mean) -> ReportMean:
    speedup = mean.speedup
    return ReportMean(
        estimate=speedup.estimate if speedup else None,
        low=speedup.low if speedup else None,
        high=speedup.high if speedup else None,
        counted=mean.counted,
        cells=mean.cells,
    )


def _cell(cell: Cell, target: Target) -> ReportCell:
    kept = {name: getattr(cell, name) for name in cell.__struct_fields__ if name != "samples"}
    return ReportCell(judgement=judge(cell, target), **kept)
