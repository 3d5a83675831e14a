"""The statistics of rounds that estimates and comparisons share. Pure: numbers in, numbers out.

The independent unit of a run is the round. Consecutive rounds may share a state of the machine that
lasts some seconds; with enough rounds, pairs of them are the units (batch means: Schmeiser, "Batch
size effects in the analysis of simulation output", 1982). Intervals are Student's t on logarithms.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

CONFIDENCE = 0.95

PAIRED_ROUNDS_MIN = 12
"""With fewer rounds, pairs would be too few for a useful interval."""

_NEWTON_STEPS_MAX = 100
_NEWTON_PRECISION = 1e-13
_FRACTION_TERMS_MAX = 10_000
_FRACTION_PRECISION = 1e-15
_TINY = 1e-300
"""Replaces a zero in the continued fraction, where it would be divided by."""


def batch_means(logs: Sequence[float]) -> list[float]:
    """The units of an interval: from :data:`PAIRED_ROUNDS_MIN` on, means of consecutive pairs.

    Where the number is odd, the last unit has three.
    """
    if len(logs) < PAIRED_ROUNDS_MIN:
        return list(logs)
    starts = range(0, len(logs) - len(logs) % 2, 2)
    ends = [*[start + 2 for start in starts[:-1]], len(logs)]
    return [statistics.fmean(logs[start:end]) for start, end in zip(starts, ends, strict=True)]


@cache
def t_quantile(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided quantile of Student's t: 2.776 for 4 degrees of freedom and 95%.

    Newton's method inverts :func:`t_outside`. On logarithms of both the curve is concave, so from
    any start the second step is above the quantile, and all further ones approach it from there.
    Degrees may be a fraction, as Welch's are.

    Raises:
        ValueError: there is less than one degree of freedom.
    """
    if degrees < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    goal, t = math.log(1 - confidence), 2.0
    for _ in range(_NEWTON_STEPS_MAX):
        outside = t_outside(t, degrees)
        step = (math.log(outside) - goal) * outside / (2 * t * _density(t, degrees))
        t *= math.exp(step)
        if abs(step) < _NEWTON_PRECISION:
            break
    return t


def _density(t: float, degrees: float) -> float:
    log_front = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)
    log_power = -(degrees + 1) / 2 * math.log1p(t * t / degrees)
    return math.exp(log_front + log_power) / math.sqrt(degrees * math.pi)


def t_outside(t: float, degrees: float) -> float:
    """Probability that Student's t is farther from 0 than ``t``: a two-sided p-value.

    An incomplete beta function (Abramowitz & Stegun 26.5.27), by its continued fraction.
    """
    square = t * t
    return _incomplete_beta(
        degrees / (degrees + square), square / (degrees + square), degrees / 2, 0.5
    )


def _incomplete_beta(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b); ``rest`` is 1 - x, in full precision."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(rest, x, b, a)
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)
    )
    return math.exp(log_front) * _beta_fraction(x, a, b) / a


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of Abramowitz & Stegun 26.5.8 by Lentz's method (1976)."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _FRACTION_TERMS_MAX):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < _FRACTION_PRECISION:
            break
    return fraction


def _not_zero(value: float) -> float:
    return value or _TINY
