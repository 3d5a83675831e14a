"""From tallies to records: what the rounds of a load run have found so far."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kvbench.bench import estimate
from kvbench.bench.arms import Arm
from kvbench.histogram import PERCENTILES, Histogram
from kvbench.load.formation import expected_wait_ns
from kvbench.load.messages import CapacityMeasured, LaneRefused, LoadMeasured, LoadOpened
from kvbench.load.plan import Arrivals, LoadLane, LoadPlan
from kvbench.load.tally import SLICE_NS, LoadTally
from kvbench.results import (
    CapacityRecord,
    Figure,
    Latency,
    LoadRecord,
    RatePoint,
    TargetRecord,
    Timeline,
)

CLIENT_BOUND_CPU = 0.9
"""A load generator that uses more of its core than this is the bottleneck; in the process of the
store that says nothing."""

_PLACE = tuple[int, LoadLane]


class LoadGathering:
    """The measurements of a load run.

    Args:
        plan: the request.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._opened: dict[int, LoadOpened] = {}
        self._measured: dict[_PLACE, list[LoadMeasured]] = defaultdict(list)
        self._capacities: dict[_PLACE, list[CapacityMeasured]] = defaultdict(list)
        self._reasons: dict[_PLACE, str] = {}

    def add(self, message: LoadOpened | LoadMeasured | CapacityMeasured | LaneRefused) -> None:
        """Add what a worker sent."""
        match message:
            case LoadOpened():
                self._opened[message.place] = message
            case LoadMeasured():
                self._measured[message.place, message.lane].append(message)
            case CapacityMeasured():
                self._capacities[message.place, message.lane].append(message)
            case LaneRefused():
                self._reasons[message.place, message.lane] = message.reason

    def targets(self) -> Iterator[TargetRecord]:
        """A record for each opened target."""
        for place, opened in sorted(self._opened.items()):
            yield TargetRecord(self._plan.names[place], opened.is_network, opened.facts)

    def refused(self, place: int, lane: LoadLane) -> bool:
        """Whether a lane cannot be measured on a target."""
        return (place, lane) in self._reasons

    def records(self) -> Iterator[LoadRecord | CapacityRecord]:
        """A record for each lane on each target that has a figure or a reason for none."""
        yield from self.loads() if self._plan.objective is None else self.capacities()

    def loads(self) -> Iterator[LoadRecord]:
        """A record for each lane on each target that has a figure or a reason for none."""
        for place, name in enumerate(self._plan.names):
            for lane in self._plan.lanes:
                if reason := self._reasons.get((place, lane)):
                    yield LoadRecord(**self._identity(name, lane), reason=reason)
                elif measured := self._measured.get((place, lane)):
                    yield self._record(name, lane, measured, self._opened[place])

    def capacities(self) -> Iterator[CapacityRecord]:
        """A capacity for each lane on each target that has one or a reason for none."""
        for place, name in enumerate(self._plan.names):
            baseline = self._individual(place)
            for lane in self._plan.lanes:
                if reason := self._reasons.get((place, lane)):
                    objective = self._plan.objective.text if self._plan.objective else ""
                    yield CapacityRecord(
                        **self._whose(name, lane), objective=objective, reason=reason
                    )
                elif measured := self._capacities.get((place, lane)):
                    yield self._capacity(name, lane, measured, baseline)

    def _individual(self, place: int) -> dict[int, float]:
        """Keys per second of the individual arm by the number of the round."""
        return {
            one.number: one.capacity.calls_per_s * lane.keys
            for lane in self._plan.lanes
            if lane.arm is Arm.INDIVIDUAL
            for one in self._capacities.get((place, lane), [])
        }

    def _capacity(
        self,
        name: str,
        lane: LoadLane,
        measured: Sequence[CapacityMeasured],
        individual: dict[int, float],
    ) -> CapacityRecord:
        assert self._plan.objective is not None
        rates = [one.capacity.calls_per_s for one in measured]
        gains = [
            one.capacity.calls_per_s * lane.keys / individual[one.number]
            for one in measured
            if individual.get(one.number) and one.capacity.calls_per_s
        ]
        has_gain = lane.arm is not Arm.INDIVIDUAL and len(gains) == len(measured)
        return CapacityRecord(
            **self._whose(name, lane),
            clients=measured[0].clients,
            objective=self._plan.objective.text,
            requests_per_s=_figure([rate * lane.pipeline for rate in rates]),
            keys_per_s=_figure([rate * lane.keys for rate in rates]),
            gain=estimate.combine(gains) if has_gain else None,
            closed_keys_per_s=_figure(
                [one.capacity.closed_calls_per_s * lane.keys for one in measured]
            ),
            points=[
                RatePoint(
                    one.number,
                    probe.calls_per_s * lane.keys,
                    probe.percentile_ns,
                    probe.p50_ns,
                    probe.keeps,
                )
                for one in measured
                for probe in one.capacity.probes
            ],
            errors=sum([one.capacity.errors for one in measured]),
            waited=max([one.waited for one in measured]),
            lost_workers=_lost_workers(measured),
            rounds=len(measured),
        )

    def _whose(self, name: str, lane: LoadLane) -> dict[str, Any]:
        return {
            "target": name,
            "arm": lane.arm,
            "batch_size": lane.batch_size,
            "pipeline": lane.pipeline,
            "driver": self._plan.settings.driver,
            "workload": self._plan.workload.name,
        }

    def _identity(self, name: str, lane: LoadLane) -> dict[str, Any]:
        settings = self._plan.settings
        rate = settings.calls_per_s(lane) * lane.pipeline
        return {
            **self._whose(name, lane),
            "batch_window_ns": lane.window_ns,
            "rate_per_s": rate or None,
            "arrivals": settings.arrivals if rate else "",
        }

    def _record(
        self, name: str, lane: LoadLane, measured: Sequence[LoadMeasured], opened: LoadOpened
    ) -> LoadRecord:
        tallies = [one.tally for one in measured]
        errors: Counter[str] = Counter()
        for tally in tallies:
            errors.update(tally.errors)
        cpu_ns = sum([tally.cpu_ns for tally in tallies])
        all_workers_ns = sum([one.tally.elapsed_ns * one.workers for one in measured])
        client_cpu = cpu_ns / max(1, all_workers_ns)
        return LoadRecord(
            **self._identity(name, lane),
            clients=measured[0].clients,
            requests_per_s=_rate([tally.requests for tally in tallies], tallies),
            keys_per_s=_rate([tally.keys for tally in tallies], tallies),
            latency={kind: _latency(kind, tallies) for kind in tallies[0].latency},
            errors=dict(errors),
            late=sum([tally.late for tally in tallies]),
            unsent=sum([tally.unsent for tally in tallies]),
            calls=sum([tally.calls for tally in tallies]),
            hits=sum([tally.hits for tally in tallies]),
            misses=sum([tally.misses for tally in tallies]),
            silence_ns=max([tally.longest_silence_ns() for tally in tallies]),
            slice_ns=SLICE_NS,
            timelines=[_timeline(tally) for tally in tallies],
            client_cpu=round(client_cpu, 4),
            is_client_bound=opened.is_network and client_cpu > CLIENT_BOUND_CPU,
            waited=round(max([one.waited for one in measured]), 4),
            workers=max([one.workers for one in measured]),
            start_error_ns=max([one.start_error_ns for one in measured]),
            lost_workers=_lost_workers(measured),
            rounds=len(measured),
            **self._formation(lane, measured),
        )

    def _formation(self, lane: LoadLane, measured: Sequence[LoadMeasured]) -> dict[str, Any]:
        formed = [one.formed for one in measured if one.formed]
        if not formed:
            return {}
        settings = self._plan.settings
        is_poisson = settings.arrivals is Arrivals.POISSON
        expected = expected_wait_ns(settings.rate_keys, lane.batch_size, lane.window_ns)
        return {
            "formed_keys": sum([one.keys for one in formed]) / len(formed),
            "wait_ns": sum([one.wait_ns for one in formed]) / len(formed),
            "expected_wait_ns": expected if is_poisson else None,
        }


def _lost_workers(measured: Sequence[LoadMeasured | CapacityMeasured]) -> list[str]:
    return [text for one in measured for text in one.lost]


def _rate(counts: Sequence[int], tallies: Sequence[LoadTally]) -> Figure:
    """A rate per second."""
    pairs = zip(counts, tallies, strict=True)
    return _figure([count * 1e9 / tally.elapsed_ns for count, tally in pairs])


def _figure(rates: list[float]) -> Figure:
    """The figure of rounds; without an interval if one of them is 0."""
    if min(rates) > 0:
        return estimate.combine(rates)
    return Figure(sum(rates) / len(rates), rounds=rates)


def _latency(kind: str, tallies: Sequence[LoadTally]) -> Latency:
    rounds = [tally.histogram(kind) for tally in tallies]
    whole = Histogram()
    for one in rounds:
        whole.merge(one)
    percentiles: dict[str, float | None] = {}
    intervals: dict[str, Figure] = {}
    for name, quantile in PERCENTILES.items():
        percentile_ns = percentiles[name] = whole.percentile_ns(quantile)
        found = [one.percentile_ns(quantile) for one in rounds]
        known = [value for value in found if value]
        if percentile_ns and len(known) == len(found):
            spread = estimate.combine(known)
            around = estimate.scaled(spread, percentile_ns / spread.estimate)
            intervals[name] = msgspec.structs.replace(around, rounds=known)
    return Latency(
        **percentiles,
        max_ns=whole.max_ns,
        samples=whole.samples,
        intervals=intervals,
        histogram=whole.to_counts(),
    )


def _timeline(tally: LoadTally) -> Timeline:
    return Timeline([keys * 1e9 / SLICE_NS for keys in tally.timeline_keys], tally.timeline_max_ns)
