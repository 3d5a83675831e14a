"""Placement: a core for the load generator, others for private servers, or the reason why not."""

from __future__ import annotations

import os
import sys

import pytest

from kvbench.bench.placement import Placement, apply, choose_placement
from kvbench.local_server import SERVER_CPUS_VARIABLE, LocalServer

WAIT = """
import os, time
print("cores", sorted(os.sched_getaffinity(0)), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def same_environment(monkeypatch):
    monkeypatch.delenv(SERVER_CPUS_VARIABLE, raising=False)
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)
    os.environ.pop(SERVER_CPUS_VARIABLE, None)


@pytest.mark.parametrize(
    ("cores", "generator", "servers"), [({0, 1}, (1,), (0,)), ({2, 5, 7}, (7,), (2, 5))]
)
def test_generator_and_servers_share_no_core(monkeypatch, cores, generator, servers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: cores)
    placement = choose_placement()
    assert (placement.generator, placement.servers) == (generator, servers)
    assert f"load generator on core {generator[0]}" in placement.reason


def test_one_core_is_not_shared_out(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    placement = choose_placement()
    assert not placement.is_on
    assert placement.reason == "off: only one core may be used"


def test_it_can_be_left_off():
    assert choose_placement(wanted=False).reason == "off: not wanted (--no-pin)"
    assert not apply(choose_placement(wanted=False)).is_on
    assert SERVER_CPUS_VARIABLE not in os.environ


def test_a_system_that_refuses_is_named():
    refused = apply(Placement((4_095,), (0,), "x"))
    assert not refused.is_on
    assert refused.reason.startswith("off: ")
    assert SERVER_CPUS_VARIABLE not in os.environ


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_private_servers_run_where_they_are_placed():
    placement = apply(choose_placement())
    assert os.sched_getaffinity(0) == set(placement.generator)
    server = LocalServer([sys.executable, "-c", WAIT])
    try:
        assert server.wait_for_line("cores") == f"cores {list(placement.servers)}"
    finally:
        server.stop()


def test_cores_that_do_not_exist_do_not_stop_a_server(monkeypatch):
    monkeypatch.setenv(SERVER_CPUS_VARIABLE, "4095")
    server = LocalServer([sys.executable, "-c", WAIT])
    try:
        assert server.wait_for_line("cores").startswith("cores [")
    finally:
        server.stop()
