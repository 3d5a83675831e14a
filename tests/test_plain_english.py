"""Code and documents use plain words: each word here has one that every reader knows.

Only words without a legitimate use are listed. docs/glossary.md defines the project's terms.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PLAIN_WORDS = {
    "nobody": "no client, no caller, nothing",
    "anybody": "another user, another package",
    "somebody": "a user, another client",
    "whoever": "the caller, the client, code that",
    "of its own": "separate, isolated, its",
    "of their own": "separate, isolated, their",
    "of your own": "separate, your",
    "of our own": "kvbench's",
    "of one's own": "separate, isolated",
    "in vain": "timed out, without success",
    "what came of": "the result of",
    "surely": "leave it out",
    "meanwhile": "concurrently",
    "sloppy": "faulty, lenient",
    "deaf": "does not read",
    "greedy": "reads ahead",
    "mended": "fixed",
    "last word": "the last message",
    "makes no sense": "is invalid",
    "make no sense": "are invalid",
}
"""A word that is refused, and what to write instead."""

_SPACE = r"[\s#]+"
"""Between the words of a phrase: a line may end there, inside a comment as well."""

_REFUSED = re.compile(
    rf"\b({'|'.join(word.replace(' ', _SPACE) for word in PLAIN_WORDS)})\b", re.IGNORECASE
)


def texts() -> list[Path]:
    """What users and engineers read: code, its templates, and documents."""
    found = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]
    for folder in ("kvbench", "backends", "docs"):
        found += [p for p in (ROOT / folder).rglob("*") if p.suffix in {".py", ".md", ".html"}]
    return found


def unplain(text: str) -> list[str]:
    """Each refused word with its line, and what to write instead."""
    found = []
    for match in _REFUSED.finditer(text):
        word = re.sub(_SPACE, " ", match[0]).lower()
        line = text.count("\n", 0, match.start()) + 1
        found.append(f"line {line}: not {word!r} but {PLAIN_WORDS[word]}")
    return found


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_words_are_plain(path: Path) -> None:
    assert unplain(path.read_text()) == []


def test_a_refused_word_is_found_with_its_line_and_the_plain_one() -> None:
    assert unplain("a key\nthat Nobody\nread") == [
        "line 2: not 'nobody' but no client, no caller, nothing"
    ]
    assert unplain("# a table of its\n    # own") == [
        "line 1: not 'of its own' but separate, isolated, its"
    ]
    assert unplain("a lock, held; nobodys") == []
