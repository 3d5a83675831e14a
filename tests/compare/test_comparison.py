"""Which figures are paired, what is listed instead of dropped, and what else differs."""

from __future__ import annotations

import msgspec
import pytest

from kvbench.compare.comparison import compare_results
from kvbench.compare.differences import DifferenceKind
from kvbench.compare.judgement import Verdict
from kvbench.compare.readings import Measure, readings
from kvbench.results import ArmFigures, Figure, HistogramCounts, Latency, LoadRecord
from tests.compare.compared_results import load_results, run_results


def test_a_file_has_each_figure_once():
    names = [(one.name, one.measure) for one in readings(run_results())]
    assert len(names) == len(set(names)) == 21
    assert names.count(("GET", Measure.CALL_NS)) == 1
    assert ("MDEL × 1,000", Measure.SPEEDUP) in names


def test_figures_of_one_file_are_listed():
    few = run_results(2, cells=(("mget", 10), ("mexists", 10)))
    comparison = compare_results(run_results(1), few)
    assert [row.head.name for row in comparison.rows] == ["MGET × 10", "MGET × 10", "GET"]
    reasons = {(one.name, one.measure): one.reason for one in comparison.unpaired}
    assert reasons["MSET × 100", Measure.SPEEDUP] == "only in base"
    assert reasons["EXISTS", Measure.CALL_NS] == "only in head"
    assert len(comparison.rows) + len(comparison.unpaired) == 21 + 3


def test_a_cell_without_a_result_says_why():
    head = run_results(2)
    cells = [msgspec.structs.replace(head.cells[0], arms={}, speedup=None, reason="it refused")]
    broken = type(head)(
        head.header, head.targets, (*cells, *head.cells[1:]), (), None, (), head.footer
    )
    comparison = compare_results(run_results(1), broken)
    assert [one.reason for one in comparison.unpaired] == ["head has no number: it refused"] * 2
    assert "GET" in [row.head.name for row in comparison.rows], "another cell has single calls"


def test_pipelined_calls_are_compared():
    base, head = run_results(1), run_results(2)
    with_pipelined = []
    for results in (base, head):
        cells = [
            msgspec.structs.replace(cell, arms={**cell.arms, "pipelined": cell.arms["batch"]})
            for cell in results.cells
        ]
        with_pipelined.append(
            type(results)(
                results.header, results.targets, tuple(cells), (), None, (), results.footer
            )
        )
    names = [row.head.name for row in compare_results(*with_pipelined).rows]
    assert "GET × 100 pipelined" in names and len(names) == 30


@pytest.mark.parametrize("capacities", [False, True])
def test_loads_and_capacities_are_compared(capacities):
    base, head = load_results(1, capacities=capacities), load_results(2, capacities=capacities)
    slow = load_results(2, slower=1.2, capacities=capacities)
    names = {(row.head.name, row.head.measure) for row in compare_results(base, head).rows}
    if capacities:
        assert names == {
            ("individual within p99 < 5ms", Measure.CAPACITY),
            ("batch × 50 within p99 < 5ms", Measure.CAPACITY),
        }
    else:
        measures = (Measure.KEYS_PER_S, Measure.P99)
        assert names == {(lane, one) for lane in ("individual", "batch × 50") for one in measures}
    same, slower = compare_results(base, head), compare_results(base, slow)
    assert same.count(Verdict.SAME) == len(same.rows)
    assert len(slower.slowdowns) == len(slower.rows), "slower is fewer keys/s and a longer p99"


def test_a_lane_with_depth_and_window_has_them_in_its_name():
    load = LoadRecord(
        target="kvb://", arm="batch", batch_size=50, pipeline=4, batch_window_ns=1_500_000,
        latency={"since_intended": Latency(histogram=HistogramCounts())},
    )  # fmt: skip
    results = load_results()
    found = readings(type(results)(results.header, (), (), (), None, (), None, (load,)))
    assert {one.name for one in found} == {"batch × 50, 4 deep, window 1.5 ms"}
    assert all(one.figure is None and one.reason for one in found)


def test_one_target_against_another():
    comparison = compare_results(run_results(1), run_results(2, targets=("kvb://",)))
    assert comparison.pairs == (("memory://", "kvb://"),)
    assert len(comparison.rows) == 21
    several = compare_results(run_results(1), run_results(2, targets=("kvb://", "valkey://")))
    assert not several.rows and len(several.unpaired) == 63


def test_only_the_chosen_measures():
    base, head = run_results(1), run_results(2, slower=1.2)
    assert not [row for row in compare_results(base, head).slowdowns if row.base.name == "GET"]
    chosen = compare_results(base, head, measures=[Measure.SPEEDUP])
    assert {row.base.measure for row in chosen.rows} == {Measure.SPEEDUP}
    assert chosen.slowdowns, "speedups decide when they are chosen"
    speedups = [row for row in compare_results(base, head).rows if not row.is_gated]
    assert {row.base.measure for row in speedups} == {Measure.SPEEDUP}


def test_differences_are_named_and_sorted_by_what_a_gate_expects():
    head = run_results(
        2, environment={"cpu": "Intel", "python": "3.12", "git": "def", "load_before": 9.0},
        settings={"value_size": 1000, "rounds": 30, "seed": 4}, cut=True,
    )  # fmt: skip
    comparison = compare_results(run_results(1), head)
    found = {(one.kind, one.name) for one in comparison.unexpected}
    assert found == {
        (DifferenceKind.MACHINE, "cpu"),
        (DifferenceKind.VERSION, "python"),
        (DifferenceKind.SETTING, "value_size"),
        (DifferenceKind.RUN, "outcome"),
    }
    assert [one.name for one in comparison.differences if one.is_expected] == ["git"]


def test_figures_without_rounds_are_listed():
    """Published figures have an estimate and nothing else."""
    head = run_results(2)
    arms = {"batch": ArmFigures(Figure(85.0), Figure(1e7), Figure(8_500.0))}
    cells = tuple([msgspec.structs.replace(one, arms=arms) for one in head.cells])
    bare = type(head)(head.header, head.targets, cells, (), None, (), head.footer)
    comparison = compare_results(run_results(1), bare)
    assert {one.measure for one in (row.base for row in comparison.rows)} == {Measure.SPEEDUP}
    reasons = {one.reason for one in comparison.unpaired}
    assert "head has no two rounds, so its spread is unknown" in reasons
