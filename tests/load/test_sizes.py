"""Sizes are what their text says, within their bounds."""

from __future__ import annotations

import numpy as np
import pytest

from kvbench.errors import UsageError
from kvbench.load.sizes import parse_sizes
from kvbench.load.stream import draw_sizes


def draw(text: str, count: int = 20_000) -> np.ndarray:
    return draw_sizes(parse_sizes(text, 0, 100_000), count, np.random.default_rng(1))


def test_one_size():
    assert set(draw("100").tolist()) == {100}
    assert set(draw("1kB").tolist()) == {1000}


def test_a_range_has_both_ends_and_all_between_evenly():
    drawn = draw("8-48")
    assert sorted(set(drawn.tolist())) == list(range(8, 49))
    assert drawn.mean() == pytest.approx(28, abs=0.3)


def test_a_lognormal_has_its_median_and_spread_and_stays_in_bounds():
    drawn = draw("lognormal:1000:1")
    assert np.median(drawn) == pytest.approx(1000, rel=0.03)
    assert np.std(np.log(drawn)) == pytest.approx(1, rel=0.03)
    assert draw("lognormal:50000:3").max() == 100_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "write 100, 1kB, 8-48"),
        ("ten", "write 100, 1kB, 8-48"),
        ("48-8", "the first size is larger"),
        ("100-100001", "size 100,001 of '100-100001' is not 0 to 100,000"),
        ("-5", "write 100, 1kB, 8-48"),
        ("lognormal:100", "write 100, 1kB, 8-48"),
        ("lognormal:100:0", "not above 0 and up to 5"),
        ("lognormal:200000:1", "size 200,000"),
        ("1.5", "write 100, 1kB, 8-48"),
    ],
)
def test_another_text_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        parse_sizes(text, 0, 100_000)
