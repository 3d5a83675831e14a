"""The tables: which figure stands where, and what the signs beside it say."""

from __future__ import annotations

from report_builders import REFERENCE, cell, missing, results, target

from kvbench.report import tables
from kvbench.report.entries import Entry, Tone
from kvbench.report.summary import summarise
from kvbench.report.tables import Table
from kvbench.results import Floors, Interval, Reference

FAR = target("kvb://", True)


def speedups(*cells, reference=None) -> Table:
    (summary,) = summarise(results(*cells))
    return tables.speedup_table(summary, reference)


def find(table: Table, row: str, heading: str, after: int = 0) -> Entry:
    """The entry in the row that starts with ``row``, under a heading or so far to its right."""
    (entries,) = [entries for entries in table.rows if entries[0].text == row]
    return entries[[column.heading for column in table.columns].index(heading) + after]


def test_speedups_stand_by_batch_size_and_operation():
    table = speedups(
        cell("mset", 1000, speedup=Interval(9.5, 9.4, 9.6)), cell("mget", 10), cell("mset", 10)
    )
    assert [column.heading for column in table.columns] == ["batch size", "MGET", "MSET"]
    assert [row[0].text for row in table.rows] == ["10", "1,000", "mean"]
    assert find(table, "10", "MGET") == Entry("4.31×", "[4.20, 4.43]", "", Tone.FASTER)
    assert find(table, "1,000", "MSET").text == "9.50×"
    assert find(table, "mean", "MSET").text == "6.40×"


def test_a_cell_that_was_never_reached_is_told_from_one_that_failed():
    table = speedups(cell("mget", 10), cell("mset", 100), missing("mset", 10, "key 3 differs"))
    assert find(table, "100", "MGET").text == "·"
    assert find(table, "10", "MSET") == Entry("—", "", "¹", Tone.FAINT)
    assert "¹ no number: key 3 differs" in table.notes
    assert "· not measured." in table.notes


def test_each_reason_has_one_number():
    table = speedups(
        missing("mget", 10, "refused"),
        missing("mset", 10, "differs"),
        missing("mdel", 10, "refused"),
    )
    assert [entry.mark for entry in table.rows[0]] == ["", "¹", "²", "¹"]
    assert len([note for note in table.notes if "no number" in note]) == 2


def test_a_slower_batch_is_called_slower():
    table = speedups(cell(speedup=Interval(0.82, 0.8, 0.84)))
    assert find(table, "100", "MGET").mark == "slower"
    assert find(table, "100", "MGET").tone is Tone.SLOWER


def test_noise_is_marked_and_explained():
    table = speedups(cell(speedup=Interval(1.01, 0.99, 1.03)))
    assert find(table, "100", "MGET") == Entry("1.01×", "[0.99, 1.03]", "≈")
    assert any(note.startswith("≈") and "noise" in note for note in table.notes)
    assert any("1.00× [0.98, 1.03]" in note and "mget/100" in note for note in table.notes)


def test_an_unstable_cell_carries_a_sign_and_advice():
    table = speedups(cell(is_stable=False, drift=0.114))
    assert find(table, "100", "MGET").mark == "†"
    assert any("†" in note and "11%" in note and "run again" in note for note in table.notes)


def test_emulation_gets_no_speedup():
    table = speedups(cell(batch_kind="emulated"), cell("mset"))
    assert find(table, "100", "MGET") == Entry("emulated", tone=Tone.FAINT)
    assert any("MGET emulated, MSET native" in note for note in table.notes)
    assert any("loop of single calls" in note for note in table.notes)
    (summary,) = summarise(results(cell(batch_kind="emulated")))
    assert find(tables.scalability_table(summary, None), "100", "MGET").text == "11.8M"


def test_a_quiet_table_has_no_signs():
    table = speedups(cell())
    assert not any(entry.mark for row in table.rows for entry in row)
    assert not any(sign in "".join(table.notes) for sign in "≈†‡·¹")


def test_batch_calls_have_a_rate_a_time_and_an_amortised_time():
    (summary,) = summarise(results(cell()))
    assert find(tables.scalability_table(summary, None), "100", "MGET").text == "11.8M"
    time = find(tables.time_table(summary), "100", "MGET")
    assert (time.text, time.detail) == ("8.50 µs", "85.0 ns/key")


def test_figures_of_a_wide_interval_lose_a_digit():
    (summary,) = summarise(results(cell(speedup=Interval(84.0, 60.0, 140.0))))
    assert find(tables.scalability_table(summary, None), "100", "MGET").text == "12M"


def test_a_networked_target_shows_single_and_batch_calls():
    (summary,) = summarise(results(cell("mdel", target="kvb://", client_cpu=0.95), targets=(FAR,)))
    table = tables.round_trip_table(summary, None)
    assert [entry.text for entry in table.rows[0]] == ["DELETE", "100", "2.73M", "11.8M", "4.31×"]
    assert find(table, "DELETE", "batch/s").mark == "‡"
    notes = tables.speedup_table(summary, None).notes
    assert any(note.startswith("‡") and "client" in note for note in notes)


def test_earlier_figures_stand_beside_ours():
    table = speedups(cell("mget", 10), cell("mget", 500), cell("mdel", 10), reference=REFERENCE)
    assert [one.heading for one in table.columns] == ["batch size", "MGET", "seed report", "MDEL"]
    assert table.columns[2].is_companion
    assert find(table, "10", "MGET", after=1).text == "1.31×"
    assert find(table, "500", "MGET", after=1).text == ""
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_networked_targets_are_compared_with_networked_figures():
    cells = [cell(op, target="kvb://") for op in ("mget", "mdel")]
    (summary,) = summarise(results(*cells, targets=(FAR,)))
    table = tables.round_trip_table(summary, REFERENCE)
    assert find(table, "GET", "individual/s", after=1).text == "5.08k"
    assert find(table, "GET", "batch/s", after=1).text == "21.9k"
    assert find(table, "GET", "speedup", after=1).text == "4.3×"
    assert find(table, "DELETE", "speedup", after=1).text == "84×"
    assert find(table, "DELETE", "batch/s", after=1).text == ""
    speedup = tables.speedup_table(summary, REFERENCE)
    assert find(speedup, "100", "MDEL", after=1).text == "84×"
    rates = tables.scalability_table(summary, REFERENCE)
    assert find(rates, "100", "MGET", after=1).text == "21.9k"


def test_batch_rates_behind_a_quoted_speedup_are_preferred_to_the_scalability_ones():
    (summary,) = summarise(results(cell(target="kvb://"), targets=(FAR,)))
    figures = {"mget": {"100": 276_593.0}}
    reference = Reference("seed", "", {}, {}, {}, {}, {}, network_batch_keys_per_s=figures)
    assert find(tables.round_trip_table(summary, reference), "GET", "seed").text == "277k"


def test_a_long_name_of_a_reference_does_not_stretch_its_columns():
    assert tables.reference_heading(REFERENCE) == "seed report"
    long = Reference("the results report of January", "", {}, {}, {}, {}, {})
    assert tables.reference_heading(long) == "reference"


def test_targets_are_compared_by_their_means():
    other = cell("mset", target="kvb://", speedup=Interval(58.0, 51.0, 66.0))
    summaries = summarise(results(cell(), other, targets=(target(), FAR)))
    table = tables.means_table(summaries)
    assert [column.heading for column in table.columns] == ["target", "MGET", "MSET", "all"]
    assert [[entry.text for entry in row] for row in table.rows] == [
        ["memory://", "4.31×", "", "4.31×"],
        ["kvb://", "", "58×", "58×"],
    ]


def test_floors_are_named():
    rows = tables.floors_table(Floors(48.2, 61.0, 24_300.0, False)).rows
    facts = {name.text: fact.text for name, fact in rows}
    assert facts["loopback round trip of one byte"] == "24.3 µs"
    assert facts["cores kept awake"] == "off"
    assert len(facts) == 4
