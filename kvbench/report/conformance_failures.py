"""The failures of a target as Markdown: by cause, each with its conversation folded away."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvbench.report.causes import Cause, FailedCase, causes
from kvbench.report.conformance_matrix import SIGNS
from kvbench.report.format import count, plain
from kvbench.report.markdown import code_span, escape_markdown
from kvbench.verdicts import Outcome, TargetVerdicts, command_again, explain

_HEADINGS = {Outcome.FAILED: "What failed", Outcome.WARNING: "Recommended, and not kept"}


def failures_of(target: TargetVerdicts, label: str) -> Iterator[str]:
    """The lines about what failed at a target; none where nothing did."""
    for outcome, heading in _HEADINGS.items():
        found = causes(target.verdicts, outcome)
        if found:
            yield ""
            yield f"## {heading} at {code_span(label)}: {count(found[0].of, 'failure')}"
        for cause in found:
            yield from _cause(cause, outcome, target.target)


def _cause(cause: Cause, outcome: Outcome, target: str) -> Iterator[str]:
    if cause.text:
        text = escape_markdown(cause.text)
        yield ""
        yield f"### {text[0].upper()}{text[1:]}: {cause.share}"
    for failed in cause.failures:
        yield ""
        yield from _failed(failed, outcome, target)


def _failed(failed: FailedCase, outcome: Outcome, target: str) -> Iterator[str]:
    symbol, first = SIGNS[outcome].symbol, failed.verdicts[0]
    ids = ", ".join([f"**{_text(one.clause)}** ({_text(one.level)})" for one in failed.verdicts])
    yield f"{symbol} {ids} in {code_span(plain(first.case))}"
    yield ""
    yield f"- expected {_text(failed.failure.expected)}"
    yield f"- got {_text(failed.failure.actual)}"
    yield f"- again: {code_span(plain(command_again(first, target)))}"
    lines = explain([first], {}, target).splitlines()
    told = [plain(line) for line in lines[_place_of_conversation(lines) :]]
    if told:
        yield ""
        yield "<details><summary>the conversation</summary>"
        yield ""
        yield from _fenced(told)
        yield ""
        yield "</details>"


def _place_of_conversation(lines: list[str]) -> int:
    """Where an explanation is done with what stands above already."""
    return 1 + max(place for place, line in enumerate(lines) if line.startswith("  again "))


def _fenced(lines: list[str]) -> Iterator[str]:
    """Lines as they are, between fences longer than any in them."""
    longest = max([len(run) for line in lines for run in re.findall("`+", line)], default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from lines
    yield fence


def _text(text: str) -> str:
    return escape_markdown(plain(text))
