"""What a CI reads: failures first, counts that add up, and no text that leaves its place."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from kvbench.compare.comparison import compare_results
from kvbench.compare.thresholds import judge_thresholds, parse_thresholds, scope_of
from kvbench.errors import UsageError
from kvbench.report.ci_formats import render_annotations, render_ci_junit, render_ci_markdown
from kvbench.report.ci_outcomes import (
    CiCase,
    CiReport,
    CiStatus,
    comparison_report,
    results_report,
)
from kvbench.report.comparison_document import comparison_document
from kvbench.report.document import build_document
from kvbench.report.formats import RESULTS_FORMATS
from tests.compare.compared_results import load_results, run_results

SIZES = {"mget": (10, 100, 1000), "mset": (10, 100, 1000), "mdel": (10, 100, 1000), "get": (1,)}


def judged(results, *conditions):
    scope = scope_of("run", ["memory://"], SIZES)
    return judge_thresholds(results, parse_thresholds(conditions, scope))


def compared(gate: bool):
    comparison = compare_results(run_results(1), run_results(2, slower=1.2))
    return comparison, comparison_report([comparison], comparison.slowdowns if gate else ())


def test_a_run_has_a_case_for_each_threshold_and_figure():
    results = run_results()
    report = results_report(results, judged(results, "mget.speedup[100] < 9", "get.call_ns > 1s"))
    root = ElementTree.fromstring(render_ci_junit(report))
    assert (root.get("tests"), root.get("failures")) == ("23", "1")
    first = root[0][0]
    assert first.get("name") == "fail on mget.speedup[100] < 9: mget[100]"
    assert "fails: mget.speedup[100] < 9: memory:// mget × 100 speedup is" in first[0].get(
        "message"
    )
    text = render_ci_markdown(report, build_document(results))
    assert text.startswith("## kvbench run: FAILED\n\n23 cases: 1 failed, 22 passed.\n\n### Failed")
    assert text.index("### Failed") < text.index("<details>") < text.index("# kvbench results")


def test_an_interrupted_run_is_not_green():
    report = results_report(run_results(cut=True), ())
    assert report.has_failed
    assert "cut off before its end" in report.cases[0].message


def test_a_run_without_failures_passes_and_has_no_annotations():
    report = results_report(load_results(), ())
    assert not report.has_failed and render_annotations(report) == ()
    assert render_ci_markdown(report, build_document(load_results())).startswith(
        "## kvbench load: passed\n\n4 cases: 4 passed."
    )


def test_slowdowns_fail_only_with_a_gate_and_come_before_all_others():
    comparison, report = compared(gate=True)
    assert report.count(CiStatus.FAILED) == 9, "batch calls; lower speedups are named, not failed"
    assert report.count(CiStatus.SLOWER) == 9
    text = render_ci_markdown(report, comparison_document([comparison]))
    assert text.index("### Failed") < text.index("### Slower") < text.index("<details>")
    _, report = compared(gate=False)
    assert (report.count(CiStatus.FAILED), report.count(CiStatus.SLOWER)) == (0, 18)
    root = ElementTree.fromstring(render_ci_junit(report))
    assert (root.get("failures"), root.get("tests")) == ("0", "21")


def test_nothing_compared_is_not_green():
    comparison = compare_results(run_results(), load_results())
    assert comparison_report([comparison], ()).has_failed


def test_annotations_are_errors_and_warnings_and_not_too_many():
    lines = render_annotations(compared(gate=True)[1])
    assert len(lines) == 18
    assert re.fullmatch(
        r"::error title=memory%3A// MGET × 10 keys/s in head::slower: memory:// MGET × 10 .*",
        lines[0],
    )
    lines = render_annotations(compared(gate=False)[1])
    assert len(lines) == 10 and "9 more are in the summary" in lines[-1]


HOSTILE = "a:b,c%0A\n::error::<x>&|\x1b[0m`*"


def test_text_stays_in_its_place():
    report = CiReport("kvbench run", "", (CiCase(HOSTILE, HOSTILE, CiStatus.FAILED, HOSTILE),))
    [line] = render_annotations(report)
    assert "\n" not in line and line.count("::") >= 2
    assert line.startswith("::error title=a%3Ab%2Cc%250A%0A%3A%3Aerror")
    case = ElementTree.fromstring(render_ci_junit(report))[0][0]
    assert case.get("name") == HOSTILE.replace("\x1b", "\\x1b")
    text = render_ci_markdown(report, build_document(run_results()))
    assert "<x>" not in text


def test_action_benchmark_has_rates_and_times_apart():
    results = run_results()
    rates = json.loads(RESULTS_FORMATS["github-action-benchmark"](results, None))
    times = json.loads(RESULTS_FORMATS["github-action-benchmark-times"](results, None))
    assert (len(rates), len(times)) == (18, 3)
    assert rates[0] == {
        "name": "memory:// MGET × 10 speedup",
        "unit": "times",
        "value": results.cells[0].speedup.estimate,
        "range": rates[0]["range"],
        "extra": "rounds: 12\nkvbench of 2026-11-23T02:14:05Z",
    }
    assert re.fullmatch(r"±\d+(\.\d)?%", rates[0]["range"])
    assert {one["unit"] for one in times} == {"ns"}
    with pytest.raises(UsageError, match="no figure for this format"):
        RESULTS_FORMATS["github-action-benchmark-times"](load_results(capacities=True), None)
