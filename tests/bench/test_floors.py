"""Floors: plausible figures, and no process left behind."""

from __future__ import annotations

import subprocess

from kvbench.bench import floors


def test_floors_are_plausible(monkeypatch):
    children = []
    start = subprocess.Popen.__init__

    def remember(self, *args, **kwargs):
        children.append(self)
        start(self, *args, **kwargs)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    measured = floors.measure_floors(keep_awake=True)
    assert 1 < measured.timer_ns < 10_000
    assert 1 < measured.loop_ns_per_call < 100_000
    assert 1_000 < measured.loopback_round_trip_ns < 100_000_000
    assert measured.keep_awake
    assert len(children) == 1
    assert children[0].returncode is not None
