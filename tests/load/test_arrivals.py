"""A schedule has the asked rate, lies in its window, and is dealt to workers without a change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.errors import UsageError
from kvbench.load.arrivals import constant_arrivals, poisson_arrivals, split_arrivals

S = 1_000_000_000


@given(st.floats(0.01, 1e5), st.integers(1, 2 * S))
def test_constant_arrivals_are_in_the_window_at_the_rate(rate, duration_ns):
    intended = constant_arrivals(rate, duration_ns)
    assert intended.dtype == np.int64
    assert intended[0] == 0 and intended[-1] < duration_ns
    assert abs(len(intended) - rate * duration_ns / S) <= 1
    assert (np.abs(np.diff(intended) - S / rate) <= 1).all()


def test_poisson_arrivals_have_the_rate_and_the_spread_of_chance():
    intended = poisson_arrivals(20_000, 10 * S, np.random.default_rng(1))
    assert intended.dtype == np.int64
    assert (np.diff(intended) >= 0).all() and intended[0] >= 0 and intended[-1] < 10 * S
    assert len(intended) == pytest.approx(200_000, abs=5 * 200_000**0.5)
    gaps = np.diff(intended)
    # The gaps of a Poisson process are exponential: standard deviation and mean are the same.
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.02)
    assert np.quantile(gaps, 0.9) / gaps.mean() == pytest.approx(np.log(10), rel=0.02)


def test_the_same_seed_gives_the_same_schedule():
    first, second, other = (
        poisson_arrivals(1000, S, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    assert first.tolist() == second.tolist() != other.tolist()


@given(st.integers(0, 50), st.integers(1, 9))
def test_workers_together_send_the_whole_schedule(count, parts):
    intended = np.arange(count, dtype=np.int64) * 7
    dealt = split_arrivals(intended, parts)
    assert len(dealt) == parts
    assert sorted(np.concatenate(dealt).tolist()) == intended.tolist()
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_is_positive(rate):
    with pytest.raises(UsageError, match="rate must be a positive number"):
        constant_arrivals(rate, S)
    with pytest.raises(UsageError, match="rate must be a positive number"):
        poisson_arrivals(rate, S, np.random.default_rng(1))


def test_a_window_has_a_length_and_an_arrival():
    with pytest.raises(UsageError, match="duration must be positive"):
        constant_arrivals(10, 0)
    with pytest.raises(UsageError, match="no call arrived in 1e-09 s"):
        poisson_arrivals(1, 1, np.random.default_rng(1))


def test_there_is_at_least_one_worker():
    with pytest.raises(ValueError, match="at least one part"):
        split_arrivals(constant_arrivals(10, S), 0)
