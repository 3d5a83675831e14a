"""`kvbench compare` on the JSON of pytest-benchmark: a real file, known changes, and other JSON.

The real file comes from pytest-benchmark itself, in a separate process. Known changes are made in
memory, in the same form.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from importlib.metadata import distributions

import pytest

from kvbench.cli import main
from kvbench.results.pytest_benchmark import GROUPS_MAX, grouped, read_comparable
from tests.compare.compared_results import run_results
from tests.history.kept_results import write_results

# As pytest looks: an installed kvbench may be older than this checkout.
IS_REGISTERED = any(
    point.value == "kvbench.benchmarks.plugin"
    for distribution in distributions()
    for point in distribution.entry_points
)
PLUGINS = [] if IS_REGISTERED else ["-p", "kvbench.benchmarks.plugin"]


@pytest.fixture
def compare(monkeypatch, capfd):
    """Run the command: exit code, standard output without line breaks, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", "compare", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        return left.value.code, " ".join(out.split()), " ".join(err.split())

    return call


@pytest.fixture
def write(tmp_path):
    def write_document(name, benchmarks, **machine):
        info = {"cpu": {"brand_raw": "EPYC", "count": 2}, "release": "6.1", **machine}
        document = {"machine_info": info, "commit_info": {"id": name}, "benchmarks": benchmarks}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document, indent=4))
        return path

    return write_document


def benchmark(seed, name="test_get", middle_s=1e-6, fullname="", **extra):
    rng = random.Random(f"{seed}/{name}")
    return {
        "name": name,
        "fullname": fullname or f"tests/test_it.py::{name}",
        "stats": {"data": [middle_s * rng.lognormvariate(0, 0.02) for _ in range(1000)]},
        "extra_info": extra,
        "options": {"timer": "perf_counter", "warmup": False},
    }


def test_a_slowdown_is_found_and_decides_only_when_forced(compare, write):
    base = write("base", [benchmark(1), benchmark(1, "test_mget[100]")])
    head = write("head", [benchmark(2, middle_s=1.3e-6), benchmark(2, "test_mget[100]")])
    code, _, err = compare(base, head, "--threshold", "5%")
    assert code == 2 and "a file of pytest-benchmark is of one process" in err
    code, out, _ = compare(base, head, "--threshold", "5%", "--force")
    assert code == 1
    assert "FAILED: slower by more than 5%: pytest-benchmark test_get call time 1.30×" in out
    assert "2 figures compared: 1 slower, 1 no change." in out
    code, out, _ = compare(base, head, "--threshold", "50%", "--force")
    assert code == 0
    assert "all rounds of a file are of one process" in out, "what its intervals mean"


def test_thousands_of_rounds_are_a_few_groups_of_neighbours():
    """A disturbance that lasts 100 rounds is one group or three, not 100 confirmations."""
    times = [1.0] * 500 + [2.0] * 100 + [1.0] * 401
    groups = grouped(times)
    assert len(groups) == GROUPS_MAX
    assert 1 <= sum(one > 1.5 for one in groups) <= 3
    assert grouped([3.0, 1.0]) == [3.0, 1.0]


def test_kvbench_names_the_target_and_targets_of_two_files_are_paired(compare, write):
    base = write("base", [benchmark(1, kvbench_target="kvb://127.0.0.1:7001")])
    head = write("head", [benchmark(2, kvbench_target="kvb://127.0.0.1:7002")])
    code, out, _ = compare(base, head)
    assert code == 0
    assert "1 figure compared" in out
    assert "kvb://127.0.0.1:7002" in out


def test_benchmarks_of_one_name_in_two_modules_are_told_apart(write):
    same = [benchmark(1, fullname=f"{module}.py::test_get") for module in "ab"]
    names = [one.name for one in read_comparable(write("both", same)).timings]
    assert names == ["a.py::test_get", "b.py::test_get"]


def test_a_gate_refuses_another_machine(compare, write):
    base, head = write("base", [benchmark(1)]), write("head", [benchmark(2)], release="6.9")
    code, out, err = compare(base, head, "--threshold", "5%")
    assert (code, out) == (2, "")
    assert "machine kernel: 6.1 in base, 6.9 in head" in err
    assert "git" not in err, "the commit is what is compared"


def test_without_rounds_it_says_which_option_writes_them(compare, write):
    summary = {**benchmark(1), "stats": {"mean": 1e-6}}
    code, out, _ = compare(write("base", [summary]), write("head", [benchmark(2)]), "--json")
    assert code == 3
    assert "--benchmark-json or --benchmark-save-data" in out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"benchmarks": [], "context": {}}', "is JSON, but neither results of kvbench"),
        ("[1, 2]", "is JSON, but neither results of kvbench"),
        ('{"machine_info": {}, "benchmarks": []}', "has no benchmarks"),
        ('{"machine_info": {}, "benchmarks": [{"name": 1}]}', "damaged JSON of pytest-benchmark"),
        ('{"machine_info": {}, "benchm', "this is not a kvbench results file"),
    ],
)
def test_other_json_is_one_line(content, said, compare, write, tmp_path):
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    code, out, err = compare(wrong, write("head", [benchmark(1)]))
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_files_of_two_tools_are_refused(compare, write, tmp_path):
    ours = write_results(tmp_path / "ours.jsonl", run_results(1))
    code, _, err = compare(ours, write("theirs", [benchmark(1)]))
    assert code == 2
    assert "ours.jsonl has results of kvbench" in err
    assert "theirs.json those of pytest-benchmark" in err


@pytest.mark.thorough  # Runs pytest on a store.
def test_a_real_file_of_the_ready_benchmarks(compare, tmp_path):
    """Two runs would take twice as long: the one is compared with itself."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLUGINS,
        "--pyargs", "kvbench.benchmarks", "--benchmark-only", "--kvbench-target", "memory://",
        "--kvbench-batch-sizes", "10", "-k", "10-mget or 10-mdel", "--benchmark-json", "base.json",
        "--benchmark-max-time", "0.02",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout
    assert "4 passed, 2 skipped" in done.stdout, "memory:// has no pipelined calls"
    results = read_comparable(tmp_path / "base.json")
    assert {one.target for one in results.timings} == {"memory://"}
    timings = {one.name: one.call_ns for one in results.timings}
    batch = timings["test_batch[10-mget-batch]"]
    assert 1e2 < batch.estimate < 1e7, "nanoseconds"
    assert len(batch.rounds) > 1
    assert results.header.environment["python"] == sys.version.split()[0]
    assert results.header.environment["cores"]
    groups = {
        one["group"] for one in json.loads((tmp_path / "base.json").read_text())["benchmarks"]
    }
    assert groups == {"MGET of 10 keys on memory://", "MDEL of 10 keys on memory://"}
    assert compare(tmp_path / "base.json", tmp_path / "base.json")[0] == 0
