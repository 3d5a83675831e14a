"""What a command says, line by line: every text goes out through these few functions.

They make a line of one text, whatever an exception or a file put into it: without secrets, without
control characters, not too long. Reports are made of records that are clean already; they go out
as they are, with :func:`show_document`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from kvbench.foreign_text import clean

if TYPE_CHECKING:
    from rich.console import Console


def tell(message: str) -> None:
    """A line on standard error, for a person: what is wrong and what to do next."""
    progress(f"kvbench: {message}")


def progress(line: str) -> None:
    """A line on standard error: how far it is."""
    _write(sys.stderr, clean(" ".join(line.split())) + "\n")


def show(line: str) -> None:
    """A line on standard output."""
    _write(sys.stdout, clean(line) + "\n")


def show_document(text: str) -> None:
    """A whole report on standard output, its colours included."""
    _write(sys.stdout, text)


def make_console(
    *, stderr: bool = False, width: int | None = None, has_colour: bool = True
) -> Console:
    """A console of rich that takes no text for markup, emoji or something to highlight."""
    from rich.console import Console

    return Console(
        stderr=stderr,
        width=width,
        color_system="auto" if has_colour else None,
        markup=False,
        emoji=False,
        highlight=False,
    )


def _write(stream: TextIO | None, text: str) -> None:
    # None is a stream that was closed before kvbench began.
    if stream is not None:
        stream.write(text)
        stream.flush()
