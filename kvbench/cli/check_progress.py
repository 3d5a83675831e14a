"""Progress of a check on standard error: a bar on a terminal, a few lines otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Protocol

from kvbench.cli.output import make_console, progress
from kvbench.conformance.case import Case
from kvbench.verdicts import VIOLATIONS, Verdict

_LINES_PER_TARGET = 4


class CheckProgress(Protocol):
    """Shows the progress of the check of one target."""

    def on_case(self, case: Case, place: int, count: int) -> None:
        """A case is about to run."""

    def on_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """A case has ended."""

    def close(self) -> None:
        """Restore the terminal."""


def choose_progress(target: str) -> CheckProgress:
    """A bar when standard error is a terminal, lines otherwise."""
    return CheckBar(target) if sys.stderr.isatty() else CheckLines(target)


def restore_terminal() -> None:
    """Show the cursor again when the process ends abruptly: the bar had hidden it."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")
        sys.stderr.flush()


class CheckBar:
    """The running case, a bar, and the number of failed clauses."""

    def __init__(self, target: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._broken: set[str] = set()
        self._progress = Progress(
            TextColumn("{task.fields[target]}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[broken]}", style="red", markup=False),
            TextColumn("{task.description}", markup=False),
            console=make_console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, target=target, broken="")
        self._progress.start()

    def on_case(self, case: Case, place: int, count: int) -> None:
        """As the protocol says."""
        self._progress.update(self._task, completed=place, total=count, description=case.name)

    def on_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """As the protocol says."""
        self._broken.update(_broken(verdicts))
        broken = f"{len(self._broken)} failed" if self._broken else ""
        self._progress.update(self._task, broken=broken)

    def close(self) -> None:
        """As the protocol says."""
        self._progress.stop()


class CheckLines:
    """A line at each quarter of the cases, and one for each case that fails."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._quarter = -1

    def on_case(self, case: Case, place: int, count: int) -> None:
        """As the protocol says."""
        quarter = place * _LINES_PER_TARGET // count
        if quarter > self._quarter:
            self._quarter = quarter
            progress(f"{self._target}: {place} of {count} cases")

    def on_verdicts(self, verdicts: Iterable[Verdict]) -> None:
        """As the protocol says."""
        broken = _broken(verdicts)
        if broken:
            progress(f"{self._target}: failed {', '.join(sorted(broken))}")

    def close(self) -> None:
        """Nothing to restore."""


def _broken(verdicts: Iterable[Verdict]) -> set[str]:
    return {one.clause for one in verdicts if one.verdict in VIOLATIONS}
