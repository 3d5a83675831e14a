"""``--junit``, ``--markdown`` and annotations of ``run``, ``load`` and ``compare``."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from kvbench.cli import main
from tests.compare.compared_results import run_results
from tests.history.kept_results import write_results

RUN = [
    "run", "memory://", "--quick", "--rounds", "2", "--ops", "mget", "--batch-sizes", "10",
    "--no-keep-awake", "--no-pin",
]  # fmt: skip


@pytest.fixture
def kvbench(monkeypatch, capfd, tmp_path):
    """The command line in this process: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


@pytest.fixture
def files(kvbench, tmp_path):
    write_results(tmp_path / "base.jsonl", run_results(1))
    write_results(tmp_path / "head.jsonl", run_results(2, slower=1.2))
    return ["base.jsonl", "head.jsonl", "--junit", "c.xml", "--markdown", "c.md"]


def test_a_failed_run_is_in_all_places(kvbench, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    fail = ["--fail-on", "get.call_ns > 1ns", "--junit", "r.xml", "--markdown", "r.md"]
    code, out, err = kvbench(*RUN, *fail, "--json")
    assert code == 1
    assert out.startswith("{"), "annotations are not in the JSON"
    assert "::error title=memory%3A// fail on get.call_ns > 1ns%3A get[1]::fails: " in err
    assert ElementTree.parse(tmp_path / "r.xml").getroot().get("failures") == "1"
    text = (tmp_path / "r.md").read_text()
    assert text.startswith("## kvbench run: FAILED")
    assert summary.read_text() == f"before\n{text}"


def test_a_comparison_fails_in_junit_only_with_a_threshold(kvbench, files, tmp_path):
    assert kvbench("compare", *files)[0] == 0
    assert ElementTree.parse(tmp_path / "c.xml").getroot().get("failures") == "0"
    code, _, err = kvbench("compare", *files, "--threshold", "5%")
    assert (code, err) == (1, ""), "no annotations outside of GitHub"
    assert ElementTree.parse(tmp_path / "c.xml").getroot().get("failures") == "9"
    assert (tmp_path / "c.md").read_text().startswith("## kvbench compare: FAILED")


@pytest.mark.thorough
def test_a_load_run_writes_both(kvbench, tmp_path):
    short = ["--duration", "200ms", "--rounds", "2", "--warm-up", "50ms", "--records", "100"]
    quiet = ["--clients", "2", "--no-keep-awake", "--no-pin"]
    both = ["--junit", "l.xml", "--markdown", "l.md"]
    assert kvbench("load", "memory://", *short, *quiet, *both)[0] == 0
    assert int(ElementTree.parse(tmp_path / "l.xml").getroot().get("tests")) >= 2
    assert (tmp_path / "l.md").read_text().startswith("## kvbench load: passed")


def test_a_summary_that_cannot_be_written_changes_nothing(kvbench, files, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "/no/such/summary.md")
    code, _, err = kvbench("compare", *files)
    assert code == 0 and "cannot write to $GITHUB_STEP_SUMMARY" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([*RUN, "--junit", "gone/x.xml"], "there is no directory gone"),
        ([*RUN, "--markdown", "."], "that is a directory"),
        ([*RUN, "--junit", "x", "--markdown", "x"], "--junit and --markdown both name x"),
        ([*RUN, "--junit", "x", "--output", "x"], "--junit and --output both name x"),
        ([*RUN, "--markdown", "x", "--report", "x"], "--markdown and --report both name x"),
        (["load", "memory://", "--junit", "gone/x.xml"], "there is no directory gone"),
        (["compare", "a", "b", "--junit", "gone/x.xml"], "there is no directory gone"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error_before_the_run(kvbench, args, words, tmp_path):
    code, out, err = kvbench(*args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err and list(tmp_path.iterdir()) == []
