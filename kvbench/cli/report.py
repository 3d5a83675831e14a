"""``kvbench report``: renders a results file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvbench.cli.output import make_console, show_document
from kvbench.errors import UsageError
from kvbench.report.formats import RESULTS_FORMATS

if TYPE_CHECKING:
    from kvbench.results import Results

_FILE_WIDTH = 100
"""Width of a terminal report written to a file: that of an editor's window."""


@click.command(
    epilog="""\b
Examples:
  kvbench report results.jsonl
  kvbench report results.jsonl --format markdown --output report.md
  kvbench report results.jsonl --format html --output page.html
  kvbench report results.jsonl --beside older.jsonl
  kvbench report results.jsonl --format json | jq .targets[].operations
"""
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["terminal", *RESULTS_FORMATS]),
    default="terminal",
    metavar="NAME",
    help=f"One of terminal, {', '.join(RESULTS_FORMATS)}. [terminal]",
)
@click.option(
    "--beside",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Compare with another results file, in extra columns.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write to FILE instead of printing; FILE is replaced.",
)
def command(file: Path, format_name: str, beside: Path | None, output: Path | None) -> None:
    """Render the results file FILE that `kvbench run --output` wrote.

    For an interrupted run the report has what was finished, and says so.
    """
    from kvbench.report.output import write_report
    from kvbench.results import read_results

    results = read_results(file)
    other = None if beside is None else read_results(beside)
    if output is None:
        show_document(_render(results, other, format_name))
        return
    for source in (file, *([] if beside is None else [beside])):
        if output.exists() and output.samefile(source):
            raise UsageError(f"--output {output} is a results file itself; name another file")
    write_report(output, _render(results, other, format_name, width=_FILE_WIDTH))


def _render(
    results: Results, other: Results | None, format_name: str, width: int | None = None
) -> str:
    """The report as text; ``width`` is for files, without it the terminal's is used."""
    if format_name in RESULTS_FORMATS:
        return RESULTS_FORMATS[format_name](results, other)
    from kvbench.report.terminal import render_terminal

    console = make_console(width=width, has_colour=width is None)
    with console.capture() as capture:
        render_terminal(results, console, other)
    return capture.get()
