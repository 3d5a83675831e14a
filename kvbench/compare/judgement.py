"""Verdicts on changes, and the gate.

Many figures are compared at once, and of a hundred that did not change, five would look changed at
95%. Holm's step-down method (Holm, "A simple sequentially rejective multiple test procedure", 1979)
keeps the chance of any false alarm among all of them under 5%, however they depend on each other.
It is applied twice: for the verdicts, to the hypothesis that nothing changed; for the gate, to the
hypothesis that a figure is slower by no more than the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvbench.compare.change import Change
from kvbench.results import Figure
from kvbench.rounds import CONFIDENCE

THRESHOLD_DEFAULT = 0.05
"""A smaller change is of no interest, unless the user sets another threshold."""

_ALPHA = 1 - CONFIDENCE


class Verdict(StrEnum):
    """What a comparison says of a figure."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "no change"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Judged:
    """A change with its verdict.

    Attributes:
        verdict: ``faster`` and ``slower`` after Holm's correction; ``no change`` if the interval is
            within the threshold to either side; else ``inconclusive``.
        ratio: head over base, with its 95% interval.
        corrected: the same with Holm's interval, by which the gate decides.
        limit: the gate's threshold for this figure.
        is_slowdown: the corrected interval is beyond the limit, to the slow side.
        rounds_more: of an inconclusive one: rounds that detect a change of the threshold with 80%
            power; None if there is no such number, or the verdict is another one.
    """

    verdict: Verdict
    ratio: Figure
    corrected: Figure
    limit: float
    is_slowdown: bool
    rounds_more: int | None


def judge_all(
    changes: Sequence[Change],
    is_time: Sequence[bool],
    limits: Sequence[float],
    gated: Sequence[bool],
    threshold: float,
) -> list[Judged]:
    """The verdict on each change, corrected for their number.

    Args:
        changes: of all figures.
        is_time: of each, whether more is slower.
        limits: of each, the gate's threshold; 0.05 is a factor of 1.05.
        gated: of each, whether the gate may decide by it.
        threshold: within which a figure counts as unchanged.
    """
    adjusted, levels = holm([change.p_value() for change in changes])
    places = [place for place, is_gated in enumerate(gated) if is_gated]
    slow = [
        _p_slower(changes[place], is_time[place], math.log1p(limits[place])) for place in places
    ]
    slow_adjusted, slow_levels = (dict(zip(places, one, strict=True)) for one in holm(slow))
    judged = []
    for place, change in enumerate(changes):
        verdict = _verdict(change, is_time[place], adjusted[place], threshold)
        more = None
        if verdict is Verdict.INCONCLUSIVE:
            more = change.rounds_more(threshold, 1 - levels[place])
        judged.append(
            Judged(
                verdict,
                change.figure(),
                change.figure(1 - slow_levels.get(place, levels[place])),
                limits[place],
                slow_adjusted.get(place, 1.0) < _ALPHA,
                more,
            )
        )
    return judged


def holm(p_values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Holm's adjusted p-values, and the level at which each hypothesis is tested.

    The smallest p-value is tested at 5% over the number of hypotheses, the next at 5% over one
    fewer, and so on; after the first that is not rejected, the level stays.
    """
    count = len(p_values)
    adjusted, levels = [1.0] * count, [_ALPHA] * count
    largest, level = 0.0, _ALPHA / max(1, count)
    has_failed = False
    for rank, place in enumerate(sorted(range(count), key=p_values.__getitem__)):
        if not has_failed:
            level = _ALPHA / (count - rank)
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        has_failed = has_failed or largest >= _ALPHA
        adjusted[place], levels[place] = largest, level
    return adjusted, levels


def _p_slower(change: Change, is_time: bool, log_limit: float) -> float:
    """Two-sided p-value of "slower by the limit", 1 unless the estimate is beyond it.

    Two-sided, so that it is below 5% just when the 95% interval is beyond the limit.
    """
    slower = change.log_ratio if is_time else -change.log_ratio
    if slower <= log_limit:
        return 1.0
    return change.p_value(log_limit if is_time else -log_limit)


def _verdict(change: Change, is_time: bool, adjusted: float, threshold: float) -> Verdict:
    if adjusted < _ALPHA:
        return Verdict.SLOWER if (change.log_ratio > 0) == is_time else Verdict.FASTER
    ratio = change.figure()
    assert ratio.low is not None and ratio.high is not None
    limit = 1 + threshold
    is_same = 1 / limit <= ratio.low and ratio.high <= limit
    return Verdict.SAME if is_same else Verdict.INCONCLUSIVE
