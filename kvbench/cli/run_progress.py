"""Progress of a run on standard error: a bar on a terminal, lines otherwise.

Neither uses a thread, which could disturb the timed slices. They redraw only on events of the
runner, and seldom: measuring takes place in another process, if possible on another core.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol

from kvbench.bench.events import Event, Progressed, Recorded
from kvbench.cli.output import make_console, progress
from kvbench.results import Round

_REFRESH_S = 0.25
_SHOW_CURSOR = "\x1b[?25h"


class RunProgress(Protocol):
    """Shows events to a person."""

    def observe(self, event: Event) -> None:
        """Show an event, if it matters."""

    def close(self) -> None:
        """Restore the terminal; nothing is shown after this."""

    def restore_terminal(self) -> None:
        """The minimum of that, for a process that ends abruptly."""


def choose_progress() -> RunProgress:
    """A bar when standard error is a terminal, lines otherwise."""
    return RunBar() if sys.stderr.isatty() else RunLines()


class RunBar:
    """A line with what is being measured, a bar and the time left."""

    bar_columns = 24

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._rounds = 0
        self._drawn_s = 0.0
        self._progress = Progress(
            TextColumn("{task.fields[round]}", markup=False),
            BarColumn(bar_width=self.bar_columns),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.description}", markup=False),
            console=make_console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=1.0, round="", left="")
        self._progress.start()

    def observe(self, event: Event) -> None:
        """Redraw, at a limited rate."""
        from rich.text import Text

        if isinstance(event, Recorded) and isinstance(event.record, Round):
            self._rounds = event.record.number
        if not isinstance(event, Progressed) or time.monotonic() < self._drawn_s + _REFRESH_S:
            return
        number, left = f"round {self._rounds + 1}", f"{_seconds(event.left_s)} left"
        # Shorten the description, not the figures.
        description = Text(event.text)
        fixed = len(number) + self.bar_columns + len(left) + len("   ")
        description.truncate(max(0, self._progress.console.width - fixed), overflow="ellipsis")
        self._progress.update(
            self._task,
            completed=event.share,
            description=description.plain,
            round=number,
            left=left,
        )
        self._progress.refresh()
        self._drawn_s = time.monotonic()

    def close(self) -> None:
        """Remove the bar."""
        self._progress.stop()

    def restore_terminal(self) -> None:
        """Show the cursor, which the bar had hidden."""
        sys.stderr.write(_SHOW_CURSOR)
        sys.stderr.flush()


class RunLines:
    """A line for each finished round."""

    def __init__(self) -> None:
        self._left_s = 0.0

    def observe(self, event: Event) -> None:
        """Print a line when a round is finished."""
        if isinstance(event, Progressed):
            self._left_s = event.left_s
        if isinstance(event, Recorded) and isinstance(event.record, Round):
            done = event.record
            progress(
                f"round {done.number} done in {done.elapsed_s:.1f} s, "
                f"about {_seconds(self._left_s)} left"
            )

    def close(self) -> None:
        """Nothing to restore."""

    def restore_terminal(self) -> None:
        """Nothing to restore."""


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
