"""Text of others: one line, printable, not too long, for any input; and never changed twice."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvbench.decoding import decode
from kvbench.foreign_text import CHARS_MAX, clean, guard_output, printable, target_name
from kvbench.verdicts import Failure, Outcome, Verdict

TITLE = "\x1b]0;owned\x07"

any_text = st.text() | st.text(st.characters(max_codepoint=0x2FFF)) | st.text(min_size=CHARS_MAX)


@given(any_text)
def test_text_is_one_short_printable_line(text):
    shown = printable(text)
    assert shown.isprintable() and len(shown) <= CHARS_MAX
    assert printable(shown) == shown
    if text.isprintable() and len(text) <= CHARS_MAX:
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (TITLE, r"\x1b]0;owned\x07"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x7f\x9b31m", r"\x7f\x9b31m"),
        ("\u202eabc\u2066\u200f", r"\u202eabc\u2066\u200f"),
        ("\u2028\ud800\u00a0\U000e0041", r"\u2028\ud800\xa0\U000e0041"),
        ("[red]ключ/キー :smile: \\", "[red]ключ/キー :smile: \\"),
    ],
)
def test_what_moves_a_cursor_becomes_its_escape(text, shown):
    assert printable(text) == clean(text) == shown


def test_a_message_of_60_mib_is_cut_at_once():
    shown = clean("x" * (60 << 20))
    assert len(shown) == CHARS_MAX and shown.endswith("… [cut: 62,914,560 characters in all]")


@pytest.mark.parametrize(
    "text", ["a", "?", "a://", "%25", "x://?%25=", "?pw=", "x:/?pw=", "a:", "@", "a://b:", "=&"]
)
def test_no_text_makes_the_search_for_secrets_slow(text):
    """Nothing in it is quadratic in what a peer can send: that would take hours."""
    clean(text * (1 << 20))
    guard_output(text * (1 << 18))


def test_every_text_of_a_record_is_clean_and_the_rest_is_the_same():
    @dataclass(frozen=True, slots=True)
    class Event:
        text: str
        parts: tuple[object, ...]

    failure = Failure("a\x1b", "b\n", timeline="  one\n  two\x1b")
    verdict = Verdict("GET-001", "MUST", "x", Outcome.FAILED, TITLE, failure)
    found = clean(Event(TITLE, (1.5, [verdict], {"\x1b": {"a": "\x07", "b": None}})))
    assert found.text == r"\x1b]0;owned\x07"
    number, [one], named = found.parts
    assert number == 1.5 and named == {r"\x1b": {"a": r"\x07", "b": None}}
    assert one.verdict is Outcome.FAILED and one.detail == r"\x1b]0;owned\x07"
    assert one.failure == Failure(r"a\x1b", r"b\n", timeline="  one\n  two\\x1b")
    assert clean(found) == found


def test_a_target_has_the_same_name_wherever_it_is_shown():
    assert target_name("redis://u:p\x1bw@h\u202e") == r"redis://u:***@h\u202e"
    assert clean(target_name("redis://u:pw@h")) == "redis://u:***@h"


@given(any_text)
def test_the_last_guard_lets_nothing_through_that_controls_a_terminal(text):
    shown = guard_output(f"{text}{TITLE}\x1b[6n\x1b[2J\x9b31m")
    assert not set(shown) & {"\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\x00"}
    assert "\x1b]" not in shown and "\x1b[6n" not in shown and "\x1b[2J" not in shown


def test_the_last_guard_keeps_colours_and_progress_bars():
    text = "\r\x1b[2K\x1b[1;31mred\x1b[0m\t|\n\x1b[1A\x1b[?25l\x1b[?25h"
    assert guard_output(text) == text


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"", b"{"])
def test_any_damage_in_a_file_is_a_value_error(content):
    with pytest.raises(ValueError):
        decode(msgspec.json.decode, content)
    with pytest.raises(ValueError):
        decode(msgspec.toml.decode, b"a = " + content + b'"')
