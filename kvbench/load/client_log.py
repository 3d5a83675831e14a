"""What the clients of a window measured, and the tally of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kvbench.histogram import Histogram
from kvbench.load.arrivals import Schedule
from kvbench.load.formation import Batches
from kvbench.load.tally import (
    LATE_NS,
    SERVICE_TIME,
    SINCE_INTENDED,
    SINCE_SENT,
    SLICE_NS,
    LoadTally,
)
from kvbench.results import HistogramCounts

_WATCHED_CALLS = 200
"""Calls of each client in a view of the last moments."""


@dataclass(slots=True)
class ClientLog:
    """What one client measured: a row for each finished call, and errors.

    ``places`` are the numbers of the calls in their schedule.
    """

    done_ns: list[int] = field(default_factory=list)
    sent_ns: list[int] = field(default_factory=list)
    intended_ns: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    keys: int = 0
    requests: int = 0
    hits: int = 0
    misses: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failed_calls: int = 0

    def recent(self) -> list[int]:
        """The latencies of the last calls."""
        last = slice(-_WATCHED_CALLS, None)
        # The client may be adding a row now: the shorter column decides.
        pairs = zip(self.done_ns[last], self.intended_ns[last], strict=False)
        return [done_ns - intended_ns for done_ns, intended_ns in pairs]


@dataclass(frozen=True, slots=True)
class WindowLog:
    """What all clients measured in a window, which began at ``begin_ns``."""

    logs: Sequence[ClientLog]
    begin_ns: int
    length_ns: int
    cpu_ns: int

    def column(self, name: str) -> NDArray[np.int64]:
        """A column of all logs, in the same order for each."""
        return np.concatenate([np.array(getattr(log, name), np.int64) for log in self.logs])


def tally_of(window: WindowLog, is_open: bool) -> LoadTally:
    """The tally of a window of all clients."""
    logs = window.logs
    done, sent, intended = map(window.column, ("done_ns", "sent_ns", "intended_ns"))
    starts = {SINCE_INTENDED: intended, SINCE_SENT: sent} if is_open else {SERVICE_TIME: sent}
    slices = -(-window.length_ns // SLICE_NS)
    places = np.minimum((done - window.begin_ns) // SLICE_NS, slices - 1)
    longest = np.zeros(slices, np.int64)
    np.maximum.at(longest, places, done - intended)
    keys = sum([log.keys for log in logs])
    keys_per_call = keys / len(done) if len(done) else 0
    errors: Counter[str] = Counter()
    for log in logs:
        errors.update(log.errors)
    return LoadTally(
        latency={name: _histogram(done - start) for name, start in starts.items()},
        calls=len(done) + sum([log.failed_calls for log in logs]),
        requests=sum([log.requests for log in logs]),
        keys=keys,
        hits=sum([log.hits for log in logs]),
        misses=sum([log.misses for log in logs]),
        errors=dict(errors),
        late=int(np.count_nonzero(sent - intended > LATE_NS)),
        timeline_keys=np.rint(np.bincount(places, minlength=slices) * keys_per_call)
        .astype(np.int64)
        .tolist(),
        timeline_max_ns=longest.tolist(),
        elapsed_ns=window.length_ns,
        cpu_ns=window.cpu_ns,
    )


def key_latency(window: WindowLog, arrivals_ns: Schedule, batches: Batches) -> HistogramCounts:
    """The latency of each key of the finished batches, from its arrival to the answer."""
    places, done = window.column("places"), window.column("done_ns")
    counts, firsts = batches.counts[places], batches.firsts[places]
    starts = np.repeat(firsts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    keys = np.arange(counts.sum()) + starts
    return _histogram(np.repeat(done, counts) - arrivals_ns[keys])


def _histogram(durations_ns: NDArray[np.int64]) -> HistogramCounts:
    histogram = Histogram()
    histogram.record_many(durations_ns)
    return histogram.to_counts()
