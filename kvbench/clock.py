"""Time as an argument: code that needs a clock gets one, so that tests never sleep.

A clock is monotonic and counts nanoseconds from an arbitrary start. The engine reads it through
this protocol only; :class:`ManualClock` makes every TTL exact in a test.
"""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_MS = 1_000_000
"""Nanoseconds in a millisecond: TTLs travel in milliseconds, clocks count nanoseconds."""

NS_PER_S = 1_000_000_000
"""Nanoseconds in a second: the unit of timeouts that people set."""


class Clock(Protocol):
    """A source of time."""

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds, from an arbitrary start."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    now_ns = staticmethod(time.monotonic_ns)


class ManualClock:
    """A clock that only a test advances."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The time set so far, in nanoseconds."""
        return self._now_ns

    def advance_ms(self, ms: float) -> None:
        """Advance by ``ms`` milliseconds.

        Raises:
            ValueError: ``ms`` is negative; a monotonic clock does not go back.
        """
        if ms < 0:
            raise ValueError(f"a monotonic clock cannot go back by {-ms} ms")
        self._now_ns += round(ms * NS_PER_MS)
