"""Estimates from paired blocks. Pure: numbers in, numbers out, the same for the same seed.

The unit that is resampled is the block, never the call: calls within a block share whatever the
machine was doing at the time (Kalibera & Jones, "Rigorous Benchmarking in Reasonable Time", 2013).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kvbench.results import Interval, Rate

RESAMPLES = 10_000
"""Bootstrap resamples: the ends of the interval then move by under a hundredth of its width."""

DRIFT_MAX = 0.05
"""A control lane that moved by more than this makes a result unstable."""


def block_ratios(numerator: Sequence[float], denominator: Sequence[float]) -> list[float]:
    """Ratio of each block: paired measuring, as tango does, so that slow drift cancels.

    Raises:
        ValueError: the two are not equally long.
    """
    return [over / under for over, under in zip(numerator, denominator, strict=True)]


def median_interval(samples: Sequence[float], seed: int) -> Interval:
    """Median with its 95% percentile bootstrap interval.

    Follows Georges, Buytaert & Eeckhout, "Statistically Rigorous Java Performance Evaluation"
    (2007), with the bootstrap that criterion.rs uses in place of their t interval.

    Args:
        samples: one number for each block, at least one.
        seed: of the resampling.
    """
    values = np.asarray(samples, dtype=np.float64)
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, len(values), size=(RESAMPLES, len(values)))
    medians = np.median(values[picks], axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return Interval(estimate=float(np.median(values)), low=float(low), high=float(high))


def drift(control_ns: Sequence[float]) -> float:
    """How far the control lane moved about its median, as a share of it.

    Half of what lies between its 10th and 90th percentile: a machine whose speed changes shows, a
    single hiccup in fifteen blocks, which the medians shrug off as well, does not.
    """
    values = np.asarray(control_ns, dtype=np.float64)
    low, middle, high = np.percentile(values, (10, 50, 90))
    return float((high - low) / 2 / middle)


def rate(ns_per_key: Sequence[float], keys_per_call: int) -> Rate:
    """An arm's speed from the time per key of each block."""
    middle = float(np.median(np.asarray(ns_per_key, dtype=np.float64)))
    return Rate(keys_per_s=1e9 / middle, ns_per_key=middle, call_ns_median=middle * keys_per_call)
