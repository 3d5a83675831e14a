"""Results with known changes, made in memory: what a run writes, with rounds from a generator."""

from __future__ import annotations

import random
from collections.abc import Mapping

from kvbench.bench import estimate
from kvbench.results import (
    SCHEMA,
    ArmFigures,
    CapacityRecord,
    Cell,
    Figure,
    Footer,
    Header,
    Latency,
    LoadRecord,
    Results,
    TargetRecord,
)

ENVIRONMENT: Mapping[str, object] = {
    "cpu": "AMD EPYC", "cores": 2, "kernel": "Linux 6.1", "load_before": 0.4, "python": "3.11",
    "kvbench": "0.1.0", "git": "abc", "placement": "generator on 0, servers on 1",
}  # fmt: skip
SETTINGS: Mapping[str, object] = {"value_size": 100, "rounds": 12, "seed": 0, "rtt_ns": 0}
CELLS = tuple([(op, size) for op in ("mget", "mset", "mdel") for size in (10, 100, 1000)])


def drawn(rng: random.Random, middle: float, rounds: int, spread: float) -> list[float]:
    """Lognormal figures of rounds."""
    return [middle * rng.lognormvariate(0, spread) for _ in range(rounds)]


def figures(ns_per_key: list[float], keys_per_call: int) -> ArmFigures:
    time_ns = estimate.combine(ns_per_key)
    return ArmFigures(
        time_ns, estimate.inverse(time_ns, 1e9), estimate.scaled(time_ns, keys_per_call)
    )


def run_results(
    seed: int = 1,
    *,
    slower: float = 1.0,
    slow_cells: tuple[tuple[str, int], ...] = CELLS,
    rounds: int = 12,
    spread: float = 0.02,
    targets: tuple[str, ...] = ("memory://",),
    cells: tuple[tuple[str, int], ...] = CELLS,
    environment: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    self_ratio: float = 1.0,
    cut: bool = False,
) -> Results:
    """A run; batch calls of ``slow_cells`` take ``slower`` times as long."""
    rng = random.Random(seed)
    found = []
    for target in targets:
        singles = {op: drawn(rng, 400.0, rounds, spread) for op, _ in cells}
        for op, size in cells:
            factor = slower if (op, size) in slow_cells else 1.0
            batch = drawn(rng, 90.0 * factor, rounds, spread)
            speedup = estimate.combine([a / b for a, b in zip(singles[op], batch, strict=True)])
            arms = {"individual": figures(singles[op], 1), "batch": figures(batch, size)}
            found.append(
                Cell(
                    target=target,
                    op=op,
                    batch_size=size,
                    batch_kind="native",
                    arms=arms,
                    ratios={"individual/batch": speedup},
                    speedup=speedup,
                    rounds=rounds,
                )
            )
    records = [TargetRecord(one, False, {"version": "1"}, Figure(self_ratio)) for one in targets]
    header = Header(
        SCHEMA, "2026-11-23T02:14:05Z", "kvbench run",
        {**SETTINGS, **(settings or {})}, {**ENVIRONMENT, **(environment or {})},
    )  # fmt: skip
    footer = None if cut else Footer("complete", 12.5, len(found))
    return Results(header, tuple(records), tuple(found), (), None, (), footer)


def load_results(
    seed: int = 1, *, slower: float = 1.0, rounds: int = 10, capacities: bool = False
) -> Results:
    """A load run with a single and a batch lane, or a search of their capacities."""
    rng = random.Random(seed)
    loads, searched = [], []
    for arm, size in (("individual", 1), ("batch", 50)):
        rate = estimate.combine(drawn(rng, 40_000.0 / slower, rounds, 0.02))
        p99 = estimate.combine(drawn(rng, 3e6 * slower, rounds, 0.02))
        latency = {"service_time": Latency(p99_ns=p99.estimate, intervals={"p99_ns": p99})}
        lane = {"target": "kvb://", "arm": arm, "batch_size": size, "rounds": rounds}
        loads.append(LoadRecord(**lane, keys_per_s=rate, latency=latency))
        searched.append(CapacityRecord(**lane, keys_per_s=rate, objective="p99 < 5ms"))
    header = Header(SCHEMA, "2026-11-23T02:14:05Z", "kvbench load", {}, dict(ENVIRONMENT))
    records = (TargetRecord("kvb://", True, {}),)
    if capacities:
        return Results(
            header, records, (), (), None, (), Footer("complete", 9.0, 2), (), tuple(searched)
        )
    return Results(header, records, (), (), None, (), Footer("complete", 9.0, 2), tuple(loads))
