"""Lengths of keys and sizes of values: one number, or a distribution.

A text describes it: ``100`` (always), ``8-48`` (uniform over both ends and what is between), or
``lognormal:100:1`` (median, and standard deviation of the logarithm), which is how sizes in real
caches are spread (Atikoglu et al., "Workload analysis of a large-scale key-value store", 2012).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kvbench.errors import UsageError
from kvbench.units import parse_size

_RANGE = re.compile(r"([^-:]+)-([^-:]+)")
_LOGNORMAL = re.compile(r"lognormal:([^:]+):(\d{1,3}(?:\.\d{1,6})?)", re.ASCII)

_HELP = "write 100, 1kB, 8-48 or lognormal:100:1"
_SIGMA_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """A distribution of sizes in bytes.

    Attributes:
        text: describes it, as typed.
        low: smallest size.
        high: largest size.
        sigma: standard deviation of the logarithm, for ``lognormal``; 0 for a uniform distribution.
        median: of a ``lognormal`` distribution.
    """

    text: str
    low: int
    high: int
    sigma: float = 0.0
    median: int = 0


def parse_sizes(text: str, low: int, high: int) -> Sizes:
    """A distribution of sizes from its text; all sizes are in ``low`` to ``high``.

    A lognormal distribution is cut off at both bounds.

    Raises:
        UsageError: it is no distribution, or a size is out of bounds; the message says which.
    """
    found = _parse(text.strip().lower(), low, high)
    for size in (found.low, found.high, found.median or found.low):
        if not low <= size <= high:
            raise UsageError(f"size {size:,} of {text!r} is not {low:,} to {high:,}")
    if found.low > found.high:
        raise UsageError(f"{text!r}: the first size is larger than the second")
    return found


def _parse(text: str, low: int, high: int) -> Sizes:
    if match := _LOGNORMAL.fullmatch(text):
        sigma = float(match[2])
        if not 0 < sigma <= _SIGMA_MAX:
            raise UsageError(f"{text!r}: the second number is not above 0 and up to {_SIGMA_MAX:g}")
        return Sizes(text, low, high, sigma, _size(match[1], text))
    if match := _RANGE.fullmatch(text):
        return Sizes(text, _size(match[1], text), _size(match[2], text))
    size = _size(text, text)
    return Sizes(text, size, size)


def _size(part: str, whole: str) -> int:
    try:
        return parse_size(part)
    except UsageError:
        raise UsageError(f"{whole!r} is not a size or a distribution of sizes; {_HELP}") from None
