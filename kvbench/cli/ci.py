"""The options ``--junit`` and ``--markdown`` of the commands that measure, and annotations.

The files are checked while the command line is parsed: a file that cannot be written is an error
before the measurement, not after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kvbench.cli.check_files import check_writable
from kvbench.cli.output import notify, progress
from kvbench.errors import UsageError

if TYPE_CHECKING:
    from kvbench.report.ci_outcomes import CiReport
    from kvbench.report.document import Document

_Command = TypeVar("_Command", bound=Callable[..., Any])

_FILES = "kvbench.ci.files"


def ci_options(command: _Command) -> _Command:
    """The options --junit and --markdown; :func:`write_ci` reads them from the context."""
    options = [
        _option("--junit", "Write JUnit XML."),
        _option(
            "--markdown", "Write a summary, failures first; also to $GITHUB_STEP_SUMMARY if set."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _option(name: str, text: str) -> Callable[[_Command], _Command]:
    return click.option(
        name,
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_keep,
        help=text,
    )


def _keep(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    check_writable(param.opts[0], path)
    files: dict[str, Path] = ctx.meta.setdefault(_FILES, {})
    files[param.opts[0]] = path
    for option, other in files.items():
        if option != param.opts[0] and other.resolve() == path.resolve():
            raise UsageError(f"{option} and {param.opts[0]} both name {path}")


def check_apart(**others: Path | None) -> None:
    """Check that no file for a CI would replace another file of the command.

    Raises:
        UsageError: names both options.
    """
    for option, path in _files().items():
        for name, other in others.items():
            if other is not None and other.resolve() == path.resolve():
                raise UsageError(f"{option} and --{name} both name {path}")


def write_ci(report: CiReport, document: Document) -> None:
    """Write what a CI reads: files, the summary of a GitHub job, annotations.

    Raises:
        UsageError: a file cannot be written after all.
    """
    from kvbench.report.ci_formats import render_annotations, render_ci_junit, render_ci_markdown
    from kvbench.report.output import write_report

    files = _files()
    if "--junit" in files:
        write_report(files["--junit"], render_ci_junit(report))
    if "--markdown" in files:
        text = render_ci_markdown(report, document)
        write_report(files["--markdown"], text)
        append_summary(text)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in render_annotations(report):
            progress(line)


def append_summary(text: str) -> None:
    """Append to the summary of a GitHub job; a problem there changes no outcome."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        notify(f"cannot write to $GITHUB_STEP_SUMMARY, {name}: {error.strerror}")


def _files() -> dict[str, Path]:
    ctx = click.get_current_context(silent=True)
    return {} if ctx is None else ctx.meta.get(_FILES, {})
