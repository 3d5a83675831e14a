"""Suites: every published figure has its cell, in a file that a report can show beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvbench.bench.plan import Settings
from kvbench.bench.presets import PRESETS
from kvbench.results import read_results

PUBLISHED = Path(__file__).parents[2] / "reports/batch-operations/published.jsonl"


@pytest.fixture
def plan():
    return PRESETS["batch-operations"](Settings())


@pytest.fixture
def published():
    cells = read_results(PUBLISHED).cells
    return {(cell.target, cell.op, cell.batch_size): cell for cell in cells}


def test_every_published_figure_has_its_cell(plan, published):
    measured = {(target.url, str(op), size) for target in plan.targets for op, size in target.cells}
    assert set(published) == measured


def test_figures_are_as_printed(published):
    speedups = [
        published["memory://", "mget", size].speedup.estimate for size in (10, 50, 100, 500, 1000)
    ]
    assert speedups == [1.31, 1.40, 1.41, 1.20, 1.03]
    rates = {key: cell.arms["batch"].keys_per_s.estimate for key, cell in published.items()}
    assert rates["memory://", "mdel", 10_000] == 2_500_000
    assert rates["kvb://", "mget", 100] == 276_593
    network = published["kvb://", "mset", 100]
    assert network.speedup.estimate == 58.0
    assert network.arms["individual"].keys_per_s.estimate == 5_677
    assert all(cell.speedup.low is None for cell in published.values() if cell.speedup)


def test_sizes_are_those_of_the_report(plan):
    engine, network = plan.targets
    assert (engine.url, engine.batch_sizes[0], engine.batch_sizes[-1]) == ("memory://", 10, 10_000)
    assert (network.url, network.batch_sizes[0], network.batch_sizes[-1]) == ("kvb://", 10, 1000)
    assert len(engine.cells) + len(network.cells) == 21 + 15
