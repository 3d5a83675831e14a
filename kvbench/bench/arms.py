"""The ways to do the same work (arms), and the two drivers that time them.

An arm is one way to process the keys of a batch. A pass is one batch worth of work: B single calls
in a loop, or one batch call. Both keep the replies, as an application would. A slice is several
passes between two readings of the clock.

A synchronous target is timed around the calls. An asynchronous one is timed inside its event loop,
by one coroutine that awaits its calls one after the other, so that entering the loop is not
measured. Untimed calls go through :attr:`Session.backend`, which is synchronous for both.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import TypeVar, cast

from typing_extensions import override

from kvbench.backend import AsyncBackend, Backend, BackendDescription
from kvbench.blocking import BlockingBackend
from kvbench.model import BatchOperation, Capability, Value
from kvbench.registry import backend_class

_T = TypeVar("_T")

Batch = list[str] | dict[str, Value]
"""The input of one pass: keys, or for MSET a mapping."""


class Arm(StrEnum):
    """One way to do the same work. To add one: its name here, and its method below."""

    INDIVIDUAL = "individual"
    """A single call for each key, one after the other."""
    PIPELINED = "pipelined"
    """A single call for each key, sent together, replies read together."""
    BATCH = "batch"
    """One batch call."""
    SELF = "self"
    """INDIVIDUAL once more: their ratio shows the variation by chance."""


def is_single(arm: Arm) -> bool:
    """Whether an arm makes one call per key, so that its time per key has no batch size."""
    return arm in (Arm.INDIVIDUAL, Arm.SELF)


@dataclass(frozen=True, slots=True)
class Slice:
    """Time of one or more passes: wall time, and CPU time of this process."""

    wall_ns: int = 0
    cpu_ns: int = 0

    def __add__(self, other: Slice) -> Slice:
        return Slice(self.wall_ns + other.wall_ns, self.cpu_ns + other.cpu_ns)


class Session(ABC):
    """An open target, as the benchmark uses it.

    Attributes:
        backend: a synchronous interface, for untimed calls.
        description: the adapter's description of itself.
        facts: the open store's description of itself.
    """

    backend: Backend
    description: BackendDescription
    facts: dict[str, str]

    @abstractmethod
    def time_slice(self, operation: BatchOperation, arm: Arm, batches: Iterable[Batch]) -> Slice:
        """Do one pass for each of ``batches``, with garbage collection off.

        Raises:
            KvError: the store failed. Requests that were sent may have been applied.
        """

    def _tell(self) -> dict[str, str]:
        """The store's description of itself; if reading it fails, the store is closed."""
        try:
            return dict(self.description.describe())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the target and everything started for it."""
        self.backend.close()


def arms_of(session: Session) -> tuple[Arm, ...]:
    """The batch-size dependent arms that a target supports, in the order of reports."""
    can_pipeline = Capability.PIPELINING in session.description.capabilities
    return (Arm.PIPELINED, Arm.BATCH) if can_pipeline else (Arm.BATCH,)


def open_session(url: str) -> Session:
    """Open a target for measuring.

    Raises:
        UsageError: unknown scheme, or the adapter rejects the URL.
        BackendUnavailableError: a driver or server program is not installed.
        KvConnectionError: the connection failed.
    """
    backend = backend_class(url)
    if issubclass(backend, AsyncBackend):
        return AsyncSession(backend, url)
    return SyncSession(backend.open(url))


class SyncSession(Session):
    """A synchronous target."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.description = backend
        self.facts = self._tell()

    @override
    def time_slice(self, operation: BatchOperation, arm: Arm, batches: Iterable[Batch]) -> Slice:
        run = sync_pass(self.backend, operation, arm)
        with gc_off():
            cpu_ns, start_ns = time.process_time_ns(), time.perf_counter_ns()
            for batch in batches:
                run(batch)
            end_ns = time.perf_counter_ns()
            return Slice(end_ns - start_ns, time.process_time_ns() - cpu_ns)


class AsyncSession(Session):
    """An asynchronous target, on a separate event loop: uvloop if installed."""

    def __init__(self, backend: type[AsyncBackend], url: str) -> None:
        loop_name, factory = _event_loop()
        self._runner = asyncio.Runner(loop_factory=factory)
        try:
            self._inner = self._runner.run(backend.open(url))
        except BaseException:
            self._runner.close()
            raise
        self.backend = BlockingBackend.around(self._inner, self._runner)
        self.description = self._inner
        self.facts = {**self._tell(), "event_loop": loop_name}

    @override
    def time_slice(self, operation: BatchOperation, arm: Arm, batches: Iterable[Batch]) -> Slice:
        run = _async_pass(self._inner, operation, arm)

        async def timed() -> Slice:
            cpu_ns, start_ns = time.process_time_ns(), time.perf_counter_ns()
            for batch in batches:
                await run(batch)
            end_ns = time.perf_counter_ns()
            return Slice(end_ns - start_ns, time.process_time_ns() - cpu_ns)

        with gc_off():
            return self._run(timed())

    def _run(self, coroutine: Coroutine[None, None, _T]) -> _T:
        """Run to the end; Ctrl-C cancels it, so that it does not run in the next call's time."""
        loop = self._runner.get_loop()
        task = loop.create_task(coroutine)
        try:
            return loop.run_until_complete(task)
        except BaseException:
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            raise


@contextmanager
def gc_off() -> Iterator[None]:
    """Garbage collection is off during a ``with`` block."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _event_loop() -> tuple[str, Callable[[], asyncio.AbstractEventLoop]]:
    if importlib.util.find_spec("uvloop") is not None:
        import uvloop

        return f"uvloop {version('uvloop')}", uvloop.new_event_loop
    return "asyncio", asyncio.new_event_loop


def _method(operation: BatchOperation, arm: Arm) -> str:
    """The backend's method that an arm calls: once a batch, or once a key."""
    match arm:
        case Arm.BATCH:
            return operation
        case Arm.PIPELINED:
            return f"pipelined_{operation.single}"
        case Arm.INDIVIDUAL | Arm.SELF:
            return operation.single


def sync_pass(backend: Backend, operation: BatchOperation, arm: Arm) -> Callable[[Batch], object]:
    """One pass as a callable; a batch call is the bound method itself, without a wrapper."""
    method = getattr(backend, _method(operation, arm))
    if not is_single(arm):
        return cast("Callable[[Batch], object]", method)
    if operation is BatchOperation.MSET:

        def set_each(batch: Batch) -> None:
            for key, value in cast("dict[str, Value]", batch).items():
                method(key, value)

        return set_each
    return lambda batch: [method(key) for key in batch]


def _async_pass(
    backend: AsyncBackend, operation: BatchOperation, arm: Arm
) -> Callable[[Batch], Awaitable[object]]:
    """The asynchronous counterpart of :func:`sync_pass`."""
    method = getattr(backend, _method(operation, arm))
    if not is_single(arm):
        return cast("Callable[[Batch], Awaitable[object]]", method)
    if operation is BatchOperation.MSET:

        async def set_each(batch: Batch) -> None:
            for key, value in cast("dict[str, Value]", batch).items():
                await method(key, value)

        return set_each

    async def call_each(batch: Batch) -> list[object]:
        return [await method(key) for key in batch]

    return call_each
