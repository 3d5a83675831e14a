"""The wire suite run against one mutant.

The mutant of the reference server is a process of its own, which runs a copy of the package with
one file changed, and the codec in pure Python. The suite is unchanged. Cases that have killed many
mutants come first, then those that are fast on the right server; the first that fails kills the
mutant. A case that waits, or fails because nothing came in time, must fail a second time on a new
server: a busy machine kills nothing.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import kvbench
from kvbench.conformance.case import Case
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.verdicts import BROKEN

from ..mutants.hunt import CAPABILITIES
from .operators import Mutation, mutated
from .sample import NO_START, Tried, killer_by_name, kills

START_TIMEOUT_S = 20.0
TRIAL_SECONDS_MAX = 150.0
"""Ends a trial against a mutant that has not failed until then: it counts as alive."""

UNHURRIED_S = 0.3
"""A case that takes longer than this on the right server waits for something."""

SEED = "mutation"
PACKAGE = Path(kvbench.__file__).parent

SERVER = """
import asyncio, logging
logging.disable(logging.CRITICAL)
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import serve
asyncio.run(serve(ServerConfig(port=0), ready=lambda address: print(address, flush=True)))
"""

Address = tuple[str, int]
Serving = Callable[[], AbstractContextManager[Address | None]]
"""Starts a server: where it listens, or None when it does not start."""


class Copy:
    """A copy of the package in a folder, to change one file at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.c")
        shutil.copytree(PACKAGE, folder / "kvbench", ignore=ignored)
        compileall.compile_dir(str(folder), quiet=2)

    @contextlib.contextmanager
    def changed(self, module: str, source: str) -> Iterator[None]:
        """The copy with another source of one module."""
        path = self._folder.joinpath(*module.split(".")).with_suffix(".py")
        before = path.read_text()
        # Times of files are too coarse to tell a compiled file from an older source.
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            stale.unlink()
        path.write_text(source)
        try:
            yield
        finally:
            path.write_text(before)

    def serving(self) -> AbstractContextManager[Address | None]:
        """A server of the copy."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self._folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "KVBENCH_PURE": "1",
        }
        return started([sys.executable, "-P", "-c", SERVER], environment, self._folder)


@contextlib.contextmanager
def started(
    command: list[str], environment: dict[str, str], folder: Path
) -> Iterator[Address | None]:
    """A server process that prints where it listens as its first line."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
            line = process.stdout.readline() if ready else ""
            host, _, port = line.split()[-1].rpartition(":") if line.split() else ("", "", "")
            yield (host, int(port)) if port.isdigit() else None
        finally:
            process.kill()


def attempt(copy: Copy, mutation: Mutation, seconds_of: dict[str, float]) -> Tried:
    """Run the suite against a mutant of the reference server until a case fails.

    Args:
        copy: where it is made.
        mutation: the fault.
        seconds_of: how long each case takes on the right server; only these cases are run.
    """
    began = time.monotonic()
    path = PACKAGE.joinpath(*mutation.module.split(".")[1:]).with_suffix(".py")
    with copy.changed(mutation.module, mutated(path.read_text(), mutation)):
        known = killer_by_name().get(mutation.name, "")
        killer = killer_of(copy.serving, CAPABILITIES, frozenset(), seconds_of, known)
    return Tried(mutation.name, killer, time.monotonic() - began)


def killer_of(
    serving: Serving,
    capabilities: frozenset[str],
    declared: frozenset[str],
    seconds_of: dict[str, float],
    known: str = "",
) -> str:
    """The first case that fails, ``known`` before others; NO_START, or empty if none fails."""
    end = time.monotonic() + TRIAL_SECONDS_MAX
    cases = sorted(
        [case for case in WIRE.cases if case.name in seconds_of],
        key=lambda case: (case.name != known, -kills()[case.name], seconds_of[case.name]),
    )
    with serving() as address:
        if address is None:
            return NO_START
        runner = _runner(address, capabilities)
        for case in cases:
            if time.monotonic() > end:
                return ""
            why = _failure(runner, case, declared)
            if why is None:
                continue
            is_hurried = seconds_of[case.name] < UNHURRIED_S and "within" not in why
            if is_hurried or _fails_again(serving, case, capabilities, declared):
                return case.name
    return ""


def _fails_again(
    serving: Serving, case: Case, capabilities: frozenset[str], declared: frozenset[str]
) -> bool:
    with serving() as address:
        return (
            address is None or _failure(_runner(address, capabilities), case, declared) is not None
        )


def _runner(address: Address, capabilities: frozenset[str]) -> Runner:
    # Any failure kills: what it is evidence of does not matter here.
    selection = Selection(suites=frozenset({WIRE}))
    options = Options(selection, Profile(), SEED, is_ground_checked=False)
    return Runner(Target("the mutant", address=address), capabilities, options)


def _failure(runner: Runner, case: Case, declared: frozenset[str]) -> str | None:
    """What a case says against the server; None if nothing but what is declared as a deviation.

    A case that could not be run to its end says nothing.
    """
    for verdict in runner.verdicts(case):
        if verdict.verdict in BROKEN and verdict.clause not in declared:
            return verdict.failure.actual if verdict.failure is not None else verdict.detail
    return None


def timed(address: Address, cases: Iterable[Case]) -> dict[str, float]:
    """How long each case takes on the right server, which must pass them all."""
    runner = _runner(address, CAPABILITIES)
    seconds_of: dict[str, float] = {}
    for case in cases:
        began = time.monotonic()
        if _failure(runner, case, frozenset()) is not None:
            # On a busy machine a case about time may fail once.
            runner = _runner(address, CAPABILITIES)
            why = _failure(runner, case, frozenset())
            assert why is None, f"the right server fails {case.name}: {why}"
        seconds_of[case.name] = time.monotonic() - began
    return seconds_of
