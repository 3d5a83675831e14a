"""Judgements and recommendations: noise is not reported as gain, and emulation is no batch."""

from __future__ import annotations

import pytest

from kvbench.report.summary import (
    Judgement,
    chance,
    contradicts_kind,
    has_two_groups,
    is_client_bound,
    judge,
    summarise,
)
from kvbench.results import Figure, TwoGroups
from tests.report.report_builders import arm, cell, curve, missing, results, target

NOISY = target(self_ratio=Figure(1.0, 0.95, 1.05))


@pytest.mark.parametrize(
    ("speedup", "judgement"),
    [
        (Figure(1.2, 1.06, 1.3), Judgement.FASTER),
        (Figure(1.2, 1.05, 1.3), Judgement.UNCLEAR),
        (Figure(1.0, 0.99, 1.01), Judgement.UNCLEAR),
        (Figure(0.9, 0.8, 0.96), Judgement.UNCLEAR),
        (Figure(0.9, 0.8, 0.94), Judgement.SLOWER),
        (Figure(5.0), Judgement.UNCLEAR),
    ],
)
def test_a_speedup_counts_only_beyond_what_chance_does(speedup, judgement):
    assert judge(cell(speedup=speedup), NOISY) is judgement


def test_without_that_figure_the_interval_must_exclude_1():
    silent = target(self_ratio=None)
    assert chance(silent) == (1.0, 1.0)
    assert judge(cell(speedup=Figure(1.03, 1.01, 1.05)), silent) is Judgement.FASTER
    assert judge(cell(speedup=Figure(1.03, 0.99, 1.05)), silent) is Judgement.UNCLEAR


def test_a_biased_self_ratio_still_holds_1():
    biased = target(self_ratio=Figure(1.05, 1.02, 1.08))
    assert chance(biased) == (1.0, 1.08)
    assert judge(cell(speedup=Figure(1.0, 0.99, 1.01)), biased) is Judgement.UNCLEAR


def test_emulation_and_missing_figures_are_no_speedups():
    assert judge(cell(batch_kind="emulated"), NOISY) is Judgement.EMULATED
    assert judge(missing("mget", 10, "refused"), NOISY) is Judgement.NO_NUMBER


def at(size, keys_per_s, speedup=None):
    arms = {"individual": arm(1000.0), "batch": arm(1e9 / keys_per_s, size)}
    return cell("mget", size, arms=arms, speedup=speedup or Figure(5.0, 4.9, 5.1))


@pytest.mark.parametrize(
    ("cells", "size"),
    [
        ([at(10, 1e6), at(100, 5e6), at(1000, 5.2e6)], 100),
        ([at(10, 1e6), at(100, 4e6), at(1000, 5.2e6)], 1000),
        ([at(10, 9e6), at(100, 5e6)], 10),
        ([at(10, 1e6, Figure(1.0, 0.9, 1.1)), at(100, 5e6)], 100),
        ([at(10, 1e6, Figure(1.0, 0.9, 1.1))], None),
        ([missing("mget", 10, "refused")], None),
        ([cell(batch_kind="emulated")], None),
    ],
)
def test_the_recommended_size_is_the_smallest_near_the_best(cells, size):
    (summary,) = summarise(results(*cells))
    best = summary.operations["mget"].recommended
    assert (best.batch_size if best else None) == size


def test_cells_are_sorted_into_their_targets():
    (one, other) = summarise(
        results(
            cell("mdel", 1000),
            cell("mget", 10),
            cell("scan", 10),
            cell("mget", 10, target="sqlite:///x.db"),
            curves=(curve("mget"),),
        )
    )
    assert list(one.operations) == ["mget", "mdel", "scan"]
    assert one.sizes == (10, 1000)
    assert one.cell("mget", 1000) is None
    assert one.operations["mget"].curve == curve("mget")
    assert one.operations["mdel"].curve is None
    # Its record is missing, as in a file that was edited: the cells are still shown.
    assert other.target.target == "sqlite:///x.db"
    assert len(other.cells) == 1


def test_a_target_without_cells_is_kept():
    (summary,) = summarise(results())
    assert (summary.operations, summary.sizes, summary.cells) == ({}, (), [])


def test_only_a_store_outside_the_process_can_be_faster_than_its_client():
    busy = cell(arms={"individual": arm(300.0), "batch": arm(85.0, 100, client_cpu=0.97)})
    assert is_client_bound(busy, target("kvb://", True))
    assert not is_client_bound(busy, target())
    assert not is_client_bound(cell(), target("kvb://", True))


def test_two_groups_of_any_arm_count():
    grouped = arm(30.0, groups=TwoGroups(21.0, 7, 48.0, 5))
    assert has_two_groups(cell(arms={"individual": grouped, "batch": arm(3.0, 100)}))
    assert not has_two_groups(cell())


@pytest.mark.parametrize(
    ("kind", "round_trips", "contradicts"),
    [
        ("native", 1.02, False),
        ("native", 2.0, True),
        ("native", 99.7, True),
        ("emulated", 99.7, False),
        ("emulated", 1.0, True),
        ("pipelined", 1.0, False),
        ("pipelined", 98.0, True),
        ("transaction", 3.0, False),
        ("native", None, False),
    ],
)
def test_measured_round_trips_are_held_against_the_declared_kind(kind, round_trips, contradicts):
    at_100 = cell(batch_kind=kind, round_trips=round_trips, round_trips_at=100)
    assert contradicts_kind(at_100) is contradicts
