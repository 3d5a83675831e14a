"""What happens in a run, as it happens. An observer prints, records or counts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvbench.results import Record


@dataclass(frozen=True, slots=True)
class Progressed:
    """Something goes on: the occasion to show progress.

    Attributes:
        text: what is being done, e.g. ``kvb:// mget × 100``.
        share: of the whole run's expected time that has passed, 0 to 1.
        left_s: expected seconds until the end.
    """

    text: str
    share: float
    left_s: float


@dataclass(frozen=True, slots=True)
class Recorded:
    """A record is complete: to be written, and shown if one likes."""

    record: Record


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should know now, in one line."""

    text: str


@dataclass(frozen=True, slots=True)
class KeysLeft:
    """A target could not be reached to remove the run's keys.

    Attributes:
        target: its URL, without a password.
        prefix: what the keys that may remain begin with.
        reason: why they could not be removed.
    """

    target: str
    prefix: str
    reason: str


Event = Progressed | Recorded | Warned | KeysLeft
Observer = Callable[[Event], None]
