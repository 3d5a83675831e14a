"""Keys are asked for as often as their distribution says."""

from __future__ import annotations

import numpy as np
import pytest

from kvbench.load.popularity import Chooser
from kvbench.load.workload import Popularity

RECORDS, DRAWN = 1000, 200_000


def shares(popularity: Popularity, inserted: int = 0, **options: float) -> np.ndarray:
    """How often each place is drawn, as a share, most popular first; and the places themselves."""
    chooser = Chooser(popularity, RECORDS, np.random.default_rng(5), **options)
    drawn = chooser.draw(DRAWN, inserted)
    assert drawn.min() >= 0 and drawn.max() < RECORDS + inserted
    return np.bincount(drawn, minlength=RECORDS + inserted) / DRAWN


def test_uniform():
    found = shares(Popularity.UNIFORM)
    # Each count is binomial: five standard deviations hold all thousand of them.
    assert np.abs(found - 1 / RECORDS).max() < 5 * (1 / RECORDS / DRAWN) ** 0.5


@pytest.mark.parametrize("constant", [0.5, 0.99, 1.5])
def test_zipfian_follows_its_law_rank_by_rank(constant):
    found = np.sort(shares(Popularity.ZIPFIAN, constant=constant))[::-1]
    law = np.arange(1, RECORDS + 1) ** -constant
    law /= law.sum()
    assert np.abs(found[:50] - law[:50]).max() < 5 * (law[0] / DRAWN) ** 0.5


def test_popular_keys_are_scattered_over_the_range():
    popular = np.argsort(shares(Popularity.ZIPFIAN))[::-1][:20]
    assert np.abs(np.diff(popular)).min() > 1
    assert popular.max() - popular.min() > RECORDS / 2


def test_latest_prefers_the_newest_key():
    found = shares(Popularity.LATEST, inserted=100)
    assert found.argmax() == RECORDS + 99
    assert found[-100:].sum() > 0.6


def test_hotspot_has_its_two_shares():
    found = np.sort(shares(Popularity.HOTSPOT, hot_keys=0.1, hot_calls=0.9))[::-1]
    assert found[:100].sum() == pytest.approx(0.9, abs=0.01)
    assert (found[:100] > 0).all() and (found[100:] > 0).all()


@pytest.mark.parametrize("popularity", Popularity)
def test_one_record(popularity):
    assert set(Chooser(popularity, 1, np.random.default_rng(1)).draw(10).tolist()) == {0}
