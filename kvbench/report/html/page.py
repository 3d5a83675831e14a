"""A report as one HTML page: the document of the other reports, with charts and the raw data.

The page is a template, ``templates/results.html`` with ``look.css``; this module prepares its data.
A page is below :data:`PAGE_BYTES_MAX`, unless its tables alone are larger: when charts have used
their share, the rest is in tables, and raw data that have no room are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

import kvbench
from kvbench.compare.comparison import Comparison
from kvbench.compare.readings import Measure
from kvbench.compare.thresholds import JudgedThreshold
from kvbench.report import format as text
from kvbench.report.comparison_document import MEASURE_TITLES, answer
from kvbench.report.document import Document, Section, build_document
from kvbench.report.html import answers
from kvbench.report.html.answers import Badge
from kvbench.report.html.comparison_plots import comparison_plots
from kvbench.report.html.drawing import COLOURS, HAS_CHARTS, draw
from kvbench.report.html.load_plots import capacity_plots, load_plots
from kvbench.report.html.plot import BarPlot, Chart, Mark
from kvbench.report.html.raw import RawData, json_data, results_data, without_link
from kvbench.report.html.run_plots import absolute_plots, target_plots
from kvbench.report.html.template import render_template
from kvbench.report.summary import summarise
from kvbench.report.table import Table
from kvbench.report.threshold_table import with_thresholds
from kvbench.results import Results

PAGE_BYTES_MAX = 500_000
"""A page can be sent by mail, and opens at once."""

CHARTS_BYTES_MAX = 220_000
"""The charts' share: about twenty. Raw data have 200 kB, and the rest is for tables."""

_SYMBOLS = "●■▲◆▼✚✖★"
"""The signs of series, as the charts draw them."""

_NO_CHARTS = "Without charts: they need matplotlib, `pip install 'kvbench[charts]'`."


@dataclass(frozen=True, slots=True)
class LegendSign:
    """An entry of a legend: a sign, the class of its colour, a name."""

    symbol: str
    css: str
    name: str


@dataclass(frozen=True, slots=True)
class DrawnChart:
    """A chart on the page.

    Attributes:
        title: the heading.
        svg: the drawing.
        legend: names of its series.
        note: a sentence below it.
    """

    title: str
    svg: Markup
    legend: tuple[LegendSign, ...]
    note: str


@dataclass(frozen=True, slots=True)
class PageSection:
    """A section of the page.

    Attributes:
        anchor: its id.
        title: a target's URL, or a name.
        is_target: whether ``title`` is a URL.
        subtitle: facts in one line.
        charts: before the tables.
        tables: in their order.
    """

    anchor: str
    title: str
    is_target: bool
    subtitle: str
    charts: tuple[DrawnChart, ...]
    tables: tuple[Table, ...]


def render_results_html(
    results: Results,
    beside: Results | None = None,
    judged: Sequence[JudgedThreshold] = (),
) -> str:
    """Results of ``run``, ``load`` or ``capacity`` as a page.

    Args:
        results: what was measured.
        beside: another run to compare with, in extra columns of the tables.
        judged: the thresholds of the run.
    """
    document = with_thresholds(build_document(results, beside), judged)
    summaries = [one for one in summarise(results) if one.cells]
    charts: dict[str, list[Chart]] = {}
    if summaries:
        operations = dict.fromkeys([op for one in summaries for op in one.operations])
        charts["Side by side"] = [c for op in operations for c in absolute_plots(op, summaries)]
    if results.capacities:
        charts["Capacity"] = capacity_plots(results.capacities)
    if results.loads:
        charts["Load"] = load_plots(results.loads)
    for summary in summaries:
        charts[text.plain(summary.target.target)] = target_plots(summary)
    sentences = [
        *answers.run_sentences(summaries),
        *answers.load_sentences(results.loads),
        *answers.capacity_sentences(results.capacities),
    ]
    badges = [
        answers.completeness_badge(results),
        *answers.threshold_badges(judged),
        *answers.run_badges(summaries),
        *answers.load_badges(results.loads),
        *answers.capacity_badges(results.capacities),
    ]
    return _render(document, sentences, badges, charts, results_data(results))


def render_comparison_html(
    document: Document, comparisons: Sequence[Comparison], content: str
) -> str:
    """A comparison as a page.

    Args:
        document: of the comparisons.
        comparisons: of each head.
        content: the same as JSON.
    """
    has_several = len(comparisons) > 1
    sentences = [one for each in comparisons for one in answer(each, has_several)]
    badges = [badge for one in comparisons for badge in answers.comparison_badges(one)]
    charts = {}
    for one in comparisons:
        title = f"Comparison: {text.plain(one.head_name)}" if has_several else "Comparison"
        charts[title] = [
            chart
            for measure in Measure
            for chart in comparison_plots(one, MEASURE_TITLES[measure], measure)
        ]
    notes = tuple([note for note in document.notes if note not in sentences])
    page = replace(document, notes=notes)
    return _render(page, sentences, badges, charts, json_data("comparison.json", content))


def _render(
    document: Document,
    sentences: Sequence[str],
    badges: Sequence[Badge],
    charts: Mapping[str, Sequence[Chart]],
    raw: RawData,
) -> str:
    sections, omitted = _drawn_sections(document, charts)
    notes = list(document.notes)
    if charts and not HAS_CHARTS:
        notes.append(_NO_CHARTS)
    if omitted:
        notes.append(f"{text.count(omitted, 'chart')} left out: the page has no room for more.")

    def rendered(data: RawData) -> str:
        return render_template(
            "results.html",
            document=document,
            notes=notes,
            sentences=sentences,
            badges=badges,
            sections=sections,
            raw=data,
            version=kvbench.__version__,
        )

    page = rendered(raw)
    return page if len(page.encode()) <= PAGE_BYTES_MAX else rendered(without_link(raw.name))


def _drawn_sections(
    document: Document, charts: Mapping[str, Sequence[Chart]]
) -> tuple[list[PageSection], int]:
    """The sections with their charts, and how many charts had no room."""
    sections, omitted = [], 0
    room = CHARTS_BYTES_MAX
    for number, section in enumerate(document.sections, start=1):
        drawn = []
        for place, chart in enumerate(charts.get(section.title, ()) if HAS_CHARTS else ()):
            svg = draw(chart, f"c{number}-{place}") if room > 0 else ""
            if not svg or len(svg) > room:
                room, omitted = 0, omitted + 1
                continue
            room -= len(svg)
            drawn.append(DrawnChart(chart.title, Markup(svg), tuple(_legend(chart)), chart.note))
        sections.append(_section(section, number, tuple(drawn)))
    return sections, omitted


def _section(section: Section, number: int, charts: tuple[DrawnChart, ...]) -> PageSection:
    return PageSection(
        f"section-{number}",
        section.title,
        section.is_target,
        section.subtitle,
        charts,
        section.tables,
    )


def _legend(chart: Chart) -> list[LegendSign]:
    if isinstance(chart, BarPlot):
        signs = [LegendSign("■", f"s{n % COLOURS}", name) for n, name in enumerate(chart.parts)]
        return [*signs, *([LegendSign("■", "band", chart.band_name)] if chart.band else [])]
    signs = [
        LegendSign(_SYMBOLS[one.colour % COLOURS], f"s{one.colour % COLOURS}", one.name)
        for one in chart.series
        if one.name
    ]
    if any(one.mark is Mark.FIT for one in chart.series):
        signs.append(LegendSign("┄", "muted", "fit"))
    limit = [LegendSign("┄", "muted", chart.limit_name)] if chart.limit is not None else []
    return [*signs, *limit]
