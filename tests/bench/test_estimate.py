"""Estimates from rounds: right on known numbers, consistent, and honest about uncertainty."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from kvbench.bench import estimate


def test_rounds_are_combined_by_the_geometric_mean_with_students_t():
    rounds = [1.0, 2.0, 4.0]
    figure = estimate.combine(rounds)
    half = 4.302653 * math.log(2) / math.sqrt(3)
    assert figure.estimate == pytest.approx(2.0)
    assert figure.low == pytest.approx(2.0 * math.exp(-half))
    assert figure.high == pytest.approx(2.0 * math.exp(half))
    assert figure.rounds == rounds


@pytest.mark.parametrize(("count", "sizes"), [(12, [2] * 6), (13, [2] * 5 + [3])])
def test_many_rounds_are_units_of_consecutive_pairs(count, sizes):
    """What lasts for two rounds does not make the interval narrow."""
    rng = random.Random(5)
    rounds = [rng.lognormvariate(0, 0.1) for _ in range(count)]
    figure = estimate.combine(rounds)
    logs = list(map(math.log, rounds))
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    units = [sum(logs[end - size : end]) / size for end, size in zip(ends, sizes, strict=True)]
    half = 2.570582 * statistics.stdev(units) / math.sqrt(6)
    middle = sum(logs) / count
    assert figure.estimate == pytest.approx(math.exp(middle))
    assert figure.low == pytest.approx(math.exp(middle - half), rel=1e-6)
    assert figure.high == pytest.approx(math.exp(middle + half), rel=1e-6)


def test_one_round_has_no_interval():
    figure = estimate.combine([3.0])
    assert (figure.estimate, figure.low, figure.high) == (pytest.approx(3.0), None, None)
    assert estimate.half_width(figure) is None


@pytest.mark.parametrize("rounds", [[], [1.0, 0.0], [-1.0]])
def test_what_is_no_time_is_refused(rounds):
    with pytest.raises(ValueError, match=r"round|positive|domain|expected"):
        estimate.combine(rounds)


def test_a_ratio_of_estimates_is_the_estimate_of_the_ratio():
    rng = random.Random(1)
    over = [rng.lognormvariate(3, 0.4) for _ in range(12)]
    under = [rng.lognormvariate(1, 0.2) for _ in range(12)]
    ratio = estimate.combine([a / b for a, b in zip(over, under, strict=True)])
    quotient = estimate.combine(over).estimate / estimate.combine(under).estimate
    assert ratio.estimate == pytest.approx(quotient, rel=1e-12)


def test_a_round_is_the_median_of_its_blocks():
    assert estimate.round_estimate([5.0, 1.0, 2.0, 900.0, 3.0]) == 3.0


def test_a_rate_is_its_time_turned_round_with_its_ends():
    time_ns = estimate.combine([40.0, 50.0, 62.5])
    rate = estimate.inverse(time_ns, 1e9)
    assert rate.estimate == pytest.approx(2e7)
    assert rate.low == pytest.approx(1e9 / time_ns.high)
    assert rate.high == pytest.approx(1e9 / time_ns.low)
    assert rate.rounds == pytest.approx([2.5e7, 2e7, 1.6e7])
    call_ns = estimate.scaled(time_ns, 100)
    assert call_ns.estimate == pytest.approx(5_000)
    assert (call_ns.low, call_ns.high) == (time_ns.low * 100, time_ns.high * 100)


def test_figures_without_an_interval_keep_none():
    one = estimate.combine([50.0])
    assert estimate.inverse(one, 1e9).low is estimate.scaled(one, 2).high is None


def test_drift_is_half_of_the_spread_about_the_median():
    assert estimate.drift([100, 100, 100]) == 0.0
    assert estimate.drift([100]) == 0.0
    assert estimate.drift([100] * 7 + [120] * 8) > estimate.DRIFT_MAX
    assert estimate.drift([100] * 14 + [300]) == 0.0


def test_two_groups_are_found_with_their_values_and_sizes():
    groups = estimate.two_groups([21.0, 48.0, 20.5, 47.0, 21.5, 49.0, 20.8])
    assert (groups.fast_rounds, groups.slow_rounds) == (4, 3)
    assert groups.fast_ns == pytest.approx(20.9, abs=0.1)
    assert groups.slow_ns == pytest.approx(48.0, abs=0.1)


@pytest.mark.parametrize(
    "rounds",
    [
        [20.0, 21.0, 20.5, 19.8, 20.2, 48.0],  # one outlier is no group
        [20.0, 20.1, 21.5, 21.6],  # too close to matter
        [10.0, 14.0, 20.0, 28.0, 40.0, 56.0],  # spread evenly
        [20.0, 48.0, 21.0],  # too few
    ],
)
def test_no_groups_where_there_are_none(rounds):
    assert estimate.two_groups(rounds) is None


def test_one_population_is_seldom_taken_for_two_groups():
    rng = random.Random(3)
    found = [
        estimate.two_groups([rng.lognormvariate(0, 0.2) for _ in range(12)]) for _ in range(3_000)
    ]
    assert sum(one is not None for one in found) < 30


def test_the_jackknife_of_a_mean_is_students_t():
    rows = [(1.0,), (1.1,), (0.9,), (1.05,), (0.95,)]
    derived = estimate.jackknife(rows, lambda means: math.log(means[0]))
    direct = estimate.combine([one for (one,) in rows])
    assert derived.estimate == pytest.approx(math.log(direct.estimate))
    assert derived.low == pytest.approx(math.log(direct.low))
    assert derived.high == pytest.approx(math.log(direct.high))


def test_the_jackknife_of_what_does_not_exist():
    rows = [(1.0,), (2.0,), (4.0,)]
    assert estimate.jackknife(rows, lambda means: None) is None
    partly = estimate.jackknife(rows, lambda means: means[0] if means[0] > 1.5 else None)
    assert (partly.estimate, partly.low) == (pytest.approx(2.0), None)
    assert estimate.jackknife(rows[:1], lambda means: means[0]).low is None
