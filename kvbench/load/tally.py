"""What one worker measured in one window, as plain data that merges exactly.

A tally goes from a worker to the process that started it, or over a network, as JSON. It holds
counts and durations only, never a reading of a clock: clocks of two machines are not compared.

Merging is for workers that measured the same window at the same time: counts and CPU time add up,
the time is that of the longest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest

import msgspec

from kvbench.clock import NS_PER_MS
from kvbench.histogram import Histogram, merged
from kvbench.results import HistogramCounts

SLICE_NS = 100 * NS_PER_MS
"""Width of a slice of the timeline: a stall of that length shows."""

LATE_NS = NS_PER_MS
"""A call that was sent more than this after its intended time is late."""

SERVICE_TIME = "service_time"
"""Closed loop: from sending a call to its last answer."""
SINCE_INTENDED = "since_intended"
"""Open loop: from the intended time to the last answer: what a user waits for."""
SINCE_SENT = "since_sent"
"""Open loop: from sending to the last answer: what the store takes."""


_SUMS = (
    "calls", "requests", "keys", "hits", "misses", "late", "unsent", "broken", "cpu_ns",
)  # fmt: skip

Watch = Callable[[float, float, float, int], None]
"""Gets the share of the window that is over, keys per second and the 99th percentile in nanoseconds
of what finished lately, and the number of failed requests so far."""


class LoadTally(msgspec.Struct, kw_only=True):
    """The result of a window.

    Attributes:
        latency: histograms of the latencies of calls without an error, by name:
            :data:`SERVICE_TIME`, or :data:`SINCE_INTENDED` and :data:`SINCE_SENT`.
        calls: answered calls, with errors or without.
        requests: requests answered without an error. Read-modify-write is two for each key.
        keys: keys of the requests answered without an error; each once, also if read and written.
        hits: keys that were read, removed or found.
        misses: keys that were absent.
        errors: failed requests by kind: the first word of an error reply (``ERR``, ``OOM``),
            ``connection`` where a connection broke and ``timeout`` where no answer came in time.
        late: calls sent more than 1 ms after their intended time.
        unsent: calls that were due in the window and never sent.
        broken: connections that broke in the window, and were opened again if the store let us.
        timeline_keys: keys finished in each 100 ms of the window, in order.
        timeline_max_ns: the longest latency of a call that finished in each 100 ms; 0 if none.
        elapsed_ns: length of the window.
        cpu_ns: CPU time of the worker in the window, user and system.
    """

    latency: dict[str, HistogramCounts] = {}
    calls: int = 0
    requests: int = 0
    keys: int = 0
    hits: int = 0
    misses: int = 0
    errors: dict[str, int] = {}
    late: int = 0
    unsent: int = 0
    broken: int = 0
    timeline_keys: list[int] = []
    timeline_max_ns: list[int] = []
    elapsed_ns: int = 0
    cpu_ns: int = 0

    def histogram(self, name: str) -> Histogram:
        """The latencies with a name; empty if none were measured.

        Raises:
            ValueError: the counts are not those of a histogram.
        """
        return Histogram.from_counts(self.latency.get(name, HistogramCounts()))

    def longest_silence_ns(self) -> int:
        """The longest time in which no call finished, in whole slices of 100 ms."""
        longest = current = 0
        for calls_finished in self.timeline_max_ns:
            current = 0 if calls_finished else current + 1
            longest = max(longest, current)
        return longest * SLICE_NS

    def merge(self, other: LoadTally) -> None:
        """Add the tally of another worker of the same window; ``other`` stays as it is.

        Raises:
            ValueError: a histogram is damaged; nothing was added.
        """
        names = [*self.latency, *[name for name in other.latency if name not in self.latency]]
        self.latency = {
            name: merged([one.latency[name] for one in (self, other) if name in one.latency])
            for name in names
        }
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, count in other.errors.items():
            self.errors[kind] = self.errors.get(kind, 0) + count
        pairs = zip_longest(self.timeline_keys, other.timeline_keys, fillvalue=0)
        self.timeline_keys = [one + two for one, two in pairs]
        slowest = zip_longest(self.timeline_max_ns, other.timeline_max_ns, fillvalue=0)
        self.timeline_max_ns = [max(pair) for pair in slowest]
        self.elapsed_ns = max(self.elapsed_ns, other.elapsed_ns)


def merged_tallies(tallies: Iterable[LoadTally]) -> LoadTally:
    """The tally of all workers of a window; that of none is empty.

    Raises:
        ValueError: a histogram is damaged.
    """
    total = LoadTally()
    for tally in tallies:
        total.merge(tally)
    return total
