"""The tables: which figure stands where, and what the signs beside it say."""

from __future__ import annotations

from kvbench.report import overview, tables
from kvbench.report.entries import TableEntry, Tone
from kvbench.report.summary import summarise
from kvbench.report.table import Table
from kvbench.report.tables import Beside
from kvbench.results import Figure, Misfit, TwoGroups
from tests.report.report_builders import (
    BASELINES,
    arm,
    cell,
    curve,
    missing,
    pipelined,
    results,
    target,
)

FAR = target("kvb://", True)


def summary_of(*cells, **options):
    (summary,) = summarise(results(*cells, **options))
    return summary


def speedups(*cells, beside=None) -> Table:
    return tables.speedup_table(summary_of(*cells), beside)


def find(table: Table, row: str, heading: str, after: int = 0) -> TableEntry:
    """The entry in the row that starts with ``row``, under a heading or so far to its right."""
    (entries,) = [entries for entries in table.rows if entries[0].text == row]
    return entries[[column.heading for column in table.columns].index(heading) + after]


def test_speedups_stand_by_batch_size_and_operation():
    table = speedups(
        cell("mset", 1000, speedup=Figure(9.5, 9.4, 9.6)), cell("mget", 10), cell("mset", 10)
    )
    assert [column.heading for column in table.columns] == ["batch size", "MGET", "MSET"]
    assert [row[0].text for row in table.rows] == ["10", "1,000"]
    assert find(table, "10", "MGET") == TableEntry("4.31×", "[4.20, 4.43]", "", Tone.FASTER)
    assert find(table, "1,000", "MSET").text == "9.50×"


def test_a_cell_that_was_never_reached_differs_from_one_that_failed():
    table = speedups(cell("mget", 10), missing("mset", 10, "refused: a|b"), cell("mset", 100))
    assert find(table, "100", "MGET") == tables.NOT_MEASURED
    assert find(table, "10", "MSET").mark == "¹"
    assert "¹ no number: refused: a|b" in table.notes
    assert "· not measured." in table.notes


def test_slower_is_shown_by_a_word_and_a_colour():
    table = speedups(cell(speedup=Figure(0.82, 0.8, 0.84)))
    assert find(table, "100", "MGET").mark == "slower"
    assert find(table, "100", "MGET").tone is Tone.SLOWER


def test_chance_is_marked_and_explained():
    table = speedups(cell(speedup=Figure(1.01, 0.99, 1.03)))
    assert find(table, "100", "MGET") == TableEntry("1.01×", "[0.99, 1.03]", "≈")
    assert any(note.startswith("≈") and "chance" in note for note in table.notes)
    assert any("against themselves: 1.00× [0.98, 1.03]" in note for note in table.notes)


def test_an_unstable_cell_says_why():
    drifted = speedups(cell(is_stable=False, drift=0.114))
    assert find(drifted, "100", "MGET").mark == "†"
    assert any("†" in note and "speed changed by up to 11%" in note for note in drifted.notes)
    waited = speedups(cell(is_stable=False, drift=0.01, waited=0.5))
    assert any("held a core for up to 50% of the time" in note for note in waited.notes)


def test_two_groups_are_shown_with_both_values_and_what_to_do():
    grouped = arm(30_000.0, groups=TwoGroups(21_000.0, 7, 48_000.0, 5))
    table = speedups(cell(arms={"individual": grouped, "batch": arm(85.0, 100)}))
    assert find(table, "100", "MGET").mark == "◊"
    [note] = [note for note in table.notes if note.startswith("◊")]
    assert "21.0 µs/key in 7 rounds and 48.0 µs/key in 5" in note
    assert "pin" in note


def test_round_trips_are_shown_with_the_declared_kind_and_a_contradiction_is_marked():
    honest = speedups(cell(round_trips=1.02, round_trips_at=100))
    assert any("MGET native (1.0 round trips measured for 100 keys)" in n for n in honest.notes)
    assert find(honest, "100", "MGET").mark == ""
    lying = speedups(cell(round_trips=99.6, round_trips_at=100))
    assert find(lying, "100", "MGET").mark == "≠"
    assert any(n.startswith("≠ declared native, but a batch of 100 took 99.6") for n in lying.notes)


def test_emulation_gets_no_speedup():
    table = speedups(cell(batch_kind="emulated"), cell("mset"))
    assert find(table, "100", "MGET") == TableEntry("emulated", tone=Tone.FAINT)
    assert any("MGET emulated, MSET native" in note for note in table.notes)
    assert any("loop of single calls" in note for note in table.notes)
    summary = summary_of(cell(batch_kind="emulated"))
    assert find(tables.rate_table(summary, None), "100", "MGET").text == "11.8M"


def test_a_quiet_table_has_no_signs():
    table = speedups(cell())
    assert not any(entry.mark for row in table.rows for entry in row)
    assert not any(sign in "".join(table.notes) for sign in "≈†‡◊≠·¹")


def test_batch_calls_have_a_rate_a_time_and_an_amortised_time():
    summary = summary_of(cell())
    rate = find(tables.rate_table(summary, None), "100", "MGET")
    assert (rate.text, rate.detail) == ("11.8M", "±2%")
    [row] = tables.time_table(summary).rows
    assert [entry.text for entry in row] == ["MGET", "100", "36.6 µs", "8.50 µs", "85.0 ns"]


def test_so_many_keys_one_by_one_pipelined_and_in_one_call():
    summary = summary_of(pipelined("mget", 100), targets=(FAR,))
    [row] = tables.time_table(summary).rows
    assert [entry.text for entry in row][2:] == ["2.00 ms", "400 µs", "200 µs", "2.00 µs"]


def test_figures_of_a_wide_interval_lose_a_digit():
    wide = cell(arms={"individual": arm(366.4), "batch": arm(85.0, 100, 0.4)})
    assert find(tables.rate_table(summary_of(wide), None), "100", "MGET").text == "12M"


def test_the_parts_of_a_speedup_where_a_target_can_pipeline():
    summary = summary_of(pipelined("mget", 10), pipelined("mget", 100), targets=(FAR,))
    table = tables.parts_table(summary)
    assert [one.heading for one in table.columns] == [
        "operation", "batch size", "individual / pipelined", "pipelined / batch",
        "individual / batch",
    ]  # fmt: skip
    assert [entry.text for entry in table.rows[1]] == ["MGET", "100", "5.00×", "2.00×", "10.0×"]
    assert tables.parts_table(summary_of(cell())) is None


def test_the_answer_says_what_to_use_and_what_it_buys():
    batch = cell(
        "mget",
        100,
        target="kvb://",
        arms={"individual": arm(76_000.0), "batch": arm(1_200.0, 100)},
        speedup=Figure(63.3, 60.0, 66.0),
    )
    slow = cell("mset", 100, target="kvb://", speedup=Figure(0.8, 0.7, 0.9))
    summary = summary_of(batch, slow, targets=(FAR,), curves=(curve("mget", "kvb://"),))
    table = overview.answer_table([summary])
    assert [entry.text for entry in table.rows[0]] == [
        "kvb://", "MGET of 100", "833k", "13.2k", "63.3×", "100 keys",
    ]  # fmt: skip
    assert [entry.text for entry in table.rows[1]][1:4] == ["single SET", "2.73M", "no gain seen"]


def test_a_gain_within_the_noise_is_not_reported_as_none():
    """Two rounds of a batch that is eight times as fast: the interval is too wide to say so."""
    table = overview.answer_table([summary_of(cell(speedup=Figure(8.0, 0.5, 120.0)))])
    assert [entry.text for entry in table.rows[0]][1:4] == ["single GET", "2.73M", "≈ cannot tell"]


def test_targets_stand_side_by_side_in_absolute_terms():
    near = [cell("mget", size) for size in (10, 100)]
    far = cell("mget", 100, target="kvb://", arms={"individual": arm(8e4), "batch": arm(8e2, 100)})
    summaries = summarise(results(*near, far, targets=(target(), FAR)))
    table = overview.absolute_table("mget", summaries)
    assert [one.heading for one in table.columns] == [
        "target", "one call", "1 by 1", "10", "100", "growth",
    ]  # fmt: skip
    rows = [[entry.text for entry in row] for row in table.rows]
    assert rows[0][:5] == ["memory://", "366 ns", "2.73M", "11.8M", "11.8M"]
    assert rows[1][:5] == ["kvb://", "80.0 µs", "12.5k", "·", "1.25M"]
    assert rows[0][5] > rows[1][5], "bars are on one scale"


def test_a_curve_is_shown_with_what_it_does_not_fit():
    summary = summary_of(
        cell("mget"), curves=(curve(break_even_size=None, misfits=[Misfit(1000, 1.84)]),)
    )
    table = tables.curve_table(summary)
    assert [entry.text for entry in table.rows[0]] == [
        "MGET", "30.0 µs", "300 ns", "100", "100×", "never: batching is slower",
    ]  # fmt: skip
    assert any("does not fit at 1,000 keys, measured 1.84" in note for note in table.notes)
    assert tables.curve_table(summary_of(cell())) is None


def test_the_client_as_bottleneck_is_marked():
    busy = cell(target="kvb://", arms={"individual": arm(300.0), "batch": arm(85, 9, client_cpu=1)})
    table = tables.speedup_table(summary_of(busy, targets=(FAR,)), None)
    assert find(table, "100", "MGET").mark == "‡"
    assert any(note.startswith("‡") and "client" in note for note in table.notes)


def test_another_runs_figures_are_shown_next_to_ours():
    other = summary_of(cell("mget", 10, speedup=Figure(1.31), arms={"batch": arm(100, 10, 0)}))
    beside = Beside("published", {"memory://": other})
    table = speedups(cell("mget", 10), cell("mget", 500), cell("mdel", 10), beside=beside)
    assert [one.heading for one in table.columns] == ["batch size", "MGET", "published", "MDEL"]
    assert table.columns[2].is_companion
    assert find(table, "10", "MGET", after=1) == TableEntry("1.31×", tone=Tone.FAINT)
    assert find(table, "500", "MGET", after=1).text == ""
    assert all(len(row) == len(table.columns) for row in table.rows)
    rates = tables.rate_table(summary_of(cell("mget", 10)), beside)
    assert find(rates, "10", "MGET", after=1).text == "10.0M"
    singles = tables.single_table(summary_of(cell("mget", 10)), beside)
    assert [one.heading for one in singles.columns][-1] == "published"
    assert singles.rows[0][-1].text == ""


def test_a_long_title_of_another_run_does_not_stretch_its_columns():
    assert tables.column_name("published") == "published"
    assert tables.column_name("the results report of January") == "beside"


def test_baselines_are_named():
    rows = tables.baselines_table(BASELINES).rows
    facts = {name.text: fact.text for name, fact in rows}
    assert "24.3 µs ±2%" in facts.values()
    assert facts["the same with both ends on one core"] == "—"
    assert facts["cores kept awake"] == "on"
    assert len(facts) == 5
