"""A latency objective, such as ``p99<5ms``: which percentile, and its limit."""

from __future__ import annotations

import re

import msgspec

from kvbench.errors import UsageError
from kvbench.suggest import did_you_mean
from kvbench.units import parse_duration_ns

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

_FORM = re.compile(r"\s*(\S+?)\s*(<=?)\s*(.+)")


class Objective(msgspec.Struct, frozen=True):
    """A latency objective.

    Attributes:
        percentile: a name of :data:`QUANTILES`.
        limit_ns: the percentile must be below.
        text: as typed.
    """

    percentile: str
    limit_ns: int
    text: str

    @property
    def quantile(self) -> float:
        """The percentile as a share."""
        return QUANTILES[self.percentile]

    @property
    def calls_min(self) -> int:
        """Calls from which on the percentile has enough samples beyond it, with a margin."""
        return round(11 / (1 - self.quantile))


def parse_objective(text: str) -> Objective:
    """An objective from its text.

    Raises:
        UsageError: it is not one; the message says what to write.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not an objective; write a percentile and a limit: p99<5ms")
    percentile = match[1].lower()
    if percentile not in QUANTILES:
        hint = did_you_mean(percentile, QUANTILES, f"there are: {', '.join(QUANTILES)}")
        raise UsageError(f"{text!r}: no percentile {match[1]!r}; {hint}")
    limit_ns = parse_duration_ns(match[3])
    if limit_ns < 1:
        raise UsageError(f"{text!r}: the limit must be above 0")
    return Objective(percentile, limit_ns, f"{percentile} < {match[3].strip()}")
