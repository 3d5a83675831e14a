"""``kvbench history``: real files in, entries and trends out; one line for a mistake."""

from __future__ import annotations

import json
import sys

import pytest

from kvbench.cli import main
from tests.compare.compared_results import run_results
from tests.history.kept_results import write_results, write_runs


@pytest.fixture
def kvbench(monkeypatch, capfd, tmp_path):
    """The command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


@pytest.fixture(params=["h.sqlite", "bench"])
def kept(request, kvbench, tmp_path):
    """A history of eight runs; the last four are slower."""
    files = write_runs(tmp_path, [1] * 4 + [1.2] * 4, cells=(("mget", 10), ("mget", 100)))
    code, out, err = kvbench("history", "add", *files, "--to", request.param)
    assert (code, err, out.count("added as")) == (0, "", 8)
    return request.param


def test_the_same_file_is_added_once(kvbench, kept):
    code, out, _ = kvbench("history", "add", "run-3.jsonl", "--to", kept, "--commit", "other")
    assert code == 0 and "is there already" in out
    code, out, _ = kvbench("history", "list", kept)
    assert code == 0 and "8 entries" in out and "other" not in out
    assert out.index("c0000007") < out.index("c0000000"), "the newest first"
    assert len(json.loads(kvbench("history", "list", kept, "--json")[1])) == 8


def test_a_trend_says_what_changed_first(kvbench, kept, tmp_path):
    code, out, err = kvbench("history", "trend", kept, "--report", "trend.md")
    assert (code, err) == (0, "")
    assert "4 changes of level: memory:// MGET × 10 speedup slower since 2026-11-05 12:00" in out
    charts = [line for line in out.splitlines() if "|▁▁▁▁" in line]
    assert len(charts) == 4, "a step down in speedup and keys/s of both cells"
    assert "~" in out, "single calls are as fast as before"
    assert "| since | commit |" in (tmp_path / "trend.md").read_text()


def test_one_figure_is_shown_run_by_run(kvbench, kept):
    code, out, _ = kvbench(
        "history", "trend", kept, "--only", "mget × 100", "--figures", "keys_per_s"
    )
    assert code == 0
    rows = [line for line in out.splitlines() if "●" in line]
    assert len(rows) == 8
    assert rows[4].endswith("slower")
    assert rows[0].index("●") > rows[4].index("●"), "fewer keys/s is farther left"


def test_json_has_points_and_changes(kvbench, kept):
    found = json.loads(kvbench("history", "trend", kept, "--json", "--last", "6")[1])
    assert found["schema"] == "kvbench-trend/1"
    figure = next(one for one in found["figures"] if one["measure"] == "keys_per_s")
    assert next(point["commit"] for point in figure["points"]) == "c0000002"
    [change] = figure["changes"]
    assert (change["index"], change["verdict"]) == (2, "slower")


def test_an_entry_is_shown_by_name_commit_or_place(kvbench, kept):
    listed = json.loads(kvbench("history", "list", kept, "--json")[1])
    outputs = {
        kvbench("history", "show", kept, name)[1]
        for name in ("last", listed[-1]["digest"][:8], "c0000007")
    }
    [out] = outputs
    assert "MGET × 100" in out and "value size" in out and "AMD EPYC" in out


def test_old_entries_are_pruned(kvbench, kept):
    code, out, err = kvbench("history", "prune", kept, "--keep", "5", "--dry-run")
    assert (code, out.count("would be removed")) == (0, 3) and "5 of 8" in err
    assert kvbench("history", "prune", kept, "--before", "2026-11-03")[1].count("removed") == 2
    assert kvbench("history", "prune", kept, "--keep", "5")[1].count("removed") == 1
    assert kvbench("history", "prune", kept, "c0000005", "c0000005")[1].count("removed") == 1
    left = json.loads(kvbench("history", "list", kept, "--json")[1])
    assert [one["commit"][-1] for one in left] == ["3", "4", "6", "7"]


def test_add_is_all_or_nothing(kvbench, tmp_path):
    write_results(tmp_path / "good.jsonl", run_results())
    (tmp_path / "bad.jsonl").write_text("no")
    code, out, err = kvbench("history", "add", "good.jsonl", "bad.jsonl", "--to", "h.sqlite")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "bad.jsonl" in err and not (tmp_path / "h.sqlite").exists()


def test_text_of_an_entry_cannot_move_the_cursor(kvbench, tmp_path):
    results = run_results(environment={"cpu": "\x1b[2Jevil", "git": "\u202eabc"})
    write_results(tmp_path / "a.jsonl", results)
    kvbench("history", "add", "a.jsonl", "--to", "bench", "--commit", "x\x1b]0;y\x07")
    for action in ("list", "show", "trend"):
        out = kvbench("history", action, "bench")[1]
        assert not {"\x1b", "\x07", "\u202e"} & set(out)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["add", "run-0.jsonl"], "Missing option '--to'"),
        (["add", "--to", "h.sqlite"], "see `kvbench history add --help`"),
        (["add", "gone.jsonl", "--to", "h.sqlite"], "cannot be read"),
        (["add", "run-0.jsonl", "--to", "h.json"], "h.sqlite, or a folder"),
        (["list", "gone.sqlite"], "`kvbench history add` makes one"),
        (["show", "KEPT", "zzzz"], "`kvbench history list KEPT` lists them"),
        (["show", "KEPT", "c000"], "is the beginning of 8 entries"),
        (["trend", "KEPT", "--only", "MGTE"], "has no such figure"),
        (["trend", "KEPT", "--figures", "p98"], "did you mean 'p99'?"),
        (["trend", "KEPT", "--mix", "machines"], "did you mean 'machine'?"),
        (["trend", "KEPT", "--last", "1000"], "2<=x<=200"),
        (["trend", "KEPT", "--report", "x.html"], "--report writes Markdown"),
        (["prune", "KEPT"], "say what to remove"),
        (["prune", "KEPT", "--keep", "1", "--before", "2026-01-01"], "say what to remove"),
        (["prune", "KEPT", "--before", "yesterday"], "%Y-%m-%d"),
    ],
)
@pytest.mark.parametrize("kept", ["bench"], indirect=True)
def test_a_mistake_is_one_line(kvbench, kept, args, words):
    code, out, err = kvbench("history", *[kept if one == "KEPT" else one for one in args])
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert words.replace("KEPT", kept) in err
