"""The figures of a results file that can be compared with those of another one.

A reading is one figure of one cell or lane on one target. Its name says what was measured, and is
the same in every file that measured it. A file has each independent figure once: a batch's time per
call is its size over its keys per second, and single calls are the same at every batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from kvbench.model import BatchOperation
from kvbench.results import CapacityRecord, Cell, Figure, LoadRecord, Results


class Measure(StrEnum):
    """What a figure measures."""

    SPEEDUP = "speedup"
    KEYS_PER_S = "keys_per_s"
    CALL_NS = "call_ns"
    P99 = "p99"
    CAPACITY = "capacity"

    @property
    def is_time(self) -> bool:
        """Whether more is slower."""
        return self in (Measure.CALL_NS, Measure.P99)


SPEEDS = tuple([one for one in Measure if one is not Measure.SPEEDUP])
"""The measures by which a gate decides. A lower speedup may mean that single calls became faster,
which slows no program."""

WAITED_MAX = 0.05
"""A larger share of time spent waiting for a core may have changed a lane's figures."""

_SINGLE = {str(operation): str(operation.single) for operation in BatchOperation}

_WINDOW_UNITS = ((10**9, "s"), (10**6, "ms"), (10**3, "µs"), (1, "ns"))


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of one cell or lane.

    Attributes:
        target: the target's name in its file.
        name: the cell, e.g. ``MGET × 100``, or the lane, e.g. ``batch × 50``.
        measure: what it is.
        figure: with the rounds; None if the cell has no result.
        reason: why there is no result; empty when there is one.
        is_stable: False if other work may have changed it by more than its interval.
    """

    target: str
    name: str
    measure: Measure
    figure: Figure | None
    reason: str = ""
    is_stable: bool = True

    @property
    def key(self) -> tuple[str, Measure]:
        """What identifies it among the readings of a target."""
        return self.name, self.measure


def readings(results: Results) -> tuple[Reading, ...]:
    """All figures of a file that can be compared: cells, lanes, capacities, timings."""
    found: dict[tuple[str, str, Measure], Reading] = {}
    for cell in results.cells:
        for reading in _of_cell(cell):
            known = found.get((reading.target, *reading.key))
            # Single calls are in the cell of each size; any that has a figure tells it.
            if known is None or known.figure is None:
                found[reading.target, *reading.key] = reading
    for load in results.loads:
        for reading in _of_load(load):
            found[reading.target, *reading.key] = reading
    for capacity in results.capacities:
        reading = _of_capacity(capacity)
        found[reading.target, *reading.key] = reading
    for one in results.timings:
        timing = Reading(one.target, one.name, Measure.CALL_NS, one.call_ns, one.reason)
        found[timing.target, *timing.key] = timing
    return tuple(found.values())


def _of_cell(cell: Cell) -> Iterator[Reading]:
    name = f"{cell.op.upper()} × {cell.batch_size:,}"
    single = _SINGLE.get(cell.op, f"single {cell.op}").upper()
    figures = {(name, Measure.SPEEDUP): cell.speedup}
    lanes = {"batch": name, "pipelined": f"{single} × {cell.batch_size:,} pipelined"}
    for arm, lane in lanes.items():
        if arm in cell.arms or arm == "batch":
            figures[lane, Measure.KEYS_PER_S] = (
                cell.arms[arm].keys_per_s if arm in cell.arms else None
            )
    individual = cell.arms.get("individual")
    figures[single, Measure.CALL_NS] = individual.call_ns if individual else None
    for (lane, measure), figure in figures.items():
        reason = "" if figure else cell.reason or "not measured"
        yield Reading(cell.target, lane, measure, figure, reason, cell.is_stable)


def _of_load(load: LoadRecord) -> Iterator[Reading]:
    latency = load.latency.get("since_intended") or load.latency.get("service_time")
    p99 = latency.intervals.get("p99_ns") if latency else None
    name = lane_name(load)
    is_stable = load.waited <= WAITED_MAX
    for measure, figure in ((Measure.KEYS_PER_S, load.keys_per_s), (Measure.P99, p99)):
        reason = "" if figure else load.reason or "a round has fewer than 10 calls beyond it"
        yield Reading(load.target, name, measure, figure, reason, is_stable)


def _of_capacity(one: CapacityRecord) -> Reading:
    reason = "" if one.keys_per_s else one.reason or "not measured"
    is_stable = one.waited <= WAITED_MAX
    name = f"{lane_name(one)} within {one.objective}" if one.objective else lane_name(one)
    return Reading(one.target, name, Measure.CAPACITY, one.keys_per_s, reason, is_stable)


def lane_name(record: LoadRecord | CapacityRecord) -> str:
    """A lane: ``batch × 50, 10 deep, window 1 ms``."""
    parts = [record.arm + (f" × {record.batch_size:,}" if record.batch_size > 1 else "")]
    if record.pipeline > 1:
        parts.append(f"{record.pipeline:,} deep")
    window_ns = getattr(record, "batch_window_ns", 0)
    if window_ns:
        size, unit = next(one for one in _WINDOW_UNITS if window_ns >= one[0])
        parts.append(f"window {window_ns / size:g} {unit}")
    return ", ".join(parts)
