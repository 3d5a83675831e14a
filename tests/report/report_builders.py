"""Results made by hand, realistic and nasty, for the tests of the reports."""

from __future__ import annotations

import random

from kvbench.results import (
    SCHEMA,
    Cell,
    Floors,
    Footer,
    Header,
    Interval,
    Rate,
    Reference,
    Results,
    Samples,
    Target,
)

OPS = ("mget", "mset", "mdel")
REFERENCE = Reference(
    name="seed report",
    note="2026-01-06, another machine, single cold calls.",
    engine_speedup={"mget": {"10": 1.31, "100": 1.41}, "mset": {"10": 1.41}},
    engine_keys_per_s={"mget": {"10": 2_400_000.0, "100": 12_300_000.0}},
    network_keys_per_s={"mget": {"100": 21_926.0}, "mset": {"100": 329_715.0}},
    network_speedup={"mget": {"100": 4.3}, "mset": {"100": 58.0}, "mdel": {"100": 84.0}},
    network_individual_keys_per_s={"mget": {"100": 5077.0}, "mset": {"100": 5677.0}},
)


def header(**changes: object) -> Header:
    fields = {
        "schema": SCHEMA,
        "started_at": "2026-11-23T02:14:05+00:00",
        "command": "kvbench run memory:// kvb:// --batch-sizes 10,100,1000",
        "settings": {"batch_sizes": [10, 100, 1000], "blocks": 15, "seed": 7, "quick": False},
        "environment": {
            "cpu_model": "AMD EPYC 7B13",
            "cores": 2,
            "kernel": "Linux 6.1.0",
            "python": "3.11.2",
            "load_before": 0.4123456,
            "versions": {"kvbench": "0.1.0", "numpy": "2.4.0"},
            "turbo": None,
        },
        "floors": Floors(48.2, 61.0, 24_300.0, True),
    }
    return Header(**(fields | changes))


def target(url: str = "memory://", is_network: bool = False, **changes: object) -> Target:
    fields = {
        "target": url,
        "is_network": is_network,
        "facts": {"product": "kvbench engine", "codec": "compiled"},
        "noise": Interval(1.003, 0.981, 1.022),
        "noise_op": "mget/100",
    }
    return Target(**(fields | changes))


def cell(op: str = "mget", batch_size: int = 100, **changes: object) -> Cell:
    """A cell with a figure: batch 4.31 times as fast, 85 ns a key."""
    fields = {
        "target": "memory://",
        "op": op,
        "batch_size": batch_size,
        "batch_kind": "native",
        "speedup": Interval(4.312, 4.204, 4.426),
        "individual": Rate(2_729_000.0, 366.4, 366.4),
        "batch": Rate(11_765_000.0, 85.04, 85.04 * batch_size),
        "blocks": 15,
        "samples": Samples([366.0, 367.5], [84.0, 86.5]),
        "drift": 0.011,
        "client_cpu": 0.6,
    }
    return Cell(**(fields | changes))


def missing(op: str, batch_size: int, reason: str, **changes: object) -> Cell:
    """A cell without figures."""
    nothing = {"speedup": None, "individual": None, "batch": None, "samples": None}
    return cell(op, batch_size, reason=reason, **(nothing | changes))


def results(
    *cells: Cell, targets: tuple[Target, ...] = (target(),), cut: bool = False, **changes: object
) -> Results:
    footer = None if cut else Footer("complete", 31.42, len(cells), 1.25)
    return Results(header(**changes), targets, cells, footer)


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
                per_key_ns = single_ns / ratio
                cells.append(
                    cell(
                        op,
                        size,
                        target=url,
                        speedup=Interval(ratio, ratio - spread, ratio + spread * 1.2),
                        individual=Rate(1e9 / single_ns, single_ns, single_ns),
                        batch=Rate(1e9 / per_key_ns, per_key_ns, per_key_ns * size),
                    )
                )
    networked = (target("kvb://", True), target("valkey://", True, facts={"product": "Valkey 9.1"}))
    return results(*cells, targets=(target(), *networked))
