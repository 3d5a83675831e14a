"""Load workers on a Dask cluster: a real scheduler and two worker processes on loopback."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections import defaultdict
from itertools import islice

import msgspec
import pytest
import redis

from kvbench.bench.arms import Arm
from kvbench.cli import main
from kvbench.errors import KvConnectionError, UsageError
from kvbench.load.cluster import ClusterWorker, DaskWorkers
from kvbench.load.generator import GeneratorSpec
from kvbench.load.plan import Arrivals, Driver, LoadLane
from kvbench.load.stream import CallStream, Keyspace
from kvbench.load.workload import Action, LoadWorkload
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.registry import open_backend
from kvbench.results import read_results
from tests.foreign_stores import redis_server
from tests.load.dask_cluster import WORKERS, dask_cluster, low_port

PREFIX = "kb:0123abcd:"
WORKLOAD = LoadWorkload(records=200)
SEED = 3


@pytest.fixture(scope="module")
def store():
    server = LocalServer(OWN_SERVER)
    url = "kvb://" + server.wait_for_line("listening on").split()[-1]
    with open_backend(url) as backend:
        backend.mset(dict.fromkeys(Keyspace(WORKLOAD, PREFIX, SEED).keys, b"x" * 10))
    yield url
    server.stop()


@pytest.fixture(scope="module")
def scheduler():
    with dask_cluster() as address:
        yield address


@pytest.fixture
def workers(scheduler):
    with DaskWorkers(scheduler) as found:
        yield found


def spec(url: str, **options) -> GeneratorSpec:
    defaults = {
        "url": url, "driver": Driver.CLIENT, "lane": LoadLane(Arm.INDIVIDUAL), "seed": SEED,
        "workload": WORKLOAD, "prefix": PREFIX, "clients": 4, "arrivals": Arrivals.CONSTANT,
        "warm_up_ns": 100_000_000, "duration_ns": 500_000_000,
    }  # fmt: skip
    return GeneratorSpec(**{**defaults, **options})


def not_watched(*_: object) -> None:
    """Takes no notice."""


@pytest.mark.parametrize("driver", Driver)
def test_the_counts_of_all_workers_add_up_to_the_schedule(workers, store, driver):
    done = workers.run(spec(store, driver=driver, calls_per_s=200.0), not_watched)
    assert done.workers == WORKERS and done.lost == []
    assert done.tally.calls + done.tally.unsent == 100
    assert done.tally.keys == done.tally.hits == done.tally.calls
    assert done.start_error_ns >= workers.start_error_s * 1e9 > 0


def test_clocks_of_one_machine_differ_by_no_more_than_the_stated_error(workers):
    """The true offset is 0 here: the time since 1970 is the machine's."""
    assert len(workers._workers) == WORKERS
    assert all(abs(one.offset_s) <= one.error_s for one in workers._workers)
    text = f"2 workers, starts aligned within {workers.start_error_s * 1e3:.1f} ms"
    assert workers.facts == {"dask": text}


def test_a_seed_gives_the_same_keys_wherever_a_client_runs(workers):
    """Redis reports every command that arrives; each client is a connection."""
    with redis_server() as url:
        asked = defaultdict(list)
        with redis.Redis.from_url(url) as client, client.monitor() as monitor:

            def read() -> None:
                for one in monitor.listen():
                    if one["command"] == "ECHO end":
                        return
                    if one["command"].startswith("GET kb:"):
                        asked[one["client_port"]].append(one["command"].split()[1])

            reader = threading.Thread(target=read)
            reader.start()
            workers.run(spec(url, clients=WORKERS, calls_per_s=300.0), not_watched)
            client.echo("end")
            reader.join()
    keyspace = Keyspace(WORKLOAD, PREFIX, SEED)
    expected = [
        [call.keys[0] for call in islice(CallStream(
            WORKLOAD, keyspace, batch_size=1, pipeline=1, seed=SEED, client=number, clients=WORKERS
        ), 300)]
        for number in range(WORKERS)
    ]  # fmt: skip
    assert len(asked) == WORKERS
    for sequence in asked.values():
        assert len(sequence) > 20
        assert sequence in [one[: len(sequence)] for one in expected]


@pytest.mark.thorough
def test_a_run_that_is_interrupted_stops_the_load(workers):
    """No worker may write keys after they have been removed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    workload = LoadWorkload(records=200, mix={Action.INSERT: 1})
    for clients in (WORKERS, 4):
        work = spec("", workload=workload, clients=clients, duration_ns=30 * 10**9)
        with redis_server() as url, redis.Redis.from_url(url) as client:
            with pytest.raises(KeyboardInterrupt):
                workers.run(msgspec.structs.replace(work, url=url), interrupt)
            before = client.info("stats")["total_commands_processed"]
            time.sleep(0.3)
            after = client.info("stats")["total_commands_processed"]
            assert before > 10
            assert after == before + 1, "the INFO before"
            keyspace = Keyspace(workload, PREFIX, SEED)
            for number, count in workers.inserted.items():
                client.delete(*keyspace.inserted(0, count, number, clients))
            assert client.dbsize() == 0, "all new keys are known"


def test_what_a_worker_cannot_do_is_an_error_with_its_name(workers):
    with pytest.raises(KvConnectionError, match=r"Dask worker tcp://127.0.0.1:\d+: connection 1"):
        workers.run(spec("kvb://127.0.0.1:1"), not_watched)


def test_loopback_is_another_machine_for_a_far_worker(workers):
    workers.check_target("kvb://127.0.0.1:16380")
    workers._workers.append(ClusterWorker("tcp://10.0.0.7:4000", 0.0, 0.0))
    workers.check_target("kvb://10.0.0.9:16380")
    for host in ("127.0.0.1", "localhost", "[::1]"):
        with pytest.raises(UsageError, match="another machine for the Dask worker tcp"):
            workers.check_target(f"kvb://{host}:16380")


@pytest.fixture
def kvbench(monkeypatch, capfd):
    """The command line in this process: exit code, standard output, standard error."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


SHORT = [
    "--duration", "600ms", "--rounds", "2", "--warm-up", "50ms", "--records", "200", "--clients",
    "4", "--no-keep-awake", "--no-pin",
]  # fmt: skip


def test_a_run_on_a_cluster(kvbench, scheduler, store, tmp_path):
    output = tmp_path / "load.jsonl"
    rate = ["--rate", "200/s", "--arrivals", "constant"]
    code, out, err = kvbench("load", store, *SHORT, *rate, "--dask", scheduler, "--output", output)
    assert code == 0, err
    results = read_results(output)
    [load] = results.loads
    assert load.calls + load.unsent == 120
    assert load.workers == WORKERS and load.lost_workers == []
    assert results.targets[0].facts["dask"].startswith("2 workers, starts aligned within")
    assert results.header.settings["dask"] == scheduler
    assert "Load workers began within" in " ".join(out.split())


@pytest.mark.thorough
def test_a_capacity_is_searched_on_a_cluster(kvbench, scheduler, store):
    code, out, err = kvbench(
        "capacity", store, "--slo", "p50<300ms", *SHORT[2:], "--probe", "100ms",
        "--arm", "individual", "--dask", scheduler,
    )  # fmt: skip
    assert code == 0, err
    assert "Capacity within p50 < 300ms" in out


def test_a_cluster_with_too_few_workers(kvbench, scheduler, store):
    code, _, err = kvbench("load", store, "--dask", scheduler, "--workers", "3")
    assert code == 4 and "has 2 workers, not 3" in err and err.count("\n") == 1


def test_no_scheduler_there(kvbench, store):
    with socket.create_server(("127.0.0.1", low_port())) as silent:
        other = store.replace("kvb", "tcp")
        silent_one = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        for address in ("tcp://127.0.0.1:1", "tcp://127.0.0.1:99999", other, silent_one):
            code, _, err = kvbench("load", store, "--dask", address)
            assert code == 4 and err.count("\n") == 1, err
            assert f"no Dask scheduler answers at {address}" in err


def test_dask_is_not_installed(kvbench, monkeypatch, store):
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, err = kvbench("load", store, "--dask", "tcp://127.0.0.1:8786")
    assert code == 4 and "pip install 'kvbench[distributed]'" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["kvb://"], "targets with an address, which all workers reach: kvb://HOST"),
        (["memory://"], "memory:// is on this machine only"),
        (["sqlite://kv.db"], "sqlite:// is on this machine only"),
        (["STORE", "--workers", "21"], "workers 21 is not 0 to 20, the clients"),
        (["STORE", "--batch-size", "9", "--rate", "9 keys/s", "--batch-window", "1ms"],
         "--driver client and one worker"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(kvbench, scheduler, store, args, words):
    args = [store if one == "STORE" else one for one in args]
    code, _, err = kvbench("load", *args, "--dask", scheduler)
    assert code == 2 and words in err and err.count("\n") == 1, err


def test_an_address_that_is_none(kvbench, store):
    code, _, err = kvbench("load", store, "--dask", "scheduler")
    assert code == 2 and "tcp://HOST:8786" in err and err.count("\n") == 1


@pytest.mark.thorough
def test_a_killed_worker_is_reported_with_what_it_had_done(kvbench, store, tmp_path):
    """The window goes on with the other worker, and so does the run; not without a scheduler."""
    with dask_cluster() as scheduler, DaskWorkers(scheduler) as workers:
        pids = workers._client.run(os.getpid)

        def kill(share: float, *_: object) -> None:
            if share > 0.3 and pids:
                os.kill(pids.popitem()[1], signal.SIGKILL)
                pids.clear()

        done = workers.run(spec(store, duration_ns=3 * 10**9), kill)
        [text] = done.lost
        assert "was lost: it had done" in text and "about 0 keys" not in text
        assert done.workers == 1 and done.tally.calls > 0
        assert done.tally.elapsed_ns >= 3 * 10**9, "the other one's window is whole"
        again = workers.run(spec(store, clients=4, calls_per_s=200.0), not_watched)
        assert again.lost == [] and again.workers == 1
        assert again.tally.calls + again.tally.unsent == 100, "all clients are on the other one"
        pid = workers._client.run_on_scheduler(os.getpid)

        def stop(*_: object) -> None:
            os.kill(pid, signal.SIGSTOP)

        try:
            with pytest.raises(KvConnectionError, match="does not answer"):
                workers.run(spec(store, duration_ns=3 * 10**9), stop)
        finally:
            os.kill(pid, signal.SIGCONT)
