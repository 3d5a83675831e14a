"""The figures of a results file that a threshold can name.

A gauge is a figure with the words that name it: its target, its subject (an operation of a run, an
arm of a load run), its name and its batch size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from kvbench.compare.readings import lane_name
from kvbench.model import BatchOperation
from kvbench.results import CapacityRecord, Cell, Figure, Latency, LoadRecord, Results


class Unit(StrEnum):
    """What a threshold's value is written in."""

    TIMES = "times"
    RATE = "rate"
    DURATION = "duration"


RUN_FIGURES: Mapping[str, Unit] = {
    "speedup": Unit.TIMES,
    "keys_per_s": Unit.RATE,
    "call_ns": Unit.DURATION,
}
LOAD_FIGURES: Mapping[str, Unit] = {
    "keys_per_s": Unit.RATE,
    "requests_per_s": Unit.RATE,
    "p50": Unit.DURATION,
    "p90": Unit.DURATION,
    "p99": Unit.DURATION,
    "p99.9": Unit.DURATION,
}
CAPACITY_FIGURES: Mapping[str, Unit] = {"capacity": Unit.RATE, "gain": Unit.TIMES}

FIGURES: Mapping[str, Mapping[str, Unit]] = {
    "run": RUN_FIGURES,
    "load": LOAD_FIGURES,
    "capacity": CAPACITY_FIGURES,
}
"""The figures of each command that measures."""

SINGLE: Mapping[str, str] = {str(one): str(one.single) for one in BatchOperation}
"""The single call of each batch operation."""

_PERCENTILES = {"p50": "p50_ns", "p90": "p90_ns", "p99": "p99_ns", "p99.9": "p999_ns"}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure and the words that name it.

    Attributes:
        target: as in the file.
        subject: ``mget``, ``get``, or ``batch``.
        name: of the figure.
        size: the batch size; 1 for single calls.
        figure: None without a result.
        reason: why there is none.
        lane: of a load run, for readers; empty in a run.
    """

    target: str
    subject: str
    name: str
    size: int
    figure: Figure | None
    reason: str = ""
    lane: str = ""


def gauges(results: Results) -> tuple[Gauge, ...]:
    """All figures of a file that a threshold can name, each once."""
    found: dict[tuple[str, str, str, int, str], Gauge] = {}
    for gauge in _all(results):
        key = (gauge.target, gauge.subject, gauge.name, gauge.size, gauge.lane)
        # Single calls are in the cell of each size; any that has a figure tells it.
        if key not in found or found[key].figure is None:
            found[key] = gauge
    return tuple(found.values())


def _all(results: Results) -> Iterator[Gauge]:
    for cell in results.cells:
        yield from _of_cell(cell)
    for load in results.loads:
        yield from _of_load(load)
    for capacity in results.capacities:
        yield from _of_capacity(capacity)


def _of_cell(cell: Cell) -> Iterator[Gauge]:
    reason = cell.reason or "not measured"
    yield Gauge(cell.target, cell.op, "speedup", cell.batch_size, cell.speedup, reason)
    lanes = {"batch": (cell.op, cell.batch_size)}
    if cell.op in SINGLE:
        lanes["individual"] = (SINGLE[cell.op], 1)
    for arm, (subject, size) in lanes.items():
        figures = cell.arms.get(arm)
        keys_per_s, call_ns = (figures.keys_per_s, figures.call_ns) if figures else (None, None)
        yield Gauge(cell.target, subject, "keys_per_s", size, keys_per_s, reason)
        yield Gauge(cell.target, subject, "call_ns", size, call_ns, reason)


def _of_load(load: LoadRecord) -> Iterator[Gauge]:
    figures = {"keys_per_s": load.keys_per_s, "requests_per_s": load.requests_per_s}
    latency = load.latency.get("since_intended") or load.latency.get("service_time") or Latency()
    for name, field in _PERCENTILES.items():
        value = getattr(latency, field)
        figures[name] = latency.intervals.get(field) or (None if value is None else Figure(value))
    lane = lane_name(load)
    for name, figure in figures.items():
        reason = "fewer than 10 calls beyond it" if name in _PERCENTILES else "not measured"
        reason = load.reason or reason
        yield Gauge(load.target, load.arm, name, load.batch_size, figure, reason, lane)


def _of_capacity(one: CapacityRecord) -> Iterator[Gauge]:
    figures = {"capacity": one.keys_per_s}
    if one.arm != "individual":
        figures["gain"] = one.gain
    reason = one.reason or "not measured"
    for name, figure in figures.items():
        yield Gauge(one.target, one.arm, name, one.batch_size, figure, reason, lane_name(one))
