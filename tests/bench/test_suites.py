"""Suites: the published figures stand beside the cells that measure them again."""

from __future__ import annotations

import pytest

from kvbench.bench.plan import Settings
from kvbench.bench.suites import SUITES


@pytest.fixture
def plan():
    return SUITES["batch-operations"](Settings())


def test_every_published_figure_has_its_cell(plan):
    engine, network = plan.targets
    reference = plan.reference
    for target, tables in (
        (engine, (reference.engine_speedup, reference.engine_keys_per_s)),
        (
            network,
            (
                reference.network_keys_per_s,
                reference.network_speedup,
                reference.network_individual_keys_per_s,
                reference.network_batch_keys_per_s,
            ),
        ),
    ):
        cells = {(str(op), str(size)) for op, size in target.cells}
        for table in tables:
            assert {(op, size) for op in table for size in table[op]} <= cells


def test_figures_are_as_printed(plan):
    reference = plan.reference
    assert reference.engine_speedup["mget"] == {
        "10": 1.31, "50": 1.40, "100": 1.41, "500": 1.20, "1000": 1.03,
    }  # fmt: skip
    assert reference.engine_keys_per_s["mdel"]["10000"] == 2_500_000
    assert reference.network_keys_per_s["mget"]["100"] == 276_593
    assert reference.network_batch_keys_per_s["mget"]["100"] == 21_926
    for op in ("mget", "mset", "mdel"):
        individual = reference.network_individual_keys_per_s[op]["100"]
        batch = reference.network_batch_keys_per_s[op]["100"]
        assert batch / individual == pytest.approx(reference.network_speedup[op]["100"], rel=0.02)


def test_sizes_are_those_of_the_report(plan):
    engine, network = plan.targets
    assert (engine.url, engine.batch_sizes[0], engine.batch_sizes[-1]) == ("memory://", 10, 10_000)
    assert (network.url, network.batch_sizes[0], network.batch_sizes[-1]) == ("kvb://", 10, 1000)
    assert len(engine.cells) + len(network.cells) == 21 + 15
