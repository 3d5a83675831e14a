"""``kvbench advise``: sentences, JSON, one line for a mistake, and its exit codes."""

from __future__ import annotations

import json
import sys

import pytest

from kvbench.cli import main
from kvbench.cli.advise import Rate
from kvbench.results import read_results

QUICK = ["--rounds", "2", "--ops", "mget", "--batch-sizes", "10,100"]


@pytest.fixture
def kvbench(monkeypatch, capfd):
    """The command line in this process: exit code, standard output, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", "advise", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


def test_it_recommends_a_size_and_says_why_in_three_lines(kvbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = kvbench("memory://", *QUICK)
    assert code == 0 and "Traceback" not in err
    headline, *reasons = out.splitlines()[:4]
    assert headline.startswith("memory:// MGET: use ")
    assert all(reason.startswith("  ") and reason.endswith(".") for reason in reasons)
    assert "MGET: what each size gives" in out
    assert out.count("use this") == 1


def test_sentences_fit_the_terminal(kvbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = kvbench("memory://", *QUICK, "--slo", "5ms", "--rate", "2000/s")
    assert max(map(len, out.splitlines())) <= 60
    assert [line for line in out.splitlines() if line != line.rstrip()] == []
    assert out.count("keys a call") == 1, "one table, with all columns side by side"


def test_json_alone_goes_to_standard_output(kvbench, tmp_path):
    output = tmp_path / "results.jsonl"
    code, out, _ = kvbench(
        "memory://", *QUICK, "--slo", "5ms", "--rate", "2k/s", "--json", "--output", output
    )
    document = json.loads(out)
    assert code == 0
    assert document["target"] == "memory://"
    assert (document["slo_ns"], document["rate_keys_per_s"]) == (5_000_000, 2000.0)
    [operation] = document["operations"]
    assert operation["op"] == "mget"
    assert [one["batch_size"] for one in operation["sizes"]] == [1, 10, 100]
    assert len(read_results(output).cells) == 2, "the results are kept as well"


def test_needs_that_no_size_meets_are_code_1(kvbench):
    code, out, _ = kvbench("memory://", *QUICK, "--slo", "1ns")
    assert code == 1
    assert "no size meets these needs" in out
    assert "use this" not in out


def test_an_operation_without_figures_gives_its_reason_and_code_1(kvbench):
    code, out, err = kvbench("null://", *QUICK)
    assert code == 1
    assert "null:// MGET: no figures" in out
    assert "get gives None" in out
    assert "without a result: 2" in err


def test_a_closed_port_is_code_4(kvbench):
    code, out, err = kvbench("kvb://127.0.0.1:1", *QUICK)
    assert (code, out) == (4, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "Missing argument 'TARGET'"),
        (["memroy://"], "did you mean memory://?"),
        (["memory://", "--slo", "5"], "add a unit, e.g. 250us, 0.5ms or 2s"),
        (["memory://", "--slo", "0"], "--slo 0 leaves no time for a call"),
        (["memory://", "--rate", "fast"], "'fast' is not a rate; write 2000/s or 1.5k/s"),
        (["memory://", "--rate", "0/s"], "'0/s' is not a rate"),
        (["memory://", "--rate", "2000/min"], "'2000/min' is not a rate"),
        (["memory://", "--ops", "get"], "did you mean 'mget'?"),
        (["memory://", "--batch-sizes", ""], "10,100,1000"),
        (["memory://", "--batch-sizes", "0"], "batch size 0"),
        (["memory://", "--rounds", "1"], "1 rounds"),
        (["memory://", "--output", "missing/results.jsonl"], "cannot write"),
        (["null://", "--value-type", "int"], "null:// stores bytes only"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(kvbench, tmp_path, monkeypatch, args, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = kvbench(*args)
    assert (code, out) == (2, "")
    assert err.startswith("kvbench: ") and err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    ("text", "keys_per_s"), [("2000/s", 2000), ("2000", 2000), ("1.5k/s", 1500), ("3M", 3e6)]
)
def test_rates_are_read_as_people_write_them(text, keys_per_s):
    assert Rate().convert(text, None, None) == keys_per_s
