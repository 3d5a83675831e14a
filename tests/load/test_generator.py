"""A worker's window on real servers: what it counts, and what it sees of a server that stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np
import pytest

from kvbench.bench.arms import Arm
from kvbench.errors import KvConnectionError
from kvbench.histogram import Histogram, bucket_bounds_ns
from kvbench.load.generator import GeneratorSpec, generate
from kvbench.load.plan import Arrivals, Driver, LoadLane
from kvbench.load.stream import Keyspace
from kvbench.load.tally import SERVICE_TIME, SINCE_INTENDED, SINCE_SENT
from kvbench.load.workload import Action, LoadWorkload
from kvbench.registry import open_backend

PREFIX = "kb:0123abcd:"
SLOW_NS = 50_000_000


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its URL and process id."""
    command = [sys.executable, "-m", "kvbench", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if "listening on" in line)
            yield f"kvb://{line.split()[-1]}", process.pid
        finally:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()


def spec(url: str, **options) -> GeneratorSpec:
    defaults = {
        "url": url, "driver": Driver.CLIENT, "lane": LoadLane(Arm.INDIVIDUAL), "seed": 3,
        "workload": LoadWorkload(records=500), "prefix": PREFIX, "clients": 4,
        "warm_up_ns": 100_000_000, "duration_ns": 700_000_000,
    }  # fmt: skip
    return GeneratorSpec(**{**defaults, **options})


def store(url: str, workload: LoadWorkload) -> None:
    keyspace = Keyspace(workload, PREFIX, 3)
    with open_backend(url) as backend:
        backend.mset(dict.fromkeys(keyspace.keys, b"x" * 10))


def slow(histogram: Histogram) -> int:
    """Number of calls above :data:`SLOW_NS`."""
    counts = histogram.to_counts()
    pairs = zip(counts.buckets, counts.counts, strict=True)
    return sum(count for bucket, count in pairs if bucket_bounds_ns(bucket)[0] >= SLOW_NS)


@pytest.mark.parametrize("driver", Driver)
@pytest.mark.parametrize(
    "lane",
    [LoadLane(Arm.INDIVIDUAL), LoadLane(Arm.PIPELINED, 1, 10), LoadLane(Arm.BATCH, 10)],
    ids=str,
)
def test_an_open_loop_sends_every_call_of_its_schedule(lane, driver):
    workload = LoadWorkload(records=500, hit_ratio=0.5)
    with server() as (url, _):
        store(url, workload)
        work = spec(
            url, driver=driver, lane=lane, workload=workload, calls_per_s=200.0,
            arrivals=Arrivals.CONSTANT,
        )  # fmt: skip
        tally = generate(work).tally
    due = sum(work.schedule() >= work.warm_up_ns)
    assert due == 140
    assert tally.calls + tally.unsent == due
    assert tally.errors == {}
    assert tally.requests == tally.calls * lane.pipeline
    assert tally.keys == tally.hits + tally.misses == tally.calls * lane.keys
    assert 0.3 < tally.hits / tally.keys < 0.7
    since_intended, since_sent = map(tally.histogram, (SINCE_INTENDED, SINCE_SENT))
    assert since_intended.samples == due
    assert since_sent.samples == tally.calls
    assert since_intended.mean_ns >= since_sent.mean_ns
    # Answers that came after the window are not in its timeline.
    assert 0 <= tally.keys - sum(tally.timeline_keys) <= work.clients * lane.keys


@pytest.mark.parametrize("driver", Driver)
def test_a_closed_loop_counts_what_it_finished(driver):
    workload = LoadWorkload(records=500, mix={Action.GET: 1, Action.SET: 1, Action.EXISTS: 1})
    with server() as (url, _):
        store(url, workload)
        tally = generate(spec(url, driver=driver, workload=workload)).tally
    assert tally.calls > 100
    assert tally.histogram(SERVICE_TIME).samples == tally.calls == tally.requests
    assert tally.misses == 0 < tally.hits < tally.keys, "a SET does not look"
    assert tally.cpu_ns > 0


@contextmanager
def later(work: GeneratorSpec, *signals: tuple[float, int], pid: int) -> Iterator[GeneratorSpec]:
    """Send signals at times in seconds after the start; the work with the time of its start."""
    start_at_s = time.time() + 1.5

    def send() -> None:
        for after_s, number in signals:
            time.sleep(max(0.0, start_at_s + after_s - time.time()))
            os.kill(pid, number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield msgspec.structs.replace(work, start_at_s=start_at_s)
    finally:
        thread.join()


@pytest.mark.parametrize("driver", Driver)
def test_an_open_loop_sees_a_pause_that_a_closed_loop_hides(driver):
    """Coordinated omission: while the server stands still, a closed loop sends nothing."""
    pause = (0.3, signal.SIGSTOP), (0.5, signal.SIGCONT)
    with server() as (url, pid):
        store(url, LoadWorkload(records=500))
        with later(spec(url, driver=driver, clients=2), *pause, pid=pid) as work:
            closed = generate(work).tally
        rate = msgspec.structs.replace(work, calls_per_s=1000.0)
        with later(rate, *pause, pid=pid) as work:
            opened = generate(work).tally
    # Of 200 calls that were due in 200 ms, 150 were due at least 50 ms before its end.
    assert slow(opened.histogram(SINCE_INTENDED)) > 100
    # Only what was under way when the server stopped: the clients' two calls.
    assert slow(opened.histogram(SINCE_SENT)) < 30
    assert slow(closed.histogram(SERVICE_TIME)) < 30
    assert max(opened.timeline_max_ns) > 150_000_000


@pytest.mark.parametrize("driver", Driver)
def test_an_overloaded_store_is_not_flattered_by_what_was_not_sent(driver):
    """The server stands still until after the window: what was due meanwhile counts as waiting."""
    with server() as (url, pid):
        store(url, LoadWorkload(records=500))
        work = spec(
            url, driver=driver, clients=1, warm_up_ns=0, duration_ns=400_000_000, calls_per_s=500.0
        )
        with later(work, (0.1, signal.SIGSTOP), (0.8, signal.SIGCONT), pid=pid) as work:
            tally = generate(work).tally
    assert tally.unsent > 100
    since = tally.histogram(SINCE_INTENDED)
    assert since.samples == tally.calls + tally.unsent
    assert since.quantile_ns(0.9) > 200_000_000


@pytest.mark.parametrize("driver", Driver)
def test_a_server_that_is_killed_is_errors_and_the_window_ends(driver):
    with server() as (url, pid):
        store(url, LoadWorkload(records=500))
        work = spec(url, driver=driver, calls_per_s=300.0)
        with later(work, (0.3, signal.SIGKILL), pid=pid) as work:
            tally = generate(work).tally
    assert tally.errors.get("connection", 0) > 0
    assert tally.calls > 0
    assert tally.longest_silence_ns() >= 200_000_000


def test_batches_are_formed_and_the_latency_is_that_of_keys():
    lane = LoadLane(Arm.BATCH, 100, window_ns=5_000_000)
    with server() as (url, _):
        store(url, LoadWorkload(records=500))
        work = spec(url, lane=lane, calls_per_s=2000.0, arrivals=Arrivals.POISSON)
        done = generate(work)
    tally, formed = done.tally, done.formed
    assert formed is not None
    assert formed.keys == pytest.approx(11, rel=0.2)
    assert formed.wait_ns == pytest.approx(2_730_000, rel=0.2)
    since = tally.histogram(SINCE_INTENDED)
    assert since.samples == pytest.approx(tally.keys, abs=12), "a sample for each key"
    assert since.samples > 5 * tally.calls
    assert since.mean_ns > formed.wait_ns * 0.9


def test_workers_share_a_schedule_and_clients():
    whole = spec("kvb://", calls_per_s=5000.0, clients=7)
    parts = [msgspec.structs.replace(whole, worker=i, workers=3) for i in range(3)]
    together = np.sort(np.concatenate([part.schedule() for part in parts]))
    assert np.array_equal(together, whole.schedule())
    assert sorted(client for part in parts for client in part.own_clients) == list(range(7))


def test_rounds_have_different_arrivals_and_a_seed_the_same():
    one = spec("kvb://", calls_per_s=500.0)
    again = msgspec.json.decode(msgspec.json.encode(one), type=GeneratorSpec)
    other = msgspec.structs.replace(one, number=2)
    assert np.array_equal(one.schedule(), again.schedule())
    assert not np.array_equal(one.schedule(), other.schedule())


def test_a_store_inside_the_process_is_shared():
    workload = LoadWorkload(records=500, mix={Action.INSERT: 1})
    with open_backend("memory://") as backend:
        done = generate(
            spec("memory://", workload=workload, clients=1, duration_ns=100_000_000), backend
        )
        keys = Keyspace(workload, PREFIX, 3).inserted(0, done.inserted[0], 0, 1)
        assert all(backend.mexists(keys[:-1])), "the last one may not have been sent"


@pytest.mark.parametrize("clients", [1, 3])
@pytest.mark.parametrize("driver", Driver)
def test_a_watch_that_raises_ends_the_window(driver, clients):
    """So a worker of a cluster ends what is not wanted any more."""

    def watch(*_: object) -> None:
        raise InterruptedError("enough")

    with server() as (url, _):
        store(url, LoadWorkload(records=500))
        work = spec(url, driver=driver, clients=clients, duration_ns=3600 * 10**9)
        with pytest.raises(InterruptedError, match="enough"):
            generate(work, watch=watch)


def test_a_refused_connection_is_named():
    with pytest.raises(KvConnectionError, match="connection 1 of 4"):
        generate(spec("kvb://127.0.0.1:1"))
