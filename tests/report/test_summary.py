"""Judgements and means: noise is not taken for gain, and emulation is not counted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_builders import cell, missing, results, target

from kvbench.report.summary import (
    Judgement,
    geometric_mean,
    is_client_bound,
    judge,
    noise_floor,
    summarise,
)
from kvbench.results import Interval

NOISY = target(noise=Interval(1.0, 0.95, 1.05))


@pytest.mark.parametrize(
    ("interval", "judgement"),
    [
        (Interval(1.2, 1.06, 1.3), Judgement.FASTER),
        (Interval(1.2, 1.05, 1.3), Judgement.UNCLEAR),
        (Interval(1.0, 0.99, 1.01), Judgement.UNCLEAR),
        (Interval(0.9, 0.8, 0.96), Judgement.UNCLEAR),
        (Interval(0.9, 0.8, 0.94), Judgement.SLOWER),
    ],
)
def test_a_speedup_counts_only_beyond_the_noise_floor(interval, judgement):
    assert judge(cell(speedup=interval), NOISY) is judgement


def test_without_a_noise_floor_the_interval_must_exclude_1():
    silent = target(noise=None)
    assert noise_floor(silent) == (1.0, 1.0)
    assert judge(cell(speedup=Interval(1.03, 1.01, 1.05)), silent) is Judgement.FASTER
    assert judge(cell(speedup=Interval(1.03, 0.99, 1.05)), silent) is Judgement.UNCLEAR


def test_a_biased_noise_floor_still_holds_1():
    biased = target(noise=Interval(1.05, 1.02, 1.08))
    assert noise_floor(biased) == (1.0, 1.08)
    assert judge(cell(speedup=Interval(1.0, 0.99, 1.01)), biased) is Judgement.UNCLEAR


def test_emulation_and_missing_figures_are_no_speedups():
    assert judge(cell(batch_kind="emulated"), NOISY) is Judgement.EMULATED
    assert judge(missing("mget", 10, "refused"), NOISY) is Judgement.NO_NUMBER


def test_the_mean_is_geometric_and_counts_what_it_left_out():
    mean = geometric_mean(
        [
            cell(speedup=Interval(2.0, 2.0, 2.0)),
            cell(speedup=Interval(8.0, 8.0, 8.0)),
            cell(speedup=Interval(99.0, 98.0, 100.0), batch_kind="emulated"),
            missing("mset", 10, "refused"),
        ]
    )
    assert mean.speedup == Interval(pytest.approx(4.0), pytest.approx(4.0), pytest.approx(4.0))
    assert (mean.counted, mean.cells) == (2, 4)


def test_the_mean_of_nothing_is_none():
    for cells in ([], [missing("mget", 10, "refused")], [cell(batch_kind="emulated")]):
        assert geometric_mean(cells).speedup is None


def test_independent_errors_add_up_as_squares():
    one = Interval(2.0, 2.0 / 1.1, 2.0 * 1.1)
    mean = geometric_mean([cell(speedup=one)] * 4).speedup
    assert mean is not None
    assert math.log(mean.high / mean.estimate) == pytest.approx(math.log(1.1) / 2)


@given(st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=8))
def test_the_mean_lies_within_its_cells(ratios):
    mean = geometric_mean([cell(speedup=Interval(one, one * 0.9, one * 1.1)) for one in ratios])
    assert mean.speedup is not None
    assert min(ratios) * 0.999 <= mean.speedup.estimate <= max(ratios) * 1.001
    assert mean.speedup.low <= mean.speedup.estimate <= mean.speedup.high


def test_cells_are_sorted_into_their_targets():
    (one, other) = summarise(
        results(
            cell("mdel", 1000),
            cell("mget", 10),
            cell("scan", 10),
            cell("mget", 10, target="sqlite:///x.db"),
        )
    )
    assert one.ops == ("mget", "mdel", "scan")
    assert one.sizes == (10, 1000)
    assert one.cell("mget", 1000) is None
    # Its record is missing, as in a file that was edited: the cells are still shown.
    assert other.target.target == "sqlite:///x.db"
    assert len(other.cells) == 1


def test_a_cell_that_was_measured_again_replaces_the_first():
    (summary,) = summarise(results(missing("mget", 100, "refused"), cell("mget", 100)))
    assert [one.reason for one in summary.cells] == [""]


def test_a_target_without_cells_is_kept():
    (summary,) = summarise(results())
    assert (summary.ops, summary.sizes, summary.mean.speedup) == ((), (), None)


def test_only_a_store_outside_the_process_can_be_faster_than_its_client():
    busy = cell(client_cpu=0.97)
    assert is_client_bound(busy, target("kvb://", True))
    assert not is_client_bound(busy, target())
    assert not is_client_bound(cell(client_cpu=0.5), target("kvb://", True))
