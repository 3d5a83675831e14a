"""Results of load runs and capacity searches for the tests of pages, with histograms and probes."""

from __future__ import annotations

import random

import numpy as np

from kvbench.histogram import Histogram
from kvbench.results import (
    CapacityRecord,
    Figure,
    Footer,
    Latency,
    LoadRecord,
    RatePoint,
    Results,
    Timeline,
)
from tests.report.report_builders import header, target

ARMS = (("individual", 1, 1), ("pipelined", 1, 50), ("batch", 50, 1))
TARGETS = (target("kvb://", True), target("valkey://", True, facts={"product": "Valkey 9.1"}))
COMMAND = {"command": "kvbench load kvb:// valkey://", "settings": {"lanes": ["individual"]}}


def around(value: float, share: float = 0.04) -> Figure:
    return Figure(value, value * (1 - share), value * (1 + share), [value] * 3)


def latency(seed: int, middle_ns: float) -> Latency:
    drawn = np.random.default_rng(seed).lognormal(np.log(middle_ns), 0.6, 40_000)
    histogram = Histogram()
    histogram.record_many(drawn.astype(np.int64))
    percentiles = histogram.percentiles_ns()
    intervals = {"p99_ns": around(percentiles["p99_ns"] or 0.0, 0.2)}
    return Latency(
        **percentiles, samples=40_000, intervals=intervals, histogram=histogram.to_counts()
    )


def load_page_results(rate_per_s: float | None = None) -> Results:
    """Three lanes on two targets, one of them without a result."""
    loads = []
    for number, one in enumerate(TARGETS):
        for place, (arm, size, depth) in enumerate(ARMS):
            kinds = ("since_intended", "since_sent") if rate_per_s else ("service_time",)
            keys_per_s = 9_000.0 * (number + 1) * 12**place
            loads.append(
                LoadRecord(
                    target=one.target, arm=arm, batch_size=size, pipeline=depth, driver="client",
                    workload="custom", clients=20, rate_per_s=rate_per_s,
                    arrivals="poisson" if rate_per_s else "", calls=40_000, rounds=3,
                    keys_per_s=around(keys_per_s), requests_per_s=around(keys_per_s / size),
                    latency={kind: latency(place, 4e5 * (place + 1)) for kind in kinds},
                    errors={"timeout": 3} if place == 2 and number else {}, unsent=place * number,
                    timelines=[Timeline([keys_per_s] * 8, [10**6] * 8)], client_cpu=0.4,
                )
            )  # fmt: skip
    loads.append(LoadRecord(target="memory://", arm="pipelined", reason="it has no pipelining"))
    footer = Footer("complete", 31.0, len(loads))
    return Results(header(**COMMAND), TARGETS, (), (), None, (), footer, tuple(loads))


def capacity_page_results(objective: str = "p99 < 5ms") -> Results:
    """Three arms on one target; the pipelined one keeps the objective at no rate."""
    rng = random.Random(4)
    found = []
    for place, (arm, size, depth) in enumerate(ARMS):
        capacity = 12_000.0 * 14**place
        points = []
        for number in range(1, 4):
            for share in (0.5, 0.8, 1.0, 1.2):
                ns = 2e6 * share**6 * rng.uniform(0.8, 1.3)
                points.append(RatePoint(number, capacity * share, ns, ns / 4, ns < 5e6))
        figure = Figure(0.0, None, None, [0.0] * 3) if arm == "pipelined" else around(capacity)
        found.append(
            CapacityRecord(
                target="kvb://", arm=arm, batch_size=size, pipeline=depth, driver="client",
                workload="custom", clients=20, objective=objective, keys_per_s=figure,
                requests_per_s=around(capacity / size), closed_keys_per_s=around(capacity * 1.2),
                gain=around(196.0) if arm == "batch" else None, points=points, rounds=3,
            )
        )  # fmt: skip
    footer = Footer("complete", 62.0, 3)
    return Results(header(**COMMAND), TARGETS[:1], (), (), None, (), footer, (), tuple(found))
