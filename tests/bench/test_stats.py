"""Estimates: right on known numbers, the same for the same seed, and honest about uncertainty."""

from __future__ import annotations

import numpy as np
import pytest

from kvbench.bench import stats


def test_the_estimate_is_the_median_and_lies_in_its_interval():
    interval = stats.median_interval([1.0, 2.0, 3.0, 4.0, 100.0], seed=1)
    assert interval.estimate == 3.0
    assert interval.low <= 3.0 <= interval.high <= 100.0


def test_the_same_seed_gives_the_same_interval():
    samples = list(np.random.default_rng(5).lognormal(size=15))
    assert stats.median_interval(samples, seed=7) == stats.median_interval(samples, seed=7)
    assert stats.median_interval(samples, seed=7) != stats.median_interval(samples, seed=8)


def test_equal_samples_have_no_uncertainty():
    interval = stats.median_interval([2.5] * 10, seed=0)
    assert (interval.low, interval.estimate, interval.high) == (2.5, 2.5, 2.5)


def test_intervals_cover_the_true_median_about_as_often_as_they_say():
    rng = np.random.default_rng(2026)
    trials = 200
    covered = 0
    for trial in range(trials):
        interval = stats.median_interval(rng.lognormal(0.0, 0.2, size=15), seed=trial)
        covered += interval.low <= 1.0 <= interval.high
    # 95% is promised; three standard errors of 200 trials are 4.6%.
    assert 0.90 <= covered / trials <= 0.996


def test_ratios_are_paired():
    assert stats.block_ratios([10.0, 40.0], [5.0, 10.0]) == [2.0, 4.0]
    with pytest.raises(ValueError, match="shorter"):
        stats.block_ratios([1.0, 2.0], [1.0])


def test_drift_is_half_of_the_spread_about_the_median():
    assert stats.drift([100, 100, 100]) == 0.0
    slowed_down = [100] * 7 + [120] * 8
    assert stats.drift(slowed_down) > stats.DRIFT_MAX


def test_one_hiccup_is_no_drift():
    assert stats.drift([100] * 14 + [300]) == 0.0


def test_a_rate_says_the_same_in_three_units():
    rate = stats.rate([40.0, 50.0, 80.0], keys_per_call=100)
    assert (rate.ns_per_key, rate.keys_per_s, rate.call_ns_median) == (50.0, 2e7, 5000.0)
