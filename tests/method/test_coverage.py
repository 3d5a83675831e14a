"""Intervals cover as often as they say, for every preset and shape of noise.

The table in docs/method.md comes from the same functions with more trials.
"""

from __future__ import annotations

import pytest

from .coverage import NOISES, PRESETS, bootstrap_coverage, coverage

NOISE_NAMES = [noise.name for noise in NOISES]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("noise", NOISES, ids=NOISE_NAMES)
def test_intervals_cover_as_often_as_they_say(noise, preset):
    """95% is promised; three standard errors of 1,000 trials are 2.1%."""
    assert 0.929 <= coverage(noise, PRESETS[preset], trials=1_000, seed=2026) <= 0.975


def test_what_blocks_alone_say_is_too_sure():
    """The bootstrap over blocks, which forgets the rounds, misses far more often than it says."""
    effect_of_the_round = NOISES[NOISE_NAMES.index("effect of the round")]
    assert bootstrap_coverage(effect_of_the_round, PRESETS["default"], trials=200) < 0.9
