"""The HTML page: well-formed, on its own, escaped, readable in both colour schemes."""

from __future__ import annotations

import re

import pytest

from kvbench.report.conformance_html import NARROW_TARGETS_MAX, render_html
from kvbench.verdicts import Failure, Traits
from tests.report.conformance_builders import (
    EVERYTHING,
    GOOD,
    RUNS,
    conformance,
    target,
    verdict,
)
from tests.report.parsed_page import ParsedPage

CONTRAST_MIN = 4.5
"""WCAG 2.1, AA, for text of usual size."""

each = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())


@each
def test_it_is_well_formed_and_its_links_lead_somewhere(run):
    page = ParsedPage(render_html(run))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for attributes in page.all("a")}
    assert all(href.startswith("#") and href[1:] in ids for href in targets)


@each
def test_it_needs_nothing_else_and_runs_nothing(run):
    text = render_html(run)
    page = ParsedPage(text)
    assert not {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object"}
    names = {name for _, attributes in page.elements for name in attributes}
    assert not names & {"src", "onclick", "onload", "srcset"}
    assert "@import" not in text and "url(" not in text and "http" not in text


def test_the_table_can_be_read_aloud():
    page = ParsedPage(render_html(RUNS["every outcome"]))
    heads = page.all("th")
    assert all("scope" in attributes for attributes in heads)
    assert {head["scope"] for head in heads} == {"col", "row", "rowgroup"}
    assert len(page.all("caption")) == 1
    assert page.all("html") == [{"lang": "en"}]
    for word in ("passed", "failed", "xfail", "unsupported", "skipped", "error"):
        assert f'<span class="hidden">{word}</span>' in render_html(RUNS["every outcome"])


def test_reasons_are_in_the_title_and_below():
    text = render_html(conformance(EVERYTHING))
    reason = "the store cannot (expected 1; got 2)"
    assert f'title="xfail: {reason}"' in text
    assert re.search(rf'<li id="note-\d+">{re.escape(reason)}', text)


def test_a_failure_is_folded_with_its_conversation():
    text = render_html(conformance(EVERYTHING))
    folded = re.findall(r'<details class="failure">.*?</details>', text, re.DOTALL)
    assert len(folded) == 2
    for part in ("01 00 00 00 01 6b", "02 ERROR, payload 6e 6f", "|--mget--|", "kvbench replay"):
        assert part in folded[0]


def test_failures_come_before_the_matrix_by_cause_and_the_first_of_each_is_open():
    traits = Traits("SET", "no Bool")
    text = render_html(
        conformance(
            target(
                "host:1",
                *[
                    verdict(f"SET-00{n}", "failed", failure=Failure("a", f"{n}", traits=traits))
                    for n in (1, 2, 3)
                ],
                verdict("GET-001"),
            )
        )
    )
    parts = (
        "Refused with the message",
        "explains 3 of 3 failures",
        '<details class="failure" open>',
        "<summary>2 more</summary>",
        "kvbench check host:1 --only SET-003",
        'id="matrix"',
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_the_matrix_is_filtered_without_a_script():
    text = render_html(conformance(EVERYTHING))
    page = ParsedPage(text)
    radios = [one for one in page.all("input") if one["type"] == "radio"]
    assert [one["id"] for one in radios] == ["show-all", "show-failed", "show-open"]
    assert [one["for"] for one in page.all("label")] == [one["id"] for one in radios]
    for label in ("All 9", "Failed 2", "Not passed 6"):
        assert f">{label}</label>" in text
    rows = {one["id"]: one["class"].split()[-1] for one in page.all("tr") if "id" in one}
    assert rows["GET-001"] == rows["GET-003"] == "failed"
    assert rows["BGET-001"] == rows["MGET-001"] == "quiet"
    assert rows["GET-002"] == rows["ERR-001"] == "other"
    for name in ("failed", "open"):
        assert f"#show-{name}:checked ~ .matrix" in text


def test_one_target_has_its_mark_beside_the_clause_and_no_vertical_heading():
    one, several = render_html(conformance(GOOD)), render_html(conformance(GOOD, EVERYTHING))
    assert 'class="matrix one"' in one and 'class="matrix"' in several
    assert '<b class="hidden">kvb://</b>' in one or '<b class="hidden">kvb</b>' in one
    assert '<th scope="col" class="target"><b' not in several
    row = re.search(r'<tr class="clause[^>]*id="GET-001">.*?</tr>', one, re.DOTALL).group()
    assert row.index("GET-001</a>") < row.index("✓") < row.index('<td class="text">')


def test_a_conversation_tells_its_directions_by_arrow_and_word():
    text = render_html(conformance(EVERYTHING))
    for direction, arrow, word in (("sent", "→", "sent"), ("came", "←", "received")):
        [line] = set(re.findall(rf'<li class="{direction}">.*?</li>', text))
        assert f'aria-hidden="true">{arrow}<' in line
        assert f'<span class="hidden">{word}: </span>' in line


def test_text_of_a_target_is_never_markup():
    text = render_html(RUNS["nasty"])
    assert "<script>" not in text and "\x1b" not in text and "\u202e" not in text
    text.encode()  # No lone surrogate is left.


def test_many_targets_can_be_scrolled_where_they_do_not_fit():
    one, ten, twenty = (
        render_html(RUNS[name]) for name in ("one that conforms", "ten targets", "twenty targets")
    )
    assert '<div class="scroll' not in one
    assert '<div class="scroll narrow" role="region"' in ten and NARROW_TARGETS_MAX < 10
    assert '<div class="scroll always" role="region"' in twenty


def palettes():
    """The colours of the light and of the dark scheme."""
    style = render_html(RUNS["nothing"])
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    return [dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", part)) for part in (light, dark)]


def luminance(colour):
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_has_contrast_enough(scheme):
    colours = palettes()[scheme]
    texts = ["text", "muted", "link", "good", "bad", "warn", "notice"]
    pairs = [(text, back) for text in texts for back in ("page", "panel")]
    pairs += [("bad", "bad-back"), ("warn", "warn-back"), ("notice", "notice-back")]
    pairs += [(text, "mark") for text in ("text", "muted", "link")]
    for text, back in pairs:
        bright, dim = sorted([luminance(colours[text]), luminance(colours[back])], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= CONTRAST_MIN, f"{text} on {back}"
