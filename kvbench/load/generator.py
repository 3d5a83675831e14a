"""What one load worker does: a specification in, a tally out.

The function is pure in that sense: it needs nothing but its specification, so it runs in this
process, in a child process or on another machine. It measures its own durations; no reading of a
clock leaves it. The random numbers of a client depend on the seed and on the client's number only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import cycle

import msgspec
import numpy as np

from kvbench.backend import Backend
from kvbench.errors import KvConnectionError
from kvbench.load.arrivals import Schedule, constant_arrivals, poisson_arrivals, split_arrivals
from kvbench.load.calls import Call
from kvbench.load.client_driver import ClientDriver
from kvbench.load.formation import Batches, form_batches
from kvbench.load.perform import performer
from kvbench.load.plan import Arrivals, Driver, LoadLane
from kvbench.load.stream import CallStream, Keyspace
from kvbench.load.tally import SINCE_INTENDED, LoadTally, Watch
from kvbench.load.workload import Action, LoadWorkload, Popularity
from kvbench.registry import open_backend

_POOL_KEYS = 20_000
"""Keys of the calls that are drawn before the start, of all clients of a worker together; clients
repeat their calls then. Drawing them in between would cost the client time that it measures."""


class GeneratorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The work of one worker in one window.

    Attributes:
        url: opens the store.
        driver: what sends the requests.
        lane: how.
        workload: which requests.
        prefix: of all keys.
        seed: of keys, values and arrivals.
        number: of the round, so that rounds have different arrivals and calls.
        worker: number of this worker.
        workers: number of workers.
        clients: number of clients of all workers.
        calls_per_s: of all workers together in an open loop; 0 for a closed loop.
        arrivals: of an open loop.
        warm_up_ns: before the window.
        duration_ns: length of the window.
        ttl: of stored keys in seconds; None for none.
        start_at_s: wall-clock time of the start, seconds since 1970; 0 for now. Clocks of machines
            differ, and by so much the windows of workers may be shifted.
    """

    url: str
    driver: Driver
    lane: LoadLane
    workload: LoadWorkload
    prefix: str
    seed: int
    number: int = 0
    worker: int = 0
    workers: int = 1
    clients: int = 1
    calls_per_s: float = 0.0
    arrivals: Arrivals = Arrivals.POISSON
    warm_up_ns: int = 0
    duration_ns: int
    ttl: float | None = None
    start_at_s: float = 0.0

    @property
    def length_s(self) -> float:
        """Warm-up and window together, in seconds."""
        return (self.warm_up_ns + self.duration_ns) / 1e9

    @property
    def own_clients(self) -> range:
        """The numbers of this worker's clients."""
        return range(self.worker, self.clients, self.workers)

    def schedule(self) -> Schedule:
        """When this worker's calls are due, from the beginning of the warm-up."""
        length_ns = self.warm_up_ns + self.duration_ns
        if self.arrivals is Arrivals.CONSTANT:
            whole = constant_arrivals(self.calls_per_s, length_ns)
        else:
            rng = np.random.default_rng([self.seed, 4, self.number])
            whole = poisson_arrivals(self.calls_per_s, length_ns, rng)
        return split_arrivals(whole, self.workers)[self.worker]


class Formed(msgspec.Struct, frozen=True):
    """How batches were formed from keys.

    Attributes:
        keys: mean number of keys in a batch.
        wait_ns: mean time from a key's arrival to the sending of its batch.
    """

    keys: float
    wait_ns: float


class Generated(msgspec.Struct, frozen=True):
    """What a worker did.

    Attributes:
        tally: what it measured.
        inserted: number of new keys of each of its clients, by the client's number.
        formed: with batch formation, how.
        workers: number of workers whose work this is.
        start_error_ns: a worker began so much later than ``start_at_s`` said; of several, the
            windows of any two began at most so far apart.
        lost: workers of the window whose work is missing, each with what it had done.
    """

    tally: LoadTally
    inserted: dict[int, int]
    formed: Formed | None = None
    workers: int = 1
    start_error_ns: int = 0
    lost: list[str] = []


def generate(
    spec: GeneratorSpec,
    backend: Backend | None = None,
    watch: Watch | None = None,
    note_inserted: Callable[[dict[int, int]], None] = lambda _: None,
) -> Generated:
    """Do the work of one worker.

    Args:
        spec: the work.
        backend: an open store inside this process, which all clients share; by default each client
            opens a connection.
        watch: called a few times a second with what was measured lately.
        note_inserted: called with the numbers of new keys at the end, however it comes.

    Raises:
        UsageError: the driver cannot do this on this store.
        KvConnectionError: the store refuses a connection.
    """
    streams = _streams(spec)
    schedule = spec.schedule() if spec.calls_per_s else None
    formed = None
    batches = None
    if schedule is not None and spec.lane.window_ns:
        batches = form_batches(schedule, spec.lane.batch_size, spec.lane.window_ns)
        formed = Formed(len(schedule) / len(batches.send_ns), batches.mean_wait_ns(schedule))
    start = _Start(spec.start_at_s)
    try:
        if spec.driver is Driver.WIRE:
            tally = _wire(spec, streams, schedule, start, watch)
        else:
            with open_clients(spec, backend) as backends:
                tally = _client(spec, backends, streams, schedule, batches, start, watch)
    finally:
        inserted = {number: one.inserted for number, one in streams.items() if one.inserted}
        note_inserted(inserted)
    if schedule is not None and batches is None:
        _count_unsent(tally, schedule, spec)
    return Generated(tally, inserted, formed, start_error_ns=start.late_ns)


def _streams(spec: GeneratorSpec) -> dict[int, CallStream]:
    keyspace = _keyspace(spec.workload, spec.prefix, spec.seed)
    return {
        number: CallStream(
            spec.workload,
            keyspace,
            batch_size=spec.lane.batch_size,
            pipeline=spec.lane.pipeline,
            seed=spec.seed + spec.number,
            client=number,
            clients=spec.clients,
        )
        for number in spec.own_clients
    }


@lru_cache(maxsize=2)
def _make_keyspace(encoded: bytes, prefix: str, seed: int) -> Keyspace:
    return Keyspace(msgspec.json.decode(encoded, type=LoadWorkload), prefix, seed)


def _keyspace(workload: LoadWorkload, prefix: str, seed: int) -> Keyspace:
    """The keys of a run, made once in a process: a million take a second."""
    return _make_keyspace(msgspec.json.encode(workload), prefix, seed)


def make_keys(spec: GeneratorSpec) -> None:
    """Make the keys of a run now, so that its first window in this process begins in time."""
    _keyspace(spec.workload, spec.prefix, spec.seed)


def _wire(
    spec: GeneratorSpec,
    streams: dict[int, CallStream],
    schedule: Schedule | None,
    start: _Start,
    watch: Watch | None,
) -> LoadTally:
    from kvbench.load.wire.drive import drive

    pool = [call for stream in streams.values() for call in _pool(stream, spec)]
    return drive(
        spec.url,
        pool,
        batch_size=spec.lane.batch_size,
        pipeline=spec.lane.pipeline,
        connections=len(streams),
        intended_ns=schedule,
        warm_up_ns=spec.warm_up_ns,
        duration_ns=spec.duration_ns,
        ttl_ms=round((spec.ttl or 0) * 1000),
        when_ready=start.wait,
        watch=watch,
    )


def _client(
    spec: GeneratorSpec,
    backends: list[Backend],
    streams: dict[int, CallStream],
    schedule: Schedule | None,
    batches: Batches | None,
    start: _Start,
    watch: Watch | None,
) -> LoadTally:
    driver = ClientDriver(
        backends,
        [_endless(stream, spec) for stream in list(streams.values())[: len(backends)]],
        performer(spec.lane.batch_size, spec.lane.pipeline, spec.ttl),
        requests=spec.lane.pipeline,
        watch=watch,
    )
    start.wait()
    if schedule is None:
        return driver.closed_loop(spec.warm_up_ns, spec.duration_ns)
    return driver.open_loop(schedule, spec.warm_up_ns, spec.duration_ns, batches)


def _count_unsent(tally: LoadTally, schedule: Schedule, spec: GeneratorSpec) -> None:
    """Add what unsent calls had waited at the end to the latency since the intended time.

    Without them the percentiles of an overloaded store would be too good: now they are lower
    bounds. Calls are sent in their order, so the unsent ones are the last.
    """
    if tally.unsent:
        since = tally.histogram(SINCE_INTENDED)
        since.record_many(spec.warm_up_ns + spec.duration_ns - schedule[-tally.unsent :])
        tally.latency[SINCE_INTENDED] = since.to_counts()


def _pool(stream: CallStream, spec: GeneratorSpec) -> list[Call]:
    keys = max(1, _POOL_KEYS // len(spec.own_clients))
    return stream.take(max(16, keys // spec.lane.keys))


def _endless(stream: CallStream, spec: GeneratorSpec) -> Iterator[Call]:
    """The calls of a client: a pool in turn, or drawn anew where new keys matter."""
    workload = spec.workload
    if workload.popularity is Popularity.LATEST or workload.mix.get(Action.INSERT):
        return stream
    return cycle(_pool(stream, spec))


@contextmanager
def open_clients(spec: GeneratorSpec, shared: Backend | None) -> Iterator[list[Backend]]:
    """A backend for each of a worker's clients, during a ``with`` block.

    Args:
        spec: of the worker.
        shared: used instead, by one client.

    Raises:
        KvConnectionError: the store refuses a connection; the message says which.
    """
    if shared is not None:
        yield [shared]
        return
    with ExitStack() as opened:
        backends: list[Backend] = []
        for number in range(len(spec.own_clients)):
            try:
                backends.append(opened.enter_context(open_backend(spec.url)))
            except KvConnectionError as error:
                raise KvConnectionError(
                    f"connection {number + 1} of {len(spec.own_clients)}: {error}"
                ) from None
        yield backends


class _Start:
    """The moment at which a window's warm-up begins.

    Args:
        at_s: wall-clock time, seconds since 1970; 0 for now.
    """

    def __init__(self, at_s: float) -> None:
        self._at_s = at_s
        self.late_ns = 0
        """How much later :meth:`wait` returned."""

    def wait(self) -> None:
        """Wait until then."""
        if self._at_s:
            time.sleep(max(0.0, self._at_s - time.time()))
            self.late_ns = max(0, round((time.time() - self._at_s) * 1e9))
