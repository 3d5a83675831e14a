"""A load run's plan, checked before anything starts.

A lane is one way to send the workload to one target: single calls, pipelined single calls or
batches. All lanes of a plan take turns, round by round, so that each meets the same states of the
machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from kvbench.bench.arms import Arm
from kvbench.bench.plan import BATCH_SIZE_MAX, ROUNDS_MAX, ROUNDS_MIN
from kvbench.errors import UsageError
from kvbench.foreign_text import target_name
from kvbench.load.objective import Objective
from kvbench.load.workload import LoadWorkload

ARMS = (Arm.INDIVIDUAL, Arm.PIPELINED, Arm.BATCH)

CLIENTS_MAX = 10_000
PIPELINE_MAX = 10_000
KEYS_PER_CALL_MAX = 1_000_000
RATE_MAX = 1e8
DURATION_S_MAX = 86_400.0
PROBE_S_MAX = 60.0
CALLS_MAX = 100_000_000
"""Calls of a round in an open loop: their schedule is made before, 8 bytes each."""


class Driver(StrEnum):
    """What sends the requests."""

    CLIENT = "client"
    """The store's own Python client: what an application sees."""
    WIRE = "wire"
    """Prebuilt requests on bare sockets: what the server can do."""


class Arrivals(StrEnum):
    """How the calls of an open loop are spread over time."""

    POISSON = "poisson"
    """Independent users: the distances are exponentially distributed."""
    CONSTANT = "constant"
    """Equal distances."""


class LoadLane(msgspec.Struct, frozen=True):
    """One way to send the workload.

    Attributes:
        arm: single calls, pipelined single calls, or batches.
        batch_size: keys in one request.
        pipeline: requests in one call, which is what a client sends at once.
        window_ns: with batch formation, the longest time from the arrival of a batch's first key to
            its sending; 0 without formation.
    """

    arm: Arm
    batch_size: int = 1
    pipeline: int = 1
    window_ns: int = 0

    @property
    def keys(self) -> int:
        """Keys in one call."""
        return self.batch_size * self.pipeline

    def __str__(self) -> str:
        size = f" × {self.batch_size}" if self.batch_size > 1 else ""
        depth = f", {self.pipeline} deep" if self.pipeline > 1 else ""
        window = f", {self.window_ns / 1e6:g} ms window" if self.window_ns else ""
        return f"{self.arm}{size}{depth}{window}"


def make_lane(arm: Arm, batch_size: int, pipeline: int) -> LoadLane:
    """The lane of an arm: ``batch_size`` keys of work at a time, ``pipeline`` of them in a call.

    Raises:
        UsageError: a number is out of range, or the pipelined arm has nothing to pipeline.
    """
    if not 1 <= batch_size <= BATCH_SIZE_MAX:
        raise UsageError(f"batch size {batch_size} is not 1 to {BATCH_SIZE_MAX:,}")
    if not 1 <= pipeline <= PIPELINE_MAX:
        raise UsageError(f"pipeline {pipeline} is not 1 to {PIPELINE_MAX:,}")
    match arm:
        case Arm.BATCH:
            if batch_size == 1:
                raise UsageError("the batch arm needs --batch-size, e.g. --batch-size 50")
            lane = LoadLane(arm, batch_size, pipeline)
        case Arm.PIPELINED:
            if batch_size * pipeline == 1:
                raise UsageError("the pipelined arm needs --batch-size or --pipeline, e.g. 10")
            lane = LoadLane(arm, 1, batch_size * pipeline)
        case _:
            lane = LoadLane(arm, 1, pipeline)
    if lane.keys > KEYS_PER_CALL_MAX:
        raise UsageError(f"a call of {lane.keys:,} keys is over {KEYS_PER_CALL_MAX:,}")
    return lane


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings shared by all lanes of a run.

    Attributes:
        clients: connections of each target, all together.
        duration_s: measured time of each lane in seconds, the sum over rounds.
        warm_up_s: before it, in each round; not counted.
        rounds: independent repetitions, each on fresh connections in a fresh process.
        rate: requests per second of an open loop; 0 for a closed loop.
        rate_keys: keys per second instead, the same for every lane.
        arrivals: of an open loop.
        probe_s: shortest probe of a capacity search, in seconds.
        driver: what sends the requests.
        workers: processes that share the clients; 0 for all workers of a cluster.
        dask: address of the scheduler of a Dask cluster whose workers are used; empty for none.
        seed: of keys, values, arrivals and order.
        keep_awake: whether to keep the cores from sleeping.
        pin: whether to pin load generator and private servers to cores.
    """

    clients: int = 20
    duration_s: float = 10.0
    warm_up_s: float = 0.5
    rounds: int = 5
    rate: float = 0.0
    rate_keys: float = 0.0
    arrivals: Arrivals = Arrivals.POISSON
    probe_s: float = 0.4
    driver: Driver = Driver.CLIENT
    workers: int = 1
    dask: str = ""
    seed: int = 0
    keep_awake: bool = True
    pin: bool = True

    def check(self) -> None:
        """Check the settings.

        Raises:
            UsageError: a number is out of range; the message names it.
        """
        if not 1 <= self.clients <= CLIENTS_MAX:
            raise UsageError(f"clients {self.clients} is not 1 to {CLIENTS_MAX:,}")
        if not ROUNDS_MIN <= self.rounds <= ROUNDS_MAX:
            raise UsageError(f"rounds {self.rounds} is not {ROUNDS_MIN} to {ROUNDS_MAX:,}")
        fewest = 0 if self.dask else 1
        if not fewest <= self.workers <= self.clients:
            raise UsageError(
                f"workers {self.workers} is not {fewest} to {self.clients}, the clients"
            )
        if not 0.1 <= self.duration_s / self.rounds <= DURATION_S_MAX:
            raise UsageError(
                f"duration {self.duration_s:g} s in {self.rounds} rounds: each needs 0.1 s at "
                f"least, and {DURATION_S_MAX:,.0f} s at most"
            )
        if not 0.05 <= self.probe_s <= PROBE_S_MAX:
            raise UsageError(f"probe {self.probe_s:g} s is not 0.05 to {PROBE_S_MAX:g} s")
        if not 0 <= self.warm_up_s <= DURATION_S_MAX:
            raise UsageError(f"warm-up {self.warm_up_s:g} s is negative or too long")
        if self.rate and self.rate_keys:
            raise UsageError("give a rate of requests or of keys, not both")
        for rate in (self.rate, self.rate_keys):
            if not 0 <= rate <= RATE_MAX:
                raise UsageError(f"rate {rate:g}/s is not above 0 and up to {RATE_MAX:,.0f}/s")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed} is negative: use 0 or more")

    @property
    def is_open(self) -> bool:
        """Whether calls follow a schedule."""
        return bool(self.rate or self.rate_keys)

    def calls_per_s(self, lane: LoadLane) -> float:
        """Calls per second of all clients in an open loop; 0 in a closed one.

        With batch formation, keys per second.
        """
        if lane.window_ns:
            return self.rate_keys
        return self.rate / lane.pipeline if self.rate else self.rate_keys / lane.keys

    @property
    def round_s(self) -> float:
        """Measured time of a lane in one round, in seconds."""
        return self.duration_s / self.rounds


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A whole load run; with an objective, the search of the capacity within it."""

    urls: tuple[str, ...]
    lanes: tuple[LoadLane, ...]
    workload: LoadWorkload = field(default_factory=LoadWorkload)
    settings: LoadSettings = field(default_factory=LoadSettings)
    objective: Objective | None = None

    def __post_init__(self) -> None:
        """Check the whole.

        Raises:
            UsageError: no target or lane, one of them twice, a number out of range, or a schedule
                that is empty or too large.
        """
        self.settings.check()
        self.workload.check()
        names = self.names
        for given, what in ((names, "target"), (self.lanes, "arm")):
            if not given:
                raise UsageError(f"nothing to measure: give a {what}")
            twice = [one for one in given if given.count(one) > 1]
            if twice:
                raise UsageError(f"{twice[0]} is given twice: each {what} is measured once a run")
        if any(lane.window_ns for lane in self.lanes):
            self._check_formation()
        if not self.settings.is_open:
            return
        for lane in self.lanes:
            calls = self.settings.calls_per_s(lane) * self.settings.round_s
            if calls < 1:
                raise UsageError(
                    f"{lane}: less than one call in a round of {self.settings.round_s:g} s; raise "
                    "the rate or the duration"
                )
            if calls > CALLS_MAX:
                raise UsageError(f"{lane}: {calls:,.0f} calls in a round; lower rate or duration")

    def _check_formation(self) -> None:
        if not self.settings.rate_keys:
            raise UsageError("a batch window needs the rate of keys: --rate '20k keys/s'")
        if self.settings.driver is Driver.WIRE or self.settings.workers > 1 or self.settings.dask:
            raise UsageError("a batch window goes with --driver client and one worker")
        if any(lane.arm is not Arm.BATCH or lane.pipeline > 1 for lane in self.lanes):
            raise UsageError("a batch window goes with the batch arm, without --pipeline")

    @property
    def names(self) -> tuple[str, ...]:
        """The targets as they may be printed and recorded: without passwords."""
        return tuple([target_name(url) for url in self.urls])

    def recorded_settings(self) -> Mapping[str, object]:
        """The resolved options for the header."""
        return {
            "targets": list(self.names),
            "lanes": [str(lane) for lane in self.lanes],
            **msgspec.to_builtins(self.settings),
            "workload": msgspec.to_builtins(self.workload),
        }
