"""``kvbench compare``: tables, gate, exit codes; real short runs, and one line for a mistake."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from kvbench.cli import main
from kvbench.results import Results, encode_record
from tests.compare.compared_results import load_results, run_results

PUBLISHED = Path(__file__).parents[2] / "reports" / "batch-operations" / "published.jsonl"


@pytest.fixture
def kvbench(monkeypatch, capfd):
    """The command line in this process: exit code, standard output, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


def flow(out: str) -> str:
    """Output without line breaks, which depend on the width."""
    return " ".join(out.split())


@pytest.fixture
def write(tmp_path):
    def write_results(name: str, results: Results) -> Path:
        records = [
            results.header, *results.targets, *results.cells, *results.loads, *results.capacities,
        ]  # fmt: skip
        footer = [results.footer] if results.footer else []
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(b"".join(map(encode_record, [*records, *footer])))
        return path

    return write_results


def test_a_slower_copy_is_slower_and_fails_the_gate(kvbench, write):
    base, head = write("base", run_results(1)), write("head", run_results(2, slower=1.2))
    code, out, err = kvbench("compare", base, head)
    assert (code, err) == (0, "")
    assert re.search(r"memory://  MGET × 100 +11\.\dM +9\.\d+M +0\.8\d+× \[.*\] +slower", out)
    assert "~" in out, "single calls are as fast as before"
    assert "geometric mean" in out
    code, out, err = kvbench("compare", base, head, "--threshold", "5%")
    assert code == 1
    assert "FAILED: slower by more than 5%: memory:// MGET × 10 keys/s 0.8" in out
    assert "no second measurement" in flow(out)
    assert kvbench("compare", base, head, "--threshold", "30%")[0] == 0


def test_the_same_again_is_no_change(kvbench, write):
    files = [write(name, run_results(seed, spread=0.005)) for seed, name in enumerate("ab")]
    code, out, _ = kvbench("compare", *files, "--threshold", "5%")
    assert code == 0
    out = flow(out)
    assert "21 figures compared: 21 no change." in out
    assert "Passed: no figure is slower by more than 5% for certain." in out


def test_several_heads_are_each_compared_with_base(kvbench, write):
    files = [
        write("base", run_results(1)),
        write("same", run_results(2)),
        write("slow", run_results(3, slower=1.3)),
    ]
    code, out, _ = kvbench("compare", *files, "--threshold", "5%", "--figures", "keys_per_s")
    assert code == 1
    assert "9 figures compared: 9 slower." in flow(out)
    assert out.count("Keys/s") == 2 and "Time of a single call" not in out


def test_json_and_markdown_have_the_same_verdicts(kvbench, write, tmp_path):
    base, head = write("base", load_results(1)), write("head", load_results(2, slower=1.2))
    report = tmp_path / "comparison.md"
    code, out, _ = kvbench("compare", base, head, "--json", "--report", report, "--threshold", "5%")
    assert code == 1
    found = json.loads(out)
    assert found["schema"] == "kvbench-comparison/1"
    assert found["gate"]["has_failed"] is True
    rows = found["comparisons"][0]["rows"]
    assert [row["judged"]["verdict"] for row in rows] == ["slower"] * 4
    text = report.read_text()
    assert "> **FAILED: slower by more than 5%" in text
    assert "| target | what | base | head | head / base | verdict |" in text
    assert text.count("**slower**") == 4


def test_a_gate_refuses_other_machines_and_settings(kvbench, write):
    base = write("base", run_results(1))
    other = write(
        "other",
        run_results(2, environment={"cpu": "Intel", "git": "new"}, settings={"value_size": 9}),
    )
    code, out, _ = kvbench("compare", base, other)
    assert code == 0 and "AMD EPYC" in out and "value size" in out
    code, out, err = kvbench("compare", base, other, "--threshold", "5%")
    assert (code, out) == (2, "")
    assert "machine cpu: AMD EPYC in base, Intel in head; setting value size" in err
    assert "--force" in err and err.count("\n") == 1 and "git" not in err
    assert kvbench("compare", base, other, "--threshold", "5%", "--force")[0] == 0


def test_nothing_in_common_is_not_a_pass(kvbench, write):
    base, head = write("base", run_results(1)), write("head", load_results(1))
    code, out, err = kvbench("compare", base, head, "--threshold", "5%", "--force")
    assert code == 3 and "no figure is in both" in err and "only in base" in out
    assert kvbench("compare", PUBLISHED, PUBLISHED)[0] == 3


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["BASE"], "give a base and at least one head"),
        ([], "give a base and at least one head"),
        (["BASE", "gone.jsonl"], "cannot be read"),
        (["BASE", "BASE", "--threshold", "5x"], "write 5% or 0.05"),
        (["BASE", "BASE", "--threshold", "0"], "is not 0.1% to 1000%"),
        (["BASE", "BASE", "--figures", "sped"], "there are: speedup"),
        (["BASE", "BASE", "--figures", "keys_per_sec"], "did you mean 'keys_per_s'?"),
        (["BASE", "BASE", "--report", "x.html"], "--report writes Markdown"),
        (["BASE", "BASE", "--treshold", "5%"], "did you mean '--threshold'?"),
    ],
)
def test_a_mistake_is_one_line(kvbench, write, args, words):
    base = str(write("base", run_results(1)))
    code, out, err = kvbench("compare", *[base if one == "BASE" else one for one in args])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_real_runs_are_compared(kvbench, tmp_path):
    """Two short runs: every figure of both is compared or listed, and the machine is the same."""
    files = []
    for name in ("base", "head"):
        files.append(tmp_path / f"{name}.jsonl")
        run = ["run", "memory://", "--quick", "--rounds", "3", "--batch-sizes", "10,100"]
        assert kvbench(*run, "--ops", "mget", "--no-keep-awake", "--output", files[-1])[0] == 0
    code, out, err = kvbench("compare", *files, "--threshold", "1000%")
    assert (code, err) == (0, "")
    assert "5 figures compared" in out and "What else differs" not in out


def test_real_load_runs_are_compared(kvbench, tmp_path):
    files = []
    for name in ("base", "head"):
        files.append(tmp_path / f"{name}.jsonl")
        load = ["load", "memory://", "--duration", "400ms", "--rounds", "2", "--warm-up", "50ms"]
        short = ["--records", "200", "--clients", "2", "--no-keep-awake"]
        assert kvbench(*load, *short, "--output", files[-1])[0] == 0
    code, out, _ = kvbench("compare", *files)
    assert code == 0 and "2 figures compared" in out and "99th percentile" in out
