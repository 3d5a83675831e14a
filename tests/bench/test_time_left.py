"""The time left: it follows what the rounds took, and ends at zero."""

from __future__ import annotations

import pytest

from kvbench.bench.plan import Settings
from kvbench.bench.time_left import TimeLeft


def test_the_first_round_is_a_guess_and_the_others_are_seen():
    left = TimeLeft(Settings(rounds=4))
    assert left.at(0.0)[0] == 0.0
    left.finish_round(10.0)
    assert left.at(0.0) == (pytest.approx(0.25), pytest.approx(30.0))
    assert left.at(0.5) == (pytest.approx(0.375), pytest.approx(25.0))
    for _ in range(3):
        left.finish_round(10.0)
    assert left.at(0.0) == (1.0, 0.0)


def test_with_a_precision_the_time_limit_counts():
    left = TimeLeft(Settings(precision=0.05, max_time_s=100.0))
    left.finish_round(10.0)
    assert left.at(0.0) == (pytest.approx(0.1), pytest.approx(90.0))
