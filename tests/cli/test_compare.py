"""``kvbench compare``: tables, gate, exit codes; real short runs, and one line for a mistake."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from kvbench import registry
from kvbench.cli import main
from kvbench.results import Results, encode_record, read_results
from tests.compare.compared_results import load_results, run_results
from tests.worker_adapters import publish

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "reports" / "batch-operations" / "published.jsonl"


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
    assert out.count("Keys/s") == 2 and "Time of a call" not in out


def test_json_and_markdown_have_the_same_verdicts(kvbench, write, tmp_path):
    base, head = write("base", load_results(1)), write("head", load_results(2, slower=1.2))
    report, page = tmp_path / "comparison.md", tmp_path / "page.html"
    files = ["--report", report, "--html", page]
    code, out, _ = kvbench("compare", base, head, "--json", *files, "--threshold", "5%")
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
    shown = page.read_text()
    assert "FAILED: slower by more than 5%" in shown and "4 slower" in shown
    assert shown.count('<span class="pill bad">slower</span>') == 4


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
        (["BASE", "BASE", "--report", "x.html"], "--report writes Markdown: name it x.md"),
        (["BASE", "BASE", "--html", "x.md"], "--html writes HTML: name it x.html"),
        (["BASE", "BASE", "--html", "gone/x.html"], "cannot write gone/x.html"),
        (["BASE", "BASE", "--html", "x", "--report", "x"], "--html and --report both name x"),
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
        assert (
            kvbench(*run, "--ops", "mget", "--no-keep-awake", "--no-pin", "--output", files[-1])[0]
            == 0
        )
    code, out, err = kvbench("compare", *files, "--threshold", "1000%")
    assert (code, err) == (0, "")
    assert "5 figures compared" in out and "What else differs" not in out


@pytest.mark.thorough  # Two whole measurements.
def test_real_load_runs_are_compared(kvbench, tmp_path):
    files = []
    for name in ("base", "head"):
        files.append(tmp_path / f"{name}.jsonl")
        load = ["load", "memory://", "--duration", "400ms", "--rounds", "2", "--warm-up", "50ms"]
        short = ["--records", "200", "--clients", "2", "--no-keep-awake", "--no-pin"]
        assert kvbench(*load, *short, "--output", files[-1])[0] == 0
    code, out, _ = kvbench("compare", *files)
    assert code == 0 and "2 figures compared" in out and "99th percentile" in out


QUICK = [
    "--quick", "--rounds", "3", "--ops", "mget", "--batch-sizes", "10,100",
    "--no-keep-awake", "--no-pin",
]  # fmt: skip


@pytest.mark.thorough
def test_the_same_target_twice_is_measured_in_one_run(kvbench, tmp_path):
    output = tmp_path / "both.jsonl"
    code, out, _ = kvbench("compare", "--run", "memory://", "memory://", *QUICK, "--output", output)
    assert code == 0
    assert "base memory:// (A) · head memory:// (B)" in out
    assert "5 figures compared" in flow(out) and "in the same rounds" in flow(out)
    targets = [one.target for one in read_results(output).targets]
    assert targets == ["memory:// (A)", "memory:// (B)"]


SLOW = '''
"""A dict, and the same dict that spins for as long again in every call."""

import time

from kvbench.backend import Backend
from kvbench.model import BatchKind, pairs_to_dict


class Fast(Backend):
    batch_kinds = dict.fromkeys(("mget", "mset", "mdel"), BatchKind.NATIVE)
    spin_ns = 20_000

    @classmethod
    def open(cls, url):
        return cls()

    def __init__(self):
        self.data = {}

    def close(self):
        pass

    def spin(self):
        end = time.perf_counter_ns() + self.spin_ns
        while time.perf_counter_ns() < end:
            pass

    def get(self, key):
        self.spin()
        return self.data.get(key)

    def set(self, key, value, ttl=None):
        self.spin()
        self.data[key] = value

    def delete(self, key):
        return self.data.pop(key, self) is not self

    def exists(self, key):
        return key in self.data

    def mget(self, keys):
        self.spin()
        return [self.data.get(key) for key in keys]

    def mset(self, pairs, ttl=None):
        self.data.update(pairs_to_dict(pairs))

    def mdel(self, keys):
        return sum([self.data.pop(key, None) is not None for key in keys])


class Slow(Fast):
    spin_ns = 60_000
'''


@pytest.fixture
def adapters(tmp_path, monkeypatch):
    module = tmp_path / "spinning.py"
    module.write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    publish(tmp_path / "package", monkeypatch, module, fast="Fast", slow="Slow")
    monkeypatch.syspath_prepend(str(tmp_path / "package"))
    registry._entry_points.cache_clear()
    yield
    registry._entry_points.cache_clear()


@pytest.mark.thorough
def test_a_slowdown_is_measured_twice_and_fails(kvbench, adapters):
    """Three times as slow is certain with five rounds even on a busy machine."""
    args = ["compare", "--run", "fast://", "slow://", *QUICK, "--rounds", "6", "--json"]
    code, out, err = kvbench(*args, "--threshold", "5%")
    assert code == 1, err
    assert "figures are slower: measuring once more" in err
    found = json.loads(out)
    assert found["gate"]["second_measurement"] == "confirmed"
    first, second = found["comparisons"]
    slow = {(row["head"]["name"], row["head"]["measure"]) for row in second["rows"]}
    assert slow == {
        (row["head"]["name"], row["head"]["measure"])
        for row in first["rows"]
        if row["judged"]["is_slowdown"]
    }
    assert slow, "only the suspects are judged again"


@pytest.mark.thorough  # Two whole measurements.
def test_a_faster_head_passes_without_a_second_measurement(kvbench, adapters):
    args = ["compare", "--run", "slow://", "fast://", *QUICK, "--rounds", "6"]
    code, out, err = kvbench(*args, "--threshold", "5%")
    assert code == 0, err
    assert "measuring once more" not in err
    assert "faster" in out and "Passed: no figure is slower by more than 5%" in flow(out)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--run", "memory://"], "--run compares two targets"),
        (["--run", "memory://", "memry://"], "did you mean memory://"),
        (["--run", "memory://", "memory://", "--quick", "--rigorous"], "exclude each other"),
        (["--run", "memory://", "memory://", "--rtt", "1ms"], "no target is reached over"),
        (["--run", "memory://", "memory://", "--rounds", "1"], "an interval needs 2"),
        (["a.jsonl", "b.jsonl", "--rounds", "5"], "--rounds goes with --run"),
        (["a.jsonl", "b.jsonl", "--quick"], "--quick goes with --run"),
        (["memory://", "kvb://"], "targets are measured with --run"),
    ],
)
def test_mistakes_of_run_are_one_line(kvbench, args, words):
    code, out, err = kvbench("compare", *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


SLOW_MGET = """

def _slow_mget(self, keys, _fast=MemoryBackend.mget):
    import time
    until_ns = time.perf_counter_ns() + 200_000
    while time.perf_counter_ns() < until_ns:
        pass
    return _fast(self, keys)


MemoryBackend.mget = _slow_mget
"""


def interpreter(folder: Path, path: Path) -> Path:
    """An interpreter that finds packages in a folder first, as one of another environment does."""
    file = folder / "python"
    file.write_text(f'#!/bin/sh\nPYTHONPATH={path}:{path}/backends exec {sys.executable} "$@"\n')
    file.chmod(0o755)
    return file


def test_two_environments_are_measured_in_turns(kvbench, tmp_path):
    """The base has a kvbench whose MGET in memory takes 200 µs more."""
    old = tmp_path / "old"
    for package in ("kvbench", "backends"):
        shutil.copytree(ROOT / package, old / package, ignore=shutil.ignore_patterns("__pycache__"))
    memory = old / "backends" / "kvbench_backends" / "memory.py"
    memory.write_text(memory.read_text() + SLOW_MGET)
    results = tmp_path / "both.jsonl"
    code, out, err = kvbench(
        "compare", "--run", "memory://", "--base-env", interpreter(tmp_path, old),
        *QUICK, "--output", results, "--json",
    )  # fmt: skip
    assert code == 0, err
    [comparison] = json.loads(out)["comparisons"]
    rates = [row for row in comparison["rows"] if row["base"]["measure"] == "keys_per_s"]
    [judged] = [row["judged"] for row in rates if row["base"]["name"] == "MGET × 10"]
    assert judged["verdict"] == "faster" and judged["ratio"]["low"] > 2
    header = read_results(results).header
    assert header.settings["targets"] == ["memory:// (base)", "memory:// (head)"]
    assert "kvbench 0.1.0 on Python 3." in header.settings["environments"]["memory:// (base)"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("/nonexistent/python", "No such file or directory; name a Python interpreter"),
        ("/bin/true", "is no Python interpreter"),
        ("/bin/false", "cannot load kvbench (exit code 1)"),
    ],
)
def test_an_environment_that_cannot_measure_is_one_line(kvbench, program, words):
    code, _, err = kvbench("compare", "--run", "memory://", "--base-env", program)
    assert code == 2
    assert words in err and err.count("kvbench: ") == 1
