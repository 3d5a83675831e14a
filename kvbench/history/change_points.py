"""Where a series changed its level: circular binary segmentation. Pure: numbers in, places out.

Of all ways to set apart a part of the series, the best one explains the largest share of the
variance: the part may be at an end (a step), or inside (a step that was undone; a search for single
steps misses those). The share is compared with that of series that have no change. Under normal
noise its distribution depends on nothing but the length, so simulated series give a test that is
exact for any length (Dufour, "Monte Carlo tests with nuisance parameters", 2006). Where a change is
certain, each part is searched again. Olshen, Venkatraman, Lucito and Wigler, "Circular binary
segmentation for the analysis of array-based DNA copy number data", Biostatistics 5, 2004; for a
single step it is Worsley's test, "On the likelihood ratio test for a shift in location of normal
populations", Journal of the American Statistical Association 74, 1979.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

PART_MIN = 2
"""Entries between two changes, and before and after one: a single odd run is no change."""

SERIES_MIN = 2 * PART_MIN
"""A shorter series cannot be divided."""

SERIES_MAX = 200
"""The search grows with the square of the length; 200 entries take about a second."""

_SIMULATED_MIN, _SIMULATED_MAX = 1_999, 19_999
_RANK = 5
"""The error level is this rank or more among simulated series: less would be a coarse guess."""

_BYTES_MAX = 1 << 24
"""Simulated series are worked through in pieces of about this size."""

_SEED = 20041004
"""The same series always gives the same answer."""

_EQUAL = 1e-24
"""A variance below this share of the squared level is rounding: the series is constant."""

_Places = NDArray[np.intp]
_Numbers = NDArray[np.float64]


def change_points(values: Sequence[float], error: float) -> tuple[int, ...]:
    """The places at which a series changes its level.

    Args:
        values: in order of time, at most :data:`SERIES_MAX`; logarithms where changes are ratios.
        error: chance of finding a change in a series without one, e.g. 0.05.

    Returns:
        Indices of the first values of the new levels, ascending; at least :data:`PART_MIN` apart.
    """
    found: set[int] = set()
    waiting = [(0, len(values))]
    while waiting:
        start, end = waiting.pop()
        part = _best_part(np.asarray(values[start:end], dtype=np.float64), error)
        if part is not None:
            edges = [start, *[start + place for place in part], end]
            found.update(edges[1:-1])
            waiting += list(itertools.pairwise(edges))
    return tuple(sorted(found))


def _best_part(values: _Numbers, error: float) -> tuple[int, ...] | None:
    """The edges of the part whose level differs for certain; None if there is none."""
    size = len(values)
    if size < SERIES_MIN:
        return None
    centred = values - values.mean()
    if centred @ centred <= _EQUAL * size * max(1.0, float(np.abs(values).max()) ** 2):
        return None
    starts, ends = _parts(size)
    shares = _shares(centred[np.newaxis, :], starts, ends)[0]
    best = int(shares.argmax())
    simulated = _simulated_shares(size, _simulated_count(error))
    at_least = int((simulated >= shares[best]).sum())
    if (at_least + 1) / (len(simulated) + 1) > error:
        return None
    return tuple([int(edge) for edge in (starts[best], ends[best]) if edge])


def _parts(size: int) -> tuple[_Places, _Places]:
    """All parts ``[start, end)`` that can be set apart; a step is the part before it."""
    starts, ends = np.triu_indices(size + 1, PART_MIN)
    is_apart = ((starts == 0) | (starts >= PART_MIN)) & (ends <= size - PART_MIN)
    return starts[is_apart], ends[is_apart]


def _shares(rows: _Numbers, starts: _Places, ends: _Places) -> _Numbers:
    """For each row, with mean 0, the share of its variance that each part explains, 0 to 1."""
    size = rows.shape[1]
    sums = np.concatenate([np.zeros((len(rows), 1)), rows.cumsum(axis=1)], axis=1)
    inside = ends - starts
    between: _Numbers = (sums[:, ends] - sums[:, starts]) ** 2 * (size / (inside * (size - inside)))
    shares: _Numbers = between / (rows**2).sum(axis=1, keepdims=True)
    return shares


def _simulated_count(error: float) -> int:
    return int(min(_SIMULATED_MAX, max(_SIMULATED_MIN, _RANK / error - 1)))


@cache
def _simulated_shares(size: int, count: int) -> _Numbers:
    """The largest share in each of ``count`` series of normal noise without a change."""
    rng = np.random.default_rng([_SEED, size])
    starts, ends = _parts(size)
    piece = max(1, _BYTES_MAX // (8 * len(starts)))
    found = []
    for first in range(0, count, piece):
        rows = rng.standard_normal((min(piece, count - first), size))
        rows -= rows.mean(axis=1, keepdims=True)
        found.append(_shares(rows, starts, ends).max(axis=1))
    return np.concatenate(found)
