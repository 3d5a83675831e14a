"""A whole load run: tries every target, measures round after round, and reports to an observer.

Each round is a fresh process with fresh connections and private servers, as in ``kvbench run``. Its
targets and lanes come in shuffled order. If a run ends early, finished lanes are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from kvbench.bench.environment import describe_environment, load_average
from kvbench.bench.events import Event, KeysLeft, Progressed, Recorded, Warned
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.keep_awake import KeepAwake, keep_awake
from kvbench.bench.messages import KeysRemain, Lost, Placed, TaskProgress, TaskRefused
from kvbench.bench.placement import choose_placement
from kvbench.bench.runner import DEATHS_MAX, Ending, RunOutcome, refusal
from kvbench.bench.worker_process import WorkerDiedError, WorkerProcess
from kvbench.bench.workload import new_prefix
from kvbench.errors import KvConnectionError
from kvbench.foreign_text import clean
from kvbench.load.gather import LoadGathering
from kvbench.load.messages import (
    CapacityMeasured,
    Glimpse,
    LaneRefused,
    LoadMeasured,
    LoadMessage,
    LoadOpened,
    LoadTarget,
    LoadTask,
)
from kvbench.load.plan import LoadPlan
from kvbench.results import SCHEMA, Footer, Header, Record, Round

_LANE_OVERHEAD_S = 0.7
"""Guess of what a lane costs beside its window, before the first round: connecting, storing."""

_SEARCH_S = 15.0
"""Guess of what the search of a lane's capacity takes, before the first round."""

LoadObserver = Callable[[Event | Glimpse], None]
"""Called with every event of a load run, in order."""


class _LoadLostError(Exception):
    """A target stopped answering."""

    def __init__(self, reason: str, is_private: bool) -> None:
        super().__init__(reason)
        self.is_private = is_private


def run_load(
    plan: LoadPlan, observe: LoadObserver, interrupts: Interrupts, command: str
) -> RunOutcome:
    """Carry out a plan; arguments, result and errors as :func:`kvbench.bench.runner.run`."""
    with keep_awake(plan.settings.keep_awake) as awake:
        return LoadRun(plan, observe, interrupts, awake).carry_out(command)


class LoadRun:
    """The state of one load run.

    Args:
        plan: what to measure.
        observe: called with every event.
        interrupts: held back while records are reported.
        awake: whether cores are kept awake.
    """

    def __init__(
        self, plan: LoadPlan, observe: LoadObserver, interrupts: Interrupts, awake: KeepAwake
    ) -> None:
        self._plan = plan
        self._observe_clean = observe
        self._interrupts = interrupts
        self._awake = awake
        self._gathering = LoadGathering(plan)
        here = 1 if plan.settings.dask else plan.settings.workers
        self._placement = choose_placement(plan.settings.pin, here)
        self._placed = self._placement
        self._prefix = new_prefix()
        self._rounds_s: list[float] = []
        self._measured = 0

    def carry_out(self, command: str) -> RunOutcome:
        """Try, measure, record."""
        self._explore()
        start_s = time.monotonic()
        self._record(self._header(command))
        ending, reason = Ending.COMPLETE, ""
        try:
            self._record_figures()
            self._measure()
        except KeyboardInterrupt:
            ending, reason = Ending.INTERRUPTED, "interrupted by the user"
        except _LoadLostError as error:
            ending, reason = Ending.TARGET_LOST, str(error)
        with self._interrupts.deferred():
            self._record_figures()
            lanes = list(self._gathering.records())
            outcome: Literal["complete", "interrupted"] = (
                "complete" if ending is Ending.COMPLETE else "interrupted"
            )
            elapsed_s = round(time.monotonic() - start_s, 3)
            self._record(Footer(outcome, elapsed_s, len(lanes), load_average(), reason))
        expected = len(self._plan.urls) * len(self._plan.lanes)
        failed = expected - sum([not one.reason for one in lanes])
        return RunOutcome(ending, failed, clean(reason))

    def _explore(self) -> None:
        """Open every target once. Raises the same as :func:`run_load`."""
        try:
            with self._worker(0) as messages:
                for message in messages:
                    self._take(message)
        except WorkerDiedError as error:
            raise KvConnectionError(f"the targets could not be tried: {error}") from None
        except _LoadLostError as error:
            raise KvConnectionError(str(error)) from None

    def _measure(self) -> None:
        lost = 0
        for number in range(1, self._plan.settings.rounds + 1):
            if not any(target.lanes for target in self._targets()):
                return
            reason = self._measure_round(number)
            lost = lost + 1 if reason else 0
            if lost == DEATHS_MAX:
                raise _LoadLostError(f"{lost} rounds in a row were lost: {reason}", False)

    def _measure_round(self, number: int) -> str:
        """One round; returns why it is incomplete, empty if it is not."""
        began_s = time.monotonic()
        reason = ""
        self._measured = 0
        try:
            with self._worker(number) as messages:
                for message in messages:
                    self._take(message)
        except WorkerDiedError as error:
            reason = str(error)
        except _LoadLostError as error:
            reason = str(error)
            if not error.is_private:
                raise
        finally:
            elapsed_s = round(time.monotonic() - began_s, 3)
            self._rounds_s.append(elapsed_s)
            self._measured = 0
        self._progress(f"round {number} done", 0.0)
        if reason:
            self._observe(Warned(f"round {number} is incomplete: {reason}"))
        self._record(Round(number, elapsed_s, reason))
        self._record_figures()
        return reason

    def _targets(self) -> list[LoadTarget]:
        """The targets with the lanes that can be measured."""
        return [
            LoadTarget(
                place,
                url,
                self._plan.names[place],
                [lane for lane in self._plan.lanes if not self._gathering.refused(place, lane)],
            )
            for place, url in enumerate(self._plan.urls)
        ]

    @contextmanager
    def _worker(self, number: int) -> Iterator[Iterator[LoadMessage]]:
        """A worker's messages, during a ``with`` block; at its end the worker is stopped."""
        plan = self._plan
        targets = [target for target in self._targets() if target.lanes]
        task = LoadTask(
            number,
            plan.settings,
            plan.workload,
            self._placement,
            targets,
            self._prefix,
            plan.objective,
        )
        worker: WorkerProcess[LoadMessage] = WorkerProcess("kvbench.load.worker", task, LoadMessage)
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

    def _take(self, message: LoadMessage) -> None:
        match message:
            case Placed():
                self._placed = message.placement
            case TaskProgress():
                self._progress(message.text, 0.0)
            case Glimpse():
                self._observe(message)
                self._progress(message.text, message.share)
            case LoadOpened():
                self._gathering.add(message)
                if message.warning:
                    self._observe(Warned(message.warning))
            case LoadMeasured() | CapacityMeasured():
                self._measured += 1
                self._gathering.add(message)
                for text in message.lost:
                    name = self._plan.names[message.place]
                    self._observe(Warned(f"{name} {message.lane}: {text}"))
            case LaneRefused():
                self._gathering.add(message)
            case KeysRemain():
                name = self._plan.names[message.place]
                self._observe(KeysLeft(name, message.prefix, message.reason))
            case Lost():
                raise _LoadLostError(message.reason, message.is_private)
            case TaskRefused():
                raise refusal(message)

    def _progress(self, text: str, share_of_lane: float) -> None:
        lanes = sum([len(target.lanes) for target in self._targets()])
        share_of_round = min(1.0, (self._measured + share_of_lane) / max(1, lanes))
        settings = self._plan.settings
        done = len(self._rounds_s)
        lane_s = settings.round_s + settings.warm_up_s + _LANE_OVERHEAD_S
        if self._plan.objective is not None:
            lane_s = _SEARCH_S
        round_s = sum(self._rounds_s) / done if done else lanes * lane_s
        share = min(1.0, (done + share_of_round) / settings.rounds)
        left_s = max(0.0, round_s * (settings.rounds - done - share_of_round))
        self._observe(Progressed(text, share, left_s))

    def _header(self, command: str) -> Header:
        return Header(
            schema=SCHEMA,
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            command=command,
            settings=dict(self._plan.recorded_settings()),
            environment={
                **describe_environment(),
                "keep_awake": self._awake.reason,
                "placement": self._placed.reason,
            },
        )

    def _record_figures(self) -> None:
        for target in self._gathering.targets():
            self._record(target)
        for lane in self._gathering.records():
            self._record(lane)

    def _observe(self, event: Event | Glimpse) -> None:
        self._observe_clean(clean(event))

    def _record(self, record: Record) -> None:
        with self._interrupts.deferred():
            self._observe(Recorded(record))
