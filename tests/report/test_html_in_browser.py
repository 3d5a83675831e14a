"""Pages in a real browser: nothing overlaps, nothing is cut off, and no request is made.

The boxes of a page are measured where the browser put them, at the widths of a phone, a tablet and
a laptop, in both colour schemes and in print. The first tests prove that faults would be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kvbench.report.conformance_html import render_html
from kvbench.report.html.page import render_results_html
from tests.report.conformance_builders import EVERYTHING, conformance
from tests.report.headless_browser import PROGRAM, HeadlessBrowser, headless_browser
from tests.report.page_builders import capacity_page_results, load_page_results
from tests.report.report_builders import OPS, pipelined, realistic, results, target
from tests.report.test_html_page import RESULTS, comparison_page

pytestmark = [
    pytest.mark.thorough,  # The gate does not install a browser.
    pytest.mark.skipif(
        PROGRAM is None, reason="no Chromium: apt-get install chromium-headless-shell"
    ),
]

WIDTHS = (400, 800, 1280)

FAULTS = """(() => {
  const faults = [];
  const width = document.documentElement.clientWidth;
  const name = e => `${e.tagName} ${e.className.baseVal ?? e.className} `
    + `'${e.textContent.trim().slice(0, 40)}'`;
  if (document.documentElement.scrollWidth > width)
    faults.push(`the page is ${document.documentElement.scrollWidth} wide`);
  const isScrolled = e => e.parentElement && e.parentElement.closest('.scroll');
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect();
    if (box.width && !isScrolled(e) && !e.closest('.hidden, svg, .filter')
        && (box.left < -0.5 || box.right > width + 0.5)) faults.push(`cut off: ${name(e)}`);
  }
  const meet = (a, b, slack) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > slack
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > slack;
  const compare = (elements, slack, what) => {
    const boxes = elements.map(e => [e, e.getBoundingClientRect()]).filter(([, b]) => b.width);
    boxes.forEach(([a, one], n) => boxes.slice(n + 1).forEach(([b, two]) => {
      if (!a.contains(b) && !b.contains(a) && meet(one, two, slack))
        faults.push(`${what}: ${name(a)} and ${name(b)}`);
    }));
  };
  compare([...document.querySelectorAll(
    'h1, h2, h3, .subtitle, .warning, .badges li, .answer li, .contents li, figure, figcaption,'
    + ' .scroll, .notes li, .legend li, figure svg, figure p, .card, footer')], 1, 'overlap');
  for (const svg of document.querySelectorAll('figure svg')) {
    const texts = [...svg.querySelectorAll('text')];
    compare(texts, 1.5, 'labels overlap');
    const all = svg.getBoundingClientRect();
    for (const one of texts) {
      const box = one.getBoundingClientRect();
      if (box.left < all.left - 1 || box.right > all.right + 1
          || box.top < all.top - 1.5 || box.bottom > all.bottom + 1.5)
        faults.push(`label cut off: ${name(one)}`);
    }
  }
  for (const row of document.querySelectorAll('.block tr')) compare([...row.children], 1, 'cells');
  return faults;
})()"""


@cache
def page_text(name: str) -> str:
    made = {
        "run": lambda: render_results_html(realistic()),
        "pipelined": lambda: render_results_html(
            results(
                *[pipelined(op, size) for op in OPS for size in (2, 10, 30, 100, 1000, 10_000)],
                targets=(target("kvb://", True),),
            )
        ),
        "load": lambda: render_results_html(load_page_results()),
        "capacity": lambda: render_results_html(capacity_page_results()),
        "comparison": lambda: comparison_page()[1],
        "conformance": lambda: render_html(conformance(EVERYTHING)),
    }
    return made[name]() if name in made else render_results_html(RESULTS[name])


NAMES = sorted(
    {"run", "load", "capacity", "comparison", "conformance", "hostile", "pipelined", *RESULTS}
)


@pytest.fixture(scope="module")
def browser() -> Iterator[HeadlessBrowser]:
    with headless_browser() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.mark.parametrize(
    ("style", "fault"),
    [
        ("h2 { margin-top: -60px }", "overlap"),
        ("figure { width: 900px; max-width: none }", "cut off: FIGURE"),
        ("text { font-size: 30px !important }", "labels overlap"),
        ("text { transform: translate(-90px) }", "label cut off"),
    ],
)
def test_a_fault_of_layout_is_found(browser, folder, style, fault):
    page = folder / "faulty.html"
    page.write_text(page_text("capacity").replace("</style>", f"{style}</style>", 1))
    browser.open(page, 400)
    found = browser.evaluate(FAULTS)
    assert any(one.startswith(fault) for one in found), found


def test_a_request_is_found(browser, folder):
    page = folder / "asking.html"
    page.write_text("<!doctype html><link rel=icon href='data:,'><img src='http://127.0.0.1:9/a'>")
    browser.open(page, 400)
    assert "http://127.0.0.1:9/a" in browser.requests
    page.write_text(page_text("capacity").replace("</main>", "<img src='http://127.0.0.1:9/a'>"))
    browser.open(page, 400)
    assert browser.requests or browser.complaints, "refused by the page's policy"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps_and_nothing_is_asked_for(browser, folder, name):
    page = folder / "page.html"
    page.write_text(page_text(name))
    for width in WIDTHS:
        browser.open(page, width)
        assert (browser.requests, browser.complaints) == ([], [])
        assert browser.evaluate(FAULTS) == [], width


def test_paper_and_a_wide_screen_have_no_faults_either(browser, folder):
    page = folder / "page.html"
    page.write_text(page_text("run"))
    for width, is_print in ((718, True), (1600, False)):  # A4 with margins, in CSS pixels.
        browser.open(page, width, is_print=is_print)
        assert browser.evaluate(FAULTS) == []


def test_charts_follow_the_colour_scheme(browser, folder):
    """Text and lines of a chart have the contrast of WCAG 2.1 for graphics, 3, in both schemes."""
    page = folder / "page.html"
    page.write_text(page_text("load"))
    seen = []
    for is_dark in (False, True):
        browser.open(page, 800, is_dark=is_dark)
        seen.append(browser.evaluate(COLOURS))
    light, dark = seen
    assert light["back"] != dark["back"] and light["colours"] != dark["colours"]
    for one in seen:
        assert len(one["colours"]) >= 4
        assert min(contrast(colour, one["back"]) for colour in one["colours"]) >= 3


COLOURS = """(() => {
  const found = new Set();
  for (const e of document.querySelectorAll('figure svg text, .legend b'))
    found.add(getComputedStyle(e)[e.tagName == 'B' ? 'color' : 'fill']);
  for (const e of document.querySelectorAll('figure svg use'))
    found.add(getComputedStyle(e).fill);
  return {back: getComputedStyle(document.querySelector('figure')).backgroundColor,
          colours: [...found]};
})()"""


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, as ``rgb(1, 2, 3)``, by WCAG 2.1."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted([luminance(first), luminance(second)])
    return (lighter + 0.05) / (darker + 0.05)
