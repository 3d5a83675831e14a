"""Results written for the tests of the reports."""

from __future__ import annotations

import random

from kvbench.results import (
    SCHEMA,
    ArmFigures,
    Baselines,
    Cell,
    Curve,
    Figure,
    Footer,
    Header,
    Results,
    Round,
    TargetRecord,
)

OPS = ("mget", "mset", "mdel")
BASELINES = Baselines(Figure(48.2), Figure(61.0), Figure(24_300.0, 24_000.0, 24_600.0), None, True)


def header(**changes: object) -> Header:
    fields = {
        "schema": SCHEMA,
        "started_at": "2026-11-23T02:14:05+00:00",
        "command": "kvbench run memory:// kvb:// --batch-sizes 10,100,1000",
        "settings": {"batch_sizes": [10, 100, 1000], "rounds": 12, "seed": 7, "quick": False},
        "environment": {
            "cpu_model": "AMD EPYC 7B13",
            "cores": 2,
            "kernel": "Linux 6.1.0",
            "python": "3.11.2",
            "load_before": 0.4123456,
            "versions": {"kvbench": "0.1.0", "numpy": "2.4.0"},
            "turbo": None,
        },
    }
    return Header(**(fields | changes))


def target(url: str = "memory://", is_network: bool = False, **changes: object) -> TargetRecord:
    fields = {
        "target": url,
        "is_network": is_network,
        "facts": {"product": "kvbench engine", "codec": "compiled"},
        "self_ratio": Figure(1.003, 0.981, 1.022),
    }
    return TargetRecord(**(fields | changes))


def arm(
    ns_per_key: float, keys_per_call: int = 1, spread: float = 0.02, **changes: object
) -> ArmFigures:
    """An arm whose intervals reach ``spread`` to either side; no interval for a spread of 0."""

    def figure(value: float) -> Figure:
        return (
            Figure(value, value * (1 - spread), value * (1 + spread)) if spread else Figure(value)
        )

    fields = {
        "ns_per_key": figure(ns_per_key),
        "keys_per_s": figure(1e9 / ns_per_key),
        "call_ns": figure(ns_per_key * keys_per_call),
        "client_cpu": 0.6,
    }
    return ArmFigures(**(fields | changes))


def cell(op: str = "mget", batch_size: int = 100, **changes: object) -> Cell:
    """A cell with a figure: batch 4.31 times as fast, 85 ns a key."""
    speedup = changes.get("speedup", Figure(4.312, 4.204, 4.426))
    fields = {
        "target": "memory://",
        "op": op,
        "batch_size": batch_size,
        "batch_kind": "native",
        "arms": {"individual": arm(366.4), "batch": arm(85.04, batch_size)},
        "ratios": {"individual/batch": speedup},
        "speedup": speedup,
        "rounds": 12,
        "drift": 0.011,
    }
    return Cell(**(fields | changes))


def missing(op: str, batch_size: int, reason: str, **changes: object) -> Cell:
    """A cell without figures."""
    nothing = {"speedup": None, "arms": {}, "ratios": {}, "rounds": 0}
    return cell(op, batch_size, reason=reason, **(nothing | changes))


def pipelined(op: str = "mget", batch_size: int = 100, **changes: object) -> Cell:
    """A cell of a networked target with three arms: 5 by round trips, 2 by the command."""
    fields = {
        "target": "kvb://",
        "arms": {
            "individual": arm(20_000.0),
            "pipelined": arm(4_000.0, batch_size),
            "batch": arm(2_000.0, batch_size),
        },
        "ratios": {
            "individual/batch": Figure(10.0, 9.5, 10.5),
            "individual/pipelined": Figure(5.0, 4.8, 5.2),
            "pipelined/batch": Figure(2.0, 1.9, 2.1),
        },
        "speedup": Figure(10.0, 9.5, 10.5),
    }
    return cell(op, batch_size, **(fields | changes))


def curve(op: str = "mget", target: str = "memory://", **changes: object) -> Curve:
    """30 µs and 300 ns a key against single calls of 30 µs."""
    fields = {
        "target": target,
        "op": op,
        "fixed_ns": Figure(30_000.0, 29_000.0, 31_000.0),
        "per_key_ns": Figure(300.0, 290.0, 310.0),
        "half_gain_size": Figure(100.0, 90.0, 110.0),
        "limit": Figure(100.0, 95.0, 105.0),
        "break_even_size": Figure(1.01, 1.0, 1.02),
    }
    return Curve(**(fields | changes))


def results(
    *cells: Cell,
    targets: tuple[TargetRecord, ...] = (target(),),
    curves: tuple[Curve, ...] = (),
    baselines: Baselines | None = BASELINES,
    cut: bool = False,
    missed: tuple[str, ...] = (),
    **changes: object,
) -> Results:
    footer = None if cut else Footer("complete", 31.42, len(cells), 1.25, "", list(missed))
    rounds = tuple([Round(number, 2.5) for number in range(1, 13)])
    return Results(header(**changes), targets, cells, curves, baselines, rounds, footer)


def realistic(seed: int = 3) -> Results:
    """Three targets, three operations, three sizes; speedups as loopback and a dict give them."""
    random_figures = random.Random(seed)
    urls = {"memory://": (1.5, 300.0), "kvb://": (60.0, 31_000.0), "valkey://": (25.0, 38_000.0)}
    cells = []
    for url, (gain, single_ns) in urls.items():
        for op in OPS:
            for size in (10, 100, 1000):
                ratio = 1 + gain * size / (size + 150) * random_figures.uniform(0.7, 1.3)
                spread = ratio * random_figures.uniform(0.01, 0.06)
                speedup = Figure(ratio, ratio - spread, ratio + spread * 1.2)
                arms = {"individual": arm(single_ns), "batch": arm(single_ns / ratio, size)}
                cells.append(cell(op, size, target=url, speedup=speedup, arms=arms))
    networked = (target("kvb://", True), target("valkey://", True, facts={"product": "Valkey 9.1"}))
    curves = tuple([curve(op, url) for url in urls for op in OPS])
    return results(*cells, targets=(target(), *networked), curves=curves)
