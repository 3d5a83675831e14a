"""What a CI reads of a command: JUnit XML, a Markdown summary, annotations of GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kvbench.report.ci_outcomes import CiReport, CiStatus
from kvbench.report.conformance_junit import xml_text
from kvbench.report.document import Document
from kvbench.report.format import count
from kvbench.report.markdown import escape_markdown, render_document_markdown

ANNOTATIONS_MAX = 10
"""GitHub shows ten errors and ten warnings of a step; more would hide which ones are missing."""

_HEADINGS = {
    CiStatus.FAILED: "Failed",
    CiStatus.SLOWER: "Slower",
    CiStatus.UNCLEAR: "Cannot tell",
    CiStatus.SKIPPED: "Without a result",
}
_LEVELS = {CiStatus.FAILED: "error", CiStatus.SLOWER: "warning"}


def render_ci_junit(report: CiReport) -> str:
    """JUnit XML: a suite for each target, failures first, with a newline at the end.

    JUnit has no word for a slowdown that does not fail, or for what cannot be told: these cases
    pass, and have the message as their output.
    """
    root = Element("testsuites", name=xml_text(report.title))
    for group in dict.fromkeys([one.group for one in report.cases]):
        suite = SubElement(root, "testsuite", name=xml_text(group))
        for one in [case for case in report.cases if case.group == group]:
            case = SubElement(suite, "testcase", classname=xml_text(group), name=xml_text(one.name))
            if one.status is CiStatus.FAILED:
                SubElement(case, "failure", message=xml_text(one.message), type="failed")
            elif one.status is CiStatus.SKIPPED:
                SubElement(case, "skipped", message=xml_text(one.message))
            else:
                SubElement(case, "system-out").text = xml_text(one.message)
        suite.set("tests", str(len(suite)))
        suite.set("failures", str(len(suite.findall("testcase/failure"))))
        suite.set("errors", "0")
        suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
        if report.started_at:
            suite.set("timestamp", xml_text(report.started_at))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum([int(suite.get(total, "0")) for suite in root])))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def render_ci_markdown(report: CiReport, document: Document) -> str:
    """A summary for a pull request: failures and slowdowns first, the whole report folded below."""
    return "\n".join(_summary(report, document)) + "\n"


def _summary(report: CiReport, document: Document) -> Iterator[str]:
    yield f"## {escape_markdown(report.title)}: {'FAILED' if report.has_failed else 'passed'}"
    yield ""
    counts = [
        (report.count(status), f"{heading[0].lower()}{heading[1:]}")
        for status, heading in _HEADINGS.items()
    ]
    said = [f"{number:,} {word}" for number, word in counts if number]
    cases = count(len(report.cases), "case")
    yield f"{cases}: {', '.join([*said, f'{report.count(CiStatus.PASSED):,} passed'])}."
    for status, cases_of in groupby(report.cases, key=lambda one: one.status):
        if status is CiStatus.PASSED:
            continue
        yield ""
        yield f"### {_HEADINGS[status]}"
        yield ""
        for one in cases_of:
            shown = f"{one.group}: {one.name}"
            yield f"- **{escape_markdown(shown)}**: {escape_markdown(one.message)}"
    yield ""
    yield "<details><summary>The whole report</summary>"
    yield ""
    yield render_document_markdown(document).rstrip("\n")
    yield ""
    yield "</details>"


def render_annotations(report: CiReport) -> tuple[str, ...]:
    """Workflow commands that GitHub shows at the step: ``::error title=...::message``."""
    found: list[str] = []
    for status, level in _LEVELS.items():
        cases = [one for one in report.cases if one.status is status]
        shown = cases if len(cases) <= ANNOTATIONS_MAX else cases[: ANNOTATIONS_MAX - 1]
        found += [
            f"::{level} title={_property(f'{one.group} {one.name}')}::{_data(one.message)}"
            for one in shown
        ]
        if len(shown) < len(cases):
            rest = f"{len(cases) - len(shown)} more are in the summary"
            found.append(f"::{level} title={_property(report.title)}::{rest}")
    return tuple(found)


def _data(text: str) -> str:
    """Text for a workflow command: no character of it may end the command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
