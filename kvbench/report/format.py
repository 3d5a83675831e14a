"""Figures as text: the rules for digits, units and rounding.

- Three significant digits at most: no benchmark on a shared machine is more precise.
- A figure with an interval gets only the digits that the interval supports, by the rule of the
  Particle Data Group (Review of Particle Physics, introduction, section 5.3): the last digit is
  the second digit of the uncertainty if that begins with 10 to 35, else its first.
- The ends of an interval are rounded outwards: it is never printed narrower than measured.

Rounding is decimal, on the shortest text of the float, so 0.285 is treated as 0.285.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from kvbench.foreign_text import printable
from kvbench.results import Figure

DIGITS_MAX = 3
DIGITS_MIN = 2
"""One digit would hide a factor of 1.5."""

NO_FIGURE = "—"

_PERCENT_MAX = 999
"""A wider interval says nothing: two rounds that differ much."""

Writer = Callable[[float, int], str]
"""A figure and its number of digits, as text."""

_RATE_UNITS = ((9, "G"), (6, "M"), (3, "k"), (0, ""))
_TIME_UNITS = ((9, "s"), (6, "ms"), (3, "µs"), (0, "ns"))
_PLAIN_EXPONENTS = range(-6, 16)
"""Orders of magnitude written out; larger figures are mistakes, and are shortened."""


def rate(keys_per_s: float, digits: int = DIGITS_MAX) -> str:
    """Keys per second without the unit's name: ``12.3M``, ``5.08k``, ``912``."""
    figure, suffix = _scale(keys_per_s, digits, _RATE_UNITS)
    return f"{figure}{suffix}"


def duration(time_ns: float, digits: int = DIGITS_MAX) -> str:
    """A time given in nanoseconds: ``85.0 ns``, ``1.24 µs``, ``3.10 ms``."""
    figure, suffix = _scale(time_ns, digits, _TIME_UNITS)
    return f"{figure} {suffix}"


def size(keys: float, digits: int = DIGITS_MAX) -> str:
    """A number of keys: ``158``, ``1.24k``."""
    return rate(keys, digits) if keys >= 1000 else f"{keys:.0f}" if keys >= 10 else f"{keys:.1f}"


def times(value: float, digits: int = DIGITS_MAX) -> str:
    """A ratio with so many digits: ``158×``."""
    rounded = _round_to_digits(_decimal(value), digits)
    return f"{_write(rounded, rounded.adjusted() - digits + 1)}×"


def ratio(figure: Figure) -> str:
    """An estimated ratio, as precise as its interval: ``4.31×``."""
    place = _last_place(figure)
    return f"{_write(_round_to_place(_decimal(figure.estimate), place), place)}×"


def bounds(figure: Figure) -> str:
    """The interval of :func:`ratio`, to the same place and rounded outwards: ``[4.20, 4.43]``.

    Empty where there is no interval.
    """
    if figure.low is None or figure.high is None:
        return ""
    place = _last_place(figure)
    low = _round_to_place(_decimal(figure.low), place, ROUND_FLOOR)
    high = _round_to_place(_decimal(figure.high), place, ROUND_CEILING)
    return f"[{_write(low, place)}, {_write(high, place)}]"


def half_width(figure: Figure) -> str:
    """Half of an interval's width as a share of the estimate, rounded up: ``±3%``, ``±0.4%``."""
    if figure.low is None or figure.high is None or not figure.estimate:
        return ""
    # Rounded first, so that a float's last bit does not become a whole percent.
    percent = _decimal(round((figure.high - figure.low) / 2 / abs(figure.estimate) * 100, 6))
    if percent > _PERCENT_MAX:
        return f"±>{_PERCENT_MAX}%"
    return f"±{percent.quantize(Decimal('0.1') if percent < 1 else Decimal(1), ROUND_CEILING)}%"


def supported_digits(figure: Figure) -> int:
    """Number of significant digits of an estimate, 2 or 3."""
    digits = _decimal(figure.estimate).adjusted() - _last_place(figure) + 1
    return min(DIGITS_MAX, max(DIGITS_MIN, digits))


def plain(text: object) -> str:
    """Text from a results file without characters that move a cursor or break a row."""
    return printable(str(text))


def value(thing: object) -> str:
    """A setting or fact of any JSON type, as text."""
    match thing:
        case bool():
            return "yes" if thing else "no"
        case float():
            return f"{thing:.4g}"
        case dict():
            return ", ".join([f"{plain(name)} {value(one)}" for name, one in thing.items()])
        case list() | tuple():
            return ", ".join([value(one) for one in thing])
        case None:
            return NO_FIGURE
        case _:
            return plain(thing)


def count(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def _round_to_place(number: Decimal, place: int, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Rounded so that the last digit stands at 10 to the power of ``place``."""
    return number.scaleb(-place).to_integral_value(rounding).scaleb(place)


def _round_to_digits(number: Decimal, digits: int) -> Decimal:
    return _round_to_place(number, number.adjusted() - digits + 1)


def _write(number: Decimal, place: int) -> str:
    if not number:
        return "0"
    if number.adjusted() not in _PLAIN_EXPONENTS:
        return f"{number:.2e}"
    return f"{number:,.{max(0, -place)}f}"


def _scale(value: float, digits: int, units: tuple[tuple[int, str], ...]) -> tuple[str, str]:
    """The figure and its unit, chosen after rounding: 999.9 k is 1.00 M."""
    rounded = _round_to_digits(_decimal(value), digits)
    exponent, suffix = next(
        (unit for unit in units if rounded.adjusted() >= unit[0]),
        units[-1],
    )
    scaled = rounded.scaleb(-exponent)
    return _write(scaled, scaled.adjusted() - digits + 1), suffix


def _last_place(figure: Figure) -> int:
    """The power of ten at which the last digit of an estimate and its interval stands."""
    leading = _decimal(figure.estimate).adjusted()
    if figure.low is None or figure.high is None:
        return leading - DIGITS_MAX + 1
    half_width = (_decimal(figure.high) - _decimal(figure.low)) / 2
    if half_width <= 0:
        return leading - DIGITS_MAX + 1
    place = half_width.adjusted()
    if half_width.scaleb(-place) < Decimal("3.55"):
        place -= 1
    return min(leading, max(place, leading - DIGITS_MAX + 1))
