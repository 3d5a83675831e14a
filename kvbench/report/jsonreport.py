"""A report for programs: the figures of a run with their judgements.

A results file is written line by line, for keeping; this is one object, read at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from kvbench.compare.thresholds import JudgedThreshold
from kvbench.report.summary import OperationSummary, TargetSummary, judge, summarise
from kvbench.results import (
    Baselines,
    CapacityRecord,
    Cell,
    Curve,
    Header,
    LoadRecord,
    Results,
    Round,
    TargetRecord,
)

SCHEMA = "kvbench-report/2"
"""Changes when a reader of the old form would misread the new one."""


class ReportCell(msgspec.Struct, frozen=True):
    """A cell with its judgement.

    Attributes:
        judgement: faster, slower, not-distinguishable (from chance), emulated, no-number.
    """

    judgement: str
    cell: Cell


class ReportOperation(msgspec.Struct, frozen=True):
    """An operation on a target.

    Attributes:
        recommended_batch_size: None to use single calls.
        speedup: of the recommended size.
        batch_kinds: as the adapter declares them.
        curve: None with fewer than two sizes.
    """

    recommended_batch_size: int | None
    speedup: float | None
    batch_kinds: tuple[str, ...]
    curve: Curve | None
    cells: tuple[ReportCell, ...]


class ReportTarget(msgspec.Struct, frozen=True):
    """A target with its operations by name."""

    target: TargetRecord
    operations: dict[str, ReportOperation]


class Report(msgspec.Struct, frozen=True):
    """The whole report.

    Attributes:
        outcome: ``interrupted`` also when the file has no footer.
        outcome_reason: why a run ended early, if known.
        missed: cells that did not reach the requested precision.
        loads: of a load run, a record for each lane on each target.
        capacities: of a capacity search, the same.
        elapsed_s: None when the file has no footer.
        thresholds: of ``--fail-on``, with what the intervals say of them.
    """

    schema: str
    outcome: Literal["complete", "interrupted"]
    outcome_reason: str
    missed: list[str]
    header: Header
    targets: tuple[ReportTarget, ...]
    loads: tuple[LoadRecord, ...]
    capacities: tuple[CapacityRecord, ...]
    baselines: Baselines | None
    rounds: tuple[Round, ...]
    elapsed_s: float | None
    thresholds: tuple[JudgedThreshold, ...] = ()


def render_json(results: Results, judged: Sequence[JudgedThreshold] = ()) -> str:
    """A report as indented JSON, with a newline at the end.

    Args:
        results: of a run.
        judged: its thresholds.
    """
    footer = results.footer
    report = Report(
        schema=SCHEMA,
        outcome="complete" if results.is_complete else "interrupted",
        outcome_reason=footer.reason if footer else "",
        missed=footer.missed if footer else [],
        header=results.header,
        targets=tuple([_target(one) for one in summarise(results)]),
        loads=results.loads,
        capacities=results.capacities,
        baselines=results.baselines,
        rounds=results.rounds,
        elapsed_s=footer.elapsed_s if footer else None,
        thresholds=tuple(judged),
    )
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def _target(summary: TargetSummary) -> ReportTarget:
    operations = {op: _operation(one, summary.target) for op, one in summary.operations.items()}
    return ReportTarget(summary.target, operations)


def _operation(one: OperationSummary, target: TargetRecord) -> ReportOperation:
    best = one.recommended
    return ReportOperation(
        recommended_batch_size=best.batch_size if best else None,
        speedup=best.speedup.estimate if best and best.speedup else None,
        batch_kinds=one.kinds,
        curve=one.curve,
        cells=tuple([ReportCell(judge(cell, target), cell) for cell in one.cells.values()]),
    )
