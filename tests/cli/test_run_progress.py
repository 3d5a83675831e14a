"""The bar of a run on a terminal: its figures stay whole, from a width of 50 columns on."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from kvbench.bench.events import Progressed
from kvbench.cli.run_progress import RunBar


@pytest.mark.parametrize("width", [50, 60, 80])
def test_a_long_name_is_cut_and_not_the_figures(monkeypatch, width):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr("kvbench.cli.run_progress.make_console", lambda **options: console)
    bar = RunBar()
    bar.observe(Progressed(f"sqlite:///{'very/' * 20}long.db mget: calibrating", 0.5, 95.0))
    bar.close()
    line = next(one for one in file.getvalue().splitlines() if "left" in one)
    assert "round 1 " in line
    assert "1 min 35 s left" in line
