"""``kvbench compare``: what became faster or slower between results, and a gate for CI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench.cli.measuring import check_report_files
from kvbench.cli.output import make_console, notify, show_document
from kvbench.cli.parameters import Share, Words
from kvbench.compare.judgement import THRESHOLD_DEFAULT
from kvbench.compare.readings import Measure
from kvbench.errors import UsageError

if TYPE_CHECKING:
    from kvbench.compare.comparison import Comparison

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
  kvbench compare base.jsonl head.jsonl --report comparison.md

A verdict is faster or slower when that is certain to 95% for all figures together (Holm).

Exit codes: 0 done, 1 slower than --threshold for certain, 2 usage, or not comparable,
3 no figure is in both.
"""
)
@click.argument("files", nargs=-1, metavar="BASE HEAD...")
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
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a Markdown report."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.pass_context
def command(
    ctx: click.Context,
    files: tuple[str, ...],
    threshold: float | None,
    figures: tuple[str, ...] | None,
    force: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Compare results files of `run`, `load` or `capacity`: each HEAD with BASE.

    Every figure that both have, with the ratio and its 95% interval from the rounds of both, and a
    verdict. What only one of them has is listed.
    """
    check_threshold(threshold)
    check_report_files(None, report)
    comparisons = _compare_files([Path(file) for file in files], threshold, figures)
    if threshold is not None and not force:
        refuse_differences(comparisons)
    code, notes, warning = _judge(comparisons, threshold)
    gate = gate_record(threshold, code, "none: the figures are of files")
    print_comparison(comparisons, notes, warning, gate, as_json, report)
    ctx.exit(code)


def check_threshold(threshold: float | None) -> None:
    """Check that a threshold is in a useful range.

    Raises:
        UsageError: it is not.
    """
    if threshold is not None and not _THRESHOLD_MIN <= threshold <= _THRESHOLD_MAX:
        raise UsageError(f"threshold {threshold:.3%} is not 0.1% to 1000%: write e.g. 5%")


def measures_of(figures: tuple[str, ...] | None) -> tuple[Measure, ...] | None:
    """The measures of --figures; None without it."""
    return tuple(map(Measure, figures)) if figures else None


def _compare_files(
    paths: Sequence[Path], threshold: float | None, figures: tuple[str, ...] | None
) -> list[Comparison]:
    from kvbench.compare.comparison import compare_results
    from kvbench.results import read_results

    if len(paths) < 2:
        raise UsageError("give a base and at least one head: kvbench compare BASE HEAD...")
    base, *heads = [read_results(path) for path in paths]
    return [
        compare_results(
            base,
            head,
            names=(str(paths[0]), str(path)),
            threshold=THRESHOLD_DEFAULT if threshold is None else threshold,
            measures=measures_of(figures),
        )
        for path, head in zip(paths[1:], heads, strict=True)
    ]


def refuse_differences(comparisons: Sequence[Comparison]) -> None:
    """Refuse a gate over files that differ in more than what is compared.

    Raises:
        UsageError: they do; the message names how.
    """
    from kvbench.report.comparison_document import difference_text

    for one in comparisons:
        if one.unexpected:
            named = "; ".join(map(difference_text, one.unexpected))
            raise UsageError(
                f"{one.base_name} and {one.head_name} are not comparable: {named}. Add --force "
                "to compare them all the same; without --threshold differences are only listed"
            )


def _judge(
    comparisons: Sequence[Comparison], threshold: float | None
) -> tuple[int, list[str], str]:
    """The exit code of a comparison of files, notes, and a warning if the gate fails."""
    from kvbench.cli import EXIT_FAILED, EXIT_UNVERIFIED

    if not any(one.rows for one in comparisons):
        notify("no figure is in both files with rounds that can be compared")
        return EXIT_UNVERIFIED, [], ""
    if threshold is None:
        return 0, [], ""
    warning = slowdown_text(comparisons, threshold)
    if warning:
        return EXIT_FAILED, [_FILES_NOTE], f"FAILED: {warning}"
    return 0, [passed_text(threshold), _FILES_NOTE], ""


def slowdown_text(comparisons: Sequence[Comparison], threshold: float) -> str:
    """What is slower than the threshold for certain, in words; empty if nothing is."""
    from kvbench.report.comparison_document import row_sentence

    slow = [row for one in comparisons for row in one.slowdowns]
    if not slow:
        return ""
    named = "; ".join(map(row_sentence, slow))
    return f"slower by more than {threshold * 100:.6g}%: {named}."


def passed_text(threshold: float) -> str:
    """That the gate passes, in words."""
    return f"Passed: no figure is slower by more than {threshold * 100:.6g}% for certain."


def gate_record(threshold: float | None, code: int, second: str) -> dict[str, object]:
    """The gate for programs; empty without a threshold."""
    if threshold is None:
        return {}
    return {"threshold": threshold, "has_failed": code == 1, "second_measurement": second}


def print_comparison(
    comparisons: Sequence[Comparison],
    notes: Sequence[str],
    warning: str,
    gate: dict[str, object],
    as_json: bool,
    report: Path | None,
) -> None:
    """Print the comparison, as JSON or as tables, and write it as Markdown to ``report``."""
    from kvbench.report.comparison_document import comparison_document
    from kvbench.report.comparison_json import render_comparison_json
    from kvbench.report.markdown import render_document_markdown
    from kvbench.report.output import write_report
    from kvbench.report.terminal import render_document

    document = comparison_document(comparisons, notes, warning)
    try:
        if as_json:
            show_document(render_comparison_json(comparisons, gate))
        else:
            render_document(document, make_console())
    finally:
        # The file is written even if standard output is full.
        if report is not None:
            write_report(report, render_document_markdown(document))
