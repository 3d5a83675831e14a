"""Durations, sizes and rates are read exactly; a number without its unit is refused."""

from __future__ import annotations

import pytest

from kvbench.errors import UsageError
from kvbench.units import parse_duration_ns, parse_rate, parse_size


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0),
        ("1ns", 1),
        ("250us", 250_000),
        ("0.5ms", 500_000),
        ("0.1 MS", 100_000),
        ("1.5µs", 1500),
        ("3μs", 3000),
        ("2s", 2 * 10**9),
        ("0.3s", 300_000_000),
    ],
)
def test_a_duration_is_read_exactly(text, duration_ns):
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize(
    "text", ["", "5", "0.5", "ms", "-1ms", "1e3ms", "1m", "nan", "٣ms", "1 2ms"]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match=r"0\.5ms"):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"), [("2000", 2000), ("4kB", 4000), ("4 KiB", 4096), ("1m", 10**6), ("0", 0)]
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [
        ("10MB/s", 10**7),
        ("10mb", 10**7),
        ("1.5MiB/s", 3 << 19),
        ("100Mbit/s", 12_500_000),
        ("9bit/s", 1),
        ("1b/s", 1),
    ],
)
def test_rates(text, bytes_per_s):
    assert parse_rate(text) == bytes_per_s


@pytest.mark.parametrize("text", ["", "10", "10M", "MB/s", "-1MB/s", "0MB/s", "7bit/s", "1iB/s"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(UsageError, match=r"rate|per second"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "4x", "4iB", "-1", "1.5kB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="64MiB"):
        parse_size(text)
