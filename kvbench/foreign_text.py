r"""Makes text from peers, files and drivers safe to show and to store.

Such text may move a cursor, set a window's title, reverse the reading order, forge a line, or be 60
MiB long. :func:`printable` makes it harmless: it replaces unprintable characters by their escapes
(``\x1b``, ``\u202e``), and shortens long text with a note. :func:`clean` also removes secrets, and
does both for every text in a record.

Both leave their own results unchanged, so a text may be processed more than once.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TypeVar, cast

from kvbench.redaction import SECRETS, redact_url

CHARS_MAX = 2000
"""Longer text is not readable, and would fill a results file."""

_LOOKED_AT_CHARS = 1 << 16
"""Secrets are searched in this much of a text: far more than is shown of it."""

_KEPT_LINES = frozenset({"timeline"})
"""Fields with several lines laid out by kvbench; the texts in them are already escaped."""

_HEX = re.compile(r"[0-9a-f ]*")

_CONTROLS = re.compile(
    r"\x1b\[(?:[0-9;]*m|[0-9]*[AK]|\?25[lh])"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""Colours and cursor control of a progress bar, as rich sends them, or one control character."""

_T = TypeVar("_T")


def printable(text: str) -> str:
    """``text`` as one line of printable characters, at most :data:`CHARS_MAX` of them.

    Escaped are C0, DEL and C1, bidirectional and other format characters, line separators, lone
    surrogates, and spaces that are not U+0020.
    """
    return _cut(_escape(text[: CHARS_MAX + 1]), len(text))


def target_name(url: str) -> str:
    """A target's URL as it is shown and recorded; the same URL has the same name everywhere."""
    return printable(redact_url(url))


def clean(thing: _T) -> _T:
    """``thing`` with all its text safe to show and without the secrets of this process.

    Args:
        thing: a text, or a record (a struct or dataclass), list, tuple or dict with texts.

    Returns:
        The same type; numbers and other objects are unchanged.
    """
    return cast("_T", _clean(thing))


def guard_output(text: str) -> str:
    """Text for a standard stream: the last filter, after :func:`clean`.

    Lines, colours and a progress bar are kept. Other control characters are escaped, and so are
    those that set a title, send input to the terminal, or reverse the reading order. Secrets are
    hidden.
    """
    return _CONTROLS.sub(_keep_own_controls, SECRETS.redact(text))


def _keep_own_controls(found: re.Match[str]) -> str:
    return found[0] if len(found[0]) > 1 else _escape(found[0])


def _clean(thing: object) -> object:
    if type(thing) is str:
        return _cut(_escape(SECRETS.redact(thing[:_LOOKED_AT_CHARS])), len(thing))
    if isinstance(thing, dict):
        return {_clean(name): _clean(one) for name, one in thing.items()}
    if isinstance(thing, list):
        return [_clean(one) for one in thing]
    if isinstance(thing, tuple):
        return tuple([_clean(one) for one in thing])
    names = getattr(thing, "__struct_fields__", ())
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        names = tuple([field.name for field in dataclasses.fields(thing)])
    if not names:
        return thing
    return type(thing)(**{name: _clean_field(name, getattr(thing, name)) for name in names})


def _clean_field(name: str, value: object) -> object:
    if name == "hex" and isinstance(value, str) and _HEX.fullmatch(value):
        return value  # Harmless, and the record says how much of it there is.
    if name in _KEPT_LINES and isinstance(value, str):
        lines = SECRETS.redact(value).splitlines()
        return "\n".join(map(printable, lines))
    return _clean(value)


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        [char if char.isprintable() else char.encode("unicode_escape").decode() for char in text]
    )


def _cut(shown: str, chars: int) -> str:
    """An escaped text, shortened if too long; the note gives ``chars``, its original length."""
    if len(shown) <= CHARS_MAX:
        return shown
    note = f"… [cut: {chars:,} characters in all]"
    return shown[: CHARS_MAX - len(note)] + note
