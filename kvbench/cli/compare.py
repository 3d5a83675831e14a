"""``kvbench compare``: what became faster or slower between results, and a gate for CI."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from kvbench.cli.ci import ci_options, write_ci
from kvbench.cli.compare_run import RUN_NAMES, measure_comparison, run_options
from kvbench.cli.output import make_console, notify, show_document
from kvbench.cli.parameters import Share, Words
from kvbench.cli.report_files import ReportFiles, report_options
from kvbench.compare.judgement import THRESHOLD_DEFAULT
from kvbench.compare.readings import Measure
from kvbench.errors import UsageError

if TYPE_CHECKING:
    from kvbench.compare.comparison import Comparison, Row

_DEFAULT = ParameterSource.DEFAULT

_THRESHOLD_MIN, _THRESHOLD_MAX = 0.001, 10.0

_FILES_NOTE = (
    "There is no second measurement of files: a slowdown by other work during one of the two runs "
    "looks the same. `kvbench compare --run` measures both side by side, and repeats a slowdown."
)


@click.command(
    epilog="""\b
Examples:
  kvbench compare base.jsonl head.jsonl
  kvbench compare base.jsonl head.jsonl --threshold 5%
  kvbench compare base.jsonl one.jsonl two.jsonl --figures speedup
  kvbench compare base.jsonl head.jsonl --report comparison.md --html page.html
  kvbench compare base.json head.json    (of pytest --benchmark-json)
  kvbench compare --run kvb://127.0.0.1:7001 kvb://127.0.0.1:7002 --threshold 5%
  kvbench compare --run kvb:// valkey:// --ops mget --batch-sizes 10,100
  kvbench compare --run valkey:// --base-env old/bin/python --threshold 5%

A verdict is faster or slower when that is certain to 95% for all figures together (Holm).

Exit codes: 0 done, 1 slower than --threshold for certain, 2 usage, or not comparable,
3 no figure is in both, 4 target unreachable, 130 Ctrl-C.
"""
)
@click.argument("names", nargs=-1, metavar="BASE HEAD...")
@click.option(
    "--run", "is_run", is_flag=True, help="BASE and HEAD are targets: measure them side by side."
)
@click.option(
    "--threshold",
    type=Share(),
    metavar="SHARE",
    help="Exit 1 when a figure is slower by more than SHARE, e.g. 5%, for certain.",
)
@click.option(
    "--figures",
    type=Words(Measure),
    metavar="NAME,...",
    help="Any of speedup, keys_per_s, call_ns, p99, capacity. [all; --threshold: not speedup]",
)
@click.option(
    "--force", is_flag=True, help="--threshold in spite of different machines or settings."
)
@report_options
@ci_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@run_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    names: tuple[str, ...],
    is_run: bool,
    threshold: float | None,
    figures: tuple[str, ...] | None,
    force: bool,
    report: Path | None,
    html: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Compare results files of `run`, `load`, `capacity` or pytest-benchmark: HEAD with BASE.

    Every figure that both have, with the ratio and its 95% interval from the rounds, and a
    verdict. What only one of them has is listed. With --run, BASE and HEAD are targets, measured in
    the same rounds, and a slowdown beyond the threshold is measured again in reversed order.
    """
    if threshold is not None and not _THRESHOLD_MIN <= threshold <= _THRESHOLD_MAX:
        raise UsageError(f"threshold {threshold:.3%} is not 0.1% to 1000%: write e.g. 5%")
    files = ReportFiles(report, html)
    files.check(given["output"])
    measures = tuple(map(Measure, figures)) if figures else None
    if is_run:
        outcome = _compare_measured(names, given, threshold, measures)
    else:
        _refuse_run_options(ctx)
        comparisons, notes = _compare_files(names, threshold, measures)
        if threshold is not None and not force:
            _refuse_differences(comparisons)
            if notes:
                raise UsageError(
                    "--threshold: a file of pytest-benchmark is of one process, and another "
                    "process may differ by more than any interval shows. Use kvbench compare "
                    "--run, which measures in many; --force decides all the same"
                )
        outcome = _judge_files(comparisons, threshold, notes)
    _print(outcome, as_json, files)
    ctx.exit(outcome.code)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A comparison and what the gate says of it.

    Attributes:
        comparisons: of each head.
        code: the exit code.
        notes: sentences for the report.
        warning: why the gate fails; empty if it does not.
        gate: for programs; empty without a threshold.
        failed: the rows for which the gate fails.
    """

    comparisons: Sequence[Comparison]
    code: int
    notes: tuple[str, ...] = ()
    warning: str = ""
    gate: Mapping[str, object] = field(default_factory=dict)
    failed: Sequence[Row] = ()


def _refuse_run_options(ctx: click.Context) -> None:
    typed = [name for name in RUN_NAMES if ctx.get_parameter_source(name) is not _DEFAULT]
    for param in ctx.command.params:
        if param.name in typed:
            raise UsageError(f"{param.opts[0]} goes with --run: files are already measured")


def _compare_files(
    names: Sequence[str], threshold: float | None, measures: Collection[Measure] | None
) -> tuple[list[Comparison], tuple[str, ...]]:
    """Each head compared with base, and what a reader must know of the figures of other tools."""
    from kvbench.compare.comparison import compare_results
    from kvbench.results.pytest_benchmark import read_comparable

    if len(names) < 2:
        raise UsageError("give a base and at least one head: kvbench compare BASE HEAD...")
    if any("://" in name for name in names):
        raise UsageError("targets are measured with --run; without it, name results files")
    base, *heads = [read_comparable(Path(name)) for name in names]
    for name, head in zip(names[1:], heads, strict=True):
        if bool(head.timings) != bool(base.timings):
            ours, other = (name, names[0]) if base.timings else (names[0], name)
            raise UsageError(
                f"{ours} has results of kvbench, {other} those of pytest-benchmark, which share no "
                "figure: compare two files of one kind"
            )
    comparisons = [
        compare_results(
            base,
            head,
            names=(names[0], name),
            threshold=THRESHOLD_DEFAULT if threshold is None else threshold,
            measures=measures,
        )
        for name, head in zip(names[1:], heads, strict=True)
    ]
    return comparisons, (base.header.note,) if base.timings else ()


def _refuse_differences(comparisons: Sequence[Comparison]) -> None:
    """Refuse a gate over files that differ in more than what is compared."""
    from kvbench.report.comparison_document import difference_text

    for one in comparisons:
        if one.unexpected:
            named = "; ".join(map(difference_text, one.unexpected))
            raise UsageError(
                f"{one.base_name} and {one.head_name} are not comparable: {named}. Add --force "
                "to compare them all the same; without --threshold differences are only listed"
            )


def _judge_files(
    comparisons: Sequence[Comparison], threshold: float | None, notes: tuple[str, ...]
) -> _Outcome:
    from kvbench.cli import EXIT_FAILED, EXIT_UNVERIFIED
    from kvbench.report.comparison_document import passed_sentence, slowdown_sentence

    if not any(one.rows for one in comparisons):
        notify("no figure is in both files with rounds that can be compared")
        return _Outcome(comparisons, EXIT_UNVERIFIED, notes)
    if threshold is None:
        return _Outcome(comparisons, 0, notes)
    slow = slowdown_sentence(comparisons, threshold)
    gate = {"threshold": threshold, "has_failed": bool(slow), "second_measurement": "none"}
    if slow:
        rows = [row for one in comparisons for row in one.slowdowns]
        notes = (_FILES_NOTE, *notes)
        return _Outcome(comparisons, EXIT_FAILED, notes, f"FAILED: {slow}", gate, rows)
    notes = (passed_sentence(threshold), _FILES_NOTE, *notes)
    return _Outcome(comparisons, 0, notes, "", gate)


def _compare_measured(
    names: Sequence[str],
    given: Mapping[str, Any],
    threshold: float | None,
    measures: Collection[Measure] | None,
) -> _Outcome:
    from kvbench.cli import EXIT_FAILED, EXIT_UNVERIFIED
    from kvbench.report.comparison_document import passed_sentence, slowdown_sentence

    measured = measure_comparison(names, given, threshold, measures)
    both = [measured.first, *([measured.second] if measured.second else [])]
    if measured.code or threshold is None:
        return _Outcome(both, measured.code)
    if not measured.first.rows:
        notify("no figure of both targets can be compared")
        return _Outcome(both, EXIT_UNVERIFIED)
    gate: dict[str, object] = {"threshold": threshold, "has_failed": False}
    if measured.second is None:
        gate["second_measurement"] = "not needed"
        return _Outcome(both, 0, (passed_sentence(threshold),), "", gate)
    confirmed = slowdown_sentence([measured.second], threshold)
    first = slowdown_sentence([measured.first], threshold)
    if not confirmed:
        gate["second_measurement"] = "not confirmed"
        note = f"Passed: a second measurement in reversed order does not confirm: {first}"
        return _Outcome(both, 0, (note,), "", gate)
    gate |= {"has_failed": True, "second_measurement": "confirmed"}
    warning = f"FAILED, in two measurements, the second in reversed order: {confirmed}"
    return _Outcome(both, EXIT_FAILED, (), warning, gate, measured.second.slowdowns)


def _print(outcome: _Outcome, as_json: bool, files: ReportFiles) -> None:
    """Print the comparison, as JSON or as tables, and write the reports to files."""
    from kvbench.report.ci_outcomes import comparison_report
    from kvbench.report.comparison_document import comparison_document
    from kvbench.report.comparison_json import render_comparison_json
    from kvbench.report.html.page import render_comparison_html
    from kvbench.report.markdown import render_document_markdown
    from kvbench.report.terminal import render_document

    document = comparison_document(outcome.comparisons, outcome.notes, outcome.warning)
    content = render_comparison_json(outcome.comparisons, outcome.gate)
    try:
        if as_json:
            show_document(content)
        else:
            render_document(document, make_console())
    finally:
        # The files are written even if standard output is full.
        files.write(
            lambda: render_document_markdown(document),
            lambda: render_comparison_html(document, outcome.comparisons, content),
        )
        write_ci(comparison_report(outcome.comparisons, outcome.failed), document)
