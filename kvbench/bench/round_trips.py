"""Measures how many round trips a call needs.

A proxy between client and server adds a known delay to each round trip. A call with n round trips
takes n times the delay longer: time against delay is a line with slope n. Other costs of the call,
including the proxy's work, do not change the slope.

The delays are used in order and then in reverse, so a machine that slows down affects them equally.
Each delay counts by its fastest call: other work can only slow a call down, and the proxy never
delays by less than requested. Measured with a native batch while two or four busy loops used both
cores of a machine: 0.99 to 1.07 from the fastest calls, -0.6 to 1.9 from the medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

DELAYS_NS = (500_000, 1_000_000, 2_000_000)
"""The delays used. All are above 0: without a delay, client and server sleep less deeply and wake
up faster. They are far enough apart that a wake-up of about 0.05 ms is 3% of the difference."""

SWEEPS_MAX = 25
"""Maximum number of calls at each delay: about 0.1 s for a native batch."""

BUDGET_S = 1.0
"""No further sweep starts after this time. There is always one: a call that takes that long has
many round trips, and averages as many delays."""


def round_trips(delays_ns: Sequence[int], times_ns: Sequence[int]) -> float:
    """Round trips of one call: the slope of the line through the shortest times.

    Args:
        delays_ns: delay of each sample, in nanoseconds; at least two different ones.
        times_ns: time of the call in that sample, in nanoseconds.

    Returns:
        The least-squares slope: 1.0 for a call that waits for one reply, about 0 for one that does
        not wait for the server.

    Raises:
        ValueError: different lengths, or fewer than two different delays.
    """
    if len(delays_ns) != len(times_ns):
        raise ValueError(f"{len(delays_ns)} delays for {len(times_ns)} times")
    delays = np.asarray(delays_ns, dtype=np.float64)
    times = np.asarray(times_ns, dtype=np.float64)
    levels = np.unique(delays)
    if len(levels) < 2:
        raise ValueError("a slope needs at least two different delays")
    shortest = np.array([times[delays == level].min() for level in levels])
    centred = levels - levels.mean()
    return float(centred @ shortest / (centred @ centred))


def measure_round_trips(
    call: Callable[[], object],
    set_delay: Callable[[int], None],
    delays_ns: Sequence[int] = DELAYS_NS,
    budget_s: float = BUDGET_S,
) -> float:
    """Measure how many round trips ``call`` needs, through an existing proxy.

    A sweep calls once at each delay; there are 1 to 25 sweeps, as ``budget_s`` allows. A loop of
    100 single calls takes about 1.3 s, a native batch about 0.1 s. The last delay stays set.

    Args:
        call: does the work, on a connection through the proxy; called up to 76 times.
        set_delay: sets the delay of each round trip, in nanoseconds, from the next call on.
        delays_ns: at least two different delays.
        budget_s: time limit, in seconds.

    Raises:
        KvError: raised by ``call``.
    """
    samples: list[tuple[int, int]] = []
    end_s = time.monotonic() + budget_s
    set_delay(delays_ns[0])
    call()  # The first call of a connection has extra costs.
    for sweep in range(SWEEPS_MAX):
        if sweep and time.monotonic() > end_s:
            break
        for delay_ns in reversed(delays_ns) if sweep % 2 else delays_ns:
            set_delay(delay_ns)
            start_ns = time.perf_counter_ns()
            call()
            samples.append((delay_ns, time.perf_counter_ns() - start_ns))
    delays, times = zip(*samples, strict=True)
    return round_trips(delays, times)
