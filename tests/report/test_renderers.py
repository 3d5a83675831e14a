"""The renderers: every figure is in each of them, whatever the width, the URL or the gaps."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from kvbench.report.jsonreport import render_json
from kvbench.report.markdown import render_markdown
from kvbench.report.terminal import render_terminal
from kvbench.results import Figure, Footer, Misfit, Results, Round, TwoGroups
from tests.report.report_builders import (
    OPS,
    arm,
    cell,
    curve,
    header,
    missing,
    pipelined,
    realistic,
    results,
    target,
)

LONG_URL = "redis://user:***@[::1]:6379/0?filter=a|b&[bold]=:smile:`x`_*" + "y" * 300
UNICODE_URL = "sqlite:///данные/キー/😀.db"

NASTY = {
    "no cells, no targets": results(targets=()),
    "no cells": results(),
    "one cell": results(cell()),
    "one cell without a number": results(missing("mget", 100, "differs: " + "x" * 200)),
    "missing operations": results(cell("mget", 10), cell("mdel", 1000)),
    "unknown operation": results(cell("scan|all", 10)),
    "cut off": results(cell(), cut=True),
    "long URL": results(cell(target=LONG_URL), targets=(target(LONG_URL, True),)),
    "unicode URL": results(cell(target=UNICODE_URL), targets=(target(UNICODE_URL),)),
    "ten targets": results(
        *[cell(op, target=f"memory://{n}") for n in range(10) for op in OPS],
        targets=tuple([target(f"memory://{n}") for n in range(10)]),
    ),
    "two long targets": results(
        *[cell(target=url) for url in (LONG_URL, UNICODE_URL)],
        targets=(target(LONG_URL), target(UNICODE_URL)),
    ),
    "all signs": results(
        cell("mget", is_stable=False, drift=0.4, speedup=Figure(1.0, 0.9, 1.1)),
        cell("mset", speedup=Figure(0.8, 0.7, 0.9)),
        cell("mdel", batch_kind="emulated", round_trips=1.0, round_trips_at=100),
        missing("mexists", 100, ""),
        cell(
            "scan",
            arms={
                "individual": arm(30.0, groups=TwoGroups(21.0, 7, 48.0, 5)),
                "batch": arm(3.0, 100, client_cpu=0.99),
            },
        ),
        missed=("memory:// mget 100",),
    ),
    "three arms": results(
        *[pipelined(op, size) for op in OPS for size in (10, 100, 1000)],
        targets=(target("kvb://", True),),
    ),
    "curves": results(
        *[cell(op) for op in OPS],
        curves=(
            curve(),
            curve("mset", half_gain_size=None, limit=None, break_even_size=None),
            curve("mdel", fixed_ns=Figure(-20.0, -90.0, 50.0), misfits=[Misfit(100, 1.8)]),
        ),
    ),
    "one round": results(
        cell(
            speedup=Figure(4.312), arms={"individual": arm(366.4, 1, 0), "batch": arm(85.0, 100, 0)}
        )
    ),
    "huge figures": results(cell("mget", 10**9, speedup=Figure(1e300, 1e299, 1.5e300))),
    "negative figures": results(cell(speedup=Figure(-1.0, -2.0, 0.0))),
    "no baselines, no facts": results(cell(), baselines=None, environment={}, settings={}),
    "odd facts": results(
        cell(), environment={"a|b": "x" * 500, "\x1b[31m": ["\n", {"k": None}]}, command="a\nb"
    ),
    "realistic": realistic(),
}

each = pytest.mark.parametrize("found", NASTY.values(), ids=NASTY.keys())


def terminal(
    found: Results, width: int = 100, beside: Results | None = None, **options: object
) -> str:
    file = io.StringIO()
    render_terminal(found, Console(file=file, width=width, **options), beside)
    return file.getvalue()


def figures(text: str) -> list[str]:
    """Speedups, intervals, rates and times, as they stand in a text."""
    return re.findall(r"[\d.,]+×|\[[\d., ]+\]|±[\d.]+%|\b[\d.]+[kMG]\b|[\d.]+ [nµm]?s\b", text)


@each
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(found, width):
    lines = terminal(found, width).splitlines()
    assert len(lines) >= 3
    assert max(map(cell_len, lines)) <= width
    assert not any(line != line.rstrip() for line in lines)


@each
@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_width_shows_the_same_figures_unbroken(found, width):
    assert set(figures(terminal(found, width))) == set(figures(terminal(found, 400)))


@pytest.mark.parametrize("width", [1, 10, 30])
def test_an_absurdly_narrow_terminal_is_no_crash(width):
    assert terminal(NASTY["all signs"], width)


def test_piped_output_has_no_control_codes():
    for found in NASTY.values():
        assert "\x1b" not in terminal(found)


def test_a_terminal_gets_colour_and_says_the_same():
    found = NASTY["all signs"]
    coloured = terminal(found, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == terminal(found)


def test_no_color_leaves_no_colour(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = terminal(realistic(), force_terminal=True, color_system="truecolor")
    codes = set(";".join(re.findall(r"\x1b\[([\d;]*)m", coloured)).split(";"))
    assert codes <= {"0", "1", "2", ""}  # Reset, bold and dim are no colours.


def test_the_answer_comes_first_then_targets_side_by_side():
    text = terminal(realistic())
    tables = [line.strip() for line in text.splitlines() if re.match(r"  [A-Z]", line)]
    assert tables[0] == "What to use"
    sections = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert sections[2:4] == ["The answer", "Side by side"]


def test_output_has_no_private_words():
    for text in (terminal(realistic()), terminal(NASTY["all signs"])):
        assert not re.search(r"A/A|[Ss]lice|[Gg]eometric mean of", text)


def test_brackets_in_a_url_are_no_markup():
    text = terminal(NASTY["long URL"], 500)
    assert LONG_URL in text


def test_clipped_target_names_stay_different():
    long = [f"kvb://127.0.0.1:16380/{'n' * 100}/{n}" for n in range(3)]
    found = results(*[cell(target=url) for url in long], targets=tuple(map(target, long)))
    rows = [line.split()[0] for line in terminal(found, 60).splitlines() if "…" in line]
    assert len(set(rows)) == 3


BESIDE = results(
    *[cell(op, size, speedup=Figure(1.31)) for op in OPS for size in (10, 100)],
    title="published",
    note="another machine, single cold calls",
)


def test_another_runs_figure_stays_next_to_its_column():
    found = results(*[cell(op, size) for op in OPS for size in (10, 100, 10_000)])
    for width in (60, 80, 100, 120):
        text = terminal(found, width, BESIDE)
        assert "published: another machine, single cold calls" in " ".join(text.split())
        headings = [
            re.split(r"\s{2,}", line.strip())
            for line in text.splitlines()
            if line.strip().startswith("batch size")
        ]
        assert any("published" in heading for heading in headings)
        for heading in headings:
            assert heading[1] != "published"
        assert max(map(cell_len, text.splitlines())) <= width
    assert "| published |" in render_markdown(found, BESIDE)


def test_tables_stand_side_by_side_where_there_is_room():
    narrow, wide = terminal(realistic(), 80), terminal(realistic(), 160)
    assert len(wide.splitlines()) < len(narrow.splitlines()) - 15
    assert sorted(figures(wide)) == sorted(figures(narrow))


def ended(*cells, footer=None, rounds=()):
    footer = footer or Footer("complete", 2.0, len(cells))
    return Results(header(), (target(),), cells, (), None, tuple(rounds), footer)


MARKS = {
    "cut off": (results(cell(), cut=True), ["INTERRUPTED", "cut off", "1 cell with what"]),
    "Ctrl-C": (
        ended(cell(), footer=Footer("interrupted", 2.0, 1, 0.1, "")),
        ["INTERRUPTED", "1 cell with what"],
    ),
    "lost": (
        ended(footer=Footer("interrupted", 2.0, 0, 0.1, "kvb://: connection lost")),
        ["INTERRUPTED", "kvb://: connection lost", "0 cells"],
    ),
    "missed": (results(cell(), missed=("kvb:// mget 10",)), ["precision", "kvb:// mget 10"]),
    "a lost round": (
        ended(cell(), rounds=(Round(1, 2.0), Round(2, 1.0, "ended by signal 9"))),
        ["1 round · 1 lost"],
    ),
    "nothing": (results(), ["nothing was measured"]),
}


@pytest.mark.parametrize(("found", "words"), MARKS.values(), ids=MARKS.keys())
def test_a_partial_report_is_marked_as_partial(found, words):
    for text in (terminal(found), render_markdown(found)):
        assert all(word in text for word in words)
    assert "INTERRUPTED" not in terminal(results(cell()))


@each
def test_markdown_tables_are_well_formed(found):
    lines = render_markdown(found).splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\|( :?---:? \|)+", line):
            size = len(cells_of(line))
            assert len(cells_of(lines[number - 1])) == size
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                assert len(cells_of(row)) == size
    assert lines[0].startswith("# kvbench")


def cells_of(row: str) -> list[str]:
    """The cells of a row as GitHub sees them: a pipe ends one unless a backslash stands before."""
    return re.split(r"(?<!\\)\|", row)[1:-1]


def test_markdown_shows_what_the_terminal_shows():
    found = realistic()
    plain = render_markdown(found).replace("\\", "").replace("**", "")
    assert set(figures(plain)) == set(figures(terminal(found, 400)))
    for words in (
        "AMD EPYC 7B13",
        "24.3 µs",
        "2026-11-23 02:14:05 UTC",
        "--batch-sizes",
        "load after",
    ):
        assert words in plain


def test_markdown_escapes_what_comes_from_outside():
    text = render_markdown(NASTY["two long targets"])
    assert f"``{LONG_URL}``" in text.replace("`` ", "``").replace(" ``", "``")
    assert "a\\|b" in text
    odd = render_markdown(results(missing("mget", 10, "<script> [x](http://y) *z*")))
    assert "\\<script\\>" in odd
    assert "\\[x\\](" in odd


@each
def test_json_holds_the_report(found):
    text = render_json(found)
    assert text.endswith("}\n")
    report = json.loads(text)
    assert report["schema"] == "kvbench-report/2"
    assert report["outcome"] in ("complete", "interrupted")
    assert report["header"]["schema"] == "kvbench-results/2"
    cells = [
        one["cell"]
        for target in report["targets"]
        for operation in target["operations"].values()
        for one in operation["cells"]
    ]
    assert len(cells) == len(found.cells)


def test_json_judges_and_recommends():
    report = json.loads(render_json(NASTY["all signs"]))
    [target] = report["targets"]
    judgements = {
        op: [one["judgement"] for one in operation["cells"]]
        for op, operation in target["operations"].items()
    }
    assert judgements == {
        "mget": ["not-distinguishable"],
        "mset": ["slower"],
        "mdel": ["emulated"],
        "mexists": ["no-number"],
        "scan": ["faster"],
    }
    assert target["operations"]["scan"]["recommended_batch_size"] == 100
    assert target["operations"]["mset"]["recommended_batch_size"] is None
    assert report["missed"] == ["memory:// mget 100"]
    assert json.loads(render_json(results(cut=True)))["outcome"] == "interrupted"
