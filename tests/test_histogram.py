"""The histogram counts every duration in the right bucket, merges exactly, and says what it knows.

The oracles are sorting, and the package hdrhistogram, which also has to read what we export.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.hdr_log import hdr_log
from kvbench.histogram import (
    BUCKETS,
    DURATION_NS_MAX,
    RELATIVE_ERROR,
    Histogram,
    HistogramCounts,
    bucket_bounds_ns,
    bucket_of,
    buckets_of,
    merged,
)

durations = st.one_of(
    st.integers(0, 1 << 12),
    st.integers(0, DURATION_NS_MAX),
    st.integers(0, 46).flatmap(lambda bits: st.integers((1 << bits) - 1, (1 << bits) + 1)),
)
samples = st.lists(durations, max_size=200)
filled = st.lists(durations, min_size=1, max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_many(values)
    return histogram


def rank_of(quantile: float, count: int) -> int:
    return max(1, math.ceil(round(quantile * count, 9)))


def test_buckets_follow_each_other_without_a_gap():
    bounds = [bucket_bounds_ns(bucket) for bucket in range(BUCKETS)]
    assert bounds[0][0] == 0 and bounds[-1][1] == DURATION_NS_MAX
    assert all(high + 1 == low for (_, high), (low, _) in pairwise(bounds))
    assert all((high + 1 - low) <= max(1, low * RELATIVE_ERROR) for low, high in bounds)


@given(filled)
def test_the_bucket_of_a_duration_contains_it(values):
    found = buckets_of(np.array(values, dtype=np.int64)).tolist()
    assert found == [bucket_of(value) for value in values]
    for value, bucket in zip(values, found, strict=True):
        low, high = bucket_bounds_ns(bucket)
        assert low <= value <= high


@given(filled, st.sampled_from([0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1]))
def test_quantiles_are_within_the_stated_error(values, quantile):
    histogram = histogram_of(values)
    true = sorted(values)[rank_of(quantile, len(values)) - 1]
    low, high = histogram.quantile_bounds_ns(quantile)
    assert low <= true <= high
    assert abs(histogram.quantile_ns(quantile) - true) <= true * RELATIVE_ERROR
    assert (histogram.min_ns, histogram.max_ns) == (min(values), max(values))
    assert histogram.mean_ns == sum(values) / len(values)


@given(st.lists(samples, max_size=4))
def test_merging_is_the_same_as_recording_all(parts):
    whole = histogram_of([value for part in parts for value in part])
    counts = [histogram_of(part).to_counts() for part in parts]
    assert merged(counts) == merged(counts[::-1]) == whole.to_counts()


@given(samples)
def test_plain_data_travels_as_json_without_loss(values):
    counts = histogram_of(values).to_counts()
    received = msgspec.json.decode(msgspec.json.encode(counts), type=HistogramCounts)
    assert Histogram.from_counts(received).to_counts() == counts
    assert sum(received.counts) == len(values)


def test_single_records_are_counted_at_once_and_in_bulk():
    histogram, values = Histogram(), [random.Random(1).randrange(1 << 30) for _ in range(10_001)]
    for number, value in enumerate(values, 1):
        histogram.record(value)
        if number in (1, 4095, 4096, 4097):
            assert histogram.samples == number
    assert histogram.to_counts() == histogram_of(values).to_counts()


def test_a_histogram_that_is_merged_counts_what_was_recorded_singly():
    one, two = Histogram(), Histogram()
    one.record(5)
    two.record(7)
    one.merge(two)
    assert (one.samples, two.samples, one.max_ns) == (2, 1, 7)


def test_an_empty_histogram_has_no_figures():
    histogram = Histogram()
    histogram.record_many([])
    assert histogram.samples == 0
    assert histogram.min_ns is histogram.max_ns is histogram.mean_ns is None
    assert histogram.quantile_ns(0.5) is histogram.quantile_bounds_ns(0.5) is None
    assert set(histogram.percentiles_ns().values()) == {None}


@pytest.mark.parametrize("wrong", [-1, DURATION_NS_MAX + 1])
def test_a_duration_outside_the_range_is_refused_and_nothing_counted(wrong):
    histogram = Histogram()
    with pytest.raises(ValueError, match=str(wrong)):
        histogram.record_many([1, 2, wrong])
    assert histogram.samples == 0


@pytest.mark.parametrize("wrong", [-0.1, 1.1, math.nan])
def test_a_quantile_is_from_0_to_1(wrong):
    with pytest.raises(ValueError, match="from 0 to 1"):
        histogram_of([1]).quantile_ns(wrong)


def test_a_percentile_has_at_least_10_samples_beyond_it():
    known = {
        count: [name for name, value in histogram_of([*range(count)]).percentiles_ns().items()
                if value is not None]
        for count in (1, 19, 20, 99, 100, 999, 1000, 9_999, 10_000)
    }  # fmt: skip
    assert known[1] == known[19] == ["max_ns"]
    assert known[20] == known[99] == ["p50_ns", "max_ns"]
    assert known[100] == known[999] == ["p50_ns", "p90_ns", "max_ns"]
    assert known[1000] == known[9_999] == ["p50_ns", "p90_ns", "p99_ns", "max_ns"]
    assert known[10_000] == ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"]


@pytest.mark.parametrize(
    "counts",
    [
        HistogramCounts([1], [], 1, 1),
        HistogramCounts([2, 1], [1, 1], 2, 1),
        HistogramCounts([1, 1], [1, 1], 1, 1),
        HistogramCounts([1], [0], 1, 1),
        HistogramCounts([-1], [1], 1, 1),
        HistogramCounts([BUCKETS], [1], 1, 1),
        HistogramCounts([5], [1], 4, 5),
        HistogramCounts([5], [1], 5, 6),
    ],
)
def test_damaged_counts_are_refused(counts):
    with pytest.raises(ValueError, match="not a histogram"):
        Histogram.from_counts(counts)


# --- HdrHistogram --------------------------------------------------------------------------------


def test_the_oracle_agrees_on_every_bucket_and_quantile():
    from hdrh.histogram import HdrHistogram

    rng = np.random.default_rng(3)
    values = (10 ** rng.uniform(2, 10, 3000)).astype(np.int64).tolist()
    oracle = HdrHistogram(1, DURATION_NS_MAX, 2)
    for value in values:
        oracle.record_value(value)
    histogram = histogram_of(values)
    assert list(oracle.counts)[:BUCKETS] == histogram.counts().tolist()
    for percentile in (1, 50, 90, 99, 99.9):
        low, high = histogram.quantile_bounds_ns(percentile / 100)
        assert low <= oracle.get_value_at_percentile(percentile)
        assert oracle.get_value_at_percentile(percentile) <= max(high, low * (1 + RELATIVE_ERROR))


@pytest.mark.parametrize("count", [0, 1, 5_000])
def test_the_oracle_reads_our_log(tmp_path, count):
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    rng = np.random.default_rng(4)
    values = rng.integers(0, 1 << 40, count).tolist()
    histogram = histogram_of([*values, *[123_456] * (300 if count else 0)])
    path = tmp_path / "load.hlog"
    tags = {"": histogram, "since intended, p": histogram_of([1, DURATION_NS_MAX])}
    path.write_text(hdr_log(tags, elapsed_s=2.5, started_at_s=1e9))
    reader = HistogramLogReader(str(path), HdrHistogram(1, DURATION_NS_MAX, 2))
    first, second = reader.get_next_interval_histogram(), reader.get_next_interval_histogram()
    assert list(first.counts)[:BUCKETS] == histogram.counts().tolist()
    assert first.get_total_count() == histogram.samples
    assert (second.get_tag(), second.get_total_count()) == ("since_intended__p", 2)
    assert first.get_end_time_stamp() - first.get_start_time_stamp() == pytest.approx(2500)
    assert reader.get_next_interval_histogram() is None
    reader.close()
