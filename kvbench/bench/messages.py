"""A worker's task, and the messages that it sends: one JSON object a line, typed.

A worker measures one round in a separate process. Its task comes on standard input, because it
contains URLs with passwords; its messages are sent through a separate pipe.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kvbench.bench.arms import Arm
from kvbench.bench.placement import Placement
from kvbench.bench.plan import Settings
from kvbench.model import BatchOperation


class Lane(msgspec.Struct, frozen=True):
    """An arm at a batch size, and the size of its slices.

    Attributes:
        arm: the way to do the work.
        batch_size: keys of a call or a flush; 1 for single calls, which are the same at any size.
        units: calls (flushes) in one slice; 0 before calibration.
        sample_ns: duration of such a slice in calibration.
    """

    arm: Arm
    batch_size: int
    units: int = 0
    sample_ns: int = 0


class Group(msgspec.Struct, frozen=True):
    """An operation on a target: its lanes are measured together, in the same blocks."""

    op: BatchOperation
    lanes: list[Lane]


class TargetTask(msgspec.Struct, frozen=True):
    """What to measure on a target.

    Attributes:
        place: its number in the plan.
        url: opens it.
        name: its name in messages; without a password.
        groups: operations with their lanes.
        can_mset: whether storing by MSET was seen to work.
        can_mdel: whether removing by MDEL was seen to work.
    """

    place: int
    url: str
    name: str
    groups: list[Group]
    can_mset: bool = False
    can_mdel: bool = False


class Task(msgspec.Struct, frozen=True):
    """A worker's task.

    Attributes:
        kind: ``explore`` opens the targets, checks that all arms do the same work and calibrates;
            ``measure`` is a round.
        number: of the round, from 1; 0 when exploring.
        settings: shared by all cells.
        placement: cores of this process and of private servers.
        targets: in the order of measuring.
        prefix: of the run's keys; empty for a new one.
    """

    kind: Literal["explore", "measure"]
    number: int
    settings: Settings
    placement: Placement
    targets: list[TargetTask]
    prefix: str = ""


class TaskProgress(msgspec.Struct, frozen=True, tag="step"):
    """Progress: ``share`` of this worker's task is done, 0 to 1."""

    text: str
    share: float


class Placed(msgspec.Struct, frozen=True, tag="placed"):
    """The placement in force; the system may have refused the requested one."""

    placement: Placement


class BaselineSample(msgspec.Struct, frozen=True, tag="baseline"):
    """The baselines of a round in nanoseconds; see :class:`kvbench.results.Baselines`."""

    timer_ns: float
    loop_ns: float
    round_trip_apart_ns: float
    round_trip_together_ns: float | None


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """A target was opened while exploring.

    Attributes:
        batch_kinds: operation -> how the adapter carries it out.
        warning: for the target's owner, before measuring; may be empty.
    """

    place: int
    is_network: bool
    facts: dict[str, str]
    batch_kinds: dict[str, str]
    warning: str = ""


class Explored(msgspec.Struct, frozen=True, tag="explored"):
    """The findings about a target: the task of each round."""

    task: TargetTask


class NoFigure(msgspec.Struct, frozen=True, tag="no-figure"):
    """A cell has no result, for this reason.

    Attributes:
        batch_size: 0 for every size.
    """

    place: int
    op: BatchOperation
    batch_size: int
    reason: str


class RoundTrips(msgspec.Struct, frozen=True, tag="round-trips"):
    """Round trips of a batch call, measured through a delaying proxy."""

    place: int
    op: BatchOperation
    batch_size: int
    round_trips: float


class LaneSample(msgspec.Struct, frozen=True):
    """A lane's samples in a round.

    Attributes:
        ns_per_key: for each block.
        client_cpu: share of the timed wall time that the worker spent on a CPU.
    """

    arm: Arm
    batch_size: int
    ns_per_key: list[float]
    client_cpu: float


class Measured(msgspec.Struct, frozen=True, tag="measured"):
    """A group's samples in a round.

    Attributes:
        control_ns: the control measurement before each block.
        waited: share of the blocks' time that was spent waiting for a core.
    """

    place: int
    op: BatchOperation
    lanes: list[LaneSample]
    control_ns: list[int]
    waited: float


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    """A target stopped answering.

    Attributes:
        is_private: it was a server of this worker, so the next round starts another one.
    """

    place: int
    reason: str
    is_private: bool = False


class KeysRemain(msgspec.Struct, frozen=True, tag="keys-remain"):
    """A target could not be reached to remove the keys of a run."""

    place: int
    prefix: str
    reason: str


class TaskRefused(msgspec.Struct, frozen=True, tag="refused"):
    """The task cannot be done: a usage error, a missing driver, or no connection."""

    kind: Literal["usage", "unavailable", "connection"]
    reason: str
    scheme: str = ""
    hint: str = ""


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The task is done; nothing follows."""


Message = (
    TaskProgress
    | Placed
    | BaselineSample
    | Opened
    | Explored
    | NoFigure
    | RoundTrips
    | Measured
    | Lost
    | KeysRemain
    | TaskRefused
    | Done
)
