"""Figures as text: units, three digits at most, and never more than an interval supports."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.report import format as text
from kvbench.results import Figure


@pytest.mark.parametrize(
    ("keys_per_s", "shown"),
    [
        (12_300_000, "12.3M"),
        (5_077, "5.08k"),
        (912.4, "912"),
        (999_600, "1.00M"),
        (999.4, "999"),
        (2.5e9, "2.50G"),
        (0, "0"),
        (1e300, "1.00e+291G"),
    ],
)
def test_rates_carry_a_unit(keys_per_s, shown):
    assert text.rate(keys_per_s) == shown


@pytest.mark.parametrize(
    ("time_ns", "digits", "shown"),
    [
        (85.04, 3, "85.0 ns"),
        (85.04, 2, "85 ns"),
        (1_240, 3, "1.24 µs"),
        (999.6, 3, "1.00 µs"),
        (3_100_000, 2, "3.1 ms"),
        (7.2e10, 3, "72.0 s"),
        (0.25, 3, "0.250 ns"),
    ],
)
def test_durations_carry_a_unit(time_ns, digits, shown):
    assert text.duration(time_ns, digits) == shown


@pytest.mark.parametrize(
    ("interval", "figure", "bounds"),
    [
        (Figure(4.312, 4.204, 4.426), "4.31×", "[4.20, 4.43]"),
        (Figure(58.2, 51.3, 65.8), "58×", "[51, 66]"),
        (Figure(84.0, 60.0, 140.0), "80×", "[60, 140]"),
        (Figure(1.2345, 1.2344, 1.2346), "1.23×", "[1.23, 1.24]"),
        (Figure(0.8231, 0.7312, 0.9414), "0.82×", "[0.73, 0.95]"),
        (Figure(3.2, 0.5, 40.0), "3×", "[0, 40]"),
        (Figure(2.0, 2.0, 2.0), "2.00×", "[2.00, 2.00]"),
        (Figure(1234.0, 1220.0, 1250.0), "1,230×", "[1,220, 1,250]"),
    ],
)
def test_a_speedup_shows_the_digits_that_its_interval_supports(interval, figure, bounds):
    assert text.ratio(interval) == figure
    assert text.bounds(interval) == bounds


ratios = st.floats(1e-4, 1e6)


@given(st.lists(ratios, min_size=3, max_size=3))
def test_a_printed_interval_is_never_narrower_than_measured(figures):
    low, estimate, high = sorted(figures)
    figure = Figure(estimate, low, high)
    shown_low, shown_high = text.bounds(figure).strip("[]").split(", ")
    assert Decimal(shown_low.replace(",", "")) <= Decimal(repr(low))
    assert Decimal(shown_high.replace(",", "")) >= Decimal(repr(high))


@given(st.lists(ratios, min_size=3, max_size=3))
def test_no_figure_shows_more_than_three_digits(figures):
    low, estimate, high = sorted(figures)
    interval = Figure(estimate, low, high)
    shown = text.ratio(interval).rstrip("×").replace(",", "").replace(".", "").lstrip("0")
    assert len(shown.rstrip("0") or "0") <= 3
    assert 2 <= text.supported_digits(interval) <= 3


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_is_written_short(number):
    assert len(text.rate(number)) < 30
    assert len(text.duration(number)) < 30
    assert len(text.ratio(Figure(number, number, number))) < 30


def test_without_an_interval_there_are_three_digits_and_no_ends():
    assert text.ratio(Figure(4.3126)) == "4.31×"
    assert text.bounds(Figure(4.3126)) == text.half_width(Figure(4.3126)) == ""
    assert text.supported_digits(Figure(4.3126)) == 3


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (Figure(100.0, 97.1, 102.9), "±3%"),
        (Figure(100.0, 99.64, 100.36), "±0.4%"),
        (Figure(100.0, -50.0, 250.0), "±150%"),
        (Figure(-20.0, -30.0, -10.0), "±50%"),
        (Figure(0.0, -1.0, 1.0), ""),
    ],
)
def test_half_widths_are_rounded_up(figure, shown):
    assert text.half_width(figure) == shown


def test_sizes_are_written_short():
    assert [text.size(one) for one in (1.04, 25.4, 158.2, 12_345)] == ["1.0", "25", "158", "12.3k"]
    assert text.times(158.4) == "158×"
    assert text.times(7.46, 2) == "7.5×"


def test_settings_of_any_type_are_written_for_a_reader():
    assert text.value(True) == "yes"
    assert text.value(None) == "—"
    assert text.value([10, 100, 1000]) == "10, 100, 1000"
    assert text.value({"numpy": "2.4", "load": 0.412345}) == "numpy 2.4, load 0.4123"


def test_text_from_outside_cannot_move_the_cursor():
    assert text.plain("a\x1b[31mb\nc\u202ed\ud800") == r"a\x1b[31mb\nc\u202ed\ud800"
    assert text.plain("memory://ключ/キー") == "memory://ключ/キー"


def test_counts_agree_with_their_noun():
    assert text.count(1, "cell") == "1 cell"
    assert text.count(1200, "cell") == "1,200 cells"
