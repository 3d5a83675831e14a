"""The cost curve of a batch call: ``t(B) = fixed + per_key × B``. Pure: numbers in, numbers out.

A line through the times of the measured sizes, weighted so that each size counts by its relative
error (weights ``1/t²``): otherwise 10,000 keys, a thousand times slower than 10, would decide
alone. The intervals come from leaving out each round once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvbench.bench.estimate import geometric_means, jackknife
from kvbench.results import Curve, Figure, Misfit

MISFIT_MIN = 0.15
"""A size whose time is off the line by more than this is reported as a misfit."""

MISFIT_MAX = 100.0
"""A larger misfit is reported as this value: the line has no meaning at that size."""

_NEGLIGIBLE = 1e-3
"""A fixed or per-key cost below this share of a call's time counts as zero."""


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Input of the fit: times of each round, in nanoseconds.

    Attributes:
        sizes: keys of the batch calls, ascending, at least two.
        individual_ns: time of a single call, for each round.
        batch_ns: for each round the time of a batch call of each size.
    """

    sizes: tuple[int, ...]
    individual_ns: tuple[float, ...]
    batch_ns: tuple[tuple[float, ...], ...]


def fit(sizes: Sequence[int], times_ns: Sequence[float]) -> tuple[float, float]:
    """Fixed and per-key cost of the weighted least squares line, in nanoseconds.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len(set(sizes)) < 2:
        raise ValueError("a line needs two sizes")
    weights = [1 / (time * time) for time in times_ns]
    total = sum(weights)
    size_mean = sum([w * size for w, size in zip(weights, sizes, strict=True)]) / total
    time_mean = sum([w * time for w, time in zip(weights, times_ns, strict=True)]) / total
    rows = list(zip(weights, sizes, times_ns, strict=True))
    covariance = sum([w * (size - size_mean) * (time - time_mean) for w, size, time in rows])
    variance = sum([w * (size - size_mean) ** 2 for w, size, _ in rows])
    per_key = covariance / variance
    return time_mean - per_key * size_mean, per_key


def cost_curve(target: str, op: str, times: CallTimes) -> Curve | None:
    """The curve of one operation; None with fewer than two sizes."""
    sizes = times.sizes
    if len(sizes) < 2:
        return None
    rows = [
        (single, *batch) for single, batch in zip(times.individual_ns, times.batch_ns, strict=True)
    ]

    def fixed(means: list[float]) -> float:
        return fit(sizes, means[1:])[0]

    def per_key(means: list[float]) -> float:
        return fit(sizes, means[1:])[1]

    def half_gain(means: list[float]) -> float | None:
        a, b = _costs(sizes, means[1:])
        return a / b if a and b else None

    def limit(means: list[float]) -> float | None:
        b = _costs(sizes, means[1:])[1]
        return means[0] / b if b else None

    def break_even(means: list[float]) -> float | None:
        a, b = _costs(sizes, means[1:])
        return a / (means[0] - b) if means[0] > b else None

    fixed_ns, per_key_ns = jackknife(rows, fixed), jackknife(rows, per_key)
    assert fixed_ns is not None and per_key_ns is not None  # A line always has both.
    return Curve(
        target=target,
        op=op,
        fixed_ns=fixed_ns,
        per_key_ns=per_key_ns,
        half_gain_size=jackknife(rows, half_gain),
        limit=jackknife(rows, limit),
        break_even_size=jackknife(rows, break_even),
        misfits=_misfits(rows, sizes, fixed_ns, per_key_ns),
    )


def _costs(sizes: Sequence[int], times_ns: Sequence[float]) -> tuple[float, float]:
    """Fixed and per-key cost, 0 if not distinguishable from zero."""
    a, b = fit(sizes, times_ns)
    smallest = times_ns[0]
    return (
        a if a > _NEGLIGIBLE * smallest else 0.0,
        b if b > _NEGLIGIBLE * smallest / sizes[0] else 0.0,
    )


def _misfits(
    rows: Sequence[Sequence[float]], sizes: Sequence[int], fixed_ns: Figure, per_key_ns: Figure
) -> list[Misfit]:
    """Sizes at which the measured time and the line differ by more than :data:`MISFIT_MIN`."""
    found = []
    for size, time_ns in zip(sizes, geometric_means(rows)[1:], strict=True):
        line_ns = fixed_ns.estimate + per_key_ns.estimate * size
        # A line may pass below zero where cost grows faster than keys. JSON has no infinity.
        ratio = time_ns / max(line_ns, time_ns / MISFIT_MAX)
        if not 1 - MISFIT_MIN <= ratio <= 1 + MISFIT_MIN:
            found.append(Misfit(size, ratio))
    return found
