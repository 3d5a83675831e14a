"""The terminal report of verdicts: worst first, verdict last, nothing hidden and nothing unsafe."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from kvbench.report.conformance_terminal import FAILURES_SHOWN, render_terminal
from kvbench.verdicts import Exchange, Failure, Outcome, Traits, command_again
from tests.report.conformance_builders import (
    CONTROL,
    FAILURE,
    GOOD,
    NASTY_FAILURE,
    conformance,
    target,
    verdict,
)


def render(*targets, **options):
    console = Console(file=io.StringIO(), width=60, **options)
    render_terminal(conformance(*targets), console)
    return console.file.getvalue()


def test_a_target_that_conforms_is_a_few_lines():
    text = render(GOOD)
    assert "kvb:// conforms (wire suite, 1.2 s)" in text
    assert "Not kept" not in text
    assert len(text.splitlines()) < 10


def test_a_terminal_gets_whole_words_and_a_log_whole_lines():
    """The terminal itself cut words in two, and went on in the first column."""
    long = target("host:1", verdict("MGET-001", "unsupported", "it is " + "not declared " * 12))
    terminal, log = render(long, force_terminal=True, no_color=True), render(long)
    assert max(map(len, log.splitlines())) > 100
    plain = re.sub(r"\x1b\[[0-9;]*m", "", terminal)
    assert max(map(len, plain.splitlines())) <= 60
    assert plain.split() == log.split()
    [first] = [n for n, line in enumerate(plain.splitlines()) if line.startswith("  unsupported")]
    assert all(line.startswith("    ") for line in plain.splitlines()[first + 1 : first + 4])


def test_every_outcome_has_its_place():
    text = render(
        target(
            "host:1",
            verdict("GET-001"),
            verdict("GET-002", "failed", "a; b"),
            verdict("SET-001", "xpass", "passes, but"),
            verdict("SET-002", "error", "ours"),
            verdict("ERR-001", "warning", "preferred", level="SHOULD"),
            verdict("DEL-001", "xfail", "we know"),
            verdict("MGET-001", "unsupported", "not declared: mget"),
            verdict("KEY-001", "skipped", "it stands on SET-001"),
        )
    )
    parts = (
        "✗ GET-002 (MUST) GET of a key that is absent MUST answer NULL.",
        "kvbench replay host:1 kvbench-failures/get.json",
        "a |--mset--|",
        "↑ SET-001 (MUST) passes, but",
        "SET-002",
        "△ ERR-001 (SHOULD) preferred",
        "≈ DEL-001 (MUST) we know",
        "unsupported: not declared: mget: 1 clause (MGET-001)",
        "skipped: it stands on SET-001: 1 clause (KEY-001)",
        "host:1 does not conform, 2 clauses violated",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_a_case_that_fails_several_clauses_is_reported_once():
    same = {"case": "wire.vector.both"}
    text = render(
        target("x", verdict("GET-001", "failed", **same), verdict("GET-002", "failed", **same))
    )
    assert text.count("expected  00 OK") == 1
    assert text.index("GET-001") < text.index("GET-002") < text.index("wire.vector.both")


def test_many_failures_get_a_line_each_in_the_end():
    many = [verdict(f"KEY-{n:03}", "failed", "detail " * 60) for n in range(1, FAILURES_SHOWN + 4)]
    text = render(target("x", *many))
    assert text.count("expected  00 OK") == FAILURES_SHOWN
    assert text.count("(MUST) detail") == 3
    assert max(map(len, text.splitlines())) < 500


def test_a_clause_is_not_verified_when_a_case_of_it_was_skipped():
    text = render(
        target("x", verdict("GET-001"), verdict("GET-001", "skipped", "why", case="wire.other"))
    )
    assert "skipped: why: 1 clause (GET-001)" in text, "as the counts say"


def test_untestable_clauses_are_listed_for_the_selected_sections():
    assert "not testable by any suite: 2 clauses (OP-004, OP-005)" in render(
        target("x", verdict("OP-001"))
    )
    assert "not testable" not in render(target("x", verdict("PING-001")))


def test_several_targets_end_with_all_verdicts():
    text = render(GOOD, target("b:1", verdict("GET-001", "failed")))
    end = text[text.index("All targets") :]
    assert "kvb:// conforms" in end
    assert "b:1 does not conform, 1 clause violated" in end


def test_nothing_a_target_says_moves_the_cursor():
    nasty = [
        verdict("GET-001", outcome, CONTROL, case=CONTROL, failure=NASTY_FAILURE)
        for outcome in Outcome
    ]
    text = render(target(CONTROL, *nasty, product=CONTROL))
    assert not {char for char in text if not char.isprintable()} - {"\n"}


@pytest.mark.parametrize("outcome", Outcome)
def test_without_colour_the_words_remain(outcome):
    plain = render(target("x", verdict("GET-001", outcome, "because")))
    assert "\x1b" not in plain
    assert "GET-001" in plain or outcome is Outcome.PASSED
    assert "\x1b" in render(target("x", verdict("GET-001", outcome)), force_terminal=True)


def refused(clause, message):
    failure = Failure(
        "OK", f"02 ERROR {message!r}", FAILURE.exchanges, traits=Traits("SET", message)
    )
    return verdict(clause, "failed", f"of {clause}", failure=failure, case=f"wire.{clause}")


def test_failures_of_one_cause_stand_under_it_and_the_largest_comes_first():
    text = render(
        target(
            "host:1",
            verdict("GET-001", "failed", "alone"),
            *[refused(f"SET-00{n}", "no Bool") for n in (1, 2, 3)],
        )
    )
    parts = (
        "Not kept (4 clauses)",
        "  refused with the message 'no Bool'",
        "  explains 3 of 4 failures: 3 clauses (SET-001, SET-002, SET-003)",
        "    ✗ SET-001 (MUST) ",
        "      expected  OK",
        "a → GET b'k'  [01 00 00 00 01 6b]",
        "a ← ERROR no  [02 00 00 00 02 6e 6f]",
        "    ✗ SET-002: kvbench check host:1 --only SET-002",
        "    ✗ SET-003: kvbench check host:1 --only SET-003",
        "  ✗ GET-001 (MUST) ",
    )
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.count("expected  OK") == 1, "one of a group is shown in full"


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("h:1", "h:1"),
        ("kvb://h:1/ns", "kvb://h:1/ns"),
        ("kvb://", "HOST:PORT"),
        ("x://h", "HOST:PORT"),
    ],
)
def test_the_command_to_replay_names_an_address(name, address):
    one = verdict("GET-001", "failed", failure=Failure("a", "b", repro="x.json"))
    assert command_again(one, name) == f"kvbench replay {address} x.json"


def test_what_is_cut_says_where_the_whole_is():
    long = Exchange(0.0, "a", ">", "00 " * 200, "SET")
    failure = Failure("a", "b", (long,) * 20, repro="kvbench-failures/x.json")
    text = render(target("host:1", verdict("GET-001", "failed", failure=failure)))
    assert "the last 8 exchanges:" in text
    assert text.count("…") == 8
    assert "whole in kvbench-failures/x.json" in text
