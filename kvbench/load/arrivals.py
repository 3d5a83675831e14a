"""When the calls of an open loop are due: a schedule that is made before the run.

A closed loop sends its next call when the last one was answered, so a slow store is asked less
often, just when it is slow, and its latencies look better than a user sees them (coordinated
omission; Schroeder, Wierman and Harchol-Balter 2006, Tene's wrk2). An open loop follows a schedule
that does not depend on answers. Here the whole schedule of a window exists before its first call is
sent, so that nothing can slow it.

A schedule is a sorted array of ``int64``: nanoseconds from the beginning of the window.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from kvbench.clock import NS_PER_S
from kvbench.errors import UsageError

Schedule: TypeAlias = NDArray[np.int64]
"""Intended times of calls, sorted, in nanoseconds from the beginning of a window."""


def constant_arrivals(calls_per_s: float, duration_ns: int) -> Schedule:
    """Calls at equal distances, the first at 0.

    Args:
        calls_per_s: the rate, positive.
        duration_ns: length of the window; every call is due before its end.

    Raises:
        UsageError: the rate or the duration is not positive.
    """
    _check(calls_per_s, duration_ns)
    count = math.ceil(calls_per_s * duration_ns / NS_PER_S)
    intended_ns: Schedule = np.floor(np.arange(count) * (NS_PER_S / calls_per_s)).astype(np.int64)
    return intended_ns[: int(np.searchsorted(intended_ns, duration_ns))]


def poisson_arrivals(
    calls_per_s: float, duration_ns: int, generator: np.random.Generator
) -> Schedule:
    """Calls of many independent users: a Poisson process with this rate.

    The number of calls is drawn from its Poisson distribution; given their number, the times of a
    Poisson process are independent and uniform (Ross, Stochastic Processes, theorem 2.3.1).

    Args:
        calls_per_s: the rate, positive.
        duration_ns: length of the window; every call is due before its end.
        generator: the source of chance: the same state gives the same schedule.

    Raises:
        UsageError: the rate or the duration is not positive, or no call falls into the window.
    """
    _check(calls_per_s, duration_ns)
    count = int(generator.poisson(calls_per_s * duration_ns / NS_PER_S))
    if not count:
        raise UsageError(
            f"no call arrived in {duration_ns / NS_PER_S:g} s at {calls_per_s:g} a second: "
            "raise the rate or the duration"
        )
    return np.sort(generator.integers(0, duration_ns, count, dtype=np.int64))


def split_arrivals(intended_ns: Schedule, parts: int) -> list[Schedule]:
    """Deal a schedule to workers in turn: together they send exactly the calls of the whole.

    A part may be empty when there are more parts than calls.

    Raises:
        ValueError: there are no parts.
    """
    if parts < 1:
        raise ValueError(f"a schedule is split into at least one part, not {parts}")
    return [intended_ns[part::parts] for part in range(parts)]


def _check(calls_per_s: float, duration_ns: int) -> None:
    if not 0 < calls_per_s < math.inf:
        raise UsageError(f"the rate must be a positive number of calls a second, not {calls_per_s}")
    if duration_ns < 1:
        raise UsageError("the duration must be positive: no call would be due")
