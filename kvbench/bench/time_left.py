"""The expected duration of a run: a guess before the first round, then by the rounds so far."""

from __future__ import annotations

from kvbench.bench.plan import Settings

_FIRST_ROUND_S = 3.0


class TimeLeft:
    """Computes the remaining time.

    Args:
        settings: has the number of rounds. With a precision that number is unknown, and the time
            limit is used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rounds_s: list[float] = []

    def finish_round(self, elapsed_s: float) -> None:
        """A round has ended after this time."""
        self._rounds_s.append(elapsed_s)

    def at(self, share_of_round: float) -> tuple[float, float]:
        """The finished share of the run, 0 to 1, and the expected seconds to its end."""
        done = len(self._rounds_s)
        spent_s = sum(self._rounds_s)
        round_s = spent_s / done if done else _FIRST_ROUND_S
        total_s = round_s * self._settings.rounds
        if self._settings.precision:
            total_s = self._settings.max_time_s
        now_s = spent_s + share_of_round * round_s
        return min(1.0, now_s / total_s), max(0.0, total_s - now_s)
