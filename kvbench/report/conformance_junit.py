"""Verdicts as JUnit XML, for CI servers.

One test suite for each target, one test case for each clause, those that failed first. JUnit has
four results only, so the eight outcomes are mapped:

- failed and xpass fail; error is an error.
- warning, xfail, unsupported and skipped are skipped, and the message says which it is.
- A target that was not verified, or without any verdict, has one more case, an error: a run that
  checked nothing must not be green.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kvbench.report.causes import causes
from kvbench.verdicts import (
    ClauseVerdict,
    Conformance,
    Outcome,
    Summary,
    TargetVerdicts,
    by_clause,
    explain,
)

_ELEMENTS = {
    Outcome.FAILED: "failure",
    Outcome.XPASS: "failure",
    Outcome.ERROR: "error",
    Outcome.WARNING: "skipped",
    Outcome.XFAIL: "skipped",
    Outcome.UNSUPPORTED: "skipped",
    Outcome.SKIPPED: "skipped",
}

_ELEMENTS_FIRST = frozenset(
    [outcome for outcome, element in _ELEMENTS.items() if element != "skipped"]
)
"""Outcomes that stand before all others."""

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) forbids even as a character reference."""


def render_junit(conformance: Conformance) -> str:
    """The run as one XML document, with a newline at the end."""
    root = Element("testsuites", name="kvbench conformance")
    for target in conformance.targets:
        root.append(_suite(target, conformance))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    root.set("time", _seconds(sum(target.elapsed_s for target in conformance.targets)))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(target: TargetVerdicts, conformance: Conformance) -> Element:
    suite = Element("testsuite", name=xml_text(target.target))
    properties = SubElement(suite, "properties")
    facts = {
        "summary": target.headline,
        "suites": ", ".join(target.suites),
        "suite_version": conformance.suite_version,
        "seed": conformance.seed,
        "capabilities": ", ".join(target.capabilities),
        **target.facts,
    }
    for name, value in facts.items():
        SubElement(properties, "property", name=xml_text(name), value=xml_text(value))
    clauses = sorted(
        by_clause(target.verdicts).values(), key=lambda one: one.outcome not in _ELEMENTS_FIRST
    )
    causes_of = _causes_of(target)
    cases = [_case(clause, causes_of) for clause in clauses]
    if target.summary is Summary.UNVERIFIED:
        cases.append(_unverified())
    suite.extend(cases)
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(total, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("tests", str(len(cases)))
    suite.set("time", _seconds(target.elapsed_s))
    suite.set("timestamp", xml_text(conformance.started_at))
    return suite


def _case(clause: ClauseVerdict, causes_of: Mapping[str, str]) -> Element:
    # Viewers group by the dots of the class name: suite, then area, as in wire.MGET.
    first = clause.verdicts[0]
    suite = first.case.partition(".")[0] or "conformance"
    area = clause.clause.rpartition("-")[0] or clause.clause
    name = f"{clause.clause} {clause.level}"
    case = Element("testcase", classname=xml_text(f"{suite}.{area}"), name=xml_text(name))
    tag = _ELEMENTS.get(clause.outcome)
    if tag is None:
        return case
    message = f"{clause.outcome}: {first.detail}" if first.detail else str(clause.outcome)
    result = SubElement(case, tag, message=xml_text(message))
    if tag != "skipped":
        result.set("type", clause.outcome)
    told = [explain([one], {}) for one in clause.verdicts if one.failure is not None]
    cause = causes_of.get(clause.clause)
    if told:
        result.text = xml_text("\n\n".join([cause, *told] if cause else told))
    return case


def _causes_of(target: TargetVerdicts) -> dict[str, str]:
    """For each clause that failed for the same cause as others, that cause."""
    return {
        clause: f"cause: {cause.text} ({cause.share})"
        for outcome in (Outcome.WARNING, Outcome.FAILED)
        for cause in causes(target.verdicts, outcome)
        if cause.text
        for clause in cause.clauses
    }


def _unverified() -> Element:
    case = Element("testcase", classname="conformance", name="verified")
    message = "not verified: an applicable MUST clause was not checked, or none was"
    SubElement(case, "error", message=message, type="not-verified")
    return case


def xml_text(text: str) -> str:
    r"""Text that XML can hold: other control characters and lone surrogates become ``\x1b``."""
    return _NO_XML.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def _seconds(elapsed_s: float) -> str:
    return f"{elapsed_s:.3f}"
