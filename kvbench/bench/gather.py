"""From samples to records: the results of the rounds so far, as estimates with intervals.

One collector per run. After each round it can make the records of every target, cell and curve
again; a reader uses the last of each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from kvbench.bench import estimate
from kvbench.bench.arms import Arm
from kvbench.bench.cost_curve import CallTimes, cost_curve
from kvbench.bench.messages import (
    BaselineSample,
    Measured,
    NoFigure,
    Opened,
    RoundTrips,
)
from kvbench.bench.plan import Plan, TargetPlan
from kvbench.model import BatchOperation
from kvbench.results import HEADLINE, ArmFigures, Baselines, Cell, Curve, Figure, TargetRecord

RATIOS = ((Arm.INDIVIDUAL, Arm.BATCH), (Arm.INDIVIDUAL, Arm.PIPELINED), (Arm.PIPELINED, Arm.BATCH))
"""The ratios of a cell that has both arms: the first over the second. The first is
:data:`kvbench.results.HEADLINE`; the others separate the gain of saved round trips from that of the
batch command."""

_LaneKey = tuple[Arm, int]


@dataclass(slots=True)
class _Group:
    """An operation on a target: for each lane the estimate of each round."""

    ns_per_key: dict[_LaneKey, list[float]] = field(default_factory=lambda: defaultdict(list))
    client_cpu: dict[_LaneKey, list[float]] = field(default_factory=lambda: defaultdict(list))
    control_ns: list[int] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def add(self, sample: Measured) -> None:
        for lane in sample.lanes:
            key = (lane.arm, lane.batch_size)
            self.ns_per_key[key].append(estimate.round_estimate(lane.ns_per_key))
            self.client_cpu[key].append(lane.client_cpu)
        self.control_ns += sample.control_ns
        self.waited.append(sample.waited)

    @property
    def rounds(self) -> int:
        return len(self.waited)


class Gathering:
    """The samples of a run.

    Args:
        plan: the request.
        keep_awake: whether the cores are kept awake, for the record.
    """

    def __init__(self, plan: Plan, *, keep_awake: bool) -> None:
        self._plan = plan
        self._keep_awake = keep_awake
        self._opened: dict[int, Opened] = {}
        self._groups: dict[tuple[int, BatchOperation], _Group] = defaultdict(_Group)
        self._reasons: dict[tuple[int, BatchOperation, int], str] = {}
        self._round_trips: dict[tuple[int, BatchOperation], RoundTrips] = {}
        self._baselines: list[BaselineSample] = []

    def add(self, sample: Opened | Measured | NoFigure | RoundTrips | BaselineSample) -> None:
        """Add a worker's message."""
        match sample:
            case Opened():
                self._opened[sample.place] = sample
            case Measured():
                self._groups[sample.place, sample.op].add(sample)
            case NoFigure():
                self._reasons[sample.place, sample.op, sample.batch_size] = sample.reason
            case RoundTrips():
                self._round_trips[sample.place, sample.op] = sample
            case BaselineSample():
                self._baselines.append(sample)

    def withhold(self, place: int, op: BatchOperation, reason: str) -> None:
        """Withhold the figures of an operation, for a reason known before measuring."""
        self._reasons[place, op, 0] = reason

    def targets(self) -> Iterator[TargetRecord]:
        """A record for each target that was opened."""
        for place, opened in self._opened.items():
            plan = self._plan.targets[place]
            facts = dict(opened.facts)
            if plan.verdict:
                facts["conformance"] = plan.verdict
            yield TargetRecord(plan.name, opened.is_network, facts, self._self_ratio(place))

    def cells(self) -> Iterator[Cell]:
        """A record for each cell of the plan."""
        for place, plan in enumerate(self._plan.targets):
            for op, size in plan.cells:
                if place in self._opened:
                    yield self._cell(place, plan, op, size)

    def curves(self) -> Iterator[Curve]:
        """A record for each operation that was measured at two sizes or more."""
        for (place, op), group in self._groups.items():
            sizes = sorted([size for arm, size in group.ns_per_key if arm is Arm.BATCH])
            batches = [group.ns_per_key[Arm.BATCH, size] for size in sizes]
            times = CallTimes(
                tuple(sizes),
                tuple(group.ns_per_key[Arm.INDIVIDUAL, 1]),
                tuple(
                    [
                        tuple([ns * size for ns, size in zip(one, sizes, strict=True)])
                        for one in zip(*batches, strict=True)
                    ]
                ),
            )
            curve = cost_curve(self._plan.targets[place].name, op, times)
            if curve is not None:
                yield curve

    def baselines(self) -> Baselines | None:
        """The baselines over the rounds; None before the first."""
        if not self._baselines:
            return None
        together = [one.round_trip_together_ns for one in self._baselines]
        return Baselines(
            timer_ns=estimate.combine([one.timer_ns for one in self._baselines]),
            loop_ns=estimate.combine([one.loop_ns for one in self._baselines]),
            round_trip_apart_ns=estimate.combine(
                [one.round_trip_apart_ns for one in self._baselines]
            ),
            round_trip_together_ns=(
                None
                if None in together
                else estimate.combine([one for one in together if one is not None])
            ),
            keep_awake=self._keep_awake,
        )

    def imprecise(self, share: float) -> list[Cell]:
        """Cells whose headline interval is wider than ``share`` to either side, or missing."""
        found = []
        for cell in self.cells():
            half = None if cell.speedup is None else estimate.half_width(cell.speedup)
            if not cell.reason and (half is None or half > share):
                found.append(cell)
        return found

    def _self_ratio(self, place: int) -> Figure | None:
        for (one, _), group in self._groups.items():
            again = group.ns_per_key.get((Arm.SELF, 1))
            if one == place and again:
                return _ratio(group.ns_per_key[Arm.INDIVIDUAL, 1], again)
        return None

    def _cell(self, place: int, plan: TargetPlan, op: BatchOperation, size: int) -> Cell:
        group = self._groups.get((place, op))
        trips = self._round_trips.get((place, op))
        cell = Cell(
            target=plan.name,
            op=op,
            batch_size=size,
            batch_kind=self._opened[place].batch_kinds[op],
            round_trips=trips.round_trips if trips else None,
            round_trips_at=trips.batch_size if trips else 0,
        )
        reason = self._reasons.get((place, op, size), "")
        has_lanes = group is not None and (Arm.BATCH, size) in group.ns_per_key
        if not has_lanes:
            reason = reason or self._reasons.get((place, op, 0), "") or "no round was finished"
        if reason or group is None:
            return msgspec.structs.replace(cell, reason=reason)
        lanes = {Arm.INDIVIDUAL: (Arm.INDIVIDUAL, 1)}
        for arm in (Arm.PIPELINED, Arm.BATCH):
            if (arm, size) in group.ns_per_key:
                lanes[arm] = (arm, size)
        ns = {arm: group.ns_per_key[key] for arm, key in lanes.items()}
        ratios = {
            f"{over}/{under}": _ratio(ns[over], ns[under])
            for over, under in RATIOS
            if over in ns and under in ns
        }
        waited = sum(group.waited) / group.rounds
        drift = estimate.drift(group.control_ns)
        return msgspec.structs.replace(
            cell,
            arms={
                arm: _figures(ns[arm], key[1], group.client_cpu[key]) for arm, key in lanes.items()
            },
            ratios=ratios,
            speedup=ratios[HEADLINE],
            rounds=group.rounds,
            waited=waited,
            drift=drift,
            is_stable=drift <= estimate.DRIFT_MAX and waited <= estimate.WAITED_MAX,
        )


def _ratio(over: list[float], under: list[float]) -> Figure:
    return estimate.combine([a / b for a, b in zip(over, under, strict=True)])


def _figures(ns_per_key: list[float], keys_per_call: int, client_cpu: list[float]) -> ArmFigures:
    time_ns = estimate.combine(ns_per_key)
    return ArmFigures(
        ns_per_key=time_ns,
        keys_per_s=estimate.inverse(time_ns, 1e9),
        call_ns=estimate.scaled(time_ns, keys_per_call),
        client_cpu=sum(client_cpu) / len(client_cpu),
        groups=estimate.two_groups(ns_per_key),
    )
