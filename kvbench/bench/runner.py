"""A whole run: every target opened, measured, told to an observer.

All targets are looked at first, so that a mistake shows before time is spent. Then one is open at a
time, so that no idle server shares the machine with the one that is measured.

Whatever ends a run early, what is finished stays: each record is handed over when it is complete.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Literal

from kvbench.bench.arms import Session, open_session
from kvbench.bench.environment import describe_environment, load_average
from kvbench.bench.estimate import TimeLeft
from kvbench.bench.events import Event, Observer, Step
from kvbench.bench.floors import measure_floors
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.keep_awake import keep_awake
from kvbench.bench.plan import Plan, TargetPlan
from kvbench.bench.target_run import Progress, TargetLostError, TargetRun, reason_of
from kvbench.bench.workload import Workload
from kvbench.errors import BackendUnavailableError, KvConnectionError, UsageError
from kvbench.foreign_text import clean
from kvbench.results import SCHEMA, Footer, Header


class Ending(Enum):
    """How a run ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    TARGET_LOST = "target lost"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run.

    Attributes:
        ending: how it ended.
        failed_cells: cells without a number.
        reason: why it ended early; empty when it did not.
    """

    ending: Ending
    failed_cells: int
    reason: str = ""


def run(plan: Plan, tell: Observer, interrupts: Interrupts, command: str) -> Outcome:
    """Carry out a plan.

    Args:
        plan: what to measure.
        tell: told everything that happens, in order, in this thread, off the clock. Every text in
            an event is fit to be shown and recorded, whatever a store or an adapter said.
        interrupts: where Ctrl-C may strike.
        command: the command line, for the record; without passwords.

    Returns:
        How it ended. Ctrl-C and a target that is lost in mid-run are endings, not exceptions.

    Raises:
        UsageError: a target's URL or the key length does not suit it. Nothing was recorded.
        BackendUnavailableError: a target's driver or program is missing. Nothing was recorded.
        KvConnectionError: a target cannot be reached at the start. Nothing was recorded.
        KeyboardInterrupt: Ctrl-C before anything was recorded.
    """

    def observe(event: Event) -> None:
        tell(clean(event))

    is_network = [_try_target(target, plan, observe) for target in plan.targets]
    progress = Progress(observe, interrupts, TimeLeft(plan, is_network))
    with keep_awake(plan.settings.keep_awake) as awake:
        progress.step("timer, loop and loopback")
        header = Header(
            schema=SCHEMA,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            settings=plan.recorded_settings(),
            environment={**describe_environment(), "keep_awake": awake.reason},
            suite=plan.suite,
            reference=plan.reference,
            floors=measure_floors(keep_awake=awake.is_on),
        )
        return _measure(plan, progress, header)


def _try_target(target: TargetPlan, plan: Plan, observe: Observer) -> bool:
    """Open and close a target, so that a mistake shows before time is spent; is it far away?"""
    observe(Step(f"opening {target.name}", 0.0, 0.0))
    try:
        session = open_session(target.url)
        try:
            _try_key(session, Workload(plan.settings).keys(1)[0])
            return session.description.is_network
        finally:
            session.close()
    except (BackendUnavailableError, UsageError):
        raise
    except Exception as error:  # An adapter of a third party may raise anything.
        raise KvConnectionError(f"{target.name}: {reason_of(error)}") from error


def _try_key(session: Session, key: str) -> None:
    """See that the store takes keys of this length, its own namespace included."""
    try:
        session.backend.exists(key)
    except ValueError as error:
        raise UsageError(f"{error}: use a shorter --key-length") from None


def _measure(plan: Plan, progress: Progress, header: Header) -> Outcome:
    """Every target in turn, between header and footer."""
    start_s = time.monotonic()
    ending, reason = Ending.COMPLETE, ""
    try:
        progress.record(header)
        for place, target in enumerate(plan.targets):
            TargetRun(target, place, plan.settings, progress).measure()
    except KeyboardInterrupt:
        ending, reason = Ending.INTERRUPTED, "interrupted by the user"
    except TargetLostError as error:
        ending, reason = Ending.TARGET_LOST, clean(str(error))
    elapsed_s = round(time.monotonic() - start_s, 3)
    outcome: Literal["complete", "interrupted"] = (
        "complete" if ending is Ending.COMPLETE else "interrupted"
    )
    progress.record(Footer(outcome, elapsed_s, progress.cells, load_average(), reason))
    return Outcome(ending, progress.failed_cells, reason)
