"""The files that a command writes besides what it prints: ``--report`` and ``--html``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from kvbench.cli.ci import check_apart
from kvbench.errors import UsageError

_MARKDOWN_SUFFIXES = ("", ".md", ".markdown", ".txt")
_HTML_SUFFIXES = ("", ".html", ".htm")

_Command = TypeVar("_Command", bound=Callable[..., Any])


def report_options(command: _Command) -> _Command:
    """The options --report and --html."""
    markdown = click.option(
        "--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a Markdown report."
    )
    html = click.option(
        "--html",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write a page with charts, to be opened in a browser.",
    )
    return markdown(html(command))


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the reports go.

    Attributes:
        markdown: the Markdown report; None for none.
        html: the page; None for none.
    """

    markdown: Path | None = None
    html: Path | None = None

    def check(self, output: Path | None) -> None:
        """Check before a run that the reports can be written at its end.

        Args:
            output: the results file of the run, or None.

        Raises:
            UsageError: one cannot, or it would replace another file of this command.
        """
        check_apart(output=output, report=self.markdown, html=self.html)
        taken = {} if output is None else {output.resolve(): "--output"}
        files = (
            ("--report", self.markdown, "Markdown", _MARKDOWN_SUFFIXES),
            ("--html", self.html, "HTML", _HTML_SUFFIXES),
        )
        for option, path, language, suffixes in files:
            if path is None:
                continue
            if path.suffix.lower() not in suffixes:
                raise UsageError(
                    f"{option} writes {language}: name it {path.with_suffix(suffixes[1])}"
                )
            if other := taken.get(path.resolve()):
                raise UsageError(f"{option} and {other} both name {path}")
            if path.is_dir() or not os.access(path.parent, os.W_OK):
                raise UsageError(f"cannot write {path}: no file can be made there")
            taken[path.resolve()] = option

    def write(self, markdown: Callable[[], str], html: Callable[[], str]) -> None:
        """Make and write the reports that were asked for.

        Raises:
            UsageError: one cannot be written.
        """
        from kvbench.report.output import write_report

        for path, render in ((self.markdown, markdown), (self.html, html)):
            if path is not None:
                write_report(path, render())
