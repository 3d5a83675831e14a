"""The page of results has the figures of the other reports and the raw data, and stays small.

How it looks is measured in a browser: test_html_in_browser.py.
"""

from __future__ import annotations

import base64
import gzip
import html
import random
import re
import subprocess
import sys
from functools import cache

import pytest

from kvbench.compare.comparison import compare_results
from kvbench.histogram import Histogram
from kvbench.report.comparison_document import comparison_document
from kvbench.report.comparison_json import render_comparison_json
from kvbench.report.document import Document, build_document
from kvbench.report.html import page as page_module
from kvbench.report.html.drawing import draw, round_ticks
from kvbench.report.html.load_plots import capacity_plots, load_plots
from kvbench.report.html.page import (
    PAGE_BYTES_MAX,
    render_comparison_html,
    render_results_html,
)
from kvbench.report.html.plot import Axis, Bar, BarPlot, Plot, Point, Series
from kvbench.report.html.raw import results_data
from kvbench.report.html.run_plots import absolute_plots, target_plots
from kvbench.report.summary import summarise
from kvbench.results import Figure, read_results
from tests.compare.compared_results import run_results
from tests.report.page_builders import capacity_page_results, load_page_results
from tests.report.parsed_page import ParsedPage
from tests.report.report_builders import cell, pipelined, realistic, results, target
from tests.report.test_renderers import NASTY

HOSTILE = 'kvb://<script>alert(1)</script>"\'><img src=x onerror=y>&amp;$x^2$ id="a" #010203'

RESULTS = {
    **NASTY,
    "load": load_page_results(),
    "open loop": load_page_results(500.0),
    "capacity": capacity_page_results(),
    "an objective of words": capacity_page_results("as fast as <b>possible</b>"),
    "hostile": results(
        *[pipelined(op, 10, target=HOSTILE) for op in ("mget", "<b>")],
        targets=(target(HOSTILE, True, facts={"<i>": "</style>"}),),
    ),
}
GATED = {"no cells, no targets", "one cell", "cut off", "all signs", "load", "capacity", "hostile"}
"""Charts take a second a page: the others are drawn nightly."""

each = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in GATED else [pytest.mark.thorough]) for n in RESULTS],
)


@cache
def page_of(name: str) -> str:
    return render_results_html(RESULTS[name])


def comparison_page() -> tuple[Document, str]:
    """A comparison and its page."""
    both = run_results(1, slower=1.3), run_results(2)
    found = [compare_results(*both, names=("base", "<i>head</i>"))]
    document = comparison_document(found, ("Passed.",))
    content = render_comparison_json(found, {})
    return document, render_comparison_html(document, found, content)


def words_of(text: str) -> str:
    return " ".join(text.split())


def not_shown(document: Document, page: ParsedPage) -> list[str]:
    """What a document says and its page does not."""
    texts = [document.title, document.subtitle, document.warning, *document.notes]
    for section in document.sections:
        texts += [section.title, section.subtitle]
        for table in section.tables:
            texts += [table.title, *table.notes, *[column.heading for column in table.columns]]
            texts += [
                part for row in table.rows for e in row for part in (e.text, e.detail, e.mark)
            ]
    words = words_of(page.text)
    return [one for one in texts if words_of(one) not in words]


@each
def test_it_is_well_formed_small_and_has_every_figure(name):
    found = RESULTS[name]
    text = page_of(name)
    page = ParsedPage(text)
    assert len(text.encode()) < PAGE_BYTES_MAX
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [one["href"] for one in page.all("a") if not one["href"].startswith("data:")]
    links += [attributes["href"] for attributes in page.all("use")]
    links += [f"#{one}" for one in re.findall(r"url\(#([^)]*)\)", text)]
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not {one for one in names if one.startswith("on")} | (names & {"src", "srcset"})
    assert not_shown(build_document(found), page) == []


def test_a_comparison_has_every_figure_and_escapes_names():
    document, text = comparison_page()
    page = ParsedPage(text)
    assert not_shown(document, page) == []
    assert "<i>head" not in text and "<i>head</i>" in page.text
    assert "faster" in page.text and "Passed." in page.text
    assert len(page.all("figure")) == 3


def test_charts_and_data_that_have_no_room_are_left_out_and_counted(monkeypatch):
    monkeypatch.setattr(page_module, "CHARTS_BYTES_MAX", 25_000)
    monkeypatch.setattr(page_module, "PAGE_BYTES_MAX", 45_000)
    text = render_results_html(RESULTS["three arms"])
    left_out = re.search(r"(\d+) charts left out", text)
    assert left_out and 0 < text.count("<figure") == 8 - int(left_out[1])
    assert "raw data are too large for this page" in text and "base64" not in text


def test_text_of_a_file_is_shown_and_never_becomes_markup():
    text = page_of("hostile")
    page = ParsedPage(text)
    assert HOSTILE in page.text
    assert "<script" not in text and "<img" not in text and "<b>/" not in text
    assert "</style>" not in text[text.index("</style>") + 8 :]


def test_a_label_in_a_chart_stays_as_it_is():
    """To matplotlib, dollars are formulas; the colours of the page are put in afterwards."""
    label = '$x^2$ <a id="b"> #010203'
    bars = BarPlot("", Axis("", str, is_log=False), (Bar(label, (1.0,)),))
    svg = draw(bars, "one")
    shown = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert label in map(html.unescape, shown)
    assert 'id="b"' not in re.sub(r">[^<]*<", "><", svg)


def test_values_that_an_axis_cannot_show_are_left_out():
    points = tuple([Point(x, y, -1.0, 1e300) for x, y in ((0, 1), (1, -1), (2, 1e300), (3, 5.0))])
    axis = Axis("", str)
    assert draw(Plot("", axis, axis, (Series("", points),)), "a").startswith("<svg")
    assert draw(Plot("", axis, axis, (Series("", points[:2]),)), "a").startswith("<svg")
    assert draw(BarPlot("", axis, (Bar("", (float("nan"),)), Bar("", (0.0, 2.0)))), "a")


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (1, 1.01), (90, 400), (1, 9_999), (3e-9, 5e11), (7, 8)]
)
def test_a_logarithmic_axis_has_a_few_round_ticks(low, high):
    ticks = round_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(f"{tick:.0e}"[0] in "1235" for tick in ticks)


def test_the_points_of_charts_are_the_figures_of_the_records():
    found = realistic()
    summaries = summarise(found)
    rate, latency_of_call = absolute_plots("mget", summaries)
    cells = {one.batch_size: one for one in summaries[1].operations["mget"].cells.values()}
    assert [one.name for one in rate.series] == ["memory://", "kvb://", "valkey://"]
    assert [one.x for one in rate.series[1].points] == [1, *cells]
    for shown in rate.series[1].points[1:]:
        figure = cells[int(shown.x)].arms["batch"].keys_per_s
        assert (shown.y, shown.low, shown.high) == (figure.estimate, figure.low, figure.high)
    assert latency_of_call.series[1].points[0].y == cells[10].arms["individual"].call_ns.estimate
    speedup, cost = target_plots(summaries[1])
    assert [one.y for one in speedup.series[0].points] == [
        one.speedup.estimate for one in cells.values()
    ]
    assert [one.mark.name for one in cost.series] == ["POINTS", "FIT"] * 3
    assert cost.series[1].points[0].y == pytest.approx(30_000 + 300 * 10)
    parts = target_plots(summarise(results(pipelined(), targets=(target("kvb://", True),)))[0])[1]
    assert parts.bars[0].ends == (5.0, 10.0)


def test_the_percentile_plot_is_that_of_the_histogram():
    found = load_page_results()
    plot = next(one for one in load_plots(found.loads) if "percentiles" in one.title)
    assert len(plot.series) == 6
    histogram = Histogram.from_counts(found.loads[0].latency["service_time"].histogram)
    points = {round(one.x, 6): one.y for one in plot.series[0].points}
    for inverse, quantile in ((10.0, 0.9), (100.0, 0.99), (1000.0, 0.999)):
        assert points[inverse] == histogram.percentile_ns(quantile)
    assert max(points) <= 40_000 / 10 < max(points) * 1.2


def test_latency_against_rate_has_every_probe_and_the_objective():
    plot = capacity_plots(capacity_page_results().capacities)[1]
    assert [len(one.points) for one in plot.series] == [12, 12, 12]
    assert plot.limit == 5e6


def test_the_raw_data_are_a_results_file(tmp_path):
    many = results(*[cell(target=f"memory://{n}") for n in range(90)])
    for found, is_packed in ((RESULTS["three arms"], False), (load_page_results(), False),
                             (many, True)):  # fmt: skip
        raw = results_data(found)
        content = base64.b64decode(raw.uri.partition("base64,")[2])
        assert raw.name.endswith(".gz") == is_packed
        path = tmp_path / "results.jsonl"
        path.write_bytes(gzip.decompress(content) if is_packed else content)
        again = read_results(path)
        assert (again.cells, again.loads, again.header, again.footer) == (
            found.cells, found.loads, found.header, found.footer
        )  # fmt: skip
    assert f'href="{results_data(RESULTS["one cell"]).uri}"' in page_of("one cell")


def test_data_too_large_for_a_page_are_left_out_with_the_reason():
    rng = random.Random(3)
    noise = [rng.random() for _ in range(20_000)]
    raw = results_data(results(cell(speedup=Figure(2.0, 1.0, 3.0, noise))))
    assert raw.uri == "" and "--output" in raw.about


def test_the_answer_is_in_words_with_the_figures_of_the_table():
    found = results(pipelined(), targets=(target("kvb://", True),))
    words = words_of(ParsedPage(render_results_html(found)).text)
    assert "kvb://: MGET of 100 keys moves 500k keys/s instead of 50.0k: 10.0× [9.5, 10.5]" in words
    assert "kvb:// MGET batching is faster" in words


def test_without_matplotlib_the_page_has_tables_and_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from kvbench.report.html.page import render_results_html\n"
        "from tests.report.report_builders import cell, results\n"
        "print(render_results_html(results(cell())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install &#39;kvbench[charts]&#39;" in done.stdout
    assert "<figure" not in done.stdout and "4.31×" in done.stdout
    assert "<figure" in page_of("one cell")


def test_the_same_results_give_the_same_page():
    assert page_of("one cell") == render_results_html(RESULTS["one cell"])
