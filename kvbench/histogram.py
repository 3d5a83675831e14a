"""A histogram of durations with logarithmic precision: small, exact to merge, quick to fill.

The buckets are those of HdrHistogram (Gil Tene) with two significant digits: up to 255 ns each
nanosecond has a bucket, and every further power of two is divided into 128 buckets of equal width.
So a bucket is never wider than 1/128 (0.8%) of its lower bound: that is the relative error of every
quantile. The range goes from 0 ns to 39 hours; a duration outside is an error, never clipped.

The number of a bucket is in the bits of the duration as a float64: its exponent and the first seven
bits of its fraction. numpy reads them for a whole array at a time, which costs about 10 ns a
duration; that is why durations are collected and added in bulk.

Counts are integers: histograms of workers, rounds and machines add up exactly, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kvbench.results import HistogramCounts

PRECISION_BITS = 7
"""A power of two has 2**7 buckets: what HdrHistogram calls two significant digits."""

RELATIVE_ERROR = 2.0**-PRECISION_BITS
"""Width of a bucket over its lower bound, at most."""

RANGE_BITS = 47
DURATION_NS_MAX = (1 << RANGE_BITS) - 1
"""The longest duration: 39 hours, far beyond every timeout."""

_PER_OCTAVE = 1 << PRECISION_BITS
BUCKETS = (RANGE_BITS - PRECISION_BITS + 1) << PRECISION_BITS

SAMPLES_BEYOND_MIN = 10
"""A quantile with fewer samples beyond it is chance (3-sigma error of a third or more): None."""

PERCENTILES = {"p50_ns": 0.5, "p90_ns": 0.9, "p99_ns": 0.99, "p999_ns": 0.999}
"""The reported quantiles, by the names that they have in records."""

_COLLECTED_MAX = 4096
"""Single records that are kept until they are added in bulk."""

_FRACTION_SHIFT = 52 - PRECISION_BITS
_FIRST_OF_FLOAT = ((1023 + PRECISION_BITS) << PRECISION_BITS) - _PER_OCTAVE
"""Number of a bucket in the bits of a float64, minus its number here, from 128 ns on."""

Durations: TypeAlias = NDArray[np.int64] | Sequence[int]


class Histogram:
    """Counts of durations in nanoseconds.

    Recording and merging change it; all else only reads.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(BUCKETS, dtype=np.int64)
        self._collected: list[int] = []
        self._min_ns = DURATION_NS_MAX + 1
        self._max_ns = 0
        self._sum_ns = 0

    def record(self, duration_ns: int) -> None:
        """Count one duration.

        Raises:
            ValueError: as :meth:`record_many`, perhaps at a later call: single durations are added
                in bulk. All that were collected with it are lost.
        """
        collected = self._collected
        collected.append(duration_ns)
        if len(collected) >= _COLLECTED_MAX:
            self._add_collected()

    def record_many(self, durations_ns: Durations) -> None:
        """Count many durations; shape ``(n,)``, in nanoseconds, ``n`` may be 0.

        Raises:
            ValueError: one is negative or longer than :data:`DURATION_NS_MAX`; none was counted.
        """
        durations = np.asarray(durations_ns, dtype=np.int64)
        if not len(durations):
            return
        shortest, longest = int(durations.min()), int(durations.max())
        if shortest < 0 or longest > DURATION_NS_MAX:
            wrong = shortest if shortest < 0 else longest
            raise ValueError(f"a duration is 0 to {DURATION_NS_MAX} ns, not {wrong}")
        self._counts += np.bincount(buckets_of(durations), minlength=BUCKETS)
        self._min_ns = min(self._min_ns, shortest)
        self._max_ns = max(self._max_ns, longest)
        self._sum_ns += int(durations.sum())

    def merge(self, other: Histogram) -> None:
        """Add all samples of another histogram, exactly; ``other`` stays as it is."""
        other._add_collected()
        self._add_collected()
        self._counts += other._counts
        self._min_ns = min(self._min_ns, other._min_ns)
        self._max_ns = max(self._max_ns, other._max_ns)
        self._sum_ns += other._sum_ns

    def _add_collected(self) -> None:
        if self._collected:
            collected, self._collected = self._collected, []
            self.record_many(collected)

    @property
    def samples(self) -> int:
        """Number of durations counted."""
        self._add_collected()
        return int(self._counts.sum())

    @property
    def min_ns(self) -> int | None:
        """The shortest duration, exact; None without samples."""
        return self._min_ns if self.samples else None

    @property
    def max_ns(self) -> int | None:
        """The longest duration, exact; None without samples."""
        return self._max_ns if self.samples else None

    @property
    def mean_ns(self) -> float | None:
        """The mean, exact; None without samples."""
        samples = self.samples
        return self._sum_ns / samples if samples else None

    def quantile_bounds_ns(self, quantile: float) -> tuple[int, int] | None:
        """The bounds of a quantile of the samples: it is one of ``low..high``, both included.

        The quantile is the sample of rank ``ceil(quantile * samples)``, at least 1, in ascending
        order. The bounds are those of its bucket, narrowed by the exact minimum and maximum.

        Raises:
            ValueError: ``quantile`` is not in 0..1.
        """
        place = self._place_of(quantile)
        if place is None:
            return None
        low, high = bucket_bounds_ns(place[0])
        return max(low, self._min_ns), min(high, self._max_ns)

    def quantile_ns(self, quantile: float) -> float | None:
        """An estimate of a quantile: linear within its bucket, by rank.

        It differs from the quantile of the samples by less than :data:`RELATIVE_ERROR`. Other than
        the middle of a bucket it moves when the samples do, so a spread between rounds is seen.

        Returns:
            Nanoseconds; None without samples.

        Raises:
            ValueError: ``quantile`` is not in 0..1.
        """
        place = self._place_of(quantile)
        bounds = self.quantile_bounds_ns(quantile)
        if place is None or bounds is None:
            return None
        bucket, rank = place
        low, high = bounds
        return low + (high - low) * (rank - 0.5) / int(self._counts[bucket])

    def percentile_ns(self, quantile: float) -> float | None:
        """:meth:`quantile_ns`, or None with fewer than 10 samples beyond the quantile."""
        samples = self.samples
        rank = _rank(quantile, samples)
        return self.quantile_ns(quantile) if samples - rank >= SAMPLES_BEYOND_MIN else None

    def percentiles_ns(self) -> dict[str, float | None]:
        """``p50_ns``, ``p90_ns``, ``p99_ns``, ``p999_ns`` (None where too few) and ``max_ns``."""
        found = {name: self.percentile_ns(quantile) for name, quantile in PERCENTILES.items()}
        return {**found, "max_ns": self.max_ns}

    def _place_of(self, quantile: float) -> tuple[int, int] | None:
        """Bucket of a quantile, and its rank among the samples of that bucket, from 1."""
        samples = self.samples
        rank = _rank(quantile, samples)
        if not samples:
            return None
        sums = np.cumsum(self._counts)
        bucket = int(np.searchsorted(sums, rank))
        return bucket, rank - int(sums[bucket] - self._counts[bucket])

    def counts(self) -> NDArray[np.int64]:
        """The samples of every bucket, shape ``(BUCKETS,)``; a copy."""
        self._add_collected()
        return self._counts.copy()

    def to_counts(self) -> HistogramCounts:
        """This histogram as plain data."""
        if not self.samples:
            return HistogramCounts()
        buckets = np.flatnonzero(self._counts)
        return HistogramCounts(
            buckets=buckets.tolist(),
            counts=self._counts[buckets].tolist(),
            min_ns=self._min_ns,
            max_ns=self._max_ns,
            sum_ns=self._sum_ns,
        )

    @classmethod
    def from_counts(cls, counts: HistogramCounts) -> Histogram:
        """The histogram that became these counts.

        Raises:
            ValueError: they are not those of a histogram: a bucket that does not exist or comes
                twice, a count under 1, or extremes that are not in the outer buckets.
        """
        histogram = cls()
        if not counts.buckets and not counts.counts:
            return histogram
        buckets = np.asarray(counts.buckets, dtype=np.int64)
        numbers = np.asarray(counts.counts, dtype=np.int64)
        if (
            len(buckets) != len(numbers)
            or buckets[0] < 0
            or buckets[-1] >= BUCKETS
            or (np.diff(buckets) <= 0).any()
            or (numbers < 1).any()
        ):
            raise ValueError("not a histogram: buckets ascend, and each has a count of at least 1")
        if bucket_of(counts.min_ns) != buckets[0] or bucket_of(counts.max_ns) != buckets[-1]:
            raise ValueError("not a histogram: its extremes are not in its outer buckets")
        histogram._counts[buckets] = numbers
        histogram._min_ns, histogram._max_ns = counts.min_ns, counts.max_ns
        histogram._sum_ns = counts.sum_ns
        return histogram


def merged(parts: Sequence[HistogramCounts]) -> HistogramCounts:
    """The sum of histograms, exactly; that of none is empty.

    Raises:
        ValueError: one is not a histogram.
    """
    total = Histogram()
    for part in parts:
        total.merge(Histogram.from_counts(part))
    return total.to_counts()


def buckets_of(durations_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bucket of each duration, which must be in range; shape as given."""
    bits = durations_ns.astype(np.float64).view(np.int64)
    numbers = (bits >> _FRACTION_SHIFT) - _FIRST_OF_FLOAT
    # Under 128 ns a bucket is one nanosecond, and the bits of the float would name fractions.
    return np.where(durations_ns < _PER_OCTAVE, durations_ns, numbers)


def bucket_of(duration_ns: int) -> int:
    """The bucket of one duration, which must be in range."""
    shift = max(duration_ns.bit_length() - PRECISION_BITS - 1, 0)
    return (shift << PRECISION_BITS) + (duration_ns >> shift)


def bucket_bounds_ns(bucket: int) -> tuple[int, int]:
    """The shortest and the longest duration of a bucket, both included."""
    shift = max((bucket >> PRECISION_BITS) - 1, 0)
    low = (bucket - (shift << PRECISION_BITS)) << shift
    return low, low + (1 << shift) - 1


def _rank(quantile: float, samples: int) -> int:
    """The rank of a quantile, from 1.

    Exact for decimal quantiles: 0.99 of 100 is 99, though 0.99 * 100 may be more as a float.
    """
    if not 0 <= quantile <= 1:
        raise ValueError(f"a quantile is from 0 to 1, not {quantile}")
    product = quantile * samples
    whole = round(product)
    near = abs(product - whole) <= 1e-9 * max(samples, 1)
    return max(1, whole if near else -int(-product // 1))
