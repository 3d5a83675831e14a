"""Batches are formed by size and by window, and keys wait what the closed forms say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.load.arrivals import poisson_arrivals
from kvbench.load.formation import expected_wait_ns, form_batches


def test_a_window_begins_with_the_first_key_and_a_full_batch_goes_at_once():
    arrivals = np.array([0, 10, 20, 100, 101, 102, 103, 104, 500], np.int64)
    formed = form_batches(arrivals, size_max=4, window_ns=50)
    assert formed.send_ns.tolist() == [50, 103, 154, 550]
    assert formed.counts.tolist() == [3, 4, 1, 1]
    assert formed.firsts.tolist() == [0, 3, 7, 8]


@given(
    st.lists(st.integers(0, 10_000), max_size=200).map(sorted),
    st.integers(1, 20),
    st.integers(0, 500),
)
def test_each_key_is_in_one_batch_that_is_sent_in_time(arrivals, size_max, window_ns):
    times = np.array(arrivals, np.int64)
    formed = form_batches(times, size_max, window_ns)
    assert formed.counts.sum() == len(times)
    assert (formed.counts <= size_max).all()
    assert np.array_equal(formed.firsts, np.cumsum(formed.counts) - formed.counts)
    waits = np.repeat(formed.send_ns, formed.counts) - times
    assert (waits >= 0).all()
    assert not window_ns or (waits <= window_ns).all()
    assert (np.diff(formed.send_ns) >= 0).all()


@pytest.mark.parametrize(
    ("rate", "size_max", "window_ns"),
    [(20_000, 1000, 1_000_000), (20_000, 1000, 100_000), (500, 50, 5_000_000), (20_000, 10, 0)],
)
def test_the_mean_wait_is_that_of_the_closed_form(rate, size_max, window_ns):
    arrivals = poisson_arrivals(rate, 60_000_000_000, np.random.default_rng(3))
    formed = form_batches(arrivals, size_max, window_ns)
    expected = expected_wait_ns(rate, size_max, window_ns)
    assert formed.mean_wait_ns(arrivals) == pytest.approx(expected, rel=0.02)


def test_there_is_no_closed_form_where_both_limits_matter():
    assert expected_wait_ns(20_000, 20, 1_000_000) is None
