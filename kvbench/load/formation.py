"""Batch formation: keys that arrive one at a time are sent together.

A batch is sent when it has its full size, or when a window has passed since its first key. When it
is sent depends on the arrivals only, so all batches of a schedule are formed before the run. What a
key waits for its batch is the price of batching; it is part of the key's latency.

Closed forms for Poisson arrivals at rate r: with a window w alone, a batch has 1 + r·w keys and a
key waits (w + r·w²/2) / (1 + r·w) on average, since the first waits w and the others, spread evenly
over the window, w/2. With a size B alone, a key waits (B − 1) / (2r).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvbench.load.arrivals import Schedule


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a schedule of keys.

    Attributes:
        send_ns: when each batch is sent, from the beginning of the schedule.
        firsts: number of the first key of each batch; its keys are consecutive.
        counts: number of keys of each batch.
    """

    send_ns: Schedule
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]

    def mean_wait_ns(self, arrivals_ns: Schedule) -> float:
        """What the keys of the schedule wait for their batch, on average."""
        return float(np.mean(np.repeat(self.send_ns, self.counts) - arrivals_ns))


def form_batches(arrivals_ns: Schedule, size_max: int, window_ns: int) -> Batches:
    """Form batches from the arrivals of keys.

    Args:
        arrivals_ns: when each key arrives, sorted.
        size_max: keys of a full batch.
        window_ns: longest time from a batch's first key to its sending; 0 for no limit.
    """
    send, firsts, counts = [], [], []
    first, total = 0, len(arrivals_ns)
    while first < total:
        full = first + size_max
        last = full
        if window_ns:
            end_ns = int(arrivals_ns[first]) + window_ns
            last = int(np.searchsorted(arrivals_ns[first:full], end_ns, side="right")) + first
        last = min(last, total)
        if last == full or not window_ns:
            send.append(int(arrivals_ns[last - 1]))
        else:
            send.append(end_ns)
        firsts.append(first)
        counts.append(last - first)
        first = last
    as_array = [np.array(column, np.int64) for column in (send, firsts, counts)]
    return Batches(*as_array)


def expected_wait_ns(rate: float, size_max: int, window_ns: int) -> float | None:
    """What a key waits for its batch on average, by the closed form, with Poisson arrivals.

    Args:
        rate: keys per second.
        size_max: keys of a full batch.
        window_ns: as in :func:`form_batches`.

    Returns:
        Nanoseconds; None where both limits matter, for which there is no closed form here.
    """
    per_ns = rate / 1e9
    if not window_ns:
        return (size_max - 1) / 2 / per_ns
    mean = per_ns * window_ns
    # The chance that a window gets so many keys that the size limit closes it.
    if mean + 1 + 6 * np.sqrt(mean) > size_max:
        return None
    return float((window_ns + mean * window_ns / 2) / (1 + mean))
