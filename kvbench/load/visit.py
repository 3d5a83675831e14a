"""A round's work on one target: open it, store the keys, measure each lane once, remove the keys.

A store that fails while it is measured is part of the result: its errors are counted. A store that
cannot be opened ends the round, and if it is not a private server, the run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice

from kvbench import eviction
from kvbench.backend import AsyncBackend, Backend
from kvbench.bench.arms import Arm
from kvbench.bench.contention import descendants, waited_ns
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.messages import KeysRemain, Lost, TaskProgress
from kvbench.bench.round import reason_of
from kvbench.bench.workload import SAFETY_TTL_S
from kvbench.errors import (
    BackendUnavailableError,
    KvConnectionError,
    KvTimeoutError,
    UsageError,
)
from kvbench.load.capacity import find_capacity
from kvbench.load.generator import Generated, GeneratorSpec
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
from kvbench.load.plan import Driver, LoadLane
from kvbench.load.stream import Keyspace
from kvbench.load.tally import LoadTally
from kvbench.load.workers import (
    ChildProcesses,
    GeneratorLostError,
    InProcess,
    Workers,
    try_clients,
)
from kvbench.load.workload import Action
from kvbench.model import Capability
from kvbench.registry import backend_class, open_backend

LoadSend = Callable[[LoadMessage], None]

_BULK_BYTES = 4 << 20
_BULK_KEYS = 5_000
"""A storing request stays below 4 MiB: far from every frame limit, and cheap per key."""

PROBE_WARM_UP_S = 0.15
"""Before each probe of a capacity search; the store is warm after the first."""

_RECORD_OVERHEAD_BYTES = 100
_WIRE_SCHEMES = ("kvb", "redis", "valkey", "memcached")


class LoadTargetLostError(Exception):
    """A target cannot be used any more; the message about it was sent."""


class LoadVisit:
    """An open target.

    Args:
        task: of the round.
        target: to measure.
        backend: open; the private server, if there is one, lives as long.
        workers: generate windows of load.
        send: takes messages.
    """

    def __init__(
        self,
        task: LoadTask,
        target: LoadTarget,
        backend: Backend,
        workers: Workers,
        send: LoadSend,
    ) -> None:
        self._task = task
        self._target = target
        self._backend = backend
        self._workers = workers
        self._send = send
        self._url = backend.private_url or target.url
        self._is_private = bool(backend.private_url)
        self._keyspace = Keyspace(task.workload, task.prefix, task.settings.seed)
        self._is_stored = False
        self._clients = task.settings.clients if backend.is_network else 1
        self._ttl = self._choose_ttl()

    def explore(self) -> None:
        """Report the store's facts, and the lanes that cannot be measured.

        Raises:
            UsageError: the store does not accept keys of this length, or the wire driver does not
                speak its protocol.
            KvConnectionError: it refuses so many clients.
        """
        self._send(
            LoadOpened(
                self._target.place,
                self._backend.is_network,
                {**self._backend.describe(), **self._workers.facts},
                self._eviction_warning(),
            )
        )
        self._try_key()
        for lane in self._target.lanes:
            reason = self._obstacle(lane)
            if reason:
                self._send(LaneRefused(self._target.place, lane, reason))
        if self._backend.is_network and self._task.settings.driver is Driver.CLIENT:
            try_clients(self._spec(self._target.lanes[0], 0.0, 1.0))

    def measure(self) -> None:
        """Measure every lane once, in shuffled order.

        Raises:
            LoadTargetLostError: the store stopped answering between two lanes.
        """
        lanes = list(self._target.lanes)
        seed = f"{self._task.settings.seed}/{self._task.number}/{self._target.place}"
        random.Random(seed).shuffle(lanes)
        removes = bool(self._task.workload.mix.get(Action.DELETE))
        for lane in lanes:
            try:
                if removes or not self._is_stored:
                    self._store()
                self._send(self._measure_lane(lane))
            except (KvConnectionError, KvTimeoutError, GeneratorLostError) as error:
                raise self._lost(error) from error
            except Exception as error:  # noqa: BLE001 - an adapter may raise anything
                self._send(LaneRefused(self._target.place, lane, reason_of(error)))

    def _measure_lane(self, lane: LoadLane) -> LoadMeasured | CapacityMeasured:
        label = f"{self._target.name} {lane}"
        settings, task = self._task.settings, self._task
        self._send(TaskProgress(label, 0.0))
        pids = descendants()
        before_ns, began_ns = waited_ns(pids), time.monotonic_ns()

        def waited() -> float:
            share = (waited_ns(pids) - before_ns) / (time.monotonic_ns() - began_ns)
            return round(max(0.0, share), 4)

        if task.objective is None:
            calls_per_s = settings.calls_per_s(lane)
            done = self._window(lane, calls_per_s, settings.round_s, settings.warm_up_s, label)
            return LoadMeasured(
                self._target.place,
                lane,
                self._clients,
                done.tally,
                waited(),
                done.formed,
                workers=done.workers,
                start_error_ns=done.start_error_ns,
                lost=done.lost,
            )
        lost: list[str] = []

        def probe(calls_per_s: float, length_s: float) -> LoadTally:
            rate = f"at {calls_per_s * lane.keys:,.0f} keys/s" if calls_per_s else "closed loop"
            done = self._window(lane, calls_per_s, length_s, PROBE_WARM_UP_S, f"{label} {rate}")
            lost.extend(done.lost)
            return done.tally

        found = find_capacity(task.objective, probe, settings.probe_s)
        return CapacityMeasured(
            self._target.place, lane, task.number, self._clients, found, waited(), lost
        )

    def _window(
        self, lane: LoadLane, calls_per_s: float, length_s: float, warm_up_s: float, label: str
    ) -> Generated:
        def watch(share: float, keys_per_s: float, p99_ns: float, errors: int) -> None:
            self._send(Glimpse(label, share, keys_per_s, p99_ns, errors))

        return self._workers.run(self._spec(lane, calls_per_s, length_s, warm_up_s), watch)

    def _spec(
        self, lane: LoadLane, calls_per_s: float, length_s: float, warm_up_s: float = 0.0
    ) -> GeneratorSpec:
        settings = self._task.settings
        return GeneratorSpec(
            url=self._url,
            driver=settings.driver,
            lane=lane,
            workload=self._task.workload,
            prefix=self._task.prefix,
            seed=settings.seed,
            number=self._task.number,
            clients=self._clients,
            workers=max(1, min(settings.workers, self._clients)),
            calls_per_s=calls_per_s,
            arrivals=settings.arrivals,
            warm_up_ns=round(warm_up_s * 1e9),
            duration_ns=round(length_s * 1e9),
            ttl=self._ttl,
        )

    def leave(self) -> None:
        """Remove the run's keys, on this connection or else on a new one."""
        if not self._is_stored or self._is_private:
            return
        try:
            self._remove(self._backend)
            return
        except Exception:  # noqa: BLE001 - whatever it was, a new connection may do
            pass
        try:
            with open_backend(self._target.url) as again:
                self._remove(again)
        except Exception as error:  # noqa: BLE001 - all that is left to do is to say so
            self._send(KeysRemain(self._target.place, self._task.prefix, reason_of(error)))

    def _store(self) -> None:
        """Store the records, in parts that fit in one request."""
        self._is_stored = True
        keys, values = self._keyspace.keys, self._keyspace.values
        pairs = ((key, values[i % len(values)]) for i, key in enumerate(keys))
        longest = max(map(len, values)) + _RECORD_OVERHEAD_BYTES
        bulk = max(1, min(_BULK_KEYS, _BULK_BYTES // longest))
        stored = 0
        while part := list(islice(pairs, bulk)):
            self._backend.mset(part, self._ttl)
            stored += len(part)
            text = f"{self._target.name}: {stored:,} of {len(keys):,} keys stored"
            self._send(TaskProgress(text, stored / len(keys)))

    def _remove(self, backend: Backend) -> None:
        keys = self._keyspace.keys
        for start in range(0, len(keys), _BULK_KEYS):
            backend.mdel(keys[start : start + _BULK_KEYS])
        for client, count in self._workers.inserted.items():
            for start in range(0, count, _BULK_KEYS):
                some = min(_BULK_KEYS, count - start)
                backend.mdel(self._keyspace.inserted(start, some, client, self._clients))

    def _obstacle(self, lane: LoadLane) -> str:
        """Why a lane cannot be measured here; empty if it can."""
        settings = self._task.settings
        if settings.driver is Driver.WIRE:
            return ""
        if lane.arm is Arm.BATCH and lane.pipeline > 1:
            return "its Python client does not pipeline batches; --driver wire does"
        if lane.pipeline > 1 and Capability.PIPELINING not in self._backend.capabilities:
            return "its adapter has no pipelined calls"
        return ""

    def _choose_ttl(self) -> float | None:
        has_ttl = Capability.TTL in self._backend.capabilities
        if self._task.workload.ttl_s:
            if not has_ttl:
                raise UsageError(f"{self._target.name} has no TTL: leave --ttl out")
            return self._task.workload.ttl_s
        is_shared = self._backend.is_network or Capability.SHARED in self._backend.capabilities
        return SAFETY_TTL_S if has_ttl and is_shared and not self._is_private else None

    def _eviction_warning(self) -> str:
        if self._is_private:
            return ""
        workload = self._task.workload
        sizes = workload.value_sizes
        record = (sizes.median or sizes.high) + _RECORD_OVERHEAD_BYTES
        facts = dict(self._backend.describe())
        return eviction.warning(self._target.name, facts, workload.records * record)

    def _try_key(self) -> None:
        try:
            self._backend.exists(self._keyspace.missing[0])
        except ValueError as error:
            raise UsageError(f"{error}: use a shorter --key-length") from None

    def _lost(self, error: Exception) -> LoadTargetLostError:
        reason = f"{self._target.name}: {reason_of(error)}"
        self._send(Lost(self._target.place, reason, self._is_private))
        return LoadTargetLostError(reason)


def check_load_target(url: str, driver: Driver) -> None:
    """Check that a target can be loaded; open nothing.

    Raises:
        UsageError: unknown scheme, an asynchronous adapter, or no protocol of the wire driver.
        BackendUnavailableError: its driver is not installed.
    """
    kind = backend_class(url)
    scheme = url.partition(":")[0].lower()
    if issubclass(kind, AsyncBackend):
        raise UsageError(f"{scheme}:// is asynchronous: load takes the synchronous kvb://")
    if driver is Driver.WIRE and scheme not in _WIRE_SCHEMES:
        known = ", ".join([f"{name}://" for name in _WIRE_SCHEMES])
        raise UsageError(f"--driver wire speaks {known}, not {scheme}://")


@contextmanager
def load_visit(
    task: LoadTask,
    target: LoadTarget,
    send: LoadSend,
    interrupts: Interrupts,
    cluster: Workers | None = None,
) -> Iterator[LoadVisit]:
    """Open a target during a ``with`` block, and remove the keys of the run from it.

    Args:
        task: of the round.
        target: to open.
        send: takes messages.
        interrupts: held back while keys are removed.
        cluster: what generates the load; by default this process or its children.

    Raises:
        UsageError, BackendUnavailableError, KvConnectionError: it cannot be opened, in a trial.
        LoadTargetLostError: it cannot be opened, in a round.
    """
    with ExitStack() as opened:
        try:
            backend = opened.enter_context(open_backend(target.url))
            workers = cluster or opened.enter_context(_workers(task, backend))
            visit = LoadVisit(task, target, backend, workers, send)
        except Exception as error:
            if task.number:
                reason = f"{target.name}: {reason_of(error)}"
                send(Lost(target.place, reason))
                raise LoadTargetLostError(reason) from error
            if isinstance(error, UsageError | BackendUnavailableError):
                raise
            # A third-party adapter may raise anything.
            raise KvConnectionError(f"{target.name}: {reason_of(error)}") from error
        try:
            yield visit
        finally:
            with interrupts.deferred():
                visit.leave()


def _workers(task: LoadTask, backend: Backend) -> Workers:
    """What generates the load: this process, unless several were asked for and clients connect."""
    if not backend.is_network:
        return InProcess(backend)
    if task.settings.workers > 1:
        return ChildProcesses(task.settings.workers)
    return InProcess()
