"""Paired blocks: how the lanes of an operation are measured in a round.

A lane is an arm at a batch size. A block runs every lane twice, in a shuffled order and then in
reverse (ABBA), so a machine that slows down steadily affects all lanes equally. A lane with very
long slices runs once per block; the shuffled orders alone then cancel the drift.

All lanes of an operation use the same keys: single calls one by one, batch calls in windows of
their size. So there is one lane of single calls for all batch sizes, and every lane sees the same
store with the same state of the CPU's caches.

Deletes need existing keys: the keys that a slice removed are stored again before the next one,
without timing.
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
"""Keys used by the lanes, unless one batch has more: they fit in a CPU's cache."""

DELETE_KEYS = 10_000
"""The same for deletes, which need a key for each call of a slice."""

_DELETE_BYTES = 64 << 20
"""The same limit for large values."""

_UNITS_MAX = 1_000_000
_SLOW_SLICES = 10
"""A slice that is too long by this factor runs once per block: twice would double the time."""

_CONTROL_RUNS = 20
_CONTROL_STEPS = 500


class Work:
    """The keys and values of an operation, prepared for all lanes.

    Args:
        session: the target.
        workload: source of keys and values.
        operation: the measured operation.
        batch_sizes: of the lanes to be timed.

    Raises:
        KvError: the store failed; it may contain some keys.
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
        """Time a number of calls (or flushes) of a lane; for deletes, without the refilling."""
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
        """After a block of MSET: store the keys again, with the TTL that removes lost ones."""
        if self.operation is BatchOperation.MSET and self._workload.safety_ttl_s is not None:
            self._workload.fill(self._session.backend, self._pairs)

    def _fill_removed(self) -> None:
        pairs = {key: self._pairs[key] for key in self._removed}
        self._workload.fill(self._session.backend, pairs)

    def _time(self, lane: Lane, batches: list[Batch]) -> Slice:
        return self._session.time_slice(self.operation, lane.arm, batches)

    def _batches(self, lane: Lane, units: int) -> list[Batch]:
        """The next keys of a lane, in a cycle over all keys: one window a call or flush.

        Single calls get a few long windows: the arm makes one call for each key of a window.
        """
        start = self._next_key.get(lane, 0)
        windows: list[Batch] = []
        left = units * lane.batch_size
        while left > 0:
            size = min(left, len(self._keys) - start)
            if not is_single(lane.arm):
                # A batch does not wrap around.
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
    """Approximate memory that the keys of a run need in a store at once, in bytes.

    Twice the keys with a store's overhead of about 100 bytes each: the request that stores them is
    in memory as well.
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
    """The samples of a group's blocks.

    Attributes:
        lanes: a sample of each lane, in the given order.
        control_ns: the control measurement's time before each block.
        waited: share of the blocks' time that was spent waiting for a core.
    """

    lanes: list[LaneSample]
    control_ns: list[int]
    waited: float


def calibrate(work: Work, lane: Lane, sample_ns: int) -> Lane:
    """Find the units that last ``sample_ns``, by doubling like pyperf; warms the lane up, too."""
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
    """The order of lanes for each block: shuffled, and if ``mirrored`` followed by its reverse.

    With two lanes the first place is balanced: each starts half of the blocks, within one.
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
        work: prepared.
        lanes: calibrated.
        blocks: number of blocks.
        sample_ns: intended duration of a slice.
        rng: for the order of lanes.
        server_pids: processes of private servers; their waiting for a core counts as well.
        after_block: called with the number of finished blocks, outside the timing.

    Raises:
        KvError: the store failed.
    """
    orders = block_orders(len(lanes), blocks, rng, mirrored=is_mirrored(lanes, sample_ns))
    for lane in lanes:
        work.time(lane, lane.units)  # Discarded: the first slice runs with cold caches.
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
    """Whether each lane runs twice per block: not if one slice takes very long."""
    return max([lane.sample_ns for lane in lanes]) < _SLOW_SLICES * sample_ns


def time_control() -> int:
    """Time of fixed arithmetic without I/O, in nanoseconds: it changes when the machine does.

    The minimum of a few runs: it shows the speed of the core without other work on it.
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
