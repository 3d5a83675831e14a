"""Student's t is that of printed tables, for whole degrees of freedom and for fractions."""

from __future__ import annotations

import math

import pytest

from kvbench.rounds import batch_means, t_outside, t_quantile

# Two-sided 95% quantiles as printed in tables of Student's t.
PRINTED_T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 11: 2.201, 29: 2.045, 120: 1.980}


@pytest.mark.parametrize(("degrees", "quantile"), PRINTED_T.items())
def test_student_t_is_that_of_the_tables(degrees, quantile):
    assert t_quantile(degrees) == pytest.approx(quantile, abs=5e-4)


def test_student_t_needs_a_degree_of_freedom():
    with pytest.raises(ValueError, match="degree of freedom"):
        t_quantile(0)


@pytest.mark.parametrize("t", [0.01, 0.5, 2.0, 40.0, 1e4])
def test_probabilities_are_the_closed_forms_of_one_and_two_degrees(t):
    """Cauchy's distribution, and t over the square root of 2 + t²."""
    assert t_outside(t, 1) == pytest.approx(2 / math.pi * math.atan(1 / t), rel=1e-10)
    root = math.sqrt(2 + t * t)
    assert t_outside(t, 2) == pytest.approx(2 / (root * (root + t)), rel=1e-10)


def test_fractions_of_degrees_lie_between_whole_ones():
    assert t_outside(2.0, 5) < t_outside(2.0, 4.5) < t_outside(2.0, 4)
    assert t_quantile(5) < t_quantile(4.5) < t_quantile(4)
    # Far out and with many degrees it is the normal distribution.
    assert t_outside(1.959964, 1e7) == pytest.approx(0.05, rel=1e-4)
    assert t_outside(0.0, 3) == 1.0
    assert t_quantile(7, 0.999) == pytest.approx(5.408, abs=5e-4)


def test_pairs_are_units_from_twelve_rounds_on():
    assert batch_means([1.0, 2.0, 4.0]) == [1.0, 2.0, 4.0]
    assert batch_means([float(one) for one in range(13)]) == [0.5, 2.5, 4.5, 6.5, 8.5, 11.0]
