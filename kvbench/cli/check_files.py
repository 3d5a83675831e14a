"""The files that ``kvbench check`` writes: reports, and a profile of what was seen.

What cannot be written is refused before a check begins, not after it has taken a minute.
"""

from __future__ import annotations

import datetime
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from kvbench import __version__
from kvbench.cli.output import show_document, tell
from kvbench.errors import UsageError

if TYPE_CHECKING:
    from kvbench.cli.check_run import Run
    from kvbench.verdicts import Conformance

Renderer = Callable[["Conformance"], str]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where each report goes; None for those that nobody asked for.

    Attributes:
        json: a path, or ``-`` for standard output.
        junit: a path, as all others.
    """

    json: str | None
    junit: Path | None
    markdown: Path | None
    html: Path | None
    badge: Path | None

    def check(self) -> None:
        """Refuse what could not be written or made at the end.

        Raises:
            UsageError: a directory that is not there or not ours, or one file for two reports.
        """
        taken: dict[Path, str] = {}
        for name, path in self._named().items():
            if name == "json" and str(path) == "-":
                continue
            check_writable(f"--{name}", path)
            other = taken.setdefault(path.resolve(), name)
            if other != name:
                raise UsageError(f"--{other} and --{name} both name {path}")

    def write(self, conformance: Conformance) -> None:
        """Write all that was asked for.

        Raises:
            UsageError: a file cannot be written after all.
        """
        from kvbench.report.output import write_report

        for name, path in self._named().items():
            text = _json(conformance) if name == "json" else self._renderer(name)(conformance)
            if name == "json" and str(path) == "-":
                show_document(text)
            else:
                write_report(path, text)

    def _named(self) -> dict[str, Path]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: Path(path) for name, path in found.items() if path is not None}

    @staticmethod
    def _renderer(name: str) -> Renderer:
        module = importlib.import_module(f"kvbench.report.conformance_{name}")
        render: Renderer = getattr(module, f"render_{name}")
        return render


def check_writable(option: str, path: Path) -> None:
    """Refuse a path where no file can be made.

    Raises:
        UsageError: naming the option and what is wrong.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: that is a directory, name a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no directory {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"{option} {path}: no file can be written there")


def check_profile_file(path: Path, targets: tuple[str, ...], *, force: bool) -> None:
    """Refuse to write a profile of several targets, or over one that a person has worked on."""
    if len(targets) > 1:
        raise UsageError("--write-profile takes one target: a profile is of one implementation")
    if path.exists() and not force:
        raise UsageError(f"--write-profile: {path} is there already; --force replaces it")
    check_writable("--write-profile", path)


def write_profile_file(path: Path, run: Run) -> None:
    """Write the profile with which this very run passes, its reasons left for a person to find."""
    from kvbench.conformance.profile import Deviation, profile_text
    from kvbench.report.format import count
    from kvbench.report.output import write_report
    from kvbench.verdicts import BROKEN, Outcome

    if not run.checked:
        tell(f"{path} is not written: nothing was seen")
        return
    checked = run.checked[0]
    today = datetime.datetime.now(datetime.UTC).date()
    reasons: dict[str, str] = {}
    for one in checked.found.verdicts:
        if one.verdict is Outcome.XFAIL:
            reasons[one.clause] = checked.profile.reason(one.clause)
        elif one.verdict in BROKEN:
            reasons.setdefault(one.clause, f"observed on {today}, to be explained: {one.detail}")
    target = checked.found.target
    remark = f"Written by kvbench {__version__} on {today} from what was seen of {target}."
    deviations = [Deviation(clause, reason) for clause, reason in reasons.items()]
    name = checked.profile.target or target
    write_report(path, profile_text(name, checked.capabilities, deviations, remark))
    to_explain = count(len(deviations), "deviation")
    tell(f"wrote {path}: {to_explain} to explain")


def _json(conformance: Conformance) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(conformance), indent=2).decode() + "\n"
