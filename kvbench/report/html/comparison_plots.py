"""Charts of comparisons: the ratio of head to base with its interval, for each figure."""

from __future__ import annotations

from collections.abc import Sequence

from kvbench.compare.comparison import Comparison, Row
from kvbench.compare.judgement import Verdict
from kvbench.compare.readings import Measure
from kvbench.report import format as text
from kvbench.report.html.plot import Axis, Bar, BarPlot, Chart

_COLOURS = {Verdict.FASTER: 2, Verdict.SLOWER: 1, Verdict.SAME: 0, Verdict.INCONCLUSIVE: 0}

_BARS_MAX = 24
"""More rows are hard to read in a chart; the tables have all."""


def comparison_plots(comparison: Comparison, title: str, measure: Measure) -> list[Chart]:
    """The charts of a measure, one for each target, under the title of its table."""
    rows = [row for row in comparison.rows if row.base.measure is measure]
    targets = dict.fromkeys([row.head.target for row in rows])
    return [
        _chart(
            comparison,
            f"{title}: {text.plain(target)}" if len(targets) > 1 else title,
            [row for row in rows if row.head.target == target],
        )
        for target in targets
    ]


def _chart(comparison: Comparison, title: str, rows: Sequence[Row]) -> BarPlot:
    share, measure = comparison.threshold, rows[0].base.measure
    left = f" The first {_BARS_MAX} of {len(rows)} figures." if len(rows) > _BARS_MAX else ""
    direction = "Over 1 is slower." if measure.is_time else "Under 1 is slower."
    if measure is Measure.SPEEDUP:
        direction = "A lower speedup may mean faster single calls."
    return BarPlot(
        title,
        Axis("head / base", _ratio_label, is_log=False),
        tuple(map(_bar, rows[:_BARS_MAX])),
        base=1.0,
        is_points=True,
        band=(1 / (1 + share), 1 + share),
        band_name=f"within {share * 100:.6g}%",
        note=direction + left,
    )


def _ratio_label(ratio: float) -> str:
    """A round figure, so no more digits than it has."""
    return f"{ratio:.4g}×"


def _bar(row: Row) -> Bar:
    ratio = row.judged.ratio
    colour = _COLOURS[row.judged.verdict]
    return Bar(text.plain(row.head.name), (ratio.estimate,), ratio.low, ratio.high, colour)
