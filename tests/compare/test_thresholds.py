"""Thresholds: the grammar, what each form names, and the interval that decides."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from kvbench.compare.gauges import FIGURES, Gauge, gauges
from kvbench.compare.thresholds import (
    ThresholdOutcome,
    judge_thresholds,
    parse_thresholds,
    scope_of,
)
from kvbench.errors import UsageError
from kvbench.results import Figure, Latency, LoadRecord
from tests.compare.compared_results import load_results, run_results

DOCUMENT = Path(__file__).parents[2] / "docs" / "thresholds.md"
SIZES = [10, 100, 1000]
TARGETS = ["memory://", "kvb://", "kvb://127.0.0.1:16380/tasks", "valkey://"]
ARMS = {"individual": [1], "pipelined": [1], "batch": [50]}
OPERATIONS = {
    "mget": SIZES,
    "mset": SIZES,
    "mdel": SIZES,
    "get": [1],
    "set": [1],
    "delete": [1],
}
SCOPES = {
    "run": scope_of("run", TARGETS, OPERATIONS),
    "load": scope_of("load", TARGETS, ARMS),
    "capacity": scope_of("capacity", TARGETS, ARMS),
}


def parse(text: str, command: str = "run"):
    (threshold,) = parse_thresholds([text], SCOPES[command])
    return threshold


def gauge(low: float | None, high: float | None) -> Gauge:
    figure = Figure(((low or 3) + (high or 3)) / 2, low, high)
    return Gauge("memory://", "mget", "speedup", 100, figure)


@pytest.mark.parametrize(
    ("text", "command", "parts"),
    [
        ("mget.speedup[100] < 3", "run", ("", "mget", "speedup", 100, "<", 3)),
        ("speedup<=2.5x", "run", ("", "", "speedup", None, "<=", 2.5)),
        ("kvb.mget.call_ns[10]>5ms", "run", ("kvb", "mget", "call_ns", 10, ">", 5e6)),
        ("kvb.call_ns >= 250us", "run", ("kvb", "", "call_ns", None, ">=", 250e3)),
        (
            "kvb://127.0.0.1:16380/tasks.get.keys_per_s < 1.5M keys/s",
            "run",
            ("kvb://127.0.0.1:16380/tasks", "get", "keys_per_s", None, "<", 1.5e6),
        ),
        ("memory://.speedup < 1", "run", ("memory://", "", "speedup", None, "<", 1)),
        ("p99.9 > 5ms", "load", ("", "", "p99.9", None, ">", 5e6)),
        ("kvb.batch.p99[50] > 5 ms", "load", ("kvb", "batch", "p99", 50, ">", 5e6)),
        ("batch.capacity < 50k", "capacity", ("", "batch", "capacity", None, "<", 50e3)),
    ],
)
def test_the_forms(text, command, parts):
    one = parse(text, command)
    found = (one.target, one.subject, one.figure, one.size, one.relation, one.limit)
    assert found == parts


@pytest.mark.parametrize(
    ("text", "command", "words"),
    [
        ("", "run", "is not a threshold; write e.g."),
        ("mget.speedup[100]", "run", "is not a threshold"),
        ("mget.speedup[100] = 3", "run", "is not a threshold"),
        ("mget.speedupp < 3", "run", "no figure 'speedupp'; did you mean 'speedup'?"),
        ("mget.p99 > 5ms", "run", "p99 is a figure of kvbench load; kvbench run has speedup"),
        ("kvb.mget.call_ns.p99 > 5ms", "run", "p99 is a figure of kvbench load"),
        ("mgte.speedup < 3", "run", "nothing named 'mgte' is measured; did you mean 'mget'"),
        ("mexists.speedup < 3", "run", "nothing named 'mexists' is measured"),
        ("redis.mget.speedup < 3", "run", "no target 'redis'; there are: memory://"),
        ("valky.mget.speedup < 3", "run", "did you mean 'valkey'?"),
        ("kvb://other:1.speedup < 3", "run", "nothing named 'kvb://other:1' is measured"),
        ("mget.speedup[50] < 3", "run", "batch size 50 is not measured; measured are 10, 100"),
        ("get.speedup < 3", "run", "get is a single call, and has no speedup; name mget"),
        ("mget.speedup < 3ms", "run", "'3ms' is not a number"),
        ("mget.call_ns > 5", "run", "add a unit"),
        ("mget.keys_per_s < fast", "run", "'fast' is not a rate"),
        ("capacity < 5k", "load", "capacity is a figure of kvbench capacity"),
        ("bach.p99 > 5ms", "load", "did you mean 'batch'?"),
        ("p95 > 5ms", "load", "no figure 'p95'"),
    ],
)
def test_a_mistake_names_what_was_meant(text, command, words):
    with pytest.raises(UsageError) as raised:
        parse(text, command)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("relation", "low", "high", "outcome"),
    [
        ("<", 2.0, 2.9, ThresholdOutcome.FAILS),
        ("<", 2.0, 3.0, ThresholdOutcome.UNCLEAR),
        ("<=", 2.0, 3.0, ThresholdOutcome.FAILS),
        ("<", 3.0, 4.0, ThresholdOutcome.HOLDS),
        ("<", 2.9, 3.1, ThresholdOutcome.UNCLEAR),
        (">", 3.1, 4.0, ThresholdOutcome.FAILS),
        (">", 3.0, 4.0, ThresholdOutcome.UNCLEAR),
        (">=", 3.0, 4.0, ThresholdOutcome.FAILS),
        (">", 2.0, 3.0, ThresholdOutcome.HOLDS),
        ("<", None, None, ThresholdOutcome.UNCLEAR),
    ],
)
def test_the_interval_decides(relation, low, high, outcome):
    assert parse(f"mget.speedup {relation} 3").judge(gauge(low, high)) is outcome


def test_what_is_left_out_matches_all():
    results = run_results(targets=("memory://", "kvb://"))
    for text, count in {
        "speedup < 1": 18, "mget.speedup < 1": 6, "speedup[100] < 1": 6, "kvb.speedup < 1": 9,
        "kvb.mget.speedup[10] < 1": 1, "call_ns > 1s": 2 * (9 + 3), "get.call_ns > 1s": 2,
    }.items():  # fmt: skip
        judged = judge_thresholds(results, [parse(text)])
        assert len(judged) == count, text
        assert {one.outcome for one in judged} == {ThresholdOutcome.HOLDS}


def test_a_cell_without_a_result_cannot_be_told():
    results = run_results()
    cell = msgspec.structs.replace(results.cells[0], speedup=None, arms={}, reason="it refused")
    broken = type(results)(results.header, results.targets, (cell,), (), None, (), None)
    (judged,) = judge_thresholds(broken, [parse("mget.speedup[10] < 3")])
    assert judged.outcome is ThresholdOutcome.UNCLEAR
    assert judged.gauge.reason == "it refused"


def test_lanes_of_load_have_their_figures():
    found = {(one.subject, one.name, one.size) for one in gauges(load_results())}
    assert found == {
        (arm, name, size)
        for arm, size in (("individual", 1), ("batch", 50))
        for name in FIGURES["load"]
    }
    searched = {(one.subject, one.name) for one in gauges(load_results(capacities=True))}
    assert searched == {("individual", "capacity"), ("batch", "capacity"), ("batch", "gain")}


def test_lanes_of_one_size_are_not_mixed_up():
    base = load_results()
    latency = {"since_intended": Latency(p99_ns=5e6)}
    lanes = tuple(
        [
            LoadRecord(
                target="kvb://", arm="batch", batch_size=50, batch_window_ns=window, latency=latency
            )
            for window in (1_000_000, 2_000_000)
        ]
    )
    results = type(base)(base.header, base.targets, (), (), None, (), None, lanes)
    judged = judge_thresholds(results, [parse("batch.p99 > 1ms", "load")])
    assert [one.gauge.lane for one in judged] == [
        "batch × 50, window 1 ms",
        "batch × 50, window 2 ms",
    ]
    assert {one.outcome for one in judged} == {ThresholdOutcome.UNCLEAR}, "there is no interval"


def documented() -> list[tuple[str, str]]:
    """The examples of docs/thresholds.md: command and condition."""
    text = DOCUMENT.read_text()
    rows = re.findall(r"^\| (run|load|capacity) \| `([^`]+[<>][^`]*)` \|", text, re.MULTILINE)
    typed = re.findall(r"kvbench (run|load|capacity) [^`]*?--fail-on '([^']+)'", text)
    return [*rows, *typed]


@pytest.mark.parametrize(("command", "condition"), documented())
def test_documented_conditions_are_right(command, condition):
    if "speedupp" in condition:
        with pytest.raises(UsageError):
            parse(condition, command)
    else:
        parse(condition, command)


def test_every_figure_is_documented():
    text = DOCUMENT.read_text()
    names = {name for figures in FIGURES.values() for name in figures}
    assert {name for name in names if f"`{name}`" not in text} == set()
    assert len(documented()) >= 10
