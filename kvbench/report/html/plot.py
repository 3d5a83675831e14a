"""Charts as values: what is shown, without how it is drawn.

A chart has at most two axes. Values come from records, so they may be anything: a renderer leaves
out what an axis cannot show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from kvbench.results import Figure

Labels = Callable[[float], str]
"""The text at a tick."""


class Mark(Enum):
    """How a series is drawn."""

    LINE = auto()
    """Points with their intervals, connected."""
    POINTS = auto()
    """Points with their intervals."""
    CURVE = auto()
    """A line without points."""
    FIT = auto()
    """A dashed line: a model, not a measurement."""


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval, which may be absent.

    Attributes:
        x: place on the horizontal axis.
        y: the value.
        low: lower end of the interval.
        high: upper end.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together.

    Attributes:
        name: in the legend; empty for none.
        points: in order of ``x``.
        mark: how it is drawn.
        colour: number of its colour and sign.
    """

    name: str
    points: tuple[Point, ...]
    mark: Mark = Mark.LINE
    colour: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis.

    Attributes:
        title: what and in which unit.
        labels: the text at a tick.
        is_log: logarithmic; values of 0 and less are not shown.
        ticks: where they stand; empty to choose.
    """

    title: str
    labels: Labels
    is_log: bool = True
    ticks: tuple[float, ...] = ()

    def shows(self, value: float | None) -> bool:
        """Whether the axis has a place for a value."""
        if value is None or not math.isfinite(value):
            return False
        return _LOG_MIN <= value <= _LOG_MAX if self.is_log else abs(value) <= _LOG_MAX


_LOG_MIN, _LOG_MAX = 1e-12, 1e18
"""Beyond these a figure is a mistake in a file, and would hide the others."""


@dataclass(frozen=True, slots=True)
class Plot:
    """Series over two axes.

    Attributes:
        title: the heading.
        x: horizontal axis.
        y: vertical axis.
        series: in the order of the legend.
        limit: a value of ``y`` to draw as a line; None for none.
        limit_name: its name in the legend.
        note: a sentence below the chart.
    """

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    limit: float | None = None
    limit_name: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart: lengths one after the other, or a point with its interval.

    Attributes:
        label: at its left.
        ends: where each part ends, ascending; the first part begins at the chart's base.
        low: lower end of the interval of the last end.
        high: upper end.
        colour: number of the colour of a row with one end.
    """

    label: str
    ends: tuple[float, ...]
    low: float | None = None
    high: float | None = None
    colour: int = 0


@dataclass(frozen=True, slots=True)
class BarPlot:
    """Rows over one axis.

    Attributes:
        title: the heading.
        x: the axis.
        bars: from the top.
        parts: names of the parts, for the legend; empty for none.
        base: where bars begin.
        is_points: only ends and intervals are drawn, not the way from the base.
        band: a range around the base to draw as a band; None for none.
        band_name: its name in the legend.
        note: a sentence below the chart.
    """

    title: str
    x: Axis
    bars: tuple[Bar, ...]
    parts: tuple[str, ...] = ()
    base: float = 0.0
    is_points: bool = False
    band: tuple[float, float] | None = None
    band_name: str = ""
    note: str = ""


Chart = Plot | BarPlot


def point(x: float, figure: Figure, factor: float = 1.0) -> Point:
    """A figure as a point, times a factor."""
    low, high = (None if one is None else one * factor for one in (figure.low, figure.high))
    return Point(x, figure.estimate * factor, low, high)


def count_label(value: float) -> str:
    """A number of keys at a tick."""
    return f"{value:,.0f}"


def shown_points(points: Sequence[Point], x: Axis, y: Axis) -> list[Point]:
    """The points that both axes have a place for; ends of intervals that they have not are None."""
    return [
        Point(
            one.x,
            one.y,
            one.low if y.shows(one.low) else None,
            one.high if y.shows(one.high) else None,
        )
        for one in points
        if x.shows(one.x) and y.shows(one.y)
    ]
