"""Eviction is detected on real servers, and commands that write to such a store warn.

Each case on a server that was started so: keys of others can be lost where a store makes room.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from kvbench import eviction
from kvbench.bench.events import Warned
from kvbench.bench.interrupts import Interrupts
from kvbench.bench.plan import Plan, Settings, TargetPlan
from kvbench.bench.runner import run
from kvbench.model import BatchOperation
from kvbench.registry import open_backend
from tests.foreign_stores import memcached_server, redis_server

TWO_MIB = ("--maxmemory", "2mb")


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ((*TWO_MIB, "--maxmemory-policy", "allkeys-lru"), "allkeys-lru at 2 MiB"),
        ((*TWO_MIB, "--maxmemory-policy", "volatile-ttl"), "volatile-ttl at 2 MiB"),
        ((*TWO_MIB, "--maxmemory-policy", "noeviction"), None),
        (("--maxmemory", "0", "--maxmemory-policy", "allkeys-lru"), None),
    ],
)
def test_redis_evicts_when_it_has_a_limit_and_a_policy(options, rule):
    """Both are needed: without a limit nothing is evicted, whatever the policy."""
    with redis_server(*options) as url, open_backend(url) as store:
        assert store.describe().get(eviction.FACT) == rule


@pytest.mark.parametrize(("options", "rule"), [(("-m", "100"), "LRU at 100 MiB"), (("-M",), None)])
def test_memcached_evicts_unless_it_was_started_not_to(options, rule):
    with memcached_server(*options) as url, open_backend(url) as store:
        assert store.describe().get(eviction.FACT) == rule


def warnings_of(url: str, **settings) -> list[str]:
    events = []
    target = TargetPlan(url, (BatchOperation.MGET,), (10,))
    fast = Settings(rounds=2, blocks=2, sample_ns=100_000, keep_awake=False, **settings)
    run(Plan((target,), fast), events.append, Interrupts(), "kvbench run")
    return [event.text for event in events if isinstance(event, Warned)]


def test_a_run_on_a_store_that_evicts_warns_once_with_advice():
    with redis_server(*TWO_MIB, "--maxmemory-policy", "allkeys-lru") as url:
        [message] = warnings_of(url)
        assert message == (
            f"{url} evicts keys when it is full (allkeys-lru at 2 MiB): keys of others can be "
            "lost. See that it has 1 MiB of memory to spare, or use another instance"
        )
        [message] = warnings_of(url, rtt_ns=100_000)
        assert "allkeys-lru" in message, "through the proxy of --rtt as well"


@pytest.mark.thorough
def test_the_memory_to_spare_grows_with_the_values():
    with memcached_server() as url:
        [message] = warnings_of(url, value_size=10_000)
    assert "See that it has 20 MiB of memory to spare" in message


@pytest.mark.thorough
def test_no_warning_for_a_store_that_does_not_evict():
    with redis_server() as url:
        assert warnings_of(url) == []


def test_a_check_warns_in_the_same_words():
    with redis_server(*TWO_MIB, "--maxmemory-policy", "allkeys-lru") as url:
        command = [sys.executable, "-m", "kvbench", "check", url, "--only", "BGET-001"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    err = done.stderr
    assert f"kvbench: {url} evicts keys when it is full (allkeys-lru at 2 MiB)" in err
    assert err.count("evicts keys") == 1
