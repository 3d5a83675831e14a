"""A whole run: explores targets, then measures round after round, and reports to an observer.

All targets are explored first, so that mistakes show before time is spent. Then each round is a
worker process that opens every target again. After a round, every changed record is reported again.
If a run ends early, finished results are kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Literal

from kvbench.bench.arms import Arm
from kvbench.bench.environment import describe_environment, load_average
from kvbench.bench.events import Event, KeysLeft, Observer, Progressed, Recorded, Warned
from kvbench.bench.gather import Gathering
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.keep_awake import KeepAwake, keep_awake
from kvbench.bench.messages import (
    BaselineSample,
    Explored,
    Group,
    KeysRemain,
    Lane,
    Lost,
    Measured,
    Message,
    NoFigure,
    Opened,
    Placed,
    RoundTrips,
    TargetTask,
    Task,
    TaskProgress,
    TaskRefused,
)
from kvbench.bench.placement import choose_placement
from kvbench.bench.plan import Plan
from kvbench.bench.time_left import TimeLeft
from kvbench.bench.worker_process import WorkerDiedError, WorkerProcess
from kvbench.bench.workload import new_prefix
from kvbench.errors import BackendUnavailableError, KvConnectionError, UsageError
from kvbench.foreign_text import clean
from kvbench.results import SCHEMA, Footer, Header, Record, Round

DEATHS_MAX = 3
"""Workers that may die in a row before the run stops: a fourth would probably die as well."""

PRECISION_ROUNDS_MIN = 5
"""Minimum number of rounds before a precision counts as reached: fewer often agree by chance."""


class Ending(Enum):
    """How a run ended."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    TARGET_LOST = "target lost"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The end of a run.

    Attributes:
        ending: how it ended.
        failed_cells: cells without a number.
        reason: why it ended early; empty when it did not.
    """

    ending: Ending
    failed_cells: int
    reason: str = ""


_Kind = Literal["explore", "measure"]
_Messages = Generator[Message, None, None]


class _RoundLostError(Exception):
    """A round has no figures, but the next one may: a private server stopped."""


class _TargetLostError(Exception):
    """A target stopped answering, or several workers in a row died."""


def run(plan: Plan, observe: Observer, interrupts: Interrupts, command: str) -> RunOutcome:
    """Carry out a plan.

    Args:
        plan: what to measure.
        observe: called with every event, in order, in this thread. All texts in events are safe to
            show and record, whatever a store or an adapter sent.
        interrupts: controls when Ctrl-C may interrupt.
        command: the command line, for the record; without passwords.

    Returns:
        How it ended. Ctrl-C and a target lost during the run are endings, not exceptions.

    Raises:
        UsageError: a target rejects its URL or the key length. Nothing was recorded.
        BackendUnavailableError: a target's driver or program is missing. Nothing was recorded.
        KvConnectionError: a target cannot be reached at the start. Nothing was recorded.
        KeyboardInterrupt: Ctrl-C before anything was recorded.
    """
    with keep_awake(plan.settings.keep_awake) as awake:
        return Run(plan, observe, interrupts, awake).carry_out(command)


class Run:
    """The state of one run.

    Args:
        plan: what to measure.
        observe: called with every event.
        interrupts: held back while records are reported.
        awake: whether cores are kept awake.
    """

    def __init__(
        self, plan: Plan, observe: Observer, interrupts: Interrupts, awake: KeepAwake
    ) -> None:
        self._plan = plan
        self._observe_clean = observe
        self._interrupts = interrupts
        self._awake = awake
        self._gathering = Gathering(plan, keep_awake=awake.is_on)
        self._time_left = TimeLeft(plan.settings)
        self._placement = choose_placement(plan.settings.pin)
        self._placed = self._placement
        self._prefix = new_prefix()
        self._tasks: list[TargetTask] = []
        self._missed: list[str] = []

    def carry_out(self, command: str) -> RunOutcome:
        """Explore, measure, record; see :func:`run`."""
        self._explore()
        start_s = time.monotonic()
        self._record(self._header(command))
        ending, reason = Ending.COMPLETE, ""
        try:
            self._record_figures()
            self._measure(start_s)
        except KeyboardInterrupt:
            ending, reason = Ending.INTERRUPTED, "interrupted by the user"
        except _TargetLostError as error:
            ending, reason = Ending.TARGET_LOST, str(error)
        with self._interrupts.deferred():
            self._record_figures()
            cells = list(self._gathering.cells())
            outcome: Literal["complete", "interrupted"] = (
                "complete" if ending is Ending.COMPLETE else "interrupted"
            )
            elapsed_s = round(time.monotonic() - start_s, 3)
            self._record(
                Footer(outcome, elapsed_s, len(cells), load_average(), reason, self._missed)
            )
        reason = clean(reason)
        return RunOutcome(ending, sum([bool(cell.reason) for cell in cells]), reason)

    def _explore(self) -> None:
        """Find out what can be measured. Raises the same as :func:`run`."""
        tasks = []
        for place, target in enumerate(self._plan.targets):
            groups = []
            for op in target.operations:
                if op in target.withheld:
                    self._gathering.withhold(place, op, target.withheld[op])
                else:
                    groups.append(Group(op, [Lane(Arm.BATCH, size) for size in target.batch_sizes]))
            tasks.append(TargetTask(place, target.url, target.name, groups))
        try:
            with self._workers("explore", 0, tasks) as messages:
                for message in messages:
                    self._take(message)
        except WorkerDiedError as error:
            raise KvConnectionError(f"the targets could not be tried: {error}") from None
        except (_RoundLostError, _TargetLostError) as error:
            raise KvConnectionError(str(error)) from None

    def _measure(self, start_s: float) -> None:
        """Measure rounds until the plan is complete.

        Raises:
            _TargetLostError: a target stopped answering.
            KeyboardInterrupt: Ctrl-C.
        """
        settings = self._plan.settings
        number = deaths = 0
        while any(task.groups for task in self._tasks):
            number += 1
            reason = self._measure_round(number)
            deaths = deaths + 1 if reason else 0
            if deaths == DEATHS_MAX:
                raise _TargetLostError(f"{deaths} rounds in a row were lost: {reason}")
            if not settings.precision:
                if number >= settings.rounds:
                    return
                continue
            imprecise = self._gathering.imprecise(settings.precision)
            self._missed = [f"{cell.target} {cell.op} {cell.batch_size}" for cell in imprecise]
            is_late = time.monotonic() - start_s >= settings.max_time_s
            if number >= PRECISION_ROUNDS_MIN and (is_late or not imprecise):
                return

    def _measure_round(self, number: int) -> str:
        """One round; returns why it is lost, empty if it is not."""
        began_s = time.monotonic()
        reason = ""
        found: list[Message] = []
        try:
            with self._workers("measure", number, self._tasks) as messages:
                for message in messages:
                    if isinstance(message, Measured | BaselineSample | NoFigure):
                        found.append(message)
                    else:
                        self._take(message)
        except (WorkerDiedError, _RoundLostError) as error:
            found, reason = [], str(error)
        finally:
            # After Ctrl-C, or when a target is lost, finished operations of the round count, too.
            for message in found:
                self._take(message)
        elapsed_s = round(time.monotonic() - began_s, 3)
        self._time_left.finish_round(elapsed_s)
        self._observe(Progressed(f"round {number} done", *self._time_left.at(0.0)))
        if reason:
            self._observe(Warned(f"round {number} is lost: {reason}"))
        self._record(Round(number, elapsed_s, reason))
        self._record_figures()
        return reason

    @contextmanager
    def _workers(self, kind: _Kind, number: int, tasks: list[TargetTask]) -> Iterator[_Messages]:
        """The messages of a round, during a ``with`` block; at its end no worker is left.

        Targets of one environment share a worker. Where there are several, they take turns in an
        order that is drawn for each round.
        """
        parts: dict[str, list[TargetTask]] = {}
        for task in tasks:
            parts.setdefault(self._plan.targets[task.place].python, []).append(task)
        order = list(parts)
        random.Random(f"{self._plan.settings.seed}/{number}").shuffle(order)

        def all_messages() -> _Messages:
            for python in order:
                with self._worker(kind, number, parts[python], python) as messages:
                    yield from messages

        messages = all_messages()
        try:
            yield messages
        finally:
            messages.close()

    @contextmanager
    def _worker(
        self, kind: _Kind, number: int, tasks: list[TargetTask], python: str
    ) -> Iterator[Iterator[Message]]:
        """A worker's messages, during a ``with`` block; at its end the worker is stopped."""
        task = Task(kind, number, self._plan.settings, self._placement, tasks, self._prefix)
        worker: WorkerProcess[Message] = WorkerProcess(
            "kvbench.bench.worker", task, Message, python
        )
        try:
            yield worker.messages()
        finally:
            with self._interrupts.deferred():
                try:
                    for message in worker.end():
                        if isinstance(message, KeysRemain):
                            self._take(message)
                finally:
                    worker.close()

    def _take(self, message: Message) -> None:
        """Yield a worker's messages.

        Raises:
            UsageError, BackendUnavailableError, KvConnectionError: it cannot do its task.
            _RoundLostError: a private server stopped answering.
            _TargetLostError: another target stopped answering.
        """
        match message:
            case TaskProgress():
                share, left_s = self._time_left.at(message.share)
                self._observe(Progressed(message.text, share, left_s))
            case Placed():
                self._placed = message.placement
            case Opened():
                self._gathering.add(message)
                if message.warning:
                    self._observe(Warned(message.warning))
            case Measured() | NoFigure() | RoundTrips() | BaselineSample():
                self._gathering.add(message)
            case Explored():
                self._tasks.append(message.task)
            case KeysRemain():
                name = self._plan.targets[message.place].name
                self._observe(KeysLeft(name, message.prefix, message.reason))
            case Lost():
                raise (_RoundLostError if message.is_private else _TargetLostError)(message.reason)
            case TaskRefused():
                raise refusal(message)

    def _header(self, command: str) -> Header:
        return Header(
            schema=SCHEMA,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            settings=self._plan.recorded_settings(),
            environment={
                **describe_environment(),
                "keep_awake": self._awake.reason,
                "placement": self._placed.reason,
            },
            preset=self._plan.preset,
        )

    def _record_figures(self) -> None:
        """Report all results of the rounds so far."""
        for target in self._gathering.targets():
            self._record(target)
        baselines = self._gathering.baselines()
        if baselines is not None:
            self._record(baselines)
        for cell in self._gathering.cells():
            if cell.rounds or cell.reason:
                self._record(cell)
        for curve in self._gathering.curves():
            self._record(curve)

    def _observe(self, event: Event) -> None:
        self._observe_clean(clean(event))

    def _record(self, record: Record) -> None:
        with self._interrupts.deferred():
            self._observe(Recorded(record))


def refusal(message: TaskRefused) -> Exception:
    """The error that a worker reported."""
    match message.kind:
        case "usage":
            return UsageError(message.reason)
        case "unavailable":
            return BackendUnavailableError(message.scheme, message.reason, message.hint)
        case "connection":
            return KvConnectionError(message.reason)
