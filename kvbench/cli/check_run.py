"""Checks targets one after the other, even if one fails.

A target that cannot be opened is reported as not verified, and the next one is checked. The first
Ctrl-C ends the running case and skips the rest; the second ends the process.
"""

from __future__ import annotations

import contextlib
import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvbench import __version__, eviction
from kvbench.bench.interrupts import Interrupts
from kvbench.cli import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_UNREACHABLE,
    EXIT_UNVERIFIED,
)
from kvbench.cli.check_progress import choose_progress, restore_terminal
from kvbench.cli.output import notify
from kvbench.conformance.findings import INTERRUPTED
from kvbench.conformance.profile import Profile, read_profile
from kvbench.conformance.restart import Restarter
from kvbench.conformance.runner import (
    Capabilities,
    Options,
    check_target,
)
from kvbench.conformance.selection import Selection, ledger
from kvbench.conformance.target import Target
from kvbench.conformance.targets import discover, open_target
from kvbench.errors import KvbenchError, KvError
from kvbench.foreign_text import target_name
from kvbench.specs import directory
from kvbench.verdicts import SCHEMA, Conformance, Outcome, Summary, TargetVerdicts, judge

QUICK_S = 3.5
"""With start, discovery and the last case, `--quick` takes less than 5 s for each target."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """The request from the command line.

    Attributes:
        targets: as typed.
        selection: which clauses.
        profiles: the profile file of each target that has one.
        effort: 1, or more for more generated cases.
        seed: of all randomness.
        repro_directory: for failed conversations.
        restart_command: starts the server of the one target; empty for none.
    """

    targets: tuple[str, ...]
    selection: Selection
    profiles: Mapping[str, Path | None]
    effort: int
    seed: str
    repro_directory: Path
    restart_command: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a target that could be opened, and how it was checked."""

    found: TargetVerdicts
    profile: Profile
    capabilities: Capabilities


@dataclass(slots=True)
class CheckRun:
    """The result of a request.

    Attributes:
        conformance: the verdicts of all targets, in order.
        checked: the targets that could be opened.
        unreachable: number of targets that could not.
        is_interrupted: whether Ctrl-C ended it.
    """

    conformance: Conformance
    checked: list[Checked] = field(default_factory=list)
    unreachable: int = 0
    is_interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """See `kvbench check --help`."""
        targets = self.conformance.targets
        outcomes = {one.verdict for target in targets for one in target.verdicts}
        if self.is_interrupted:
            return EXIT_INTERRUPTED
        if any(target.summary is Summary.VIOLATES for target in targets):
            return EXIT_FAILED
        if self.unreachable or Outcome.ERROR in outcomes:
            return EXIT_UNREACHABLE
        is_unverified = any(target.summary is Summary.UNVERIFIED for target in targets)
        return EXIT_UNVERIFIED if is_unverified or not targets else 0


def run_check(request: CheckRequest) -> CheckRun:
    """Check every target.

    Raises:
        UsageError: a profile is invalid.
    """
    profiles = {
        target: read_profile(path, ledger()) for target, path in request.profiles.items() if path
    }
    started_at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    run = CheckRun(Conformance(SCHEMA, __version__, started_at, request.seed, ()))
    interrupts = Interrupts()
    found = []
    with interrupts.installed(restore_terminal):
        for target in request.targets:
            if run.is_interrupted:
                found.append(_unseen(target))
                continue
            found.append(_check(request, target, profiles.get(target, Profile()), run))
    run.conformance = Conformance(SCHEMA, __version__, started_at, request.seed, tuple(found))
    return run


def _check(request: CheckRequest, text: str, profile: Profile, run: CheckRun) -> TargetVerdicts:
    """Check one target, or report why it cannot be checked."""
    restarter = Restarter(request.restart_command) if request.restart_command else None
    try:
        with open_target(text, request.selection.suites, restarter) as target:
            _warn_of_eviction(target)
            discovery = discover(target, profile, request.selection.suites)
            progress = choose_progress(target.name)
            options = Options(
                request.selection,
                profile,
                request.seed,
                request.effort,
                repro_directory=_directory(request, text),
                time_limit_s=QUICK_S if request.selection.is_quick else math.inf,
                on_case=progress.on_case,
                on_verdicts=progress.on_verdicts,
            )
            facts = discovery.facts | _named(request.profiles.get(text))
            try:
                found = check_target(target, discovery.capabilities, options, facts)
            finally:
                progress.close()
    except KeyboardInterrupt:
        run.is_interrupted = True
        return _unseen(text)
    except KvbenchError as error:
        if len(request.targets) == 1:
            raise
        run.unreachable += 1
        notify(f"{target_name(text)}: {error}")
        return _unseen(text, error)
    finally:
        if restarter is not None:
            restarter.stop()
    run.is_interrupted = found.is_interrupted
    run.checked.append(Checked(found, profile, discovery.capabilities))
    return found


def _warn_of_eviction(target: Target) -> None:
    """Warn the owner of a store about risks of a check; a private store has no other keys."""
    store = target.store
    if store is None or store.private_url:
        return
    with contextlib.suppress(KvError):  # If the store fails here, the cases will report it.
        text = eviction.warning(target.name, store.describe())
        if text:
            notify(text)


def _unseen(text: str, error: KvbenchError | None = None) -> TargetVerdicts:
    """A target that could not be opened; without an error, because of Ctrl-C."""
    facts = {"not verified": str(error) if error is not None else INTERRUPTED}
    return judge(target_name(text), (), (), facts, (), 0.0, is_interrupted=error is None)


def _named(profile: Path | None) -> dict[str, str]:
    """The profile as the record names it: one shipped with kvbench gets no path."""
    if profile is None:
        return {}
    is_shipped = profile.parent == directory() / "profiles"
    return {"profile": f"{profile.name}, shipped with kvbench" if is_shipped else str(profile)}


def _directory(request: CheckRequest, text: str) -> Path:
    """Directory of this target's failed conversations: a separate one if there are several."""
    if len(request.targets) == 1:
        return request.repro_directory
    name = re.sub(r"[^A-Za-z0-9.]+", "-", target_name(text)).strip("-")
    return request.repro_directory / name
