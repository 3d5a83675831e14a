"""Charts as SVG, by matplotlib: text stays text, and colours are those of the page.

matplotlib draws with placeholder colours, which become CSS variables: so a chart follows the page's
colour scheme, in print as well. Without matplotlib there are no charts: :data:`HAS_CHARTS` is
False.

A chart is drawn at the width that it has on a phone, and grows by half at most, so that its text
has about the size of the page's. Legends are not drawn: on the page they are lists, whose names
wrap.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from kvbench.report.html.plot import Axis, Bar, BarPlot, Chart, Mark, Plot, Series, shown_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as DrawnAxis
    from matplotlib.figure import Figure as Canvas

HAS_CHARTS = find_spec("matplotlib") is not None
"""Whether charts can be drawn."""

COLOURS = 8
"""Series have so many colours, and so many signs: --s0 to --s7 in look.css."""

_MARKERS = "os^DvPX*"
_INK, _GRID, _BAND = "#010203", "#010204", "#010205"
_SERIES = [f"#0102{number:02x}" for number in range(0x10, 0x10 + COLOURS)]
_VARIABLES = {_INK: "--muted", _GRID: "--line", _BAND: "--band"} | {
    colour: f"--s{number}" for number, colour in enumerate(_SERIES)
}
"""Placeholders and the variables of look.css."""

_WIDTH_IN, _HEIGHT_IN, _BAR_IN = 4.2, 2.9, 0.26
"""At 72 units an inch 302 units wide: a phone's width, less the margins of the page."""

_LABEL_CHARS_MAX = 24
"""A longer label of a row leaves no room for the row; its middle is left out."""

_INTERVAL_MAX = 2.0
"""A linear axis ends at so many times the longest value; longer intervals are cut off there."""

_TICKS_APART = 0.12
"""Share of an axis between ticks, at least: closer labels would overlap."""

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # A dollar in a URL is no formula.
    "font.size": 9.5,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "path.simplify": True,
}


def draw(chart: Chart, name: str) -> str:
    """A chart as an SVG element.

    Args:
        chart: what to draw; values that an axis cannot show are left out.
        name: of the chart on its page, a word; its ids begin with it.

    Raises:
        ImportError: there is no matplotlib.
    """
    from matplotlib.figure import Figure as Canvas

    with _style(name):
        height = _HEIGHT_IN
        if isinstance(chart, BarPlot):
            height = 0.75 + _BAR_IN * len(chart.bars)
        canvas = Canvas(figsize=(_WIDTH_IN, height), layout="constrained")
        axes = canvas.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        if isinstance(chart, BarPlot):
            _draw_bars(axes, chart)
        else:
            _draw_plot(axes, chart)
        return _svg(canvas, name)


@contextmanager
def _style(name: str) -> Iterator[None]:
    """Settings of matplotlib; its ids are the same in every process."""
    import matplotlib

    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}), warnings.catch_warnings():
        # The browser's fonts have the letters that matplotlib's font lacks.
        warnings.simplefilter("ignore")
        yield


def _draw_plot(axes: Axes, plot: Plot) -> None:
    axes.grid(visible=True, which="major")
    values = []
    for series in plot.series:
        points = shown_points(series.points, plot.x, plot.y)
        if points:
            values += [one.y for one in points]
            _draw_series(axes, series, plot)
    axes.set_xlabel(plot.x.title)
    axes.set_ylabel(plot.y.title)
    if plot.limit is not None and plot.y.shows(plot.limit):
        axes.axhline(plot.limit, color=_INK, linewidth=1, linestyle=(0, (2, 2)))
        values.append(plot.limit)
    shown = [p.x for one in plot.series for p in shown_points(one.points, plot.x, plot.y)]
    _scale(axes.xaxis, axes.set_xscale, plot.x, shown)
    _scale(axes.yaxis, axes.set_yscale, plot.y, values)
    if plot.y.is_log and values:
        # Less than a decade would show noise as mountains, and have no round ticks.
        middle = math.sqrt(min(values) * max(values))
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, middle / 3), max(high, middle * 3))


def _draw_series(axes: Axes, series: Series, plot: Plot) -> None:
    points = shown_points(series.points, plot.x, plot.y)
    colour = _SERIES[series.colour % COLOURS]
    xs, ys = [one.x for one in points], [one.y for one in points]
    if series.mark in (Mark.CURVE, Mark.FIT):
        dashes = (0, (4, 2)) if series.mark is Mark.FIT else "solid"
        width = 1.0 if series.mark is Mark.FIT else 1.6
        axes.plot(xs, ys, color=colour, linestyle=dashes, linewidth=width)
        if series.mark is Mark.CURVE:
            every = max(1, len(xs) // 6)
            axes.plot(
                xs[::every], ys[::every], color=colour, linestyle="none", marker=_marker(series)
            )
        return
    below = [one.y - one.low if one.low is not None else 0.0 for one in points]
    above = [one.high - one.y if one.high is not None else 0.0 for one in points]
    axes.errorbar(
        xs,
        ys,
        yerr=[[max(0.0, one) for one in below], [max(0.0, one) for one in above]],
        color=colour,
        linestyle="solid" if series.mark is Mark.LINE else "none",
        marker=_marker(series),
        elinewidth=1.2,
        capsize=2.5,
    )


def _marker(series: Series) -> str:
    return _MARKERS[series.colour % COLOURS]


def _draw_bars(axes: Axes, plot: BarPlot) -> None:
    axes.grid(visible=True, axis="x")
    values = [plot.base] if plot.base or not plot.x.is_log else []
    for place, bar in enumerate(plot.bars):
        ends = [end for end in bar.ends if plot.x.shows(end)]
        if len(ends) == len(bar.ends):
            values += ends
            _draw_bar(axes, plot, bar, place)
    axes.set_yticks(range(len(plot.bars)), [_clip(bar.label) for bar in plot.bars])
    axes.set_ylim(len(plot.bars) - 0.4, -0.6)
    axes.set_xlabel(plot.x.title)
    if plot.band is not None:
        axes.axvspan(*plot.band, color=_BAND, linewidth=0)
    if plot.base:
        axes.axvline(plot.base, color=_INK, linewidth=1)
    _scale(axes.xaxis, axes.set_xscale, plot.x, values)
    if not plot.x.is_log and values:
        axes.set_xlim(*_linear_range(plot, values))


def _linear_range(plot: BarPlot, values: Sequence[float]) -> tuple[float, float]:
    """What a linear axis shows: all values, and their intervals unless they are much longer.

    An interval of few rounds may be so long that nothing else could be seen.
    """
    lows = [bar.low for bar in plot.bars if bar.low is not None and plot.x.shows(bar.low)]
    highs = [bar.high for bar in plot.bars if bar.high is not None and plot.x.shows(bar.high)]
    if not plot.is_points:
        room = max(values) or 1.0
        return 0.0, 1.05 * min(max([room, *highs]), _INTERVAL_MAX * room)
    band = plot.band or (plot.base, plot.base)
    low, high = min([*values, band[0]]), max([*values, band[1]])
    room = _INTERVAL_MAX * max(plot.base - low, high - plot.base)
    least, most = min([low, *lows]), max([high, *highs])
    return max(least, plot.base - room) - 0.05 * room, min(most, plot.base + room) + 0.05 * room


def _draw_bar(axes: Axes, plot: BarPlot, bar: Bar, place: int) -> None:
    colour = _SERIES[bar.colour % COLOURS]
    last = bar.ends[-1]
    low = bar.low if bar.low is not None and plot.x.shows(bar.low) else last
    high = bar.high if bar.high is not None and plot.x.shows(bar.high) else last
    if not plot.is_points:
        begins = [plot.base, *bar.ends[:-1]]
        for number, (begin, end) in enumerate(zip(begins, bar.ends, strict=True)):
            shade = _SERIES[number % COLOURS] if len(bar.ends) > 1 else colour
            # Parts that overlap, because one points to the left, stay visible: each is a lane.
            lane = place + (0.28 * number - 0.14 if len(bar.ends) > 1 else 0)
            height = 0.26 if len(bar.ends) > 1 else 0.56
            axes.barh(lane, end - begin, left=begin, height=height, color=shade, linewidth=0)
    axes.errorbar(
        [last],
        [place + (0.14 if len(bar.ends) > 1 else 0)],
        xerr=[[max(0.0, last - low)], [max(0.0, high - last)]],
        color=colour if plot.is_points else _INK,
        marker=_MARKERS[bar.colour % COLOURS] if plot.is_points else "none",
        linestyle="none",
        elinewidth=1.2,
        capsize=2.5,
    )


def _clip(label: str) -> str:
    if len(label) <= _LABEL_CHARS_MAX:
        return label
    half = _LABEL_CHARS_MAX // 2
    return f"{label[: half - 1]}…{label[-half:]}"


def _scale(
    drawn: DrawnAxis, set_scale: Callable[[str], object], axis: Axis, values: Sequence[float]
) -> None:
    """The axis's scale and ticks, with labels that do not overlap."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    if axis.is_log:
        set_scale("log")
    drawn.set_minor_locator(NullLocator())
    low, high = (min(values), max(values)) if values else (1.0, 10.0)
    if not axis.is_log:
        drawn.set_major_locator(MaxNLocator(4))
    elif axis.ticks:
        drawn.set_major_locator(FixedLocator(_apart([t for t in axis.ticks if low <= t <= high])))
    else:
        drawn.set_major_locator(FixedLocator(round_ticks(low, high)))
    drawn.set_major_formatter(FuncFormatter(lambda value, _: axis.labels(value)))


def _apart(ticks: Sequence[float]) -> list[float]:
    """The ticks without those that are too close to one at their left; the last one stays."""
    if len(ticks) < 2:
        return list(ticks)
    width = math.log(ticks[-1] / ticks[0]) * _TICKS_APART
    kept = [ticks[-1]]
    for tick in reversed(ticks[:-1]):
        if math.log(kept[-1] / tick) >= width:
            kept.append(tick)
    return kept[::-1]


def round_ticks(low: float, high: float) -> list[float]:
    """Round figures around a range on a logarithmic axis: 2 to 7 of them."""
    decades = math.log10(high / low)
    steps: tuple[float, ...] = (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,)
    every = max(1, math.ceil(decades / 6))
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    wide = max(high / low, 9.0)
    middle = math.sqrt(low * high)
    least, most = middle / math.sqrt(wide) * 0.9, middle * math.sqrt(wide) * 1.1
    found = [step * 10.0**n for n in exponents if n % every == 0 for step in steps]
    return [tick for tick in found if least <= tick <= most]


def _svg(canvas: Canvas, name: str) -> str:
    """The SVG element alone, with unique ids, and the page's font and colours."""
    file = io.StringIO()
    metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    canvas.savefig(file, format="svg", transparent=True, metadata=metadata)
    text = file.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->|<defs>\s*</defs>", "", text, flags=re.S)
    # Only tags are changed: a label may look like anything. matplotlib escapes < and > in text.
    text = re.sub(r"<[^>]*>", lambda tag: _adapt(tag[0], name), text)
    used = set(re.findall(r"#([\w-]+)", " ".join(re.findall(r"<[^>]*>", text))))
    text = re.sub(r"<[^>]*>", lambda tag: _without_unused_id(tag[0], used), text)
    return re.sub(r"\n\s*", "\n", re.sub(r"<g/>|<g>\s*</g>", "", text))


def _adapt(tag: str, name: str) -> str:
    """A tag of matplotlib's for the page."""
    if tag.startswith("<svg"):
        box = re.search(r'viewBox="[^"]*"', tag)
        return f"<svg {box[0] if box else ''}>"
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag.replace("xlink:href", "href"))
    tag = re.sub(r' id="([^"]*)"', rf' id="{name}-\1"', tag)
    tag = re.sub(r'href="#([^"]*)"', rf'href="#{name}-\1"', tag)
    tag = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", tag)
    tag = re.sub(r"font: (\d+(?:\.\d+)?)px [^;\"]*", r"font-size: \1px", tag)
    tag = re.sub(r" ?font-family: [^;\"]*;?", "", tag)
    tag = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, f"var({variable})")
    return tag


def _without_unused_id(tag: str, used: set[str]) -> str:
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", tag)
