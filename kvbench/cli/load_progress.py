"""Progress of a load run on standard error: rate, p99, errors and a sparkline on a terminal."""

from __future__ import annotations

import sys
from collections import deque

from typing_extensions import override

from kvbench.bench.events import Event, Progressed
from kvbench.cli.run_progress import RunBar, RunLines, RunProgress
from kvbench.load.messages import Glimpse
from kvbench.report import format as text

_BARS = "▁▂▃▄▅▆▇█"
_POINTS = 12


def choose_load_progress() -> RunProgress:
    """A live view when standard error is a terminal, lines otherwise."""
    return LoadBar() if sys.stderr.isatty() else RunLines()


class LoadBar(RunBar):
    """A line with the time left, keys per second, p99, errors, a sparkline, and the lane."""

    bar_columns = 8

    def __init__(self) -> None:
        super().__init__()
        self._lane = ""
        self._rates: deque[float] = deque(maxlen=_POINTS)
        self._shown = ""

    @override
    def observe(self, event: Event | Glimpse) -> None:
        if isinstance(event, Glimpse):
            self._take(event)
            return
        if isinstance(event, Progressed) and event.text == self._lane and self._shown:
            event = Progressed(f"{self._shown} {event.text}", event.share, event.left_s)
        super().observe(event)

    def _take(self, glimpse: Glimpse) -> None:
        if glimpse.text != self._lane:
            self._lane = glimpse.text
            self._rates.clear()
        self._rates.append(glimpse.keys_per_s)
        top = max(self._rates) or 1.0
        bars = "".join([_BARS[round(rate / top * (len(_BARS) - 1))] for rate in self._rates])
        parts = [f"{text.rate(glimpse.keys_per_s)} keys/s"]
        if glimpse.p99_ns:
            parts.append(f"p99 {text.duration(glimpse.p99_ns)}")
        if glimpse.errors:
            parts.append(f"{glimpse.errors:,} errors")
        self._shown = f"{', '.join(parts)} {bars}"
