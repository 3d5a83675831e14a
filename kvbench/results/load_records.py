"""The records of load runs: throughput and latency of each lane, capacity, batch formation.

Times are nanoseconds. A **request** is one command of the store; a **call** is what a client sends
at once and waits for: one request, or ``pipeline`` of them. A latency is that of a call.
"""

from __future__ import annotations

import msgspec

from kvbench.results.records import Figure


class HistogramCounts(msgspec.Struct, frozen=True):
    """A histogram of durations: the buckets of :mod:`kvbench.histogram` that are not empty.

    Attributes:
        buckets: numbers of buckets, ascending.
        counts: the samples in each of them.
        min_ns: the shortest duration, exact; 0 without samples.
        max_ns: the longest duration, exact; 0 without samples.
        sum_ns: the sum of all durations, exact.
    """

    buckets: list[int] = []
    counts: list[int] = []
    min_ns: int = 0
    max_ns: int = 0
    sum_ns: int = 0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of a latency, over all rounds.

    A percentile is that of all calls of all rounds; None with fewer than 10 samples beyond it. Its
    interval has the relative width of the interval of the rounds' percentiles.

    Attributes:
        p50_ns: the median.
        p90_ns: 90th percentile.
        p99_ns: 99th percentile.
        p999_ns: 99.9th percentile.
        max_ns: the longest.
        samples: number of calls.
        intervals: the percentiles with 95% intervals, and each round's own, by name; none where a
            round has fewer than 10 samples beyond it.
        histogram: of all rounds together.
    """

    p50_ns: float | None = None
    p90_ns: float | None = None
    p99_ns: float | None = None
    p999_ns: float | None = None
    max_ns: float | None = None
    samples: int = 0
    intervals: dict[str, Figure] = {}
    histogram: HistogramCounts = HistogramCounts()


class Timeline(msgspec.Struct, frozen=True):
    """A round over time.

    Attributes:
        keys_per_s: in each slice.
        max_ns: the longest latency of a call that finished in each slice; 0 if none finished.
    """

    keys_per_s: list[float]
    max_ns: list[int]


class LoadRecord(msgspec.Struct, frozen=True, tag_field="type", tag="load", kw_only=True):
    """One lane of a load run on one target.

    A lane without a result gives the reason in ``reason``, and its figures are empty.

    Attributes:
        target: URL as given.
        arm: ``individual``, ``pipelined`` or ``batch``.
        batch_size: keys in one request.
        pipeline: requests in one call.
        batch_window_ns: with batch formation, the longest time that a key waits for its batch; keys
            arrive one at a time then, the rate counts keys, and ``since_intended`` is the latency
            of a key from its arrival.
        formed_keys: mean number of keys in a formed batch; 0 without formation.
        wait_ns: mean time that keys waited for their batch; None without formation.
        expected_wait_ns: the same by the closed form, for Poisson arrivals; None if there is none.
        driver: ``client``, the store's Python client, or ``wire``, prebuilt requests.
        workload: its name.
        clients: connections.
        rate_per_s: intended requests per second of an open loop; None for a closed loop.
        arrivals: ``poisson`` or ``constant``; empty for a closed loop.
        requests_per_s: requests answered without an error.
        keys_per_s: keys of those requests.
        latency: ``service_time`` in a closed loop; in an open loop ``since_intended``, which is
            what a user waits for, and ``since_sent``, which is what the store takes.
        errors: failed requests by kind.
        late: calls sent more than 1 ms after their intended time.
        unsent: calls that were due and never sent; ``since_intended`` contains how long they had
            waited, so that its percentiles are lower bounds then.
        calls: answered calls.
        hits: keys that were there.
        misses: keys that were absent.
        silence_ns: the longest time without a finished call, in whole slices.
        slice_ns: length of a slice of the timelines.
        timelines: of each round.
        client_cpu: share of one core that a load worker used, 0 to 1.
        is_client_bound: the load generator is the bottleneck: the store could do more.
        waited: share of the time in which other work held a core that the load generator or a
            private server needed.
        workers: processes, or workers of a cluster, that shared the clients.
        start_error_ns: their windows began at most so far apart.
        lost_workers: workers that were lost, each with what it had done, in words; their part of a
            round is missing, so the rates may be too low.
        rounds: number of rounds with figures.
        reason: why there is no result; empty when there is one.
    """

    target: str
    arm: str
    batch_size: int = 1
    pipeline: int = 1
    batch_window_ns: int = 0
    formed_keys: float = 0.0
    wait_ns: float | None = None
    expected_wait_ns: float | None = None
    driver: str = ""
    workload: str = ""
    clients: int = 0
    rate_per_s: float | None = None
    arrivals: str = ""
    requests_per_s: Figure | None = None
    keys_per_s: Figure | None = None
    latency: dict[str, Latency] = {}
    errors: dict[str, int] = {}
    late: int = 0
    unsent: int = 0
    calls: int = 0
    hits: int = 0
    misses: int = 0
    silence_ns: int = 0
    slice_ns: int = 0
    timelines: list[Timeline] = []
    client_cpu: float = 0.0
    is_client_bound: bool = False
    waited: float = 0.0
    workers: int = 1
    start_error_ns: int = 0
    lost_workers: list[str] = []
    rounds: int = 0
    reason: str = ""


class RatePoint(msgspec.Struct, frozen=True):
    """An open-loop probe of a capacity search.

    Attributes:
        round: number of the round, from 1.
        keys_per_s: the intended rate.
        percentile_ns: the objective's percentile of the latency since the intended time; None with
            fewer than 10 samples beyond it.
        p50_ns: the median.
        keeps: whether it keeps the objective.
    """

    round: int
    keys_per_s: float
    percentile_ns: float | None
    p50_ns: float | None
    keeps: bool


class CapacityRecord(msgspec.Struct, frozen=True, tag_field="type", tag="capacity", kw_only=True):
    """The highest rate at which one lane on one target keeps a latency objective.

    Attributes:
        target: URL as given.
        arm: ``individual``, ``pipelined`` or ``batch``.
        batch_size: keys in one request.
        pipeline: requests in one call.
        driver: ``client`` or ``wire``.
        workload: its name.
        clients: connections.
        objective: for example ``p99 < 5ms``.
        requests_per_s: at the capacity.
        keys_per_s: at the capacity; its rounds are 0 where no rate kept the objective.
        gain: keys per second over those of the individual arm, paired by round; None for that arm,
            or if it was not measured.
        closed_keys_per_s: keys per second of a closed loop, for comparison.
        points: all probes.
        errors: requests that failed in the probes.
        waited: share of the time in which other work held a core.
        lost_workers: as in a load record.
        rounds: number of rounds with figures.
        reason: why there is no result; empty when there is one.
    """

    target: str
    arm: str
    batch_size: int = 1
    pipeline: int = 1
    driver: str = ""
    workload: str = ""
    clients: int = 0
    objective: str = ""
    requests_per_s: Figure | None = None
    keys_per_s: Figure | None = None
    gain: Figure | None = None
    closed_keys_per_s: Figure | None = None
    points: list[RatePoint] = []
    errors: int = 0
    waited: float = 0.0
    lost_workers: list[str] = []
    rounds: int = 0
    reason: str = ""
