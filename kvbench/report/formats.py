"""The text formats of reports: of results and of verdicts. To add one: its entry here.

The command line's options, help and completion follow from these tables. A format's module is
imported when it renders, so that `kvbench --help` imports none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvbench.errors import UsageError

if TYPE_CHECKING:
    from kvbench.results import Results
    from kvbench.verdicts import Conformance


def _results_markdown(results: Results, beside: Results | None) -> str:
    from kvbench.report.markdown import render_markdown

    return render_markdown(results, beside)


def _results_json(results: Results, beside: Results | None) -> str:
    from kvbench.report.jsonreport import render_json

    if beside is not None:
        raise UsageError("--beside does not apply to --format json: read both files instead")
    return render_json(results)


def _results_hdr_log(results: Results, beside: Results | None) -> str:
    from kvbench.report.load_log import render_hdr_log

    if beside is not None:
        raise UsageError("--beside does not apply to --format hdr-log")
    return render_hdr_log(results)


def _results_action_benchmark(results: Results, beside: Results | None) -> str:
    return _action_benchmark(results, beside, of_times=False)


def _results_action_benchmark_times(results: Results, beside: Results | None) -> str:
    return _action_benchmark(results, beside, of_times=True)


def _action_benchmark(results: Results, beside: Results | None, *, of_times: bool) -> str:
    from kvbench.report.action_benchmark import render_action_benchmark

    if beside is not None:
        raise UsageError("--beside does not apply to --format github-action-benchmark")
    return render_action_benchmark(results, of_times=of_times)


def _results_html(results: Results, beside: Results | None) -> str:
    from kvbench.report.html.page import render_results_html

    return render_results_html(results, beside)


RESULTS_FORMATS: Mapping[str, Callable[[Results, Results | None], str]] = {
    "markdown": _results_markdown,
    "json": _results_json,
    "html": _results_html,
    "hdr-log": _results_hdr_log,
    "github-action-benchmark": _results_action_benchmark,
    "github-action-benchmark-times": _results_action_benchmark_times,
}
"""Renders results, compared with those of another file or None."""


@dataclass(frozen=True, slots=True)
class VerdictsFormat:
    """A file that ``kvbench check`` writes.

    Attributes:
        help: of its option.
        render: makes the file's content.
        can_print: whether ``-``, or no FILE at all, means standard output.
    """

    help: str
    render: Callable[[Conformance], str]
    can_print: bool = False

    @property
    def metavar(self) -> str:
        """The option's metavar in the help."""
        return "[FILE]" if self.can_print else "FILE"


def _verdicts_json(conformance: Conformance) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(conformance), indent=2).decode() + "\n"


def _verdicts_junit(conformance: Conformance) -> str:
    from kvbench.report.conformance_junit import render_junit

    return render_junit(conformance)


def _verdicts_markdown(conformance: Conformance) -> str:
    from kvbench.report.conformance_markdown import render_markdown

    return render_markdown(conformance)


def _verdicts_html(conformance: Conformance) -> str:
    from kvbench.report.conformance_html import render_html

    return render_html(conformance)


def _verdicts_badge(conformance: Conformance) -> str:
    from kvbench.report.conformance_badge import render_badge

    return render_badge(conformance)


VERDICTS_FORMATS: Mapping[str, VerdictsFormat] = {
    "json": VerdictsFormat("Print JSON, or write it to FILE.", _verdicts_json, can_print=True),
    "junit": VerdictsFormat("Write JUnit XML.", _verdicts_junit),
    "markdown": VerdictsFormat("Write the matrix as Markdown.", _verdicts_markdown),
    "html": VerdictsFormat("Write the matrix as one HTML page.", _verdicts_html),
    "badge": VerdictsFormat("Write a badge (SVG).", _verdicts_badge),
}
