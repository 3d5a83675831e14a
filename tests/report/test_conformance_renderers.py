"""JUnit, Markdown and badge: valid whatever a target says, and green only for what was verified."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from kvbench.report.conformance_badge import render_badge
from kvbench.report.conformance_junit import render_junit
from kvbench.report.conformance_markdown import render_markdown
from kvbench.report.conformance_matrix import SIGNS
from kvbench.verdicts import Failure, Outcome, Traits
from tests.report.conformance_builders import (
    EMPTY,
    EVERYTHING,
    FAILURE,
    GOOD,
    RUNS,
    UNVERIFIED,
    conformance,
)
from tests.report.conformance_builders import (
    target as target_of,
)
from tests.report.conformance_builders import (
    verdict as verdict_of,
)

each = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


def tags(case):
    return [child.tag for child in case]


@each
def test_junit_is_xml_and_adds_up(run):
    root = ElementTree.fromstring(render_junit(run).encode())
    assert root.tag == "testsuites" and len(root) == len(run.targets)
    for suite, target in zip(root, run.targets, strict=True):
        cases = suite.findall("testcase")
        unverified = target.summary == "not verified"
        clauses = {verdict.clause for verdict in target.verdicts}
        assert len(cases) == len(clauses) + unverified == int(suite.get("tests"))
        found = [tag for case in cases for tag in tags(case)]
        assert found.count("failure") == int(suite.get("failures"))
        assert found.count("error") == int(suite.get("errors"))
        assert found.count("skipped") == int(suite.get("skipped"))
        is_green = not {"failure", "error"} & set(found)
        assert is_green == target.conforms
    totals = [sum(int(suite.get(name)) for suite in root) for name in ("tests", "failures")]
    assert totals == [int(root.get("tests")), int(root.get("failures"))]


def test_junit_tells_outcomes_apart():
    root = ElementTree.fromstring(render_junit(conformance(EVERYTHING)).encode())
    results = {case.get("name").split()[0]: case for case in root.iter("testcase")}
    assert tags(results["GET-003"]) == ["failure"] and tags(results["SET-001"]) == ["error"]
    for clause, word in {"GET-002": "xfail", "GET-004": "skipped", "MGET-001": "unsupported",
                         "ERR-001": "warning"}.items():  # fmt: skip
        [skipped] = results[clause]
        assert skipped.tag == "skipped" and skipped.get("message").startswith(f"{word}: ")
    [failure] = root.findall(".//failure[@type='failed']")
    assert FAILURE.actual in failure.text and "01 00 00 00 01 6b" in failure.text
    assert {case.get("classname") for case in root.iter("testcase")} >= {"wire.GET", "backend.BGET"}


def refused(clause, outcome="failed"):
    failure = Failure("OK", f"no {clause}", FAILURE.exchanges, traits=Traits("SET", "no Bool"))
    return verdict_of(clause, outcome, f"of {clause}", failure=failure)


SHARED = target_of("h:1", verdict_of("GET-001"), refused("SET-001"), refused("SET-002"))


def test_junit_has_a_test_for_each_clause_those_that_failed_first():
    both = target_of("h:1", verdict_of("GET-001"), *SHARED.verdicts, refused("GET-001"))
    root = ElementTree.fromstring(render_junit(conformance(both)).encode())
    cases = list(root.iter("testcase"))
    assert [case.get("name") for case in cases] == ["GET-001 MUST", "SET-001 MUST", "SET-002 MUST"]
    root = ElementTree.fromstring(render_junit(conformance(SHARED)).encode())
    cases = list(root.iter("testcase"))
    assert [case.get("name").split()[0] for case in cases] == ["SET-001", "SET-002", "GET-001"]
    assert "cause: refused with the message 'no Bool' (explains 2 of 2" in cases[1][0].text


def test_markdown_has_what_failed_before_the_matrix_by_cause():
    text = render_markdown(conformance(SHARED))
    parts = (
        "## What failed at `h:1`: 2 failures",
        "### Refused with the message 'no Bool': explains 2 of 2 failures",
        "✗ **SET-001** (MUST) in `wire.vector.set-001`",
        "- again: `kvbench check h:1 --only SET-001`",
        "<details><summary>the conversation</summary>",
        "a → GET b'k'",
        "✗ **SET-002** (MUST)",
        "## Wire protocol",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_junit_shows_control_characters_as_escapes():
    text = render_junit(RUNS["nasty"])
    assert r"\x1b[31m" in text and r"\x00" in text and r"\ud800" in text
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


@each
def test_markdown_has_every_target_and_every_clause(run):
    text = render_markdown(run)
    assert text.endswith("\n") and "\n\n\n" not in text
    text.encode()  # No lone surrogate is left.
    for target in run.targets:
        assert f"| {target.summary} |" in text or f"| **{target.summary}** |" in text
        for verdict in target.verdicts:
            assert f"| {verdict.clause} | {verdict.level} |" in text


@each
def test_the_rows_of_a_markdown_table_are_of_one_width(run):
    widths = []
    for line in [*render_markdown(run).splitlines(), ""]:
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
        else:
            assert len(set(widths)) <= 1, line
            widths = []


def test_markdown_folds_unremarkable_sections_and_notes_the_others():
    text = render_markdown(RUNS["every outcome"])
    assert "<details><summary>7. Batches: 2 clauses</summary>" in text
    assert "### 6.1 GET" in text
    number = re.search(r"\*\*✗\*\*<sup>(\d+)</sup>", text).group(1)
    assert f"- <sup>{number}</sup> failed: expected 00; got 02 (`redis` GET-001)" in text
    assert text.count("<details>") == text.count("</details>")


def test_markdown_escapes_what_a_target_says():
    text = render_markdown(RUNS["nasty"])
    assert "<script>" in text, "a code span shows it as it is"
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", text)
    assert "<script>" not in re.sub(r"(`+) .*? \1", "", outside)
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ((GOOD,), "conforms (2/2 MUST)"),
        ((EVERYTHING,), "does not conform (1/6 MUST)"),
        ((UNVERIFIED,), "not verified (0/1 MUST)"),
        ((EMPTY,), "not verified"),
        ((), "not verified"),
        ((GOOD, GOOD), "2 targets conform"),
        ((GOOD, UNVERIFIED), "1 of 2 targets conform"),
    ],
)
def test_the_badge_says_what_came_of_it(targets, message):
    image = ElementTree.fromstring(render_badge(conformance(*targets)))
    space = "{http://www.w3.org/2000/svg}"
    assert image.find(f"{space}title").text == f"conformance: {message}"
    assert image.get("aria-label") == f"conformance: {message}" and image.get("role") == "img"
    assert [text.text for text in image.iter(f"{space}text")] == ["conformance", message]


def test_the_badge_is_green_only_for_what_conforms():
    green = "#1a7f37"
    assert green in render_badge(conformance(GOOD))
    for targets in [(), (EMPTY,), (UNVERIFIED,), (EVERYTHING,), (GOOD, UNVERIFIED)]:
        assert green not in render_badge(conformance(*targets))


@each
def test_texts_of_the_badge_stay_inside_it(run):
    image = ElementTree.fromstring(render_badge(run))
    for text in image.iter("{http://www.w3.org/2000/svg}text"):
        assert int(text.get("x")) + int(text.get("textLength")) < int(image.get("width"))


def test_no_outcome_is_forgotten():
    text = render_markdown(conformance(EVERYTHING))
    for outcome in Outcome:
        assert f"| {SIGNS[outcome].symbol} {SIGNS[outcome].word} |" in text
