"""Baselines: plausible figures where the cells are measured, and no process left behind."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from kvbench.bench import baselines
from kvbench.bench.placement import Placement, choose_placement


@pytest.fixture
def children(monkeypatch):
    found = []
    start = subprocess.Popen.__init__

    def remember(self, *args, **kwargs):
        found.append(self)
        start(self, *args, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    return found


def test_baselines_are_plausible(children):
    """Half of the samples are no shorter than their median: together they fit into the time."""
    began_ns = time.perf_counter_ns()
    measured = baselines.measure_baselines(Placement())
    took_ns = time.perf_counter_ns() - began_ns
    readings = baselines._TIMER_RUNS * baselines._TIMER_READINGS / 2
    calls = baselines._LOOP_RUNS * baselines._LOOP_KEYS / 2
    trips = (baselines._ROUND_TRIPS - baselines._ROUND_TRIPS_DISCARDED) / 2
    assert took_ns > measured.timer_ns * readings > readings
    assert took_ns > measured.loop_ns * calls > calls
    assert took_ns > measured.round_trip_apart_ns * trips > 1_000 * trips
    assert measured.round_trip_together_ns is None
    assert len(children) == 1
    assert children[0].returncode is not None


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_the_round_trip_is_measured_where_private_servers_run_and_on_one_core(children):
    measured = baselines.measure_baselines(choose_placement())
    assert measured.round_trip_together_ns > 1_000
    assert [child.args[-1] for child in children] == [
        str(choose_placement().servers[-1]),
        str(choose_placement().generator[-1]),
    ]
