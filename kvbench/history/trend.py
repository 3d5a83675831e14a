"""The trend of each figure: its entries in order, and where its level changed.

Only entries that can be compared with the newest one that has the figure are in its trend: of the
same machine and with the same settings, as :mod:`kvbench.compare.differences` defines them.
Versions may change: that is what a history is for, and a change names them. An entry is one point,
however many rounds it has: days differ by more than rounds of one run do.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from kvbench.compare.change import CannotCompareError, independent
from kvbench.compare.differences import (
    Difference,
    DifferenceKind,
    header_differences,
    store_differences,
)
from kvbench.compare.judgement import THRESHOLD_DEFAULT, Verdict
from kvbench.compare.readings import Measure
from kvbench.history.change_points import SERIES_MAX, change_points
from kvbench.history.entry import HistoryEntry, StoredReading
from kvbench.results import Figure
from kvbench.rounds import CONFIDENCE

SEPARATED = (DifferenceKind.MACHINE, DifferenceKind.SETTING)
"""Entries that differ in one of these are not in one trend, unless the user asks for it."""


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """A figure of an entry.

    Attributes:
        entry: the entry.
        reading: its figure; above 0.
    """

    entry: HistoryEntry
    reading: StoredReading


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A change of a figure's level.

    Attributes:
        index: of the first point of the new level.
        before: geometric mean of the level before it.
        after: that of the level from it on.
        ratio: after over before, with its 95% interval from the spread between entries.
        verdict: ``faster`` or ``slower``.
        differences: in what else the entries before and after it differ.
    """

    index: int
    before: float
    after: float
    ratio: Figure
    verdict: Verdict
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class FigureTrend:
    """The trend of a figure.

    Attributes:
        target: the target's name.
        name: the cell or lane.
        measure: what it is.
        points: at least one, the oldest first.
        changes: in order.
        left_out: number of entries with this figure on another machine, or with other settings.
    """

    target: str
    name: str
    measure: Measure
    points: tuple[TrendPoint, ...]
    changes: tuple[LevelChange, ...]
    left_out: int


def trends(
    entries: Sequence[HistoryEntry],
    *,
    mixed: Collection[DifferenceKind] = (),
    threshold: float = THRESHOLD_DEFAULT,
    last: int = SERIES_MAX,
    is_wanted: Callable[[StoredReading], bool] = lambda reading: True,
) -> tuple[FigureTrend, ...]:
    """The trends of all figures, in the order in which the entries have them.

    All change points together have a chance of 5% of a false one, where noise is normal and entries
    are independent: each figure gets its share of it (Bonferroni).

    Args:
        entries: the oldest first.
        mixed: kinds of :data:`SEPARATED` that do not separate trends.
        threshold: a smaller change of level is not reported; 0.05 is a factor of 1.05.
        last: number of points, at most :data:`SERIES_MAX`.
        is_wanted: whether a reading is of a figure to show.
    """
    points: dict[tuple[str, str, Measure], list[TrendPoint]] = {}
    for entry in entries:
        for reading in entry.readings:
            if is_wanted(reading) and reading.figure.estimate > 0:
                points.setdefault(reading.key, []).append(TrendPoint(entry, reading))
    separated = [kind for kind in SEPARATED if kind not in mixed]
    return tuple(
        [
            _trend(found, separated, threshold, last, (1 - CONFIDENCE) / len(points))
            for found in points.values()
        ]
    )


def _trend(
    points: Sequence[TrendPoint],
    separated: Collection[DifferenceKind],
    threshold: float,
    last: int,
    error: float,
) -> FigureTrend:
    newest = points[-1]
    kept = [
        one
        for one in points
        if not any(
            difference.kind in separated
            for difference in header_differences(one.entry.header, newest.entry.header)
        )
    ]
    shown = tuple(kept[-last:])
    logs = [math.log(one.reading.figure.estimate) for one in shown]
    edges = _large_enough(logs, change_points(logs, error), math.log1p(threshold))
    changes = [
        _change(shown, start, middle, end)
        for start, middle, end in zip([0, *edges], edges, [*edges[1:], len(logs)], strict=False)
    ]
    return FigureTrend(*newest.reading.key, shown, tuple(changes), len(points) - len(kept))


def _large_enough(logs: Sequence[float], edges: Sequence[int], limit: float) -> list[int]:
    """The edges without the smallest steps, until each step is at least ``limit``."""
    kept = list(edges)
    while kept:
        bounds = [0, *kept, len(logs)]
        levels = [statistics.fmean(logs[start:end]) for start, end in itertools.pairwise(bounds)]
        steps = [abs(after - before) for before, after in itertools.pairwise(levels)]
        if min(steps) >= limit:
            break
        del kept[steps.index(min(steps))]
    return kept


def _change(points: Sequence[TrendPoint], start: int, middle: int, end: int) -> LevelChange:
    figures = [one.reading.figure.estimate for one in points]
    before, after = figures[start:middle], figures[middle:end]
    means = [statistics.geometric_mean(side) for side in (before, after)]
    try:
        ratio = independent(
            Figure(means[0], rounds=before), Figure(means[1], rounds=after)
        ).figure()
    except CannotCompareError:
        ratio = Figure(means[1] / means[0])
    old, new = points[middle - 1].entry, points[middle].entry
    reading = points[middle].reading
    is_slower = (means[1] > means[0]) == reading.measure.is_time
    facts = [entry.facts.get(reading.target, {}) for entry in (old, new)]
    return LevelChange(
        middle,
        means[0],
        means[1],
        ratio,
        Verdict.SLOWER if is_slower else Verdict.FASTER,
        (
            *header_differences(old.header, new.header),
            *store_differences(facts[0], facts[1], reading.target),
        ),
    )
