"""Paired blocks: how a cell is measured.

A lane is an arm with as many passes as fill a slice. A block runs every lane twice, forwards and
backwards (ABBA), so that a machine which slows down steadily slows all lanes alike; half of the
blocks start with one lane, half with the other, in shuffled order. A lane whose single pass takes
much longer than a slice runs once a block instead, and the balanced starts alone cancel the drift.

Deletes need keys that are there. They work on key sets that are filled again, off the clock, as
often as needed within a slice; every lane sees a store of the same size. The other operations go
over the same B keys in each pass.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, permutations, repeat

from kvbench.bench.arms import Arm, Batch, Session, Slice
from kvbench.bench.plan import Operation, Settings
from kvbench.bench.workload import Workload

DELETE_KEYS = 10_000
"""Keys that stand ready for deletes, unless one batch has more: they stay in a CPU's cache."""

_DELETE_BYTES = 64 << 20
"""The same limit for large values."""

_PASSES_MAX = 1_000_000
_SLOW_SLICES = 10
"""A pass of this many slices runs once a block: twice would double the time for little."""

_CONTROL_RUNS = 20
_CONTROL_STEPS = 500


class Work:
    """One cell's work: its keys and values, and how to make them ready.

    Args:
        session: the target.
        workload: where keys and values come from.
        operation: what is measured.
        batch_size: keys in a pass.

    Raises:
        KvError: the store failed; keys may be in it.
    """

    def __init__(
        self, session: Session, workload: Workload, operation: Operation, batch_size: int
    ) -> None:
        self.operation = operation
        self.batch_size = batch_size
        self._session = session
        self._workload = workload
        sets = _delete_sets(batch_size, workload.value_size) if operation is Operation.MDEL else 1
        self._pairs = workload.pairs(sets * batch_size)
        keys = list(self._pairs)
        self._key_sets: list[Batch] = [
            keys[i * batch_size : (i + 1) * batch_size] for i in range(sets)
        ]
        self._same: Batch = self._pairs if operation is Operation.MSET else keys
        self._sets_ready = 1
        self._fill()

    def _fill(self) -> None:
        count = self._sets_ready * self.batch_size
        self._workload.fill(self._session.backend, dict(islice(self._pairs.items(), count)))

    def time(self, arm: Arm, passes: int) -> Slice:
        """Time so many passes of an arm; for deletes, without the filling."""
        if self.operation is not Operation.MDEL:
            return self._time(arm, repeat(self._same, passes))
        # What calibration needed at most stands ready for every lane from then on.
        self._sets_ready = max(self._sets_ready, min(passes, len(self._key_sets)))
        total = Slice()
        while passes > 0:
            batches = self._key_sets[:passes]
            self._fill()
            total += self._time(arm, batches)
            passes -= len(batches)
        return total

    def _time(self, arm: Arm, batches: Iterable[Batch]) -> Slice:
        return self._session.time_slice(self.operation, arm, batches)


def _delete_sets(batch_size: int, value_size: int) -> int:
    keys = min(DELETE_KEYS, _DELETE_BYTES // max(1, value_size))
    return max(1, keys // batch_size)


@dataclass(frozen=True, slots=True)
class Lane:
    """An arm, and the passes that make a slice of it last the slice time.

    Attributes:
        arm: the way to do the work.
        passes: batches of keys in one slice.
        slice_ns: what a slice of them took in calibration.
    """

    arm: Arm
    passes: int
    slice_ns: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the blocks of a cell gave.

    Attributes:
        ns_per_key: for each lane, the time per key in each block, in nanoseconds.
        control_ns: the control lane's time beside each block.
        client_cpu: share of the timed wall time that this process spent on a CPU.
    """

    ns_per_key: tuple[list[float], ...]
    control_ns: list[int]
    client_cpu: float


def calibrate(work: Work, arm: Arm, slice_ns: int) -> Lane:
    """Find the passes that last ``slice_ns``, doubling as pyperf does; warms the arm up as well."""
    passes = 1
    while True:
        took_ns = max(1, work.time(arm, passes).wall_ns)
        if took_ns * 2 >= slice_ns or passes >= _PASSES_MAX:
            break
        passes = min(_PASSES_MAX, passes * max(2, min(16, slice_ns // took_ns)))
    passes_wanted = min(_PASSES_MAX, max(1, round(passes * slice_ns / took_ns)))
    return Lane(arm, passes_wanted, took_ns * passes_wanted // passes)


def block_orders(
    lanes: int, blocks: int, rng: random.Random, *, mirrored: bool
) -> list[tuple[int, ...]]:
    """Which lane runs when, for each block.

    Each order of lanes starts equally many blocks (give or take one), shuffled. ``mirrored`` runs
    it backwards as well: AB becomes ABBA.
    """
    orders = list(permutations(range(lanes)))
    rng.shuffle(orders)
    starts = [orders[block % len(orders)] for block in range(blocks)]
    rng.shuffle(starts)
    return [order + order[::-1] if mirrored else order for order in starts]


def run_blocks(
    work: Work,
    lanes: Sequence[Lane],
    settings: Settings,
    seed: str,
    after_block: Callable[[int], None],
) -> Blocks:
    """Measure every lane in every block.

    Args:
        work: the cell's work; made ready.
        lanes: calibrated lanes; two of the same arm make an A/A comparison.
        settings: for the number of blocks and the slice time.
        seed: of the order of lanes.
        after_block: told how many blocks are done, off the clock.

    Raises:
        KvError: the store failed.
    """
    mirrored = is_mirrored(lanes, settings.slice_ns)
    orders = block_orders(len(lanes), settings.blocks, random.Random(seed), mirrored=mirrored)
    for lane in lanes:
        work.time(lane.arm, lane.passes)  # Discarded: the first slice pays for cold caches.
    ns_per_key: tuple[list[float], ...] = tuple([[] for _ in lanes])
    control_ns = []
    everything = Slice()
    for done, order in enumerate(orders, start=1):
        control_ns.append(time_control())
        totals = [Slice() for _ in lanes]
        for index in order:
            totals[index] += work.time(lanes[index].arm, lanes[index].passes)
        for lane, total, samples in zip(lanes, totals, ns_per_key, strict=True):
            keys = lane.passes * work.batch_size * (len(order) // len(lanes))
            samples.append(total.wall_ns / keys)
            everything += total
        after_block(done)
    return Blocks(ns_per_key, control_ns, min(1.0, everything.cpu_ns / everything.wall_ns))


def is_mirrored(lanes: Sequence[Lane], slice_ns: int) -> bool:
    """Whether each lane runs twice a block: not when one slice alone takes very long."""
    return max([lane.slice_ns for lane in lanes]) < _SLOW_SLICES * slice_ns


def time_control() -> int:
    """Time of fixed arithmetic without I/O: it changes when the machine does, in nanoseconds.

    The least of a few runs, so that it shows the speed of the core and not who else was on it.
    """
    best_ns = 0
    for _ in range(_CONTROL_RUNS):
        total = 0
        start_ns = time.perf_counter_ns()
        for step in range(_CONTROL_STEPS):
            total += step * step
        took_ns = time.perf_counter_ns() - start_ns
        best_ns = min(best_ns, took_ns) if best_ns else took_ns
    return best_ns
