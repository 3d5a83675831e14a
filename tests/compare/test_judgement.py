"""Verdicts over many figures: false alarms stay under 5% together, and real changes are found."""

from __future__ import annotations

import pytest

from kvbench.compare.comparison import compare_results, compare_targets
from kvbench.compare.judgement import Verdict, holm
from kvbench.compare.readings import Measure
from tests.compare.compared_results import CELLS, run_results

TRIALS = 200


def test_holm_is_that_of_the_paper():
    """Holm's procedure by hand: 0.01 × 4, then 0.02 × 3 fails and holds back the rest."""
    adjusted, levels = holm([0.03, 0.01, 0.02, 0.5])
    assert adjusted == pytest.approx([0.06, 0.04, 0.06, 0.5])
    assert levels == pytest.approx([0.05 / 3, 0.05 / 4, 0.05 / 3, 0.05 / 3])
    assert holm([]) == ([], [])


@pytest.mark.parametrize("rounds", [5, 12])
def test_false_alarms_are_under_five_percent_of_whole_comparisons(rounds):
    """21 figures each; the gate with its threshold must not fail once."""
    alarms = 0
    for trial in range(TRIALS):
        pair = [run_results(2 * trial + side, rounds=rounds, spread=0.03) for side in (0, 1)]
        comparison = compare_results(*pair)
        assert len(comparison.rows) == 21
        verdicts = [row.judged.verdict for row in comparison.rows]
        alarms += Verdict.FASTER in verdicts or Verdict.SLOWER in verdicts
        assert not comparison.slowdowns
    # 5% of 200 are 10; 16 and more have a probability under 4% even then.
    assert alarms < 16


def test_a_fifth_slower_is_found_every_time():
    slow = (("mget", 100),)
    for trial in range(20):
        base = run_results(1000 + trial)
        head = run_results(2000 + trial, slower=1.2, slow_cells=slow)
        comparison = compare_results(base, head)
        (row,) = comparison.slowdowns
        assert (row.head.name, row.head.measure) == ("MGET × 100", Measure.KEYS_PER_S)
        assert row.judged.verdict is Verdict.SLOWER
        assert row.judged.corrected.high < 1 / 1.05
        assert row.judged.corrected.low < row.judged.ratio.low
        assert comparison.count(Verdict.FASTER) == 0


def test_a_tenth_slower_is_found_against_five_percent_in_most_runs():
    found = 0
    for trial in range(40):
        base = run_results(3000 + trial, rounds=12)
        head = run_results(4000 + trial, rounds=12, slower=1.1)
        found += bool(compare_results(base, head).slowdowns)
    assert found >= 38


def test_the_noise_of_the_machine_raises_the_threshold():
    """Single calls that differ from themselves by 30% are no ground for a failure at 20%."""
    base, head = run_results(1), run_results(2, slower=1.2)
    assert compare_results(base, head).slowdowns
    noisy = run_results(2, slower=1.2, self_ratio=1 / 1.3)
    comparison = compare_results(base, noisy)
    assert not comparison.slowdowns
    assert comparison.rows[0].judged.limit == pytest.approx(0.3)
    assert comparison.count(Verdict.SLOWER)


def test_unchanged_within_the_threshold_or_not_certain():
    quiet = compare_results(run_results(1, spread=0.005), run_results(2, spread=0.005))
    assert quiet.count(Verdict.SAME) == 21
    loud = compare_results(
        run_results(1, spread=0.2, rounds=5), run_results(2, spread=0.2, rounds=5)
    )
    assert loud.count(Verdict.INCONCLUSIVE) == 21
    advised = [row.judged.rounds_more for row in loud.rows]
    assert min([one for one in advised if one is not None]) > 50


def test_two_targets_of_one_run_are_compared_by_round():
    results = run_results(1, targets=("a://", "b://"))
    comparison = compare_targets(results, "a://", "b://")
    assert comparison.is_paired and len(comparison.rows) == 21
    assert comparison.count(Verdict.SLOWER) == comparison.count(Verdict.FASTER) == 0
    assert len(CELLS) == 9
