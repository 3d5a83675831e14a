"""Parses durations, sizes and rates exactly: ``0.5ms``, ``64MiB``, ``10MB/s``.

A number without a unit is rejected if its unit is ambiguous.
"""

from __future__ import annotations

import re
from fractions import Fraction

from kvbench.errors import UsageError

_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)\s*"
_DURATION = re.compile(_NUMBER + r"(ns|us|µs|μs|ms|s)", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})\s*([kmg]?)(i?)b?", re.ASCII)
_RATE = re.compile(_NUMBER + r"([kmg]?)(i?)(b|bit)(/s)?", re.ASCII)

_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
"""Both characters for micro are used: the sign (Latin-1) and the Greek letter."""

_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of ``0.5ms``, ``250us``, ``2s``; also of ``0``.

    Raises:
        UsageError: it is not a duration, or has no unit; the message says what to write.
    """
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        if text.strip() == "0":
            return 0
        raise UsageError(f"{text!r} is not a duration; add a unit, e.g. 250us, 0.5ms or 2s")
    return round(Fraction(match[1]) * _NANOSECONDS[match[2]])


def parse_size(text: str) -> int:
    """Bytes of ``1000000``, ``4kB`` (4,000) or ``64MiB`` (67,108,864).

    Raises:
        UsageError: it is not a size; the message says what to write.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or (match[3] and not match[2]):
        raise UsageError(f"{text!r} is not a size; write 1000000, 4kB or 64MiB")
    return int(match[1]) * (_BINARY if match[3] else _DECIMAL)[match[2]]


def parse_rate(text: str) -> int:
    """Bytes per second of ``10MB/s``, ``1.5MiB/s`` or ``100Mbit/s``; ``/s`` may be left out.

    Raises:
        UsageError: it is not a rate, or under a byte per second; the message says what to write.
    """
    match = _RATE.fullmatch(text.strip().lower())
    if match is None or (match[3] and not match[2]):
        raise UsageError(f"{text!r} is not a rate; write 500kB/s, 10MB/s or 100Mbit/s")
    units = (_BINARY if match[3] else _DECIMAL)[match[2]]
    bytes_per_s = int(Fraction(match[1]) * units / (8 if match[4] == "bit" else 1))
    if bytes_per_s < 1:
        raise UsageError(f"{text!r} is under a byte per second")
    return bytes_per_s
