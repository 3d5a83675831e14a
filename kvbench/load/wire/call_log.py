"""The times of finished calls: kept as they are while the clock runs, counted in bulk later.

Counting takes numpy about 50 ns a call, but a microsecond for every array operation. So the loops
only append two or three numbers to arrays, and the log counts them when the loop has nothing to do
or the window has ended; in a long window also in small portions, so that no portion shows as a
stall in the latencies.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from kvbench.histogram import Histogram
from kvbench.load.tally import SERVICE_TIME, SINCE_INTENDED, SINCE_SENT, SLICE_NS, LoadTally

PORTION_CALLS = 2048
"""Counted in one step, in about 100 µs."""

KEPT_CALLS_MAX = 1 << 21
"""Kept uncounted: 48 MB, ten seconds of the fastest store."""


class CallLog:
    """Times of finished calls, by one clock, in nanoseconds.

    Args:
        is_open_loop: whether calls have an intended time.
        keys_per_call: of every call that is logged.

    Attributes:
        keys_per_call: as given.
        done: when each call was answered. The loops append to these arrays directly, to all.
        sent: when it was sent.
        intended: when it was due; stays empty in a closed loop.
    """

    def __init__(self, *, is_open_loop: bool, keys_per_call: int) -> None:
        self.done: array[int] = array("q")
        self.sent: array[int] = array("q")
        self.intended: array[int] = array("q")
        self._is_open_loop = is_open_loop
        self.keys_per_call = keys_per_call
        self.begin(0, 0)

    def begin(self, start_ns: int, duration_ns: int) -> None:
        """Forget all calls; the window begins."""
        self._clear()
        slices = -(-duration_ns // SLICE_NS)
        self._start_ns = start_ns
        self._calls: NDArray[np.int64] = np.zeros(slices, dtype=np.int64)
        self._slowest_ns: NDArray[np.int64] = np.zeros(slices, dtype=np.int64)
        self._since_sent = Histogram()
        self._since_intended = Histogram()

    def _clear(self) -> None:
        self._counted = 0
        for times in (self.done, self.sent, self.intended):
            del times[:]

    @property
    def is_full(self) -> bool:
        """Whether so many calls are kept that portions must be counted now."""
        return len(self.done) >= KEPT_CALLS_MAX

    @property
    def finished(self) -> int:
        """Number of calls since the beginning of the window, those after its end left out."""
        return int(self._calls.sum()) + len(self.done) - self._counted

    def recent(self, calls: int) -> list[int]:
        """The latencies of up to so many of the last calls, in nanoseconds."""
        starts = self.intended if self._is_open_loop else self.sent
        pairs = zip(self.done[-calls:], starts[-calls:], strict=True)
        return [done_ns - start_ns for done_ns, start_ns in pairs]

    def count_portion(self) -> bool:
        """Count some calls; returns whether any are left."""
        start, end = self._counted, min(self._counted + PORTION_CALLS, len(self.done))
        if start < end:
            self._count(start, end)
            self._counted = end
        if end < len(self.done):
            return True
        self._clear()
        return False

    def _count(self, start: int, end: int) -> None:
        done, sent = _portion(self.done, start, end), _portion(self.sent, start, end)
        latency = done - sent
        self._since_sent.record_many(latency)
        if self._is_open_loop:
            latency = done - _portion(self.intended, start, end)
            self._since_intended.record_many(latency)
        place = (done - self._start_ns) // SLICE_NS
        # Answers after the window belong to its calls, but not to its timeline.
        inside = (place >= 0) & (place < len(self._calls))
        place, latency = place[inside], latency[inside]
        self._calls += np.bincount(place, minlength=len(self._calls))
        np.maximum.at(self._slowest_ns, place, latency)

    def write(self, tally: LoadTally) -> None:
        """Count what is left, and put the latencies and the timeline into a tally."""
        while self.count_portion():
            pass
        if self._is_open_loop:
            tally.latency[SINCE_INTENDED] = self._since_intended.to_counts()
            tally.latency[SINCE_SENT] = self._since_sent.to_counts()
        else:
            tally.latency[SERVICE_TIME] = self._since_sent.to_counts()
        tally.timeline_keys = (self._calls * self.keys_per_call).tolist()
        tally.timeline_max_ns = self._slowest_ns.tolist()


def _portion(times: array[int], start: int, end: int) -> NDArray[np.int64]:
    # A copy: an array with a view cannot grow, and a profiler may keep a frame, and so its views.
    return np.frombuffer(times[start:end], dtype=np.int64)
