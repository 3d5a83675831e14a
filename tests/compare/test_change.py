"""Ratios of figures: Welch's t and pairs are right on known numbers, and power is as stated."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from kvbench.compare.change import (
    POWER,
    CannotCompareError,
    independent,
    mean_change,
    paired,
)
from kvbench.results import Figure
from tests.compare.compared_results import drawn


def figure(*rounds: float) -> Figure:
    return Figure(statistics.geometric_mean(rounds) if min(rounds) > 0 else 0.0, rounds=[*rounds])


def test_welch_is_that_of_a_textbook():
    """The first example of Welch's test on Wikipedia: t = -2.46, 25 degrees of freedom."""
    a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1]
    b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9]
    change = independent(figure(*map(math.exp, a)), figure(*map(math.exp, b)))
    square = statistics.variance(a) / 11 + statistics.variance(b) / 11
    t = (statistics.fmean(b) - statistics.fmean(a)) / math.sqrt(square)
    degrees = square**2 / sum([(statistics.variance(one) / 11) ** 2 / 10 for one in (a, b)])
    assert change.error == pytest.approx(math.sqrt(square), rel=1e-9)
    assert change.degrees == pytest.approx(degrees, rel=1e-9)
    assert change.log_ratio / change.error == pytest.approx(t, rel=1e-9)


def test_the_interval_excludes_what_the_p_value_rejects():
    rng = random.Random(4)
    for _ in range(50):
        change = independent(figure(*drawn(rng, 1, 5, 0.1)), figure(*drawn(rng, 1.2, 7, 0.05)))
        ratio = change.figure()
        assert (ratio.low > 1 or ratio.high < 1) == (change.p_value() < 0.05)
        limit = math.log(1.1)
        assert (ratio.low > 1.1 or ratio.high < 1.1) == (change.p_value(limit) < 0.05)


def test_what_a_round_shares_cancels_in_pairs():
    rng = random.Random(5)
    shared = drawn(rng, 1, 10, 0.5)
    base = figure(*shared)
    head = figure(*[one * 1.1 * rng.lognormvariate(0, 0.01) for one in shared])
    assert paired(base, head).figure().estimate == pytest.approx(1.1, rel=0.01)
    assert paired(base, head).error < 0.01 < 0.1 < independent(base, head).error
    assert paired(base, figure(*head.rounds[:9])) == independent(base, figure(*head.rounds[:9]))


@pytest.mark.parametrize(
    ("base", "head", "words"),
    [
        ((1.0,), (1.0, 2.0), "base has no two rounds"),
        ((1.0, 2.0), (1.0,), "head has no two rounds"),
        ((1.0, 2.0), (0.0, 2.0), "a round of head has no figure"),
        ((1.0, 1.0), (2.0, 2.0), "all rounds are equal"),
    ],
)
def test_what_has_no_ratio_says_why(base, head, words):
    with pytest.raises(CannotCompareError, match=words):
        independent(figure(*base), figure(*head))


def test_the_mean_over_cells_is_that_of_the_ratios():
    rng = random.Random(6)
    pairs = [
        (figure(*drawn(rng, 1, 6, 0.01)), figure(*drawn(rng, ratio, 6, 0.01))) for ratio in (1, 2)
    ]
    mean = mean_change(pairs, is_paired=False).figure()
    ratios = [head.estimate / base.estimate for base, head in pairs]
    assert mean.estimate == pytest.approx(math.sqrt(ratios[0] * ratios[1]))
    assert mean.low < mean.estimate < mean.high
    with pytest.raises(CannotCompareError, match="different numbers"):
        mean_change([pairs[0], (figure(1, 2), figure(1, 2))], is_paired=False)


@pytest.mark.parametrize(("rounds", "spread"), [(5, 0.04), (12, 0.1)])
def test_the_stated_number_of_rounds_has_the_stated_power(rounds, spread):
    """With these rounds and the advised ones, a change of 5% is found in about 80% of cases.

    The advice of each trial comes from its own spread, so it varies; the median of them is used.
    """
    rng = random.Random(7)
    advised = []
    for _ in range(60):
        change = independent(
            figure(*drawn(rng, 1, rounds, spread)), figure(*drawn(rng, 1, rounds, spread))
        )
        more = change.rounds_more(0.05, 0.95)
        assert more is not None
        advised.append(more)
    enough = rounds + round(statistics.median(advised))
    found = 0
    for _ in range(400):
        base, head = drawn(rng, 1, enough, spread), drawn(rng, 1.05, enough, spread)
        found += independent(figure(*base), figure(*head)).p_value() < 0.05
    assert POWER - 0.08 < found / 400 < POWER + 0.1


def test_no_number_of_rounds_is_promised_when_ten_thousand_are_too_few():
    change = independent(figure(1, 9, 80), figure(5, 100, 1))
    assert change.rounds_more(0.001, 0.95) is None
    quiet = independent(figure(1, 1.001, 1.002), figure(1, 1.001, 1.0))
    assert quiet.rounds_more(0.05, 0.95) == 0
