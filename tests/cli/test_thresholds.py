"""``--fail-on``: exit codes and reports of real runs, and mistakes before anything is measured."""

from __future__ import annotations

import json
import sys

import pytest

from kvbench.cli import main

RUN = [
    "run", "memory://", "--quick", "--rounds", "3", "--ops", "mget", "--batch-sizes", "10,100",
    "--no-keep-awake", "--no-pin",
]  # fmt: skip
LOAD = [
    "memory://", "--rounds", "2", "--warm-up", "50ms", "--records", "200", "--clients", "2",
    "--no-keep-awake", "--no-pin",
]  # fmt: skip


@pytest.fixture
def kvbench(monkeypatch, capfd):
    """The command line in this process: exit code, standard output, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


def test_a_run_fails_if_that_is_certain(kvbench, tmp_path):
    report = tmp_path / "report.md"
    conditions = ["--fail-on", "get.call_ns > 1ns", "--fail-on", "mget.call_ns[100] > 10s"]
    code, out, err = kvbench(*RUN, *conditions, "--report", report)
    assert code == 1
    assert "failed: get.call_ns > 1ns: memory:// get call_ns is" in err
    flow = " ".join(out.split())
    assert "FAILED: get.call_ns > 1ns" in flow
    assert "fails" in flow and "holds" in flow
    assert report.read_text().index("## Thresholds") < report.read_text().index("## The answer")


def test_a_run_holds(kvbench):
    code, out, err = kvbench(*RUN, "--fail-on", "get.call_ns > 10s", "--json")
    assert code == 0 and "failed" not in err
    (one,) = json.loads(out)["thresholds"]
    assert (one["text"], one["outcome"]) == ("get.call_ns > 10s", "holds")


def test_what_cannot_be_told_does_not_fail(kvbench, tmp_path):
    """So short a run has too few calls beyond that percentile for an interval."""
    code, out, err = kvbench(
        "load", *LOAD, "--duration", "200ms", "--fail-on", "p99.9 > 1ns", "--json"
    )
    (one,) = json.loads(out)["thresholds"]
    if one["outcome"] == "cannot tell":
        assert code == 0 and "cannot tell: p99.9 > 1ns" in err
    else:
        assert code == 1


@pytest.mark.parametrize(("condition", "code"), [("p99 > 10s", 0), ("keys_per_s < 1000M", 1)])
def test_load(kvbench, condition, code):
    found, out, err = kvbench("load", *LOAD, "--duration", "400ms", "--fail-on", condition)
    assert found == code, err
    assert "Thresholds" in out


@pytest.mark.thorough  # A search of a capacity.
def test_a_capacity_that_no_rate_has_cannot_be_told(kvbench):
    """An objective that nothing keeps ends the search at once, without a figure to judge by."""
    found, out, err = kvbench(
        "capacity", *LOAD, "--slo", "p50<1ns", "--probe", "50ms", "--arm", "individual",
        "--fail-on", "individual.capacity < 50k",
    )  # fmt: skip
    assert found == 0, err
    assert "cannot tell: individual.capacity < 50k" in err and "Thresholds" in out


@pytest.mark.parametrize(
    ("command", "condition", "words"),
    [
        (["run", "memory://"], "mget.speedup < three", "'three' is not a number"),
        (["run", "memory://"], "mgte.speedup < 3", "did you mean 'mget'"),
        (["run", "memory://"], "mget.speedup[7] < 3", "measured are 10, 100, 1,000"),
        (["load", "memory://"], "batch.p99 > 5ms", "nothing named 'batch' is measured"),
        (["capacity", "memory://", "--slo", "p99<5ms"], "p99 > 5ms", "is a figure of kvbench load"),
    ],
)
def test_a_mistake_is_found_before_measuring(kvbench, command, condition, words):
    code, out, err = kvbench(*command, "--fail-on", condition)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
