"""The search finds the capacity of a queue whose latency is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kvbench.errors import UsageError
from kvbench.histogram import Histogram
from kvbench.load.capacity import RESOLUTION, find_capacity
from kvbench.load.objective import parse_objective
from kvbench.load.tally import SERVICE_TIME, SINCE_INTENDED, LoadTally

SERVED_PER_S = 10_000.0


class Queue:
    """A queue with one server and exponential times (M/M/1), simulated exactly.

    The time in it is exponential as well, so its 99th percentile is ln(100) / (served - rate).
    """

    def __init__(self, disturbed: tuple[int, ...] = (), seed: int = 11) -> None:
        self.rng = np.random.default_rng(seed)
        self.disturbed = disturbed
        self.windows = 0
        self.measured_s = 0.0

    def __call__(self, rate: float, length_s: float) -> LoadTally:
        self.windows += 1
        self.measured_s += length_s
        if not rate:
            return LoadTally(calls=round(SERVED_PER_S * length_s), elapsed_ns=round(length_s * 1e9))
        count = max(1, round(rate * length_s))
        gaps = self.rng.exponential(1 / rate, count)
        served = self.rng.exponential(1 / SERVED_PER_S, count)
        waits, wait = np.empty(count), 0.0
        for place in range(count):  # Lindley's recursion.
            wait = max(0.0, wait - gaps[place])
            waits[place] = wait = wait + served[place]
        if self.windows in self.disturbed:
            waits += 1.0
        histogram = Histogram()
        histogram.record_many((waits * 1e9).astype(np.int64))
        return LoadTally(
            latency={SINCE_INTENDED: histogram.to_counts()}, calls=count,
            elapsed_ns=round(length_s * 1e9),
        )  # fmt: skip


def test_the_capacity_of_a_queue():
    objective = parse_objective("p99<5ms")
    exact = SERVED_PER_S - math.log(100) / 0.005
    rounds = []
    for seed in range(12):
        queue = Queue(seed=seed)
        found = find_capacity(objective, queue)
        assert found.calls_per_s == pytest.approx(exact, rel=0.1)
        assert found.closed_calls_per_s == pytest.approx(SERVED_PER_S)
        assert found.probes[-1].keeps and found.probes[-1].calls_per_s == found.calls_per_s
        assert queue.measured_s < 15
        rounds.append(found.calls_per_s)
    assert np.mean(rounds) == pytest.approx(exact, rel=0.03), "rounds scatter, without a bias"


def test_one_disturbed_probe_changes_nothing():
    objective = parse_objective("p99<5ms")
    exact = SERVED_PER_S - math.log(100) / 0.005
    for number in range(2, 6):
        found = find_capacity(objective, Queue(disturbed=(number,)))
        assert found.calls_per_s == pytest.approx(exact, rel=0.1)


def test_a_rate_that_only_short_probes_keep_is_lowered_until_a_long_one_does():
    """As on a machine that is disturbed now and then: a figure, and not none."""

    def tiring(rate: float, length_s: float) -> LoadTally:
        return Queue(disturbed=(1,) if length_s > 1 and rate > 4000 else ())(rate, length_s)

    found = find_capacity(parse_objective("p99<5ms"), tiring)
    assert 2000 < found.calls_per_s <= 4000
    assert found.probes[-1].keeps


def test_no_rate_keeps_an_objective_below_the_service_time():
    queue = Queue()
    found = find_capacity(parse_objective("p50<1us"), queue)
    assert found.calls_per_s == 0
    assert queue.windows < 20 and queue.measured_s < 20


def test_errors_miss_the_objective():
    def failing(rate: float, length_s: float) -> LoadTally:
        tally = Queue()(rate, length_s)
        tally.errors = {"timeout": 1} if rate > 3000 else {}
        return tally

    found = find_capacity(parse_objective("p99<5ms"), failing)
    assert found.calls_per_s == pytest.approx(3000, rel=RESOLUTION - 1 + 0.01)
    assert found.errors > 0


def test_a_store_that_answers_nothing_has_no_capacity():
    def silent(rate: float, length_s: float) -> LoadTally:
        return LoadTally(latency={SERVICE_TIME: Histogram().to_counts()}, elapsed_ns=1)

    assert find_capacity(parse_objective("p99<5ms"), silent).calls_per_s == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p99", "write a percentile and a limit"),
        ("p98<5ms", "no percentile 'p98'"),
        ("p99>5ms", "write a percentile and a limit"),
        ("p99<5", "add a unit"),
        ("p99<0ms", "above 0"),
        ("", "write a percentile and a limit"),
    ],
)
def test_another_objective_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        parse_objective(text)


def test_an_objective_in_other_spellings():
    assert parse_objective(" P99.9 <= 250us ").quantile == 0.999
    assert parse_objective("p50<1s").limit_ns == 10**9
