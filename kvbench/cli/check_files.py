"""The files that ``kvbench check`` writes: reports, and a profile from the findings.

A file that cannot be written is an error before the check begins, not after it took a minute.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from kvbench import __version__
from kvbench.cli.output import notify, show_document
from kvbench.errors import UsageError
from kvbench.report.formats import VERDICTS_FORMATS

if TYPE_CHECKING:
    from kvbench.cli.check_run import CheckRun
    from kvbench.verdicts import Conformance

STDOUT = Path("-")


class Outputs:
    """The file of each report.

    Args:
        files: a path for each requested format; :data:`STDOUT` if the format can be printed.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def check(self) -> None:
        """Check that every file can be written at the end.

        Raises:
            UsageError: a directory is missing or not writable, or two reports have the same file.
        """
        taken: dict[Path, str] = {}
        for name, path in self._files.items():
            if self._is_printed(name):
                continue
            check_writable(f"--{name}", path)
            other = taken.setdefault(path.resolve(), name)
            if other != name:
                raise UsageError(f"--{other} and --{name} both name {path}")

    def write(self, conformance: Conformance) -> None:
        """Write all requested reports.

        Raises:
            UsageError: a file cannot be written after all.
        """
        from kvbench.cli.ci import append_summary
        from kvbench.report.output import write_report

        for name, path in self._files.items():
            text = VERDICTS_FORMATS[name].render(conformance)
            if self._is_printed(name):
                show_document(text)
            else:
                write_report(path, text)
            if name == "markdown":
                append_summary(text)

    @property
    def use_stdout(self) -> bool:
        """Whether one of the reports is printed."""
        return any(map(self._is_printed, self._files))

    def _is_printed(self, name: str) -> bool:
        return self._files[name] == STDOUT and VERDICTS_FORMATS[name].can_print


def check_writable(option: str, path: Path) -> None:
    """Check that a file can be created at the path.

    Raises:
            UsageError: names the option and the problem.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: that is a directory, name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{option} {path}: no file can be written there")


def check_profile_file(path: Path, targets: tuple[str, ...], *, force: bool) -> None:
    """Refuse to write a profile of several targets, or to replace one that a person has edited."""
    if len(targets) > 1:
        raise UsageError("--write-profile takes one target: a profile is of one implementation")
    if path.exists() and not force:
        raise UsageError(f"--write-profile: {path} is there already; --force replaces it")
    check_writable("--write-profile", path)


def write_profile_file(path: Path, run: CheckRun) -> None:
    """Write a profile with which this run would pass; a person must complete its reasons."""
    from kvbench.conformance.profile import Deviation, profile_text
    from kvbench.report.format import count
    from kvbench.report.output import write_report
    from kvbench.verdicts import BROKEN, Outcome

    if not run.checked:
        notify(f"{path} is not written: nothing was seen")
        return
    checked = run.checked[0]
    today = datetime.datetime.now(datetime.UTC).date()
    reasons: dict[str, str] = {}
    observed: dict[str, str] = {}
    for one in checked.found.verdicts:
        if one.verdict is Outcome.XFAIL:
            reasons[one.clause] = checked.profile.reason(one.clause)
        elif one.verdict in BROKEN:
            reasons.setdefault(one.clause, "")
            observed.setdefault(one.clause, one.detail)
    target = checked.found.target
    remark = f"Written by kvbench {__version__} on {today} from what was seen of {target}."
    deviations = [Deviation(clause, reason) for clause, reason in reasons.items()]
    name = checked.profile.target or target
    write_report(path, profile_text(name, checked.capabilities, deviations, remark, observed))
    to_explain = f"; {count(len(observed), 'deviation')} without a reason yet" if observed else ""
    notify(f"wrote {path}{to_explain}")
