"""The highest rate at which a store keeps a latency objective.

The search of one round: the throughput of a closed loop gives the scale; open-loop probes at rising
rates bracket the capacity; bisection on the logarithm of the rate narrows it to 4%; a longer probe
at the result confirms it, or lowers it by growing steps until one does. In the search a rate that
misses is tried twice, because other work on the machine makes a good rate miss. That favours high
rates, so the confirmation has one chance and lasts long. A probe keeps the objective if the
percentile of the latency since the intended time is below the limit and no request failed. Calls
that were due and not sent count with the time that they had waited, so an overloaded store fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from kvbench.histogram import Histogram
from kvbench.load.objective import Objective
from kvbench.load.tally import SINCE_INTENDED, LoadTally

RESOLUTION = 1.04
"""The capacity is known to this ratio: finer than rounds agree."""

PROBES_MAX = 24
STEPS_DOWN = (0.95, 0.95, 0.95, 0.95, 0.95, 0.8, 0.7, 0.5, 0.5)
"""By how much each confirmation that misses lowers the rate for the next one."""

PROBE_MAX_S = 3.0
"""A probe lasts until the percentile is known, but not longer than this or as asked for."""

CONFIRM_FACTOR = 3.0
"""A confirmation lasts so many times as long as a probe."""

_FIRST = 0.6
"""The first probe, as a share of the closed loop's throughput."""

_RAISE = 1.5
_LOWER = 0.5
_LOWEST = 0.02
"""A store that misses the objective at this share of its throughput misses it at every rate."""


class CapacityProbe(msgspec.Struct, frozen=True):
    """One open-loop probe.

    Attributes:
        calls_per_s: the rate.
        percentile_ns: the objective's percentile; None if too few calls were made to tell.
        p50_ns: the median; None if unknown.
        keeps: whether it keeps the objective.
    """

    calls_per_s: float
    percentile_ns: float | None
    p50_ns: float | None
    keeps: bool


class Capacity(msgspec.Struct, frozen=True):
    """The result of a search.

    Attributes:
        calls_per_s: the highest confirmed rate; 0 if none keeps the objective.
        closed_calls_per_s: throughput of the closed loop.
        probes: in the order in which they were made.
        errors: requests that failed, in all probes.
    """

    calls_per_s: float
    closed_calls_per_s: float
    probes: list[CapacityProbe]
    errors: int


Window = Callable[[float, float], LoadTally]
"""Measures at a rate of calls per second (0 for a closed loop), for a number of seconds."""


def find_capacity(objective: Objective, window: Window, probe_s: float = 0.4) -> Capacity:
    """Search the capacity of a lane; see above.

    Args:
        objective: to keep.
        window: measures.
        probe_s: shortest probe, in seconds.
    """
    search = _Search(objective, window, probe_s)
    return search.run()


class _Search:
    def __init__(self, objective: Objective, window: Window, probe_s: float) -> None:
        self._probe_s = probe_s
        self._objective = objective
        self._window = window
        self._probes: list[CapacityProbe] = []
        self._errors = 0
        self._lowest = 0.0

    def run(self) -> Capacity:
        closed = self._window(0.0, self._probe_s)
        throughput = closed.calls * 1e9 / max(1, closed.elapsed_ns)
        self._lowest = throughput * _LOWEST
        found = 0.0
        if throughput > 0:
            found = self._confirm(self._bisect(*self._bracket(throughput * _FIRST)))
        return Capacity(found, throughput, self._probes, self._errors)

    def _bracket(self, rate: float) -> tuple[float, float]:
        """A rate that keeps the objective and a higher one that does not; 0 for no such rate."""
        low, high = 0.0, math.inf
        while not (low and high < math.inf):
            if rate < self._lowest or len(self._probes) >= PROBES_MAX:
                break
            if self._keeps(rate):
                low, rate = rate, rate * _RAISE
            else:
                high, rate = rate, rate * _LOWER
        return low, high

    def _bisect(self, low: float, high: float) -> float:
        while low and high / low > RESOLUTION and len(self._probes) < PROBES_MAX:
            middle = math.sqrt(low * high)
            if self._keeps(middle):
                low = middle
            else:
                high = middle
        return low

    def _confirm(self, rate: float) -> float:
        for step in (*STEPS_DOWN, 0.0):
            if not rate or self._probe(rate, CONFIRM_FACTOR):
                return rate
            rate *= step
        return 0.0

    def _keeps(self, rate: float) -> bool:
        return self._probe(rate) or self._probe(rate)

    def _probe(self, rate: float, longer: float = 1.0) -> bool:
        needed_s = self._objective.calls_min / rate
        length_s = max(self._probe_s, min(PROBE_MAX_S, needed_s)) * longer
        tally = self._window(rate, length_s)
        probe = self._judge(rate, tally)
        self._probes.append(probe)
        self._errors += sum(tally.errors.values())
        return probe.keeps

    def _judge(self, rate: float, tally: LoadTally) -> CapacityProbe:
        latency: Histogram = tally.histogram(SINCE_INTENDED)
        percentile_ns = latency.percentile_ns(self._objective.quantile)
        # With few calls the longest decides: it is above every percentile.
        decisive = latency.max_ns if percentile_ns is None else percentile_ns
        keeps = decisive is not None and decisive < self._objective.limit_ns and not tally.errors
        return CapacityProbe(rate, percentile_ns, latency.percentile_ns(0.5), keeps)
