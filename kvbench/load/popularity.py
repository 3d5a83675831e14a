"""Which keys are asked for: uniform, zipfian, latest, hotspot.

The distributions of YCSB (Cooper et al., "Benchmarking cloud serving systems with YCSB", 2010,
section 4), drawn in bulk with numpy. Places run from 0 to ``records - 1`` in the order of storing;
popular places are scattered over that range, except for ``latest``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvbench.load.workload import ZIPFIAN_CONSTANT, Popularity

_SCATTER = 2_654_435_761
"""Knuth's multiplier: a prime, so it permutes any range that it does not divide."""


class Chooser:
    """Draws places of keys.

    Args:
        popularity: the distribution.
        records: number of stored keys.
        rng: source of chance.
        constant: exponent of the zipfian distribution.
        hot_keys: share of the keys that are hot.
        hot_calls: share of the calls that go to them.
    """

    def __init__(
        self,
        popularity: Popularity,
        records: int,
        rng: np.random.Generator,
        *,
        constant: float = ZIPFIAN_CONSTANT,
        hot_keys: float = 0.2,
        hot_calls: float = 0.8,
    ) -> None:
        self._popularity = popularity
        self._records = records
        self._rng = rng
        self._hot = max(1, round(hot_keys * records))
        self._hot_calls = hot_calls
        if popularity in (Popularity.ZIPFIAN, Popularity.LATEST):
            shares = np.cumsum(np.arange(1, records + 1, dtype=np.float64) ** -constant)
            self._cumulated = shares / shares[-1]

    def draw(self, count: int, inserted: int = 0) -> NDArray[np.int64]:
        """``count`` places, int64.

        Args:
            count: how many.
            inserted: keys stored since the beginning, at the places from ``records`` on: ``latest``
                counts back from the last of them.
        """
        match self._popularity:
            case Popularity.UNIFORM:
                return self._rng.integers(0, self._records, count)
            case Popularity.ZIPFIAN:
                return self._scattered(self._ranks(count))
            case Popularity.LATEST:
                return self._records + inserted - 1 - self._ranks(count)
            case Popularity.HOTSPOT:
                return self._scattered(self._hotspot(count))

    def _ranks(self, count: int) -> NDArray[np.int64]:
        """Zipfian ranks, 0 the most popular: the inverse of the cumulated distribution."""
        return np.searchsorted(self._cumulated, self._rng.random(count), side="right")

    def _hotspot(self, count: int) -> NDArray[np.int64]:
        is_hot = self._rng.random(count) < self._hot_calls
        hot = self._rng.integers(0, self._hot, count)
        if self._hot == self._records:
            return hot
        cold = self._rng.integers(self._hot, self._records, count)
        return np.where(is_hot, hot, cold)

    def _scattered(self, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ranks as places, one to one."""
        return ranks * _SCATTER % self._records
