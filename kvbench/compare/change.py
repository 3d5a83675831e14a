"""A figure against its base: the ratio with its interval, and what it proves.

Rounds are the units, on logarithms, as in the figures themselves. Rounds of two runs are
independent: Welch's t, which allows each side its spread (Welch, "The generalization of Student's
problem when several different population variances are involved", 1947). Where one run visited both
sides in the same rounds, each round gives a ratio, in which what the round shares cancels; so does
a state of the machine that lasts for several rounds, and each round is a unit.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from kvbench.results import Figure
from kvbench.rounds import CONFIDENCE, batch_means, t_outside, t_quantile

POWER = 0.8
"""Chance of detecting a change of the threshold with the stated number of rounds: the usual one."""

ROUNDS_MAX = 10_000
"""More rounds than a run can have are not advised."""


_DEGREES_MAX = 200
"""Beyond these the quantiles of Student's t are within 1% of the limit, and advice is rounded."""


class CannotCompareError(Exception):
    """Two figures have no ratio with an interval; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Change:
    """The ratio of head to base, on logarithms.

    Attributes:
        log_ratio: its estimate.
        error: its standard error; above 0.
        degrees: of freedom of Student's t, at least 1; may be a fraction.
        rounds: of the side that has fewer.
    """

    log_ratio: float
    error: float
    degrees: float
    rounds: int

    def figure(self, confidence: float = CONFIDENCE) -> Figure:
        """The ratio with its interval."""
        half = t_quantile(self.degrees, confidence) * self.error
        middle = self.log_ratio
        return Figure(math.exp(middle), math.exp(middle - half), math.exp(middle + half))

    def p_value(self, log_limit: float = 0.0) -> float:
        """Two-sided p-value of the hypothesis that the logarithm of the ratio is ``log_limit``."""
        return t_outside((self.log_ratio - log_limit) / self.error, self.degrees)

    def rounds_more(self, threshold: float, confidence: float) -> int | None:
        """How many rounds more detect a change of ``threshold`` with a chance of :data:`POWER`.

        The standard error falls with the square root of the rounds; the quantiles of Student's t
        for the error and for the power add up (Zar, "Biostatistical Analysis", section 8.4).

        Args:
            threshold: 0.05 for a change by the factor 1.05.
            confidence: of the interval that has to exclude 1.

        Returns:
            0 if these are enough; None if even :data:`ROUNDS_MAX` are too few.
        """
        low, high = 2, ROUNDS_MAX
        if self._finds(threshold, confidence, low):
            return 0
        if not self._finds(threshold, confidence, high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (low, middle) if self._finds(threshold, confidence, middle) else (middle, high)
            )
        return max(0, high - self.rounds)

    def _finds(self, threshold: float, confidence: float, rounds: int) -> bool:
        """Whether so many rounds would find a change of ``threshold`` with that power."""
        growth = rounds / self.rounds
        degrees = min(_DEGREES_MAX, max(1, int(self.degrees * growth)))
        # Twice the one-sided share: the quantile with 80% below it has 60% around 0.
        quantiles = t_quantile(degrees, confidence) + t_quantile(degrees, 2 * POWER - 1)
        return quantiles * self.error / math.sqrt(growth) <= math.log1p(threshold)


def independent(base: Figure, head: Figure) -> Change:
    """Compare figures of two runs by Welch's t.

    Raises:
        CannotCompareError: a side has fewer than two rounds, a round of 0, or no spread at all.
    """
    sides = [_logs(base, "base"), _logs(head, "head")]
    units = [batch_means(logs) for logs in sides]
    shares = [statistics.variance(one) / len(one) for one in units]
    square = sum(shares)
    _check_spread(square)
    pairs = zip(shares, units, strict=True)
    degrees = square**2 / sum([share**2 / (len(one) - 1) for share, one in pairs])
    log_ratio = statistics.fmean(sides[1]) - statistics.fmean(sides[0])
    return Change(log_ratio, math.sqrt(square), max(1.0, degrees), min(map(len, sides)))


def paired(base: Figure, head: Figure) -> Change:
    """Compare figures of the same rounds of one run; as independent ones if the numbers differ.

    Raises:
        CannotCompareError: as :func:`independent`.
    """
    if len(base.rounds) != len(head.rounds):
        return independent(base, head)
    sides = zip(_logs(base, "base"), _logs(head, "head"), strict=True)
    return _of_logs([after - before for before, after in sides])


def mean_change(pairs: Sequence[tuple[Figure, Figure]], *, is_paired: bool) -> Change:
    """The change of the geometric mean over several figures: of each round, then over rounds.

    Raises:
        CannotCompareError: as :func:`independent`, or the figures differ in their rounds.
    """
    sides = []
    for place in (0, 1):
        rows = [_logs(pair[place], "a file") for pair in pairs]
        if len(set(map(len, rows))) != 1:
            raise CannotCompareError("the figures have different numbers of rounds")
        means = [math.exp(statistics.fmean(one)) for one in zip(*rows, strict=True)]
        sides.append(Figure(1.0, rounds=means))
    return (paired if is_paired else independent)(*sides)


def _of_logs(logs: Sequence[float]) -> Change:
    square = statistics.variance(logs) / len(logs)
    _check_spread(square)
    return Change(statistics.fmean(logs), math.sqrt(square), len(logs) - 1, len(logs))


def _logs(figure: Figure, side: str) -> list[float]:
    if len(figure.rounds) < 2:
        raise CannotCompareError(f"{side} has no two rounds, so its spread is unknown")
    if min(figure.rounds) <= 0:
        raise CannotCompareError(f"a round of {side} has no figure")
    return list(map(math.log, figure.rounds))


def _check_spread(square: float) -> None:
    if not square > 0:
        raise CannotCompareError("all rounds are equal, so their spread is unknown")
