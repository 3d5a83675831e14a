"""Checks targets one after the other, whatever becomes of each.

A target that cannot be opened is reported as not verified, and the next one has its turn. The first
Ctrl-C ends the case that runs and leaves the rest skipped; the second ends the process.
"""

from __future__ import annotations

import contextlib
import datetime
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
from kvbench.cli.output import tell
from kvbench.conformance.findings import INTERRUPTED
from kvbench.conformance.profile import Profile, read_profile
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


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What was asked for.

    Attributes:
        targets: as typed.
        selection: which clauses.
        profiles: the profile's file of each target that has one.
        effort: 1, or more for deeper generated cases.
        seed: of all that is random.
        repro_directory: where failed conversations go.
    """

    targets: tuple[str, ...]
    selection: Selection
    profiles: Mapping[str, Path | None]
    effort: int
    seed: str
    repro_directory: Path


@dataclass(frozen=True, slots=True)
class Checked:
    """A target that could be opened: what was found, and with what."""

    found: TargetVerdicts
    profile: Profile
    capabilities: Capabilities


@dataclass(slots=True)
class CheckRun:
    """What came of a request.

    Attributes:
        conformance: the verdicts on all targets, in their order.
        checked: the targets that could be opened.
        unreachable: how many could not.
        is_interrupted: whether Ctrl-C ended it.
    """

    conformance: Conformance
    checked: list[Checked] = field(default_factory=list)
    unreachable: int = 0
    is_interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """As `kvbench check --help` says."""
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
        UsageError: a profile is wrong.
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
    """Check one target, or say why not."""
    try:
        with open_target(text, request.selection.suites) as target:
            _warn_of_eviction(target)
            discovery = discover(target, profile, request.selection.suites)
            progress = choose_progress(target.name)
            options = Options(
                request.selection,
                profile,
                request.seed,
                request.effort,
                repro_directory=_directory(request, text),
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
        tell(f"{target_name(text)}: {error}")
        return _unseen(text, error)
    run.is_interrupted = found.is_interrupted
    run.checked.append(Checked(found, profile, discovery.capabilities))
    return found


def _warn_of_eviction(target: Target) -> None:
    """Say what a check can cost the owner of the store; a private one has no other keys."""
    store = target.store
    if store is None or store.private_url:
        return
    with contextlib.suppress(KvError):  # A store that fails here is judged by the cases.
        text = eviction.warning(target.name, store.describe())
        if text:
            tell(text)


def _unseen(text: str, error: KvbenchError | None = None) -> TargetVerdicts:
    """A target that could not be opened; without an error, Ctrl-C came first."""
    facts = {"not verified": str(error) if error is not None else INTERRUPTED}
    return judge(target_name(text), (), (), facts, (), 0.0, is_interrupted=error is None)


def _named(profile: Path | None) -> dict[str, str]:
    """The profile as the record names it: one that came with kvbench has no place of its own."""
    if profile is None:
        return {}
    is_shipped = profile.parent == directory() / "profiles"
    return {"profile": f"{profile.name}, shipped with kvbench" if is_shipped else str(profile)}


def _directory(request: CheckRequest, text: str) -> Path:
    """Where this target's failed conversations go: a place of its own where there are several."""
    if len(request.targets) == 1:
        return request.repro_directory
    name = re.sub(r"[^A-Za-z0-9.]+", "-", target_name(text)).strip("-")
    return request.repro_directory / name
