"""An open store for benchmarks, and one benchmark of an operation in one of its arms.

pytest-benchmark decides how long and how often it measures. What is measured, and that it is the
same work in each arm, is decided here, as `kvbench run` does: keys and values exist before the
clock starts, batch and single calls are checked to give the same answers, and deletes find their
keys. pytest-benchmark repeats a call many times in one round, but a delete needs stored keys each
time: so its rounds have one pass each, with the keys stored before it, outside the timed part.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import pytest

from kvbench.backend import Backend
from kvbench.bench.arms import Arm, Batch, sync_pass
from kvbench.bench.equivalence import check
from kvbench.bench.plan import Settings
from kvbench.bench.workload import SAFETY_TTL_S, Workload
from kvbench.blocking import BlockingBackend
from kvbench.declaration import declaration_problem
from kvbench.errors import KvbenchError, KvConnectionError, UsageError
from kvbench.foreign_text import printable, target_name
from kvbench.model import BatchOperation, Capability, Value
from kvbench.registry import given_target, open_backend, target_url

_ARMS = (Arm.INDIVIDUAL, Arm.PIPELINED, Arm.BATCH)
_ROUNDS_MAX = 1_000
"""Of a delete, each of which stores its keys again: enough for any interval."""


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    group: str | None
    extra_info: dict[str, Any]

    def __call__(self, function: Callable[..., object], *args: object) -> object:
        """Calibrate, and measure calls of ``function``."""

    def pedantic(
        self,
        target: Callable[..., object],
        *,
        setup: Callable[[], tuple[tuple[object, ...], dict[str, object]]],
        rounds: int,
        warmup_rounds: int,
    ) -> object:
        """Measure ``rounds`` calls, each after a call of ``setup`` that gives its arguments."""


def open_for_benchmarks(given: object) -> tuple[str, Backend]:
    """Open what the command line or the fixture ``kvbench_backend`` names.

    Args:
        given: a URL or HOST:PORT; a function that opens a backend; or an open backend.

    Returns:
        The target's name, without secrets, and its backend.

    Raises:
        UsageError: it is none of these, or an asynchronous target.
        BackendUnavailableError: a driver or server program is not installed.
        KvConnectionError: the connection failed.
    """
    if given is None:
        raise UsageError("name a target: --kvbench-target URL, or override kvbench_backend")
    if isinstance(given, str):
        url = target_url(given_target(given))
        name = target_name(url)
        store: object = _opened(name, lambda: open_backend(url))
    else:
        store = given() if callable(given) else given
        name = type(store).__name__
    if not isinstance(store, Backend):
        raise UsageError(f"kvbench_backend gives a {name}, not a Backend")
    problem = declaration_problem(type(store))
    if isinstance(store, BlockingBackend):
        problem = (
            f"{name} is asynchronous, and pytest-benchmark measures synchronous calls: each would "
            "enter an event loop anew. `kvbench run` measures it inside its loop"
        )
    if problem:
        store.close()
        raise UsageError(problem)
    return name, store


def _opened(name: str, open_it: Callable[[], Backend]) -> Backend:
    try:
        return open_it()
    except KvbenchError:
        raise
    except Exception as error:
        # An adapter of a third party may raise anything.
        raise KvConnectionError(f"{name}: {type(error).__name__}: {error}") from error


class BenchmarkStore:
    """An open store, with keys and values for one test.

    Attributes:
        target: its name, without secrets.
        backend: all of its calls.
    """

    def __init__(self, target: str, backend: Backend) -> None:
        self.target = target
        self.backend = backend
        self._workload = Workload(Settings())
        if Capability.TTL in backend.capabilities:
            self._workload.safety_ttl_s = SAFETY_TTL_S

    def keys(self, count: int) -> list[str]:
        """``count`` distinct keys, always the same ones; they are removed after the test."""
        return self._workload.keys(count)

    def pairs(self, count: int) -> dict[str, Value]:
        """The same keys with values of 100 bytes."""
        return self._workload.pairs(count)

    def stored(self, count: int) -> list[str]:
        """The same keys, now stored with these values.

        Raises:
            KvError: the store failed.
        """
        pairs = self.pairs(count)
        self._workload.fill(self.backend, pairs)
        return list(pairs)

    def difference(self, operation: BatchOperation, batch_size: int) -> str:
        """How batch and single calls differ in their answers; empty if they do not.

        Raises:
            KvError: the store failed.
        """
        found = check(self.backend, operation, self._workload, batch_size)
        self.clean()
        return found

    def clean(self) -> None:
        """Remove all keys that were given out.

        Raises:
            KvError: the store failed.
        """
        self._workload.clean(self.backend)


class BatchBenchmark:
    """Measures one arm of an operation: what the fixture ``kvbench_batch`` gives.

    Args:
        store: with the keys of this test.
        benchmark: pytest-benchmark's fixture.
        max_time_s: of a benchmark, as its option says.
        rounds_min: of a benchmark, as its option says.
    """

    def __init__(
        self, store: BenchmarkStore, benchmark: Benchmark, max_time_s: object, rounds_min: object
    ) -> None:
        self._store = store
        self._benchmark = benchmark
        self._max_time_s = float(cast("float", max_time_s))
        self._rounds_min = int(cast("int", rounds_min))

    def __call__(self, operation: str, batch_size: int, arm: str = "batch") -> None:
        """Measure ``batch_size`` keys in one pass: one batch call, or that many single calls.

        A pipelined arm is skipped where the store has none. A batch that answers otherwise than
        single calls do fails, and is not measured.

        Raises:
            UsageError: an unknown operation or arm, or a size below 1.
            KvError: the store failed.
        """
        done, way = _operation(operation), _arm(arm)
        if batch_size < 1:
            raise UsageError(f"a batch of {batch_size} keys: it has 1 at least")
        backend = self._store.backend
        if way is Arm.PIPELINED and Capability.PIPELINING not in backend.capabilities:
            pytest.skip(f"{self._store.target} has no pipelined calls")
        if difference := self._store.difference(done, batch_size):
            pytest.fail(
                f"{done} is not measured: its answers are wrong: {printable(difference)}",
                pytrace=False,
            )
        keys = f"{batch_size:,} keys" if batch_size > 1 else "one key"
        self._benchmark.group = f"{done.upper()} of {keys} on {self._store.target}"
        self._benchmark.extra_info.update(
            kvbench_target=self._store.target,
            kvbench_operation=str(done),
            kvbench_batch_size=batch_size,
            kvbench_arm=str(way),
            kvbench_batch_kind=str(backend.batch_kind(done)),
        )
        self._measure(sync_pass(backend, done, way), done, batch_size)

    def _measure(
        self, run: Callable[[Batch], object], operation: BatchOperation, size: int
    ) -> None:
        if operation is BatchOperation.MDEL:
            self._measure_deletes(run, size)
        elif operation is BatchOperation.MSET:
            self._benchmark(run, self._store.pairs(size))
        else:
            self._benchmark(run, self._store.stored(size))

    def _measure_deletes(self, run: Callable[[Batch], object], size: int) -> None:
        """One pass in each round; as many rounds as fit into the time, their storing included."""

        def store_again() -> tuple[tuple[object, ...], dict[str, object]]:
            return (self._store.stored(size),), {}

        start_s = time.perf_counter()
        run(self._store.stored(size))
        once_s = max(time.perf_counter() - start_s, 1e-6)
        rounds = min(_ROUNDS_MAX, max(self._rounds_min, int(self._max_time_s / once_s)))
        self._benchmark.pedantic(run, setup=store_again, rounds=rounds, warmup_rounds=1)


def _operation(name: str) -> BatchOperation:
    try:
        return BatchOperation(name)
    except ValueError:
        known = ", ".join(BatchOperation)
        raise UsageError(f"operation {name!r} is none of {known}") from None


def _arm(name: str) -> Arm:
    if name not in _ARMS:
        raise UsageError(f"arm {name!r} is none of {', '.join(_ARMS)}")
    return Arm(name)
