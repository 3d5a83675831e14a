"""Change points: steps are found where they are, noise is none, and the error level holds."""

from __future__ import annotations

import numpy as np
import pytest

from kvbench.history.change_points import SERIES_MIN, change_points


def noise(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.02, size)


@pytest.mark.parametrize("size", [5, 8, 20, 50])
def test_series_without_a_change_have_none(size):
    """Of 400 series 5% may show one: 20, and with a chance of 1 in 10,000 more than 38."""
    found = [bool(change_points(noise(seed, size), 0.05)) for seed in range(400)]
    assert sum(found) <= 38
    assert sum(found) >= 5, "the level is used, not only kept"


@pytest.mark.parametrize("place", [2, 10, 18])
def test_a_step_is_found_where_it_is(place):
    values = noise(1, 20)
    values[place:] += 0.2
    assert change_points(values, 0.01) == (place,)
    assert change_points(-5 - 3 * values, 0.01) == (place,), "level and unit do not matter"


def test_a_step_that_was_undone_is_two_changes():
    """A search for single steps sees little there: each half is mostly the same level."""
    values = noise(2, 30)
    values[10:20] += 0.1
    assert change_points(values, 0.01) == (10, 20)


def test_several_levels_are_all_found():
    values = noise(3, 40)
    values[10:] += 0.3
    values[25:] += 0.2
    values[33:] -= 0.5
    assert change_points(values, 0.01) == (10, 25, 33)


def test_one_odd_run_is_no_change():
    values = noise(4, 20)
    values[9] += 0.3
    assert change_points(values, 0.01) == ()


@pytest.mark.parametrize("values", [[], [1.0], [1, 5, 9], [3.0] * 30, [0.1 + 0.2] * 5 + [0.3] * 5])
def test_short_and_constant_series_have_none(values):
    assert change_points(values, 0.05) == ()


def test_the_shortest_series_needs_a_clear_step():
    rng = np.random.default_rng(5)
    low = rng.normal(0, 1e-6, SERIES_MIN)
    assert change_points([*low[:2], *low[2:] + 1], 0.05) == (2,)
