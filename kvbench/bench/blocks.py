"""Paired blocks: how the lanes of an operation are measured within a round.

A lane is an arm at a batch size. A block runs every lane twice, in a shuffled order and then
backwards (ABBA), so that a machine which slows down steadily slows all lanes alike. A lane whose
slice takes very long runs once a block instead, and the shuffled orders alone cancel the drift.

All lanes of an operation work on the same keys: single calls go through them one by one, batch
calls in windows of their size. So the single calls are one lane, whatever the batch sizes, and
every lane sees the same store in the same state of the CPU's caches.

Deletes need keys that are there: what a slice has removed is filled in again before the next one,
off the clock.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from kvbench.bench.arms import Batch, Session, Slice, is_single
from kvbench.bench.contention import waited_ns
from kvbench.bench.messages import Group, Lane, LaneSample
from kvbench.bench.plan import Settings
from kvbench.bench.workload import Workload
from kvbench.model import BatchOperation

KEYS_MIN = 1_000
"""Keys that the lanes work on, unless one batch has more: they stay in a CPU's cache."""

DELETE_KEYS = 10_000
"""The same for deletes, which need a key for each call of a slice."""

_DELETE_BYTES = 64 << 20
"""The same limit for large values."""

_UNITS_MAX = 1_000_000
_SLOW_SLICES = 10
"""A slice this many times too long runs once a block: twice would double the time for little."""

_CONTROL_RUNS = 20
_CONTROL_STEPS = 500


class Work:
    """The keys and values of an operation, ready to be worked on in any lane.

    Args:
        session: the target.
        workload: where keys and values come from.
        operation: what is measured.
        batch_sizes: of the lanes that will be timed.

    Raises:
        KvError: the store failed; keys may be in it.
    """

    def __init__(
        self,
        session: Session,
        workload: Workload,
        operation: BatchOperation,
        batch_sizes: Sequence[int],
    ) -> None:
        self.operation = operation
        self._session = session
        self._workload = workload
        self._pairs = workload.pairs(_key_count(operation, batch_sizes, workload.value_size))
        self._keys = list(self._pairs)
        self._next_key: dict[Lane, int] = {}
        self._workload.fill(session.backend, self._pairs)
        self._removed: list[str] = []

    def time(self, lane: Lane, units: int) -> Slice:
        """Time so many calls (or flushes) of a lane; for deletes, without the filling."""
        if self.operation is not BatchOperation.MDEL:
            return self._time(lane, self._batches(lane, units))
        total = Slice()
        units_max = len(self._keys) // lane.batch_size
        while units > 0:
            batches = self._batches(lane, min(units, units_max))
            self._fill_removed()
            self._removed = list(chain.from_iterable(batches))
            total += self._time(lane, batches)
            units -= units_max
        return total

    def renew(self) -> None:
        """After a block of MSET: store the keys anew, with the TTL that removes lost ones."""
        if self.operation is BatchOperation.MSET and self._workload.safety_ttl_s is not None:
            self._workload.fill(self._session.backend, self._pairs)

    def _fill_removed(self) -> None:
        pairs = {key: self._pairs[key] for key in self._removed}
        self._workload.fill(self._session.backend, pairs)

    def _time(self, lane: Lane, batches: list[Batch]) -> Slice:
        return self._session.time_slice(self.operation, lane.arm, batches)

    def _batches(self, lane: Lane, units: int) -> list[Batch]:
        """The next keys of a lane, going round through all of them: one window a call or flush.

        Single calls come in few long windows: the arm calls once for each key of a window.
        """
        start = self._next_key.get(lane, 0)
        windows: list[Batch] = []
        left = units * lane.batch_size
        while left > 0:
            size = min(left, len(self._keys) - start)
            if not is_single(lane.arm):
                # A batch does not wrap around the end.
                start = start if size >= lane.batch_size else 0
                size = lane.batch_size
            keys = self._keys[start : start + size]
            is_mset = self.operation is BatchOperation.MSET
            windows.append({key: self._pairs[key] for key in keys} if is_mset else keys)
            start = (start + size) % len(self._keys)
            left -= size
        self._next_key[lane] = start
        return windows


def bytes_stored(groups: Sequence[Group], settings: Settings) -> int:
    """Memory that the keys of a run take in a store at once, about; in bytes.

    Twice the keys with what a store needs for each beside them, some 100 bytes: the request that
    stores them is held as well.
    """
    counts = [
        _key_count(group.op, [lane.batch_size for lane in group.lanes], settings.value_size)
        for group in groups
    ]
    return 2 * max(counts, default=0) * (settings.key_length + settings.value_size + 100)


def _key_count(operation: BatchOperation, batch_sizes: Sequence[int], value_size: int) -> int:
    wanted = DELETE_KEYS if operation is BatchOperation.MDEL else KEYS_MIN
    return max(min(wanted, _DELETE_BYTES // max(1, value_size)), *batch_sizes, 1)


@dataclass(frozen=True, slots=True)
class Blocks:
    """What the blocks of a group gave.

    Attributes:
        lanes: a sample of each lane, in the order in which they were given.
        control_ns: the control measurement's time before each block.
        waited: share of the time of the blocks that was spent waiting for a core.
    """

    lanes: list[LaneSample]
    control_ns: list[int]
    waited: float


def calibrate(work: Work, lane: Lane, sample_ns: int) -> Lane:
    """Find the units that last ``sample_ns``, doubling as pyperf does; warms the lane up too."""
    units = 1
    while True:
        took_ns = max(1, work.time(lane, units).wall_ns)
        if took_ns * 2 >= sample_ns or units >= _UNITS_MAX:
            break
        units = min(_UNITS_MAX, units * max(2, min(16, sample_ns // took_ns)))
    wanted = min(_UNITS_MAX, max(1, round(units * sample_ns / took_ns)))
    return Lane(lane.arm, lane.batch_size, wanted, took_ns * wanted // units)


def block_orders(
    lanes: int, blocks: int, rng: random.Random, *, mirrored: bool
) -> list[tuple[int, ...]]:
    """Which lane runs when, for each block: shuffled, and if ``mirrored`` backwards as well.

    With two lanes the starts are balanced: half of the blocks begin with either, give or take one.
    """
    orders = []
    for _ in range(0, blocks, 2):
        order = list(range(lanes))
        rng.shuffle(order)
        orders += [tuple(order), tuple(reversed(order))]
    return [order + order[::-1] if mirrored else order for order in orders[:blocks]]


def run_blocks(
    work: Work,
    lanes: Sequence[Lane],
    blocks: int,
    sample_ns: int,
    rng: random.Random,
    server_pids: tuple[int, ...],
    after_block: Callable[[int], None],
) -> Blocks:
    """Measure every lane in every block.

    Args:
        work: made ready.
        lanes: calibrated.
        blocks: how many.
        sample_ns: how long a slice was meant to last.
        rng: of the order of lanes.
        server_pids: processes of private servers, whose waiting for a core counts as well.
        after_block: called with how many blocks are done, off the clock.

    Raises:
        KvError: the store failed.
    """
    orders = block_orders(len(lanes), blocks, rng, mirrored=is_mirrored(lanes, sample_ns))
    for lane in lanes:
        work.time(lane, lane.units)  # Discarded: the first slice pays for cold caches.
    samples: list[list[float]] = [[] for _ in lanes]
    everything = [Slice() for _ in lanes]
    control_ns = []
    waited, began_ns = waited_ns(server_pids), time.perf_counter_ns()
    for done, order in enumerate(orders, start=1):
        control_ns.append(time_control())
        totals = [Slice() for _ in lanes]
        for index in order:
            totals[index] += work.time(lanes[index], lanes[index].units)
        for index, (lane, total) in enumerate(zip(lanes, totals, strict=True)):
            keys = lane.units * lane.batch_size * (len(order) // len(lanes))
            samples[index].append(total.wall_ns / keys)
            everything[index] += total
        work.renew()
        after_block(done)
    took_ns = time.perf_counter_ns() - began_ns
    return Blocks(
        [
            LaneSample(lane.arm, lane.batch_size, ns, min(1.0, total.cpu_ns / total.wall_ns))
            for lane, ns, total in zip(lanes, samples, everything, strict=True)
        ],
        control_ns,
        (waited_ns(server_pids) - waited) / took_ns,
    )


def is_mirrored(lanes: Sequence[Lane], sample_ns: int) -> bool:
    """Whether each lane runs twice a block: not when one slice alone takes very long."""
    return max([lane.sample_ns for lane in lanes]) < _SLOW_SLICES * sample_ns


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
