"""Shared by the commands that measure: options, and running a plan with progress.

Connects the runner to a recorder and to the progress on standard error; returns the results and an
exit code.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kvbench.bench.plan import Plan, ValueType
from kvbench.cli.ci import write_ci
from kvbench.cli.output import make_console, notify, show_document
from kvbench.cli.parameters import ByteSize, Word
from kvbench.redaction import redact_url
from kvbench.registry import HOST_PORT

if TYPE_CHECKING:
    from kvbench.bench.interrupts import Interrupts
    from kvbench.bench.recorder import Recorder
    from kvbench.bench.runner import RunOutcome
    from kvbench.cli.report_files import ReportFiles
    from kvbench.cli.run_progress import RunProgress
    from kvbench.compare.thresholds import JudgedThreshold
    from kvbench.report.document import Document
    from kvbench.results import Results

    Start = Callable[[Callable[[Any], None], Interrupts, str], RunOutcome]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def value_options(command: _Command) -> _Command:
    """The options --value-size and --value-type."""
    size = click.option(
        "--value-size",
        type=ByteSize(),
        default=100,
        show_default=True,
        metavar="SIZE",
        help="Bytes of a value, or like 4kB, 1MiB.",
    )
    kind = click.option(
        "--value-type",
        type=Word(ValueType),
        default="bytes",
        show_default=True,
        metavar="TYPE",
        help="bytes, str, int, float or mixed.",
    )
    return size(kind(command))


def batch_sizes_of(text: str) -> tuple[int, ...]:
    """The type of --batch-sizes: numbers with commas between, each kept once, in order."""
    try:
        return tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError:
        raise click.BadParameter(
            f"{text!r}; write whole numbers with commas between, e.g. 10,100,1000"
        ) from None


def check_address(text: str) -> None:
    """Check that a server of the wire protocol answers where a target names one.

    Raises:
        KvConnectionError: no server listens, it does not answer, or it speaks another protocol.
    """
    if HOST_PORT.fullmatch(text) or text.startswith("kvb"):
        from kvbench.conformance.targets import expect_server

        expect_server(text)


def print_results(
    results: Results,
    as_json: bool,
    files: ReportFiles,
    judged: Sequence[JudgedThreshold] = (),
) -> None:
    """Print the report, as JSON or as tables, and write the reports to files.

    Args:
        results: of a run.
        as_json: instead of tables.
        files: the reports to write.
        judged: the thresholds of the run.
    """
    from kvbench.report.ci_outcomes import results_report
    from kvbench.report.document import build_document
    from kvbench.report.threshold_table import with_thresholds

    document = with_thresholds(build_document(results), judged)
    try:
        if as_json:
            from kvbench.report.jsonreport import render_json

            show_document(render_json(results, judged))
        else:
            from kvbench.report.terminal import render_document

            render_document(document, make_console())
    finally:
        # The files are written even if standard output is full.
        files.write(lambda: _markdown(document), lambda: _html(results, judged))
        write_ci(results_report(results, judged), document)


def _markdown(document: Document) -> str:
    from kvbench.report.markdown import render_document_markdown

    return render_document_markdown(document)


def _html(results: Results, judged: Sequence[JudgedThreshold]) -> str:
    from kvbench.report.html.page import render_results_html

    return render_results_html(results, judged=judged)


def carry_out(plan: Plan, output: Path | None) -> tuple[Results, int]:
    """Carry out a plan; see :func:`measure`."""
    from kvbench.bench.runner import run
    from kvbench.cli.run_progress import choose_progress

    return measure(partial(run, plan), choose_progress(), output)


def measure(start: Start, progress: RunProgress, output: Path | None) -> tuple[Results, int]:
    """Measure with progress on standard error; returns the results and the exit code.

    Args:
        start: carries out a plan; gets an observer of its events, the interrupts and the command
            line.
        progress: shows events.
        output: a results file to write, or None.

    Raises:
        click.exceptions.Exit: Ctrl-C, or another signal, before anything was measured.
        UsageError, BackendUnavailableError, KvConnectionError: as
            :func:`kvbench.bench.runner.run`.
    """
    from kvbench.bench.recorder import Recorder

    with closing(Recorder(output)) as recorder:
        outcome, signal_number = _measure(start, progress, recorder)
        results = recorder.results()
    if results is None:
        notify("interrupted before anything was measured")
        raise click.exceptions.Exit(128 + signal_number)
    return results, _exit_code(outcome, signal_number, recorder.problem)


def _measure(
    start: Start, progress: RunProgress, recorder: Recorder
) -> tuple[RunOutcome | None, int]:
    """The outcome, None if Ctrl-C came before the first record; and the signal, 0 for none."""
    from kvbench.bench.events import Event, KeysLeft, Recorded, Warned
    from kvbench.bench.interrupts import Interrupts

    interrupts = Interrupts()

    def observe(event: Event) -> None:
        if isinstance(event, Recorded):
            recorder.write(event.record)
        progress.observe(event)
        if isinstance(event, Warned):
            notify(event.text)
        if isinstance(event, KeysLeft):
            notify(f"keys {event.prefix}* may remain in {event.target}: {event.reason}")

    command_line = shlex.join(["kvbench", *map(redact_url, sys.argv[1:])])
    with interrupts.installed(progress.restore_terminal), closing(progress):
        try:
            return start(observe, interrupts, command_line), interrupts.signal_number
        except KeyboardInterrupt:
            return None, interrupts.signal_number


def _exit_code(outcome: RunOutcome | None, signal_number: int, file_problem: str) -> int:
    from kvbench.bench.runner import Ending
    from kvbench.cli import EXIT_FAILED, EXIT_UNREACHABLE

    if file_problem:
        notify(file_problem)
    if outcome is None or outcome.ending is Ending.INTERRUPTED:
        notify("interrupted: the report has what was finished")
        return 128 + signal_number
    if outcome.ending is Ending.TARGET_LOST:
        notify(f"target lost, the report has what was finished: {outcome.reason}")
        return EXIT_UNREACHABLE
    if outcome.failed_cells:
        notify(f"without a result: {outcome.failed_cells}; the report says why")
    return EXIT_FAILED if outcome.failed_cells or file_problem else 0
