"""Advice: which size is chosen for which needs, and that each reason is true of the figures."""

from __future__ import annotations

import json

import pytest

from kvbench.report.advice import TOO_LATE, TOO_SLOW, Advice, Needs, advise
from kvbench.report.advice_output import frontier_table, headline, render_advice_json
from kvbench.report.summary import summarise
from tests.report.report_builders import arm, cell, missing, results

MS = 1_000_000
SINGLE_NS = 100_000.0
"""A single call over a network: 100 µs. A batch call: 100 µs and 1 µs a key."""


def operation(*sizes: int, single_ns: float = SINGLE_NS, fixed_ns: float = SINGLE_NS, key_ns=1e3):
    cells = [
        cell(
            "mget",
            size,
            arms={
                "individual": arm(single_ns, spread=0.0),
                "batch": arm((fixed_ns + key_ns * size) / size, size, spread=0.0),
            },
        )
        for size in sizes
    ]
    return only(*cells)


def only(*cells):
    [target] = summarise(results(*cells))
    [found] = target.operations.values()
    return found


def chosen(advice: Advice) -> int | None:
    return None if advice.best is None else advice.best.batch_size


def test_without_needs_it_is_the_smallest_size_near_the_best_rate():
    """1,000 keys move 909k/s; 900 keys reach 90% of the 1M that 10,000 approach."""
    advice = advise(operation(10, 100, 1000, 2000, 10_000), Needs())
    assert chosen(advice) == 1000
    assert advice.reasons == (
        "Calls of 1,000 keys move 909k keys/s, 91× what single calls do, and take at most 1.10 ms "
        "on average.",
        "It is the smallest size within 10% of the best keys/s.",
        "Larger ones gain little: 990k keys/s at 10,000, for 10.1 ms a call.",
    )
    assert headline(advice) == "use batches of 1,000"


def test_with_a_bound_it_is_the_best_size_whose_call_is_within():
    advice = advise(operation(10, 100, 1000), Needs(slo_ns=MS))
    assert chosen(advice) == 100
    assert advice.reasons[1:] == (
        "That is within the bound of 1.00 ms.",
        "The next size, 1,000, would let a key wait 1.10 ms: over the bound.",
    )


def test_larger_sizes_that_are_over_the_bound_are_not_said_to_gain_little():
    """20 keys are within it, and hardly better than 18; 1,000 are far better, and over it."""
    advice = advise(operation(18, 19, 1000), Needs(slo_ns=MS))
    assert chosen(advice) == 18
    assert advice.reasons[2].startswith("Larger ones gain little: 160k keys/s at 19")


def test_with_a_rate_it_is_the_shortest_wait_that_keeps_up():
    """At 2,000/s single calls are busy 20% of the time: to collect keys would only delay them."""
    advice = advise(operation(2, 10, 100), Needs(rate_per_s=2000))
    assert chosen(advice) == 1
    assert headline(advice) == "use single calls"
    assert advice.reasons == (
        "Single calls move 10.0k keys/s and take at most 100 µs on average.",
        "At 2,000 keys/s calls are busy 20% of the time; no key waits for others.",
        "The next size, 2, would make a key wait longer: 602 µs.",
    )


def test_a_rate_over_what_single_calls_can_do_needs_a_batch():
    advice = advise(operation(2, 10, 100), Needs(rate_per_s=20_000))
    assert chosen(advice) == 10
    assert [one.problem for one in advice.choices] == [TOO_SLOW, TOO_SLOW, "", ""]
    assert advice.reasons[1] == (
        "At 20,000 keys/s calls are busy 22% of the time; the first key of a batch waits 450 µs "
        "for it to fill, 560 µs in all."
    )


def test_with_both_the_bound_is_used_for_less_load():
    """At 10,000/s calls of 10, 20, 60 and 100 keys are busy 11%, 6%, 2.7% and 2% of the time."""
    found = operation(10, 20, 60, 100)
    advice = advise(found, Needs(slo_ns=3 * MS, rate_per_s=10_000))
    assert chosen(advice) == 20
    assert advice.reasons[2] == "The next size, 60, would let a key wait 6.06 ms: over the bound."
    advice = advise(found, Needs(slo_ns=50 * MS, rate_per_s=10_000))
    assert chosen(advice) == 60
    assert advice.reasons[2] == "The next size, 100, would make a key wait 10.1 ms, for little."


def test_calls_that_cost_next_to_nothing_are_not_collected():
    """In process single calls take under 1% of the time: to wait for others would save nothing."""
    cheap = operation(10, 100, single_ns=500.0, fixed_ns=1500.0, key_ns=60.0)
    advice = advise(cheap, Needs(slo_ns=5 * MS, rate_per_s=2000))
    assert chosen(advice) == 1
    assert "busy <1% of the time" in advice.reasons[1]
    assert advice.reasons[2] == "The next size, 10, would make a key wait 4.50 ms, for little."


def test_a_rate_that_no_size_keeps_up_with():
    advice = advise(operation(10, 100), Needs(rate_per_s=1e6))
    assert chosen(advice) is None
    assert headline(advice) == "no size meets these needs"
    assert advice.reasons == (
        "One caller moves 500k keys/s at best, with calls of 100 keys: too little for 1,000,000 "
        "with room for bursts.",
        "Several connections share such a load.",
    )


def test_a_bound_under_the_fastest_call():
    advice = advise(operation(10, 100), Needs(slo_ns=50_000))
    assert chosen(advice) is None
    assert advice.reasons == (
        "The shortest wait is 100 µs, with single calls: over the bound of 50.0 µs.",
        "It takes a looser bound, or a store that is nearer or faster.",
    )


def test_single_calls_within_the_bound_that_do_not_keep_up():
    """The wait of a size that cannot keep up is no wait: it grows for ever."""
    advice = advise(operation(10, 100), Needs(slo_ns=200_000, rate_per_s=20_000))
    assert chosen(advice) is None
    assert [one.problem for one in advice.choices] == [TOO_SLOW, TOO_LATE, TOO_LATE]
    assert advice.reasons == (
        "The shortest wait is 560 µs, with calls of 10 keys: over the bound of 200 µs.",
        "Smaller ones do not keep up with 20,000 keys/s.",
        "Several connections share such a load, each with smaller batches.",
    )


def test_single_calls_where_batching_is_slower():
    advice = advise(operation(10, 100, single_ns=500.0, key_ns=2000.0), Needs())
    assert chosen(advice) == 1
    assert advice.reasons[0] == "Single calls move 2.00M keys/s and take at most 500 ns on average."
    assert "Larger ones gain little" in advice.reasons[2]


def test_one_size_only():
    advice = advise(operation(100), Needs())
    assert chosen(advice) == 100
    assert advice.reasons[2] == "No larger size was measured; name some with --batch-sizes."


def test_a_batch_of_one_key_is_no_candidate_next_to_the_single_call():
    advice = advise(operation(1, 100), Needs())
    assert [one.batch_size for one in advice.choices] == [1, 100]


def test_the_upper_end_of_the_interval_is_held_against_the_bound():
    """100 µs ± 2% is not within 101 µs."""
    uncertain = only(cell("mget", 10, arms={"individual": arm(1e5), "batch": arm(1e4, 10)}))
    assert chosen(advise(uncertain, Needs(slo_ns=101_000))) is None
    assert chosen(advise(uncertain, Needs(slo_ns=103_000))) is not None


def test_sizes_without_figures_are_left_out_and_an_operation_without_any_says_why():
    found = only(
        cell("mget", 10, arms={"individual": arm(SINGLE_NS), "batch": arm(1e4, 10)}),
        missing("mget", 100, "mget: too large"),
    )
    assert [one.batch_size for one in advise(found, Needs()).choices] == [1, 10]
    nothing = only(missing("mget", 10, "mget: refused"), missing("mget", 100, "mget: refused"))
    advice = advise(nothing, Needs())
    assert advice == Advice("mget", None, (), ("mget: refused",))
    assert headline(advice) == "no figures"


@pytest.mark.parametrize("needs", [Needs(), Needs(slo_ns=MS), Needs(MS, 5000), Needs(None, 5000)])
def test_the_frontier_has_a_row_for_each_size_and_marks_one(needs):
    advice = advise(operation(10, 100, 1000), needs)
    table = frontier_table(advice, needs)
    assert [row[0].text for row in table.rows] == ["1", "10", "100", "1,000"]
    assert [row[-1].text for row in table.rows].count("use this") == 1
    assert len(table.columns) == (6 if needs.rate_per_s else 4)


def test_json_names_what_was_asked_for_and_every_unit():
    needs = Needs(slo_ns=5 * MS, rate_per_s=20_000.0)
    document = json.loads(render_advice_json("kvb://", needs, 100, [advise(operation(10), needs)]))
    assert {key: document[key] for key in document if key != "operations"} == {
        "schema": "kvbench-advice/1",
        "target": "kvb://",
        "slo_ns": 5_000_000,
        "rate_keys_per_s": 20_000.0,
        "value_bytes": 100,
    }
    [found] = document["operations"]
    assert (found["op"], found["batch_size"], len(found["reasons"])) == ("mget", 10, 3)
    assert found["sizes"][0] == {
        "batch_size": 1,
        "call_ns": 100_000.0,
        "keys_per_s": 10_000.0,
        "longest_wait_ns": 100_000.0,
        "busy_share": 2.0,
        "meets_needs": False,
        "problem": "too slow",
    }


def test_json_has_null_where_there_is_no_choice():
    needs = Needs(slo_ns=1)
    document = json.loads(render_advice_json("kvb://", needs, 100, [advise(operation(10), needs)]))
    assert document["operations"][0]["batch_size"] is None
    assert document["rate_keys_per_s"] is None
