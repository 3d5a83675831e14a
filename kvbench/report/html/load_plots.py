"""Charts of load runs and capacity searches: throughput, percentiles, latency against rate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kvbench.errors import UsageError
from kvbench.histogram import Histogram
from kvbench.report import format as text
from kvbench.report.html.plot import (
    Axis,
    Bar,
    BarPlot,
    Chart,
    Mark,
    Plot,
    Point,
    Series,
    point,
)
from kvbench.report.html.run_plots import RATE, TIME
from kvbench.report.load_tables import KINDS, call_name, lane_name
from kvbench.results import CapacityRecord, Latency, LoadRecord
from kvbench.units import parse_duration_ns

_POINTS_PER_DECADE = 24
_DECADES = 6
_LINEAR_RATE = partial(text.rate, digits=2)
_FRONTIER_KINDS = ("since_intended", "service_time")


def load_plots(loads: Sequence[LoadRecord]) -> list[Chart]:
    """Throughput of all lanes, a percentile plot for each kind of latency, and the frontier."""
    measured = [load for load in loads if not load.reason]
    has_targets = len({load.target for load in loads}) > 1
    names = [_lane(load.target, lane_name(load), has_targets) for load in measured]
    bars = [
        Bar(name, (figure.estimate,), figure.low, figure.high, number)
        for number, (name, load) in enumerate(zip(names, measured, strict=True))
        if (figure := load.keys_per_s) is not None
    ]
    found: list[Chart] = []
    if bars:
        found.append(BarPlot("Throughput", Axis("keys/s", _LINEAR_RATE, is_log=False), tuple(bars)))
    for kind in KINDS:
        series = [
            Series(name, _percentile_points(load.latency[kind]), Mark.CURVE, number)
            for number, (name, load) in enumerate(zip(names, measured, strict=True))
            if kind in load.latency
        ]
        if any(one.points for one in series):
            found.append(_percentiles(kind, series))
    frontier = _lanes_frontier(names, measured)
    return [*found, frontier] if frontier else found


def _lane(target: str, name: str, has_targets: bool) -> str:
    return f"{text.plain(target)} {name}" if has_targets else name


def _percentiles(kind: str, series: Sequence[Series]) -> Plot:
    title, _, _ = KINDS[kind].partition(" (")
    ticks = (2.0, *[10.0**n for n in range(1, _DECADES + 1)])
    return Plot(
        f"{title}: percentiles",
        Axis("percentile", _percentile_label, ticks=ticks),
        Axis("latency of a call", TIME),
        tuple(series),
        note="A line ends where fewer than 10 calls are beyond it.",
    )


def _percentile_label(inverse: float) -> str:
    """100 calls, one of which is slower, are the 99th percentile."""
    return f"{100 - 100 / inverse:.6g}%"


def _percentile_points(latency: Latency) -> tuple[Point, ...]:
    """Latency over the number of calls of which one is slower."""
    try:
        histogram = Histogram.from_counts(latency.histogram)
    except ValueError:
        return ()
    points = []
    for n in range(_DECADES * _POINTS_PER_DECADE):
        inverse = 10 ** (n / _POINTS_PER_DECADE)
        value = histogram.percentile_ns(1 - 1 / inverse)
        if value is None:
            break
        points.append(Point(inverse, value))
    return tuple(points)


def _lanes_frontier(names: Sequence[str], loads: Sequence[LoadRecord]) -> Plot | None:
    """The 99th percentile against keys per second: a point for each lane, if there are several."""
    series = []
    for number, (name, load) in enumerate(zip(names, loads, strict=True)):
        kind = next((one for one in _FRONTIER_KINDS if one in load.latency), "")
        if kind and load.keys_per_s is not None and load.latency[kind].p99_ns is not None:
            latency = load.latency[kind]
            where = load.keys_per_s.estimate
            figure = latency.intervals.get("p99_ns")
            one = point(where, figure) if figure else Point(where, latency.p99_ns or 0.0)
            series.append(Series(name, (one,), Mark.POINTS, number))
    if len(series) < 2:
        return None
    return Plot(
        "Latency against throughput",
        Axis("keys/s", RATE),
        Axis("p99 of a call", TIME),
        tuple(series),
        note="Lower right is better.",
    )


def capacity_plots(capacities: Sequence[CapacityRecord]) -> list[Chart]:
    """Capacity of each lane, and the percentile at every rate that was tried."""
    has_targets = len({one.target for one in capacities}) > 1
    bars, series = [], []
    for number, one in enumerate(capacities):
        name = _lane(one.target, call_name(one), has_targets)
        if (figure := one.keys_per_s) is not None:
            bars.append(Bar(name, (figure.estimate,), figure.low, figure.high, number))
        points = [
            Point(probe.keys_per_s, probe.percentile_ns)
            for probe in sorted(one.points, key=lambda probe: probe.keys_per_s)
            if probe.percentile_ns is not None
        ]
        series.append(Series(name, tuple(points), Mark.POINTS, number))
    objective = text.plain(capacities[0].objective)
    found: list[Chart] = []
    if bars:
        title = f"Capacity within {objective}" if objective else "Capacity"
        found.append(BarPlot(title, Axis("keys/s", _LINEAR_RATE, is_log=False), tuple(bars)))
    if any(one.points for one in series):
        percentile, limit_ns = _objective(objective)
        found.append(
            Plot(
                "Latency against rate",
                Axis("keys/s asked for", RATE),
                Axis(f"{percentile} since the intended time", TIME),
                tuple(series),
                limit=limit_ns,
                limit_name="objective",
                note="Each point is a measurement at one rate, in all rounds.",
            )
        )
    return found


def _objective(objective: str) -> tuple[str, float | None]:
    """The percentile and the limit in nanoseconds of an objective such as ``p99 < 5ms``."""
    name, _, limit = objective.partition("<")
    try:
        return name.strip() or "latency", float(parse_duration_ns(limit))
    except UsageError:
        return "latency", None
