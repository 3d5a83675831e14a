"""Baselines: plausible figures where the cells are measured, and no process left behind."""

from __future__ import annotations

import os
import subprocess

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
    measured = baselines.measure_baselines(Placement())
    assert 1 < measured.timer_ns < 10_000
    assert 1 < measured.loop_ns < 100_000
    assert 1_000 < measured.round_trip_apart_ns < 100_000_000
    assert measured.round_trip_together_ns is None
    assert len(children) == 1
    assert children[0].returncode is not None


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_the_round_trip_is_measured_where_private_servers_run_and_on_one_core(children):
    measured = baselines.measure_baselines(choose_placement())
    assert 1_000 < measured.round_trip_together_ns < 100_000_000
    assert [child.args[-1] for child in children] == [
        str(choose_placement().servers[-1]),
        str(choose_placement().generator[-1]),
    ]
