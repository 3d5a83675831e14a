"""The calls of a client are those of its workload, and the same for a seed wherever it runs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import islice

import msgspec
import pytest

from kvbench.load.calls import Op
from kvbench.load.stream import CallStream, Keyspace
from kvbench.load.workload import WORKLOADS, Action, LoadWorkload, Popularity

PREFIX = "kb:0123abcd:"


def stream(workload: LoadWorkload, batch_size: int = 1, pipeline: int = 1, **options) -> CallStream:
    keyspace = Keyspace(workload, PREFIX, seed=7)
    return CallStream(
        workload, keyspace, batch_size=batch_size, pipeline=pipeline, seed=7, **options
    )


def test_keys_are_distinct_prefixed_and_of_their_length():
    keyspace = Keyspace(LoadWorkload(records=50_000, key_length="20-60"), PREFIX, 1)
    keys = [*keyspace.keys, *keyspace.missing, *keyspace.inserted(0, 1000, 3, 10)]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith(PREFIX) for key in keys)
    assert {len(key) for key in keys} == set(range(20, 61))


def test_clients_insert_different_keys():
    keyspace = Keyspace(LoadWorkload(), PREFIX, 1)
    each = [set(keyspace.inserted(0, 500, client, 4)) for client in range(4)]
    assert len(set().union(*each)) == 2000
    assert keyspace.inserted(100, 5, 2, 4) == keyspace.inserted(0, 105, 2, 4)[100:]


def test_a_mix_has_its_shares():
    workload = LoadWorkload(mix={Action.GET: 70, Action.SET: 20, Action.DELETE: 10})
    counts = Counter(call.op for call in islice(stream(workload), 20_000))
    assert counts[Op.GET] == pytest.approx(14_000, rel=0.03)
    assert counts[Op.SET] == pytest.approx(4_000, rel=0.06)
    assert counts[Op.DELETE] == pytest.approx(2_000, rel=0.08)


def test_a_call_has_a_key_and_where_it_stores_a_value_for_each_request_and_place():
    mix = dict.fromkeys(Action, 1)
    for call in islice(stream(LoadWorkload(mix=mix), batch_size=5, pipeline=3), 300):
        assert len(call.keys) == 15
        assert len(call.values) == (15 if call.op.writes_values else 0)


def test_the_hit_ratio_is_that_of_reads_and_writes_go_to_stored_keys():
    workload = LoadWorkload(mix={Action.GET: 1, Action.SET: 1}, hit_ratio=0.75, records=1000)
    stored = set(Keyspace(workload, PREFIX, 7).keys)
    found = {Op.GET: Counter(), Op.SET: Counter()}
    for call in islice(stream(workload, batch_size=10), 4000):
        found[call.op].update(key in stored for key in call.keys)
    assert found[Op.GET][True] / found[Op.GET].total() == pytest.approx(0.75, abs=0.02)
    assert found[Op.SET][False] == 0


def test_duplicates_are_their_share_within_a_request():
    calls = stream(LoadWorkload(duplicates=0.3, records=1_000_000), batch_size=20, pipeline=2)
    repeated = total = 0
    for call in islice(calls, 500):
        for request in (call.keys[:20], call.keys[20:]):
            repeated += 20 - len(set(request))
            total += 19
    assert repeated / total == pytest.approx(0.3, abs=0.02)


def test_latest_asks_for_keys_that_were_inserted():
    workload = LoadWorkload(
        mix={Action.GET: 1, Action.INSERT: 1}, popularity=Popularity.LATEST, records=100
    )
    calls = list(islice(stream(workload), 20_000))
    inserted = {call.keys[0] for call in calls if call.op is Op.SET}
    asked = [call.keys[0] for call in calls if call.op is Op.GET]
    assert len(inserted) == sum(call.op is Op.SET for call in calls), "each is new"
    assert sum(key in inserted for key in asked) / len(asked) > 0.5


def test_clients_and_seeds_differ_and_the_same_is_the_same():
    def keys(seed: int, client: int) -> list[str]:
        workload = LoadWorkload()
        calls = CallStream(
            workload, Keyspace(workload, PREFIX, 1), batch_size=1, pipeline=1, seed=seed,
            client=client, clients=4,
        )  # fmt: skip
        return [call.keys[0] for call in islice(calls, 50)]

    assert keys(1, 0) == keys(1, 0)
    assert keys(1, 0) != keys(1, 1)
    assert keys(1, 0) != keys(2, 0)


def test_another_process_draws_the_same():
    script = (
        "from itertools import islice\n"
        "from tests.load.test_stream import stream\n"
        "from kvbench.load.workload import WORKLOADS\n"
        "print([c.keys[0] for c in islice(stream(WORKLOADS['ycsb-d'], client=3, clients=5), 99)])\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    here = stream(WORKLOADS["ycsb-d"], client=3, clients=5)
    assert there.stdout.strip() == str([call.keys[0] for call in islice(here, 99)])


def test_the_core_workloads_of_ycsb():
    mixes = {name: one.mix for name, one in WORKLOADS.items()}
    assert mixes == {
        "ycsb-a": {"get": 0.5, "set": 0.5},
        "ycsb-b": {"get": 0.95, "set": 0.05},
        "ycsb-c": {"get": 1.0},
        "ycsb-d": {"get": 0.95, "insert": 0.05},
        "ycsb-f": {"get": 0.5, "rmw": 0.5},
    }
    assert all(one.popularity == "zipfian" for name, one in WORKLOADS.items() if name != "ycsb-d")
    assert WORKLOADS["ycsb-d"].popularity == "latest"
    for one in WORKLOADS.values():
        one.check()
        assert msgspec.json.decode(msgspec.json.encode(one), type=LoadWorkload) == one
