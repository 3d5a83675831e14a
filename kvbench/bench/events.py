"""Events of a run. An observer prints, records or counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvbench.results import Record


@dataclass(frozen=True, slots=True)
class Progressed:
    """Progress to show.

    Attributes:
        text: the current work, e.g. ``kvb:// mget × 100``.
        share: elapsed share of the whole run's expected time, 0 to 1.
        left_s: expected seconds until the end.
    """

    text: str
    share: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record is complete, to be written or shown."""

    record: Record


@dataclass(frozen=True, slots=True)
class Warned:
    """A one-line message that the user should see now."""

    text: str


@dataclass(frozen=True, slots=True)
class KeysLeft:
    """A target could not be reached to remove the run's keys.

    Attributes:
        target: its URL, without a password.
        prefix: of the keys that may remain.
        reason: why they could not be removed.
    """

    target: str
    prefix: str
    reason: str


Event = Progressed | Recorded | Warned | KeysLeft
Observer = Callable[[Event], None]
