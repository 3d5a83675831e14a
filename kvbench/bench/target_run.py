"""One target of a run: opened, proven, measured cell by cell, left as it was found.

The order: open the target; prove for each cell that batch and single calls do the same work;
measure the individual arm against itself (A/A), which shows how far from 1 chance alone leads; then
measure the cells. The run's keys are removed after each of these, and before the target is closed
whatever happened.

What goes wrong is sorted here. A store that refuses (or an adapter that fails) costs the cell its
number and gives the reason. A store that does not answer ends the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from kvbench.bench import stats
from kvbench.bench.arms import Arm, Session, open_session
from kvbench.bench.blocks import Blocks, Lane, Work, calibrate, run_blocks
from kvbench.bench.equivalence import KEYS_MIN, check
from kvbench.bench.estimate import TimeLeft
from kvbench.bench.events import KeysLeft, Observer, Recorded, Step
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.plan import Operation, Settings, TargetPlan
from kvbench.bench.workload import Workload
from kvbench.errors import KvbenchError, KvConnectionError, KvTimeoutError
from kvbench.results import Cell, Interval, Record, Samples, Target

_T = TypeVar("_T")


class TargetLostError(Exception):
    """A target stopped answering in mid-run."""


class _CellError(Exception):
    """A cell cannot have a number, for the reason that is the message."""


class Progress:
    """What a run tells while it goes on: records and steps, in order, off the clock.

    Args:
        observe: who is told.
        interrupts: held back while a record is handed over, so that it is whole.
        time_left: what is still to be done.

    Attributes:
        cells: cell records so far.
        failed_cells: those without a number.
    """

    def __init__(self, observe: Observer, interrupts: Interrupts, time_left: TimeLeft) -> None:
        self.observe = observe
        self.interrupts = interrupts
        self.time_left = time_left
        self.cells = 0
        self.failed_cells = 0
        self._start_s = time.monotonic()

    def record(self, record: Record) -> None:
        """Hand over a complete record."""
        with self.interrupts.deferred():
            if isinstance(record, Cell):
                self.cells += 1
                self.failed_cells += bool(record.reason)
            self.observe(Recorded(record))

    def step(self, text: str, share_of_cell: float = 0.0) -> None:
        """Tell what goes on, and how long all will take."""
        left_s = self.time_left.seconds(share_of_cell)
        elapsed_s = time.monotonic() - self._start_s
        self.observe(Step(text, elapsed_s / (elapsed_s + left_s + 1e-9), left_s))


def reason_of(error: BaseException) -> str:
    """An error in one line; with its type when it is not one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, KvbenchError) and text else f"{type(error).__name__}: {text}"


class TargetRun:
    """Measures one target.

    Args:
        plan: the target and its cells.
        place: its number in the run's plan.
        settings: what all cells share.
        progress: told everything.
    """

    def __init__(
        self, plan: TargetPlan, place: int, settings: Settings, progress: Progress
    ) -> None:
        self._plan = plan
        self._place = place
        self._settings = settings
        self._progress = progress
        self._workload = Workload(settings)

    def measure(self) -> None:
        """Open the target, measure its cells, remove the keys, close it.

        Raises:
            TargetLostError: it stopped answering; its finished cells have been handed over.
        """
        self._progress.step(f"opening {self._plan.name}")
        try:
            session = open_session(self._plan.url)
        except KvbenchError as error:
            raise TargetLostError(f"{self._plan.name}: {reason_of(error)}") from error
        try:
            self._measure_open(session)
        finally:
            with self._progress.interrupts.deferred():
                try:
                    self._leave_no_keys(session)
                finally:
                    session.close()

    def _measure_open(self, session: Session) -> None:
        self._workload.can_mdel = not self._prove(session, Operation.MDEL, KEYS_MIN)
        self._workload.can_mset = not self._prove(session, Operation.MSET, KEYS_MIN)
        withheld = self._plan.withheld
        problems = {
            (operation, size): withheld.get(operation) or self._prove(session, operation, size)
            for operation, size in self._plan.cells
        }
        proven = [cell for cell, problem in problems.items() if not problem]
        self._progress.record(self._describe(session, proven))
        for (operation, batch_size), problem in problems.items():
            cell = Cell(
                target=self._plan.name,
                op=operation,
                batch_size=batch_size,
                batch_kind=session.description.batch_kind(operation),
                reason=problem,
            )
            if not problem:
                cell = self._measure_cell(session, operation, batch_size, cell)
            self._progress.time_left.finish(self._place, operation, batch_size)
            self._progress.record(cell)

    def _attempt(self, session: Session, attempt: Callable[[], _T]) -> _T:
        """Try something and remove the keys that it used.

        Raises:
            TargetLostError: the target does not answer.
            _CellError: it answers, but refuses, or its adapter fails.
        """
        try:
            try:
                return attempt()
            finally:
                # After Ctrl-C the connection may be of no use: the last cleaning sees to that.
                with self._progress.interrupts.deferred():
                    if not self._progress.interrupts.signal_number:
                        self._workload.clean(session.backend)
        except (KvConnectionError, KvTimeoutError) as error:
            raise TargetLostError(f"{self._plan.name}: {reason_of(error)}") from error
        except Exception as error:  # The adapter under test may raise anything.
            raise _CellError(reason_of(error)) from error

    def _prove(self, session: Session, operation: Operation, batch_size: int) -> str:
        """Why a cell cannot have a number; empty when batch and single calls do the same."""
        self._progress.step(f"{self._plan.name} {operation} × {batch_size:,}: same answers?")
        try:
            return self._attempt(
                session, lambda: check(session.backend, operation, self._workload, batch_size)
            )
        except _CellError as error:
            return f"{operation}: {error}"

    def _describe(self, session: Session, proven: list[tuple[Operation, int]]) -> Target:
        """The target's record, with the individual arm measured against itself (A/A)."""
        facts = dict(session.facts)
        if self._plan.verdict:
            facts["conformance"] = self._plan.verdict
        target = Target(self._plan.name, session.description.is_network, facts)
        if not proven:
            return target
        sizes = [size for operation, size in proven if operation is proven[0][0]]
        operation, batch_size = proven[0][0], sizes[len(sizes) // 2]
        try:
            noise = self._attempt(session, lambda: self._noise(session, operation, batch_size))
        except _CellError:
            return target
        return msgspec.structs.replace(target, noise=noise, noise_op=f"{operation}/{batch_size}")

    def _noise(self, session: Session, operation: Operation, batch_size: int) -> Interval:
        work = Work(session, self._workload, operation, batch_size)
        self._tick(operation, batch_size, "calibrating A/A")
        lane = calibrate(work, Arm.INDIVIDUAL, self._settings.slice_ns)
        blocks = self._run_blocks(work, (lane, lane), "A/A")
        return stats.median_interval(stats.block_ratios(*blocks.ns_per_key), self._settings.seed)

    def _measure_cell(
        self, session: Session, operation: Operation, batch_size: int, cell: Cell
    ) -> Cell:
        """``cell`` with its figures, or with the reason why there are none."""

        def attempt() -> Blocks:
            work = Work(session, self._workload, operation, batch_size)
            self._tick(operation, batch_size, "calibrating")
            lanes = [calibrate(work, arm, self._settings.slice_ns) for arm in Arm]
            self._progress.time_left.learn(self._place, lanes[0], batch_size)
            return self._run_blocks(work, lanes, "")

        try:
            blocks = self._attempt(session, attempt)
        except _CellError as error:
            return msgspec.structs.replace(cell, reason=f"{operation}: {error}")
        individual, batch = blocks.ns_per_key
        drift = stats.drift(blocks.control_ns)
        return msgspec.structs.replace(
            cell,
            speedup=stats.median_interval(
                stats.block_ratios(individual, batch), self._settings.seed
            ),
            individual=stats.rate(individual, 1),
            batch=stats.rate(batch, batch_size),
            blocks=self._settings.blocks,
            samples=Samples(individual, batch),
            drift=drift,
            is_stable=drift <= stats.DRIFT_MAX,
            client_cpu=blocks.client_cpu,
        )

    def _run_blocks(self, work: Work, lanes: list[Lane] | tuple[Lane, ...], what: str) -> Blocks:
        operation, batch_size, blocks = work.operation, work.batch_size, self._settings.blocks

        def tick(done: int) -> None:
            # Only a cell's own blocks count as part of it; the A/A comparison comes on top.
            self._tick(operation, batch_size, what, 0.0 if what else done / blocks)

        seed = f"{self._settings.seed}/{operation}/{batch_size}/{what}"
        return run_blocks(work, lanes, self._settings, seed, tick)

    def _tick(self, operation: Operation, batch_size: int, what: str, share: float = 0.0) -> None:
        label = f"{self._plan.name} {operation} × {batch_size:,}"
        self._progress.step(f"{label}: {what}" if what else label, share)

    def _leave_no_keys(self, session: Session) -> None:
        """Remove what is left of the run's keys: on this connection, or else on a new one."""
        try:
            self._workload.clean(session.backend)
            return
        except Exception:  # noqa: BLE001 - whatever it was, a new connection may do
            pass
        try:
            again = open_session(self._plan.url)
            try:
                self._workload.clean(again.backend)
            finally:
                again.close()
        except Exception as error:  # noqa: BLE001 - the last word about these keys is to say so
            name, prefix = self._plan.name, self._workload.prefix
            self._progress.observe(KeysLeft(name, prefix, reason_of(error)))
