"""Trends: comparable entries in order, changes of level with what else changed."""

from __future__ import annotations

import pytest

from kvbench.cli import history
from kvbench.compare.differences import DifferenceKind
from kvbench.compare.judgement import Verdict
from kvbench.history.change_points import SERIES_MAX
from kvbench.history.entry import read_entry
from kvbench.history.trend import SEPARATED, trends
from tests.compare.compared_results import load_results, run_results
from tests.history.kept_results import dated, write_results, write_runs

CELLS = (("mget", 10), ("mget", 100))


def of(found, name: str, measure: str):
    [trend] = [one for one in found if (one.name, one.measure) == (name, measure)]
    return trend


@pytest.fixture
def entry(tmp_path):
    def make(day: int, **given):
        path = tmp_path / f"{day}.jsonl"
        return read_entry(
            write_results(path, dated(run_results(day, cells=CELLS, **given), day, f"c{day}"))
        )

    return make


def test_a_slowdown_is_a_change_at_its_commit(tmp_path):
    files = write_runs(tmp_path, [1, 1, 1, 1, 1.2, 1.2, 1.2, 1.2], cells=CELLS)
    found = trends(list(map(read_entry, files)))
    assert len(found) == 5
    trend = of(found, "MGET × 100", "keys_per_s")
    [change] = trend.changes
    assert trend.points[change.index].entry.commit == "c0000004"
    assert change.verdict is Verdict.SLOWER
    assert change.ratio.low < 1 / 1.2 < change.ratio.high
    assert [one.name for one in change.differences] == ["git"]
    assert of(found, "GET", "call_ns").changes == (), "single calls are as fast as before"


def test_a_time_that_grows_is_slower(tmp_path):
    files = [
        write_results(tmp_path / f"{day}", dated(load_results(day, slower=factor), day, ""))
        for day, factor in enumerate([1, 1, 1, 1.5, 1.5, 1.5])
    ]
    found = trends(list(map(read_entry, files)))
    assert [one.verdict for trend in found for one in trend.changes] == [Verdict.SLOWER] * 4


def test_no_change_below_the_threshold(tmp_path):
    files = write_runs(tmp_path, [1, 1, 1, 1, 1.2, 1.2, 1.2, 1.2], cells=CELLS)
    entries = list(map(read_entry, files))
    assert not any(one.changes for one in trends(entries, threshold=0.3))


def test_other_machines_and_settings_are_left_out_unless_asked_for(entry):
    entries = [
        entry(1),
        entry(2, environment={"cpu": "Intel"}),
        entry(3, settings={"value_size": 9}),
        entry(4, environment={"python": "3.12"}),
        entry(5, settings={"rounds": 30}),
    ]
    trend = trends(entries)[0]
    assert [one.entry.commit for one in trend.points] == ["c1", "c4", "c5"]
    assert trend.left_out == 2
    trend = trends(entries, mixed=[DifferenceKind.MACHINE])[0]
    assert [one.entry.commit for one in trend.points] == ["c1", "c2", "c4", "c5"]
    trend = trends(entries, mixed=[DifferenceKind.MACHINE, DifferenceKind.SETTING])[0]
    assert trend.left_out == 0


def test_a_version_that_changed_at_a_change_is_named(entry):
    entries = [entry(day) for day in range(4)]
    entries += [entry(day, slower=1.5, environment={"python": "3.12"}) for day in range(4, 8)]
    [change] = of(trends(entries), "MGET × 10", "speedup").changes
    assert {one.name: (one.base, one.head) for one in change.differences} == {
        "python": ("3.11", "3.12"), "git": ("c3", "c4"),
    }  # fmt: skip


def test_runs_and_load_runs_of_the_same_commits_have_separate_trends(tmp_path, entry):
    entries = [entry(1), entry(2)]
    load = write_results(tmp_path / "load", dated(load_results(), 3, "c2"))
    found = trends([*entries, read_entry(load)])
    assert len(of(found, "GET", "call_ns").points) == 2
    assert len(of(found, "batch × 50", "p99").points) == 1


def test_only_so_many_points(entry):
    entries = [entry(day) for day in range(6)]
    [trend] = trends(entries, last=4, is_wanted=lambda one: one.name == "GET")
    assert [one.entry.commit for one in trend.points] == ["c2", "c3", "c4", "c5"]


def test_options_allow_what_there_is():
    assert history._LAST_MAX == SERIES_MAX
    assert history._MIXED == SEPARATED
