"""A worker's work on its targets: explore them once, or measure one round.

Exploring opens each target, checks that batch and single calls do the same work, and calibrates
every lane. A round opens each target again, measures each of its operations in a few paired blocks,
in shuffled order, and removes its keys.

Errors are classified here. If a store refuses (or an adapter fails), the cell has no result but a
reason. If a store does not answer, the run ends.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import msgspec

from kvbench import eviction
from kvbench.bench.arms import Arm, Session, arms_of, is_single, open_session
from kvbench.bench.blocks import Work, bytes_stored, calibrate, run_blocks
from kvbench.bench.contention import descendants
from kvbench.bench.equivalence import KEYS_MIN, check
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.messages import (
    Explored,
    Group,
    KeysRemain,
    Lane,
    Lost,
    Measured,
    Message,
    NoFigure,
    Opened,
    RoundTrips,
    TargetTask,
    Task,
    TaskProgress,
)
from kvbench.bench.workload import SAFETY_TTL_S, Workload
from kvbench.errors import (
    BackendUnavailableError,
    KvbenchError,
    KvConnectionError,
    KvTimeoutError,
    UsageError,
)
from kvbench.model import BatchOperation, Capability
from kvbench.proxy import Conditions, running, target_address, through

ROUND_TRIP_KEYS_MAX = 100
"""Keys in the batch whose round trips are measured; an emulated one needs as many."""

_T = TypeVar("_T")
Send = Callable[[Message], None]


class TargetLostError(Exception):
    """A target stopped answering; the message about it was sent."""


class _CellError(Exception):
    """A cell has no result; the message is the reason."""


def reason_of(error: BaseException) -> str:
    """An error in one line; with its type if it is not one of kvbench's."""
    text = " ".join(str(error).split())
    return text if isinstance(error, KvbenchError) and text else f"{type(error).__name__}: {text}"


class Visit:
    """An open target of a worker.

    Args:
        task: the worker's task.
        target: the target.
        session: open.
        url: opens the same store again.
        send: takes messages.
        interrupts: held back while keys are removed.

    Attributes:
        workload: its keys and values.
        is_private: whether the store was started for this session, and contains nothing else.
    """

    def __init__(
        self,
        task: Task,
        target: TargetTask,
        session: Session,
        url: str,
        send: Send,
        interrupts: Interrupts,
    ) -> None:
        self._settings = task.settings
        self._target = target
        self._session = session
        self._url = url
        self._send = send
        self._interrupts = interrupts
        self._share = 0.0
        self.is_private = False
        self._rng = random.Random(f"{task.settings.seed}/{task.number}/{target.place}")
        self.workload = Workload(task.settings, task.prefix)
        self.workload.can_mset, self.workload.can_mdel = target.can_mset, target.can_mdel

    def explore(self) -> None:
        """Find out which cells can be measured, and calibrate their lanes.

        Raises:
            UsageError: the store does not accept keys of this length.
            TargetLostError: it stopped answering.
        """
        description = self._session.description
        opened = Opened(
            place=self._target.place,
            is_network=description.is_network,
            facts=dict(self._session.facts),
            batch_kinds={op: description.batch_kind(op) for op in BatchOperation},
            warning=self._eviction_warning(),
        )
        self._send(opened)
        self._try_key()
        self.workload.can_mdel = not self._prove(BatchOperation.MDEL, KEYS_MIN)
        self.workload.can_mset = not self._prove(BatchOperation.MSET, KEYS_MIN)
        groups = []
        for group in self._target.groups:
            lanes = self._explore_group(group)
            if any(lane.arm is Arm.BATCH for lane in lanes):
                groups.append(Group(group.op, lanes))
        self._add_self_lane(groups)
        if description.is_network and not self._settings.rtt_ns:
            self._measure_round_trips(groups)
        found = msgspec.structs.replace(
            self._target,
            groups=groups,
            can_mset=self.workload.can_mset,
            can_mdel=self.workload.can_mdel,
        )
        self._send(Explored(found))

    def _eviction_warning(self) -> str:
        if self.is_private:
            return ""
        needed_bytes = bytes_stored(self._target.groups, self._settings)
        return eviction.warning(self._target.name, self._session.facts, needed_bytes)

    def _explore_group(self, group: Group) -> list[Lane]:
        """The lanes of an operation that can be measured, calibrated."""
        sizes = []
        for size in [lane.batch_size for lane in group.lanes]:
            problem = self._prove(group.op, size)
            if problem:
                self._send(NoFigure(self._target.place, group.op, size, problem))
            else:
                sizes.append(size)
        lanes: list[Lane] = []
        wanted = [Lane(Arm.INDIVIDUAL, 1)] if sizes else []
        for arm in arms_of(self._session):
            wanted += [Lane(arm, size) for size in sizes]
        for lane in wanted:
            self._step(group.op, lane.batch_size, "calibrating")
            try:
                lanes.append(self._attempt(partial(self._calibrate, group.op, lane)))
            except _CellError as error:
                if is_single(lane.arm):
                    sizes_lost = sizes
                    lanes = []
                else:
                    sizes_lost = [lane.batch_size]
                    lanes = [one for one in lanes if one.batch_size != lane.batch_size]
                for size in sizes_lost:
                    reason = f"{group.op}: {error}"
                    self._send(NoFigure(self._target.place, group.op, size, reason))
                if is_single(lane.arm):
                    break
        return lanes

    def _calibrate(self, operation: BatchOperation, lane: Lane) -> Lane:
        work = Work(self._session, self.workload, operation, [lane.batch_size])
        return calibrate(work, lane, self._settings.sample_ns)

    def _measure_round_trips(self, groups: list[Group]) -> None:
        """Measure the number of round trips of each operation's batch call."""
        from kvbench.bench.round_trips import measure_round_trips

        try:
            with ExitStack() as opened:
                proxy = opened.enter_context(running(target_address(self._url)))
                url = through(self._url, proxy.address)
                far, _ = _open(opened, url, self._interrupts)
                for group in groups:
                    size = _size_for_round_trips(group)
                    self._step(group.op, size, "round trips of a batch")
                    pairs = self.workload.pairs(size)
                    batch = pairs if group.op is BatchOperation.MSET else list(pairs)
                    call = getattr(far.backend, group.op)
                    measured = measure_round_trips(partial(call, batch), proxy.set_delay)
                    self._send(RoundTrips(self._target.place, group.op, size, measured))
        except Exception:  # noqa: BLE001 - an adapter may raise anything
            # If a proxy is not possible, as with TLS, only the declared kind is known.
            return
        finally:
            with self._interrupts.deferred():
                self.workload.clean(self._session.backend)

    def _add_self_lane(self, groups: list[Group]) -> None:
        """Single calls against themselves, in the first operation."""
        if groups:
            single = next(lane for lane in groups[0].lanes if lane.arm is Arm.INDIVIDUAL)
            groups[0].lanes.append(msgspec.structs.replace(single, arm=Arm.SELF))

    def measure(self) -> None:
        """Measure every operation once, in shuffled order.

        Raises:
            TargetLostError: it stopped answering.
        """
        groups = list(self._target.groups)
        self._rng.shuffle(groups)
        pids = descendants()
        for place, group in enumerate(groups):
            self._share = place / len(groups)
            try:
                self._send(self._attempt(partial(self._measure_group, group, pids)))
            except _CellError as error:
                self._send(NoFigure(self._target.place, group.op, 0, f"{group.op}: {error}"))

    def _measure_group(self, group: Group, server_pids: tuple[int, ...]) -> Measured:
        sizes = [lane.batch_size for lane in group.lanes]
        work = Work(self._session, self.workload, group.op, sizes)

        def after_block(done: int) -> None:
            self._step(group.op, 0, "")

        blocks = run_blocks(
            work,
            group.lanes,
            self._settings.blocks,
            self._settings.sample_ns,
            self._rng,
            server_pids,
            after_block,
        )
        return Measured(
            self._target.place, group.op, blocks.lanes, blocks.control_ns, blocks.waited
        )

    def leave(self) -> None:
        """Remove remaining keys of this run, on this connection or else on a new one."""
        try:
            self.workload.clean(self._session.backend)
            return
        except Exception:  # noqa: BLE001 - whatever it was, a new connection may do
            if self.is_private:
                return  # Its keys end with it.
        try:
            again = open_session(self._url)
            try:
                self.workload.clean(again.backend)
            finally:
                again.close()
        except Exception as error:  # noqa: BLE001 - all that is left to do is to say so
            remain = KeysRemain(self._target.place, self.workload.prefix, reason_of(error))
            self._send(remain)

    def _try_key(self) -> None:
        """Check that the store accepts keys of this length, with its namespace."""
        try:
            self._session.backend.exists(self.workload.keys(1)[0])
        except ValueError as error:
            raise UsageError(f"{error}: use a shorter --key-length") from None
        except (KvConnectionError, KvTimeoutError) as error:
            raise lost(self._send, self._target, error, is_private=self.is_private) from error

    def _prove(self, operation: BatchOperation, batch_size: int) -> str:
        """Why a cell has no result; empty if batch and single calls do the same."""
        self._step(operation, batch_size, "same answers?")
        try:
            return self._attempt(
                lambda: check(self._session.backend, operation, self.workload, batch_size)
            )
        except _CellError as error:
            return f"{operation}: {error}"

    def _attempt(self, attempt: Callable[[], _T]) -> _T:
        """Try something and remove the keys that it used.

        Raises:
            TargetLostError: the target does not answer.
            _CellError: it answers, but refuses, or its adapter fails.
        """
        try:
            try:
                return attempt()
            finally:
                # After Ctrl-C the connection may be unusable: the final cleaning handles that.
                with self._interrupts.deferred():
                    if not self._interrupts.signal_number:
                        self.workload.clean(self._session.backend)
        except (KvConnectionError, KvTimeoutError) as error:
            raise lost(self._send, self._target, error, is_private=self.is_private) from error
        except Exception as error:  # The adapter under test may raise anything.
            raise _CellError(reason_of(error)) from error

    def _step(self, operation: BatchOperation, batch_size: int, what: str) -> None:
        label = f"{self._target.name} {operation}" + (f" × {batch_size:,}" if batch_size else "")
        self._send(TaskProgress(f"{label}: {what}" if what else label, self._share))


def _size_for_round_trips(group: Group) -> int:
    """The largest batch size up to a hundred: enough to detect a loop, and fast."""
    sizes = [lane.batch_size for lane in group.lanes if lane.arm is Arm.BATCH]
    return max([size for size in sizes if size <= ROUND_TRIP_KEYS_MAX], default=min(sizes))


def lost(
    send: Send, target: TargetTask, error: BaseException, *, is_private: bool = False
) -> TargetLostError:
    """Report that a target stopped answering; returns the exception to raise."""
    reason = f"{target.name}: {reason_of(error)}"
    send(Lost(target.place, reason, is_private))
    return TargetLostError(reason)


def outlives_us(session: Session) -> bool:
    """Whether keys of a killed run would remain, and the store can let them expire."""
    description = session.description
    is_shared = description.is_network or Capability.SHARED in description.capabilities
    has_ttl = Capability.TTL in description.capabilities
    return is_shared and has_ttl and not session.backend.private_url


@contextmanager
def visit(task: Task, target: TargetTask, send: Send, interrupts: Interrupts) -> Iterator[Visit]:
    """Open a target during a ``with`` block, and remove all keys of the run from it.

    Raises:
        UsageError: the URL is rejected; while exploring.
        BackendUnavailableError: a driver or program is missing; while exploring.
        KvConnectionError: it cannot be reached; while exploring.
        TargetLostError: it cannot be opened; in a round.
    """
    send(TaskProgress(f"opening {target.name}", 0.0))
    with ExitStack() as opened:
        try:
            session, url = _open(opened, target.url, interrupts)
            has_ttl, is_private = outlives_us(session), bool(session.backend.private_url)
            if task.settings.rtt_ns and session.description.is_network:
                session = _open_far(opened, url, task.settings.rtt_ns, interrupts)
        except Exception as error:
            if task.kind == "measure":
                raise lost(send, target, error) from error
            if isinstance(error, UsageError | BackendUnavailableError):
                raise
            # A third-party adapter may raise anything.
            raise KvConnectionError(f"{target.name}: {reason_of(error)}") from error
        visiting = Visit(task, target, session, url, send, interrupts)
        visiting.is_private = is_private
        if has_ttl:
            visiting.workload.safety_ttl_s = SAFETY_TTL_S
        try:
            yield visiting
        finally:
            with interrupts.deferred():
                visiting.leave()


def _open(opened: ExitStack, url: str, interrupts: Interrupts) -> tuple[Session, str]:
    """A session that is closed with ``opened``, and a URL with which others can join it."""
    session = open_session(url)

    def close() -> None:
        with interrupts.deferred():
            session.close()

    opened.callback(close)
    return session, session.backend.private_url or url


def _open_far(opened: ExitStack, url: str, rtt_ns: int, interrupts: Interrupts) -> Session:
    """A session with the same server, with an added round-trip time."""
    proxy = opened.enter_context(running(target_address(url), Conditions(delay_ns=rtt_ns)))
    return _open(opened, through(url, proxy.address), interrupts)[0]
