"""Estimates from rounds. Pure: numbers in, numbers out.

The independent unit is the round: a fresh process, fresh connections, fresh private servers. What
the blocks of a round share (memory layout, placement, the machine's state at that time) is constant
within it and differs between rounds, so only the spread *between* rounds shows how far the next run
may be off. Kalibera & Jones, "Rigorous Benchmarking in Reasonable Time" (2013), section 6: the
interval of a mean of means at the highest level of repetition comes from the variance at that level
alone, with Student's t, regardless of the lower levels.

- A round's figure is the median over its few blocks: one interrupted block does not change it.
- Rounds are combined by the mean of logarithms (the geometric mean). So a ratio of two estimates is
  the estimate of the ratio, and the figures of a table's row are consistent.
- The interval is Student's t on those logarithms, with one degree of freedom fewer than rounds. The
  percentile bootstrap, which is common for this, is too narrow for the five to twenty rounds of a
  run (docs/method.md has the coverage of both).
- Consecutive rounds may share a state of the machine that lasts some seconds. With enough rounds,
  pairs of them are the units of the interval (batch means: Schmeiser, "Batch size effects in the
  analysis of simulation output", 1982).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from kvbench.results import Figure, TwoGroups
from kvbench.rounds import batch_means, t_quantile

DRIFT_MAX = 0.05
"""A larger spread of the control measurement makes a result unstable."""

WAITED_MAX = 0.05
"""A larger share of time spent waiting for a core makes a result unstable."""

_GROUP_ROUNDS_MIN = 2
"""A single distant round is an outlier, not a group."""

_GROUP_RATIO_MIN = 1.15
"""Groups closer than this are of no practical interest."""

_GROUP_SEPARATION = 3.0
"""Minimum gap between two groups, in ranges of the wider group. Six to twenty rounds from one
normal or lognormal distribution are called two groups in under 1% of cases."""


def round_estimate(blocks: Sequence[float]) -> float:
    """A round's figure: the median over its blocks."""
    return statistics.median(blocks)


def combine(rounds: Sequence[float]) -> Figure:
    """The geometric mean over rounds with its 95% interval; no interval from a single round.

    Args:
        rounds: one positive figure for each round, at least one.

    Raises:
        ValueError: there is none, or one is not positive.
    """
    logs = [math.log(one) for one in rounds]
    if not logs:
        raise ValueError("an estimate needs at least one round")
    middle = math.fsum(logs) / len(logs)
    estimate = math.exp(middle)
    if len(logs) == 1:
        return Figure(estimate, rounds=list(rounds))
    means = batch_means(logs)
    half = t_quantile(len(means) - 1) * statistics.stdev(means) / math.sqrt(len(means))
    return Figure(estimate, math.exp(middle - half), math.exp(middle + half), list(rounds))


def jackknife(
    rounds: Sequence[Sequence[float]], derive: Callable[[list[float]], float | None]
) -> Figure | None:
    """A figure derived from several means over rounds, with its 95% interval.

    ``derive`` gets the geometric means of the columns. Each round is left out once; the
    pseudo-values get Student's t (Tukey 1958; Miller, "The jackknife: a review", 1974).

    Args:
        rounds: a row for each round, all of one length.
        derive: computes the figure, None if it does not exist.

    Returns:
        None if the figure does not exist for all rounds together; without an interval if it does
        not exist with one of them left out, or if there is a single round.
    """
    estimate = derive(geometric_means(rounds))
    if estimate is None:
        return None
    count = len(rounds)
    if count < 2:
        return Figure(estimate)
    pseudo = []
    for left_out in range(count):
        rest = [row for place, row in enumerate(rounds) if place != left_out]
        without = derive(geometric_means(rest))
        if without is None:
            return Figure(estimate)
        pseudo.append(count * estimate - (count - 1) * without)
    half = t_quantile(count - 1) * statistics.stdev(pseudo) / math.sqrt(count)
    return Figure(estimate, estimate - half, estimate + half)


def geometric_means(rows: Sequence[Sequence[float]]) -> list[float]:
    """The geometric mean of each column; rows are rounds, all of one length."""
    columns = zip(*rows, strict=True)
    return [math.exp(math.fsum(map(math.log, one)) / len(rows)) for one in columns]


def half_width(figure: Figure) -> float | None:
    """Half of the interval's width as a share of the estimate; None without an interval."""
    if figure.low is None or figure.high is None:
        return None
    return (figure.high - figure.low) / 2 / figure.estimate


def inverse(figure: Figure, scale: float = 1.0) -> Figure:
    """``scale`` over a positive figure, its interval and its rounds: times become rates."""
    return Figure(
        scale / figure.estimate,
        None if figure.high is None else scale / figure.high,
        None if figure.low is None else scale / figure.low,
        [scale / one for one in figure.rounds],
    )


def scaled(figure: Figure, factor: float) -> Figure:
    """A figure, its interval and its rounds times ``factor``."""
    return Figure(
        figure.estimate * factor,
        None if figure.low is None else figure.low * factor,
        None if figure.high is None else figure.high * factor,
        [one * factor for one in figure.rounds],
    )


def two_groups(ns_per_key: Sequence[float]) -> TwoGroups | None:
    """The two groups that rounds fall into, None if there is one group.

    The largest gap between sorted neighbours (in logarithms) separates them, if it is several times
    the range of the wider group and each group has at least two rounds.
    """
    ordered = sorted(ns_per_key)
    logs = [math.log(one) for one in ordered]
    places = range(_GROUP_ROUNDS_MIN, len(logs) - _GROUP_ROUNDS_MIN + 1)
    if not places:
        return None
    place = max(places, key=lambda i: logs[i] - logs[i - 1])
    gap = logs[place] - logs[place - 1]
    widest = max(logs[place - 1] - logs[0], logs[-1] - logs[place])
    if gap < math.log(_GROUP_RATIO_MIN) or gap < _GROUP_SEPARATION * widest:
        return None
    fast, slow = ordered[:place], ordered[place:]
    return TwoGroups(
        statistics.geometric_mean(fast), len(fast), statistics.geometric_mean(slow), len(slow)
    )


def drift(control_ns: Sequence[float]) -> float:
    """Spread of the control measurement around its median, as a share of it.

    Half of the distance between its 10th and 90th percentile: this detects changes of the machine's
    speed, and ignores a single disturbance, as the medians do.
    """
    if len(control_ns) < 2:
        return 0.0
    tenths = statistics.quantiles(control_ns, n=10, method="inclusive")
    return (tenths[8] - tenths[0]) / 2 / tenths[4]
