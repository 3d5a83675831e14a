"""Charts of a run: targets side by side, then speedup, its parts and cost for each target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from kvbench.report import format as text
from kvbench.report.entries import SINGLE
from kvbench.report.html.plot import (
    Axis,
    Bar,
    BarPlot,
    Chart,
    Mark,
    Plot,
    Point,
    Series,
    count_label,
    point,
)
from kvbench.report.summary import OperationSummary, TargetSummary
from kvbench.results import HEADLINE, Cell, Curve, Figure

_CURVE_POINTS = 40

RATE = partial(text.rate, digits=1)
TIME = partial(text.duration, digits=1)
TIMES = partial(text.times, digits=1)
"""Labels of ticks, which are round figures."""


def _sizes(sizes: Sequence[int]) -> Axis:
    return Axis("keys in a batch", count_label, ticks=tuple(map(float, sizes)))


def absolute_plots(op: str, summaries: Sequence[TargetSummary]) -> list[Chart]:
    """Keys per second, and the time of a call, over batch size: a line for each target."""
    shown = [one for one in summaries if op in one.operations]
    sizes = sorted({1, *[size for one in shown for size in one.operations[op].cells]})
    name = text.plain(op).upper()
    single = SINGLE.get(op, name)

    def lines(choose: Callable[[Cell, str], Figure]) -> tuple[Series, ...]:
        return tuple(
            [
                Series(text.plain(one.target.target), _line(one.operations[op], choose), colour=n)
                for n, one in enumerate(summaries)
                if one in shown
            ]
        )

    x = Axis("keys in a call", count_label, ticks=tuple(map(float, sizes)))
    note = f"At 1: {single}, one by one."
    return [
        Plot(
            f"{name}: throughput",
            x,
            Axis("keys/s", RATE),
            lines(lambda cell, arm: cell.arms[arm].keys_per_s),
            note=note,
        ),
        Plot(
            f"{name}: latency of a call",
            x,
            Axis("time of a call", TIME),
            lines(lambda cell, arm: cell.arms[arm].call_ns),
            note=note,
        ),
    ]


def _line(one: OperationSummary, choose: Callable[[Cell, str], Figure]) -> tuple[Point, ...]:
    """Single calls at 1, then each batch size."""
    cells = [cell for cell in one.with_figures if "batch" in cell.arms]
    single = [cell for cell in one.with_figures if "individual" in cell.arms]
    points = [point(1, choose(single[0], "individual"))] if single else []
    found = [point(cell.batch_size, choose(cell, "batch")) for cell in cells]
    return (*points, *[one for one in found if one.x > 1 or not points])


def target_plots(summary: TargetSummary) -> list[Chart]:
    """Speedup, arms and cost of a target; none without figures."""
    found = [_speedup(summary), _parts(summary), _cost(summary)]
    return [one for one in found if one is not None]


def _speedup(summary: TargetSummary) -> Plot | None:
    series = []
    for number, one in enumerate(summary.operations.values()):
        points = [
            point(cell.batch_size, cell.speedup)
            for cell in one.cells.values()
            if cell.speedup is not None and "emulated" not in cell.batch_kind
        ]
        if points:
            series.append(Series(text.plain(one.op).upper(), tuple(points), colour=number))
    if not series:
        return None
    return Plot(
        "Speedup of batch over individual",
        _sizes(summary.sizes),
        Axis("times as fast", TIMES),
        tuple(series),
        limit=1.0,
        limit_name="no gain",
        note="Bars are 95% intervals.",
    )


def _parts(summary: TargetSummary) -> BarPlot | None:
    """The speedup as a product: on a logarithmic axis its factors are lengths."""
    first, second = "individual/pipelined", "pipelined/batch"
    bars = []
    for cell in summary.cells:
        if not {first, second, HEADLINE} <= set(cell.ratios):
            continue
        trips, whole = cell.ratios[first], cell.ratios[HEADLINE]
        label = f"{text.plain(cell.op).upper()} × {cell.batch_size:,}"
        bars.append(Bar(label, (trips.estimate, whole.estimate), whole.low, whole.high))
    if not bars:
        return None
    return BarPlot(
        "What the speedup is made of",
        Axis("times as fast as single calls", TIMES),
        tuple(bars),
        ("saved round trips", "the batch command"),
        base=1.0,
        note="Lengths on this axis multiply. A part that points to the left slows down.",
    )


def _cost(summary: TargetSummary) -> Plot | None:
    series = []
    for number, one in enumerate(summary.operations.values()):
        cells = [cell for cell in one.with_figures if "batch" in cell.arms]
        points = [point(cell.batch_size, cell.arms["batch"].call_ns) for cell in cells]
        if one.curve is None or not points:
            continue
        name = text.plain(one.op).upper()
        series.append(Series(name, tuple(points), Mark.POINTS, number))
        fit = _fit(one.curve, points[0].x, points[-1].x)
        series.append(Series("", fit, Mark.FIT, number))
    if not series:
        return None
    return Plot(
        "Cost of a batch call, and its fit",
        _sizes(summary.sizes),
        Axis("time of a call", TIME),
        tuple(series),
        note="Dashed: fixed + B × per key.",
    )


def _fit(curve: Curve, low: float, high: float) -> tuple[Point, ...]:
    if low <= 0 or high <= low:
        return ()
    sizes = [low * (high / low) ** (n / _CURVE_POINTS) for n in range(_CURVE_POINTS + 1)]
    fixed, per_key = curve.fixed_ns.estimate, curve.per_key_ns.estimate
    return tuple([Point(size, fixed + per_key * size) for size in sizes])
