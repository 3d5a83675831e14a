"""The option ``--fail-on`` of the commands that measure, and the end of such a command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kvbench.bench.plan import Plan
    from kvbench.cli.report_files import ReportFiles
    from kvbench.compare.thresholds import Threshold
    from kvbench.load.plan import LoadPlan
    from kvbench.results import Results

_Command = TypeVar("_Command", bound=Callable[..., Any])


def fail_on(example: str) -> Callable[[_Command], _Command]:
    """The option --fail-on."""
    return click.option(
        "--fail-on",
        "conditions",
        multiple=True,
        metavar="CONDITION",
        help=f"Exit 1 if this is certain, e.g. '{example}'. May be repeated.",
    )


def run_thresholds(conditions: Sequence[str], plan: Plan) -> tuple[Threshold, ...]:
    """The thresholds of a run, checked against its plan.

    Raises:
        UsageError: one is not a threshold, or names nothing that the plan measures.
    """
    from kvbench.compare.gauges import SINGLE
    from kvbench.compare.thresholds import parse_thresholds, scope_of

    sizes: dict[str, list[int]] = {}
    for target in plan.targets:
        for op, size in target.cells:
            sizes.setdefault(str(op), []).append(size)
            sizes[SINGLE[op]] = [1]
    return parse_thresholds(
        conditions, scope_of("run", [target.name for target in plan.targets], sizes)
    )


def load_thresholds(conditions: Sequence[str], plan: LoadPlan) -> tuple[Threshold, ...]:
    """The thresholds of a load run or a capacity search, checked against its plan.

    Raises:
        UsageError: as :func:`run_thresholds`.
    """
    from kvbench.compare.thresholds import parse_thresholds, scope_of

    sizes: dict[str, list[int]] = {}
    for lane in plan.lanes:
        sizes.setdefault(str(lane.arm), []).append(lane.batch_size)
    command = "load" if plan.objective is None else "capacity"
    return parse_thresholds(conditions, scope_of(command, plan.names, sizes))


def print_judged(
    results: Results,
    thresholds: Sequence[Threshold],
    code: int,
    as_json: bool,
    files: ReportFiles,
) -> int:
    """Print the report with the thresholds; returns the exit code, 1 if a threshold fails.

    Another code than 0 stays as it is.
    """
    from kvbench.cli import EXIT_FAILED
    from kvbench.cli.measuring import print_results
    from kvbench.cli.output import notify
    from kvbench.compare.thresholds import ThresholdOutcome, judge_thresholds
    from kvbench.report.threshold_table import sentence

    judged = judge_thresholds(results, thresholds)
    print_results(results, as_json, files, judged)
    has_failed = False
    for one in judged:
        if one.outcome is ThresholdOutcome.FAILS:
            has_failed = True
            notify(f"failed: {sentence(one)}")
        elif one.outcome is ThresholdOutcome.UNCLEAR:
            notify(f"cannot tell: {sentence(one)}")
    return code or (EXIT_FAILED if has_failed else 0)
