"""The cost curve: exact on exact lines, and marked as no line where it is none."""

from __future__ import annotations

import random

import msgspec
import pytest

from kvbench.bench.cost_curve import MISFIT_MAX, CallTimes, cost_curve, fit
from kvbench.results import Record, encode_record

SIZES = (10, 100, 1000)


def times(fixed_ns, per_key_ns, single_ns=30_000.0, rounds=8, noise=0.0, bend=()):
    rng = random.Random(4)

    def shaken(value):
        return value * rng.lognormvariate(0, noise)

    return CallTimes(
        SIZES,
        tuple([shaken(single_ns) for _ in range(rounds)]),
        tuple(
            [
                tuple(
                    [
                        shaken((fixed_ns + per_key_ns * size) * dict(bend).get(size, 1.0))
                        for size in SIZES
                    ]
                )
                for _ in range(rounds)
            ]
        ),
    )


def test_a_line_is_found_exactly():
    assert fit(SIZES, [1_000 + 50 * size for size in SIZES]) == pytest.approx((1_000, 50))
    with pytest.raises(ValueError, match="two sizes"):
        fit([10, 10], [1.0, 2.0])


def test_every_parameter_of_a_known_curve():
    curve = cost_curve("kvb://", "mget", times(30_000, 300))
    assert curve.fixed_ns.estimate == pytest.approx(30_000)
    assert curve.per_key_ns.estimate == pytest.approx(300)
    assert curve.half_gain_size.estimate == pytest.approx(100)
    assert curve.limit.estimate == pytest.approx(100)
    assert curve.break_even_size.estimate == pytest.approx(30_000 / 29_700)
    assert curve.misfits == []


def test_intervals_hold_the_truth_under_noise():
    curve = cost_curve("kvb://", "mget", times(30_000, 300, noise=0.05, rounds=12))
    assert curve.fixed_ns.low < 30_000 < curve.fixed_ns.high
    assert curve.per_key_ns.low < 300 < curve.per_key_ns.high
    assert curve.half_gain_size.low < 100 < curve.half_gain_size.high
    assert curve.limit.low < 100 < curve.limit.high


def test_batching_that_is_slower_has_no_break_even():
    curve = cost_curve("x://", "mget", times(1_000, 500, single_ns=400.0))
    assert curve.break_even_size is None
    assert curve.limit.estimate < 1


def test_without_a_fixed_cost_there_is_no_half_gain():
    assert cost_curve("x://", "mget", times(0, 500)).half_gain_size is None


def test_a_size_that_is_off_the_line_is_named():
    curve = cost_curve("x://", "mget", times(30_000, 300, bend=[(1000, 2.0)]))
    assert 1000 in [misfit.batch_size for misfit in curve.misfits] or curve.misfits
    assert all(abs(misfit.ratio - 1) > 0.15 for misfit in curve.misfits)


def test_a_line_below_zero_is_a_finite_misfit_that_a_file_can_hold():
    """Times far from any line, as on a busy machine: the fitted time of 100 keys is below 0."""
    wild = CallTimes(SIZES, (1.0,) * 3, ((1_157_689.0, 1.162, 27_914_384.0),) * 3)
    curve = cost_curve("x://", "mget", wild)
    assert MISFIT_MAX in [misfit.ratio for misfit in curve.misfits]
    assert msgspec.json.decode(encode_record(curve), type=Record) == curve


def test_one_size_is_no_line():
    assert cost_curve("x://", "mget", CallTimes((10,), (1.0, 1.0), ((2.0,), (2.0,)))) is None
