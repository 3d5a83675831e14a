"""A round's task, and the messages that its process sends: one JSON object a line, typed."""

from __future__ import annotations

import msgspec

from kvbench.bench.messages import Done, KeysRemain, Lost, Placed, TaskProgress, TaskRefused
from kvbench.bench.placement import Placement
from kvbench.load.capacity import Capacity
from kvbench.load.generator import Formed
from kvbench.load.objective import Objective
from kvbench.load.plan import LoadLane, LoadSettings
from kvbench.load.tally import LoadTally
from kvbench.load.workload import LoadWorkload


class LoadTarget(msgspec.Struct, frozen=True):
    """A target of a round.

    Attributes:
        place: its number in the plan.
        url: opens it.
        name: its name in messages; without a password.
        lanes: to measure.
    """

    place: int
    url: str
    name: str
    lanes: list[LoadLane]


class LoadTask(msgspec.Struct, frozen=True):
    """The task of a process: one round, or with ``number`` 0 a trial of each target and lane.

    Attributes:
        number: of the round, from 1.
        settings: shared by all lanes.
        workload: what the clients ask for.
        placement: cores of this process and of private servers.
        targets: in any order.
        prefix: of the run's keys.
        objective: to search the capacity within; None to measure at the plan's rate.
    """

    number: int
    settings: LoadSettings
    workload: LoadWorkload
    placement: Placement
    targets: list[LoadTarget]
    prefix: str
    objective: Objective | None = None


class LoadOpened(msgspec.Struct, frozen=True, tag="load-opened"):
    """A target was opened for the first time.

    Attributes:
        place: of the target.
        is_network: whether calls leave the process.
        facts: reported by the store.
        warning: for the target's owner; may be empty.
    """

    place: int
    is_network: bool
    facts: dict[str, str]
    warning: str = ""


class LoadMeasured(msgspec.Struct, frozen=True, tag="load-measured"):
    """A lane was measured once.

    Attributes:
        place: of the target.
        lane: the lane.
        clients: connections that were used; 1 for a store inside the process.
        tally: what was measured.
        waited: share of the time in which other work held a core that this process or a private
            server needed.
        formed: with batch formation, how batches were formed.
        workers: load workers whose work this is.
        start_error_ns: the windows of any two of them began at most so far apart.
        lost: load workers whose work is missing, each with what it had done.
    """

    place: int
    lane: LoadLane
    clients: int
    tally: LoadTally
    waited: float
    formed: Formed | None = None
    workers: int = 1
    start_error_ns: int = 0
    lost: list[str] = []


class CapacityMeasured(msgspec.Struct, frozen=True, tag="capacity-measured"):
    """The capacity of a lane was searched once.

    Attributes:
        place: of the target.
        lane: the lane.
        number: of the round.
        clients: connections that were used.
        capacity: the result.
        waited: as in :class:`LoadMeasured`.
        lost: as in :class:`LoadMeasured`; of all probes.
    """

    place: int
    lane: LoadLane
    number: int
    clients: int
    capacity: Capacity
    waited: float
    lost: list[str] = []


class LaneRefused(msgspec.Struct, frozen=True, tag="lane-refused"):
    """A lane cannot be measured on a target, for this reason."""

    place: int
    lane: LoadLane
    reason: str


class Glimpse(msgspec.Struct, frozen=True, tag="glimpse"):
    """The last moments of a lane that is being measured, for a live view.

    Attributes:
        text: target and lane.
        share: of this round that is done, 0 to 1.
        keys_per_s: recently finished.
        p99_ns: of the recent calls; 0 if unknown.
        errors: so far.
    """

    text: str
    share: float
    keys_per_s: float
    p99_ns: float
    errors: int


LoadMessage = (
    Placed
    | TaskProgress
    | LoadOpened
    | LoadMeasured
    | CapacityMeasured
    | LaneRefused
    | Glimpse
    | Lost
    | KeysRemain
    | TaskRefused
    | Done
)
