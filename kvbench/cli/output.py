"""Output of commands, line by line: all text is written through these functions.

They turn any text, of an exception or a file, into one line without secrets and control characters,
and of limited length. Reports consist of clean records; :func:`show_document` writes them
unchanged.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from kvbench.foreign_text import clean

if TYPE_CHECKING:
    from rich.console import Console


def notify(message: str) -> None:
    """Write a message to standard error: what is wrong and what to do next."""
    progress(f"kvbench: {message}")


def progress(line: str) -> None:
    """Write a progress line to standard error."""
    _write(sys.stderr, clean(" ".join(line.split())) + "\n")


def show(line: str) -> None:
    """Write a line to standard output."""
    _write(sys.stdout, clean(line) + "\n")


def show_document(text: str) -> None:
    """Write a whole report to standard output, with colours."""
    _write(sys.stdout, text)


def make_console(
    *, stderr: bool = False, width: int | None = None, has_colour: bool = True
) -> Console:
    """A rich console that interprets no text as markup or emoji, and highlights nothing."""
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
    # None means that the stream was closed before kvbench started.
    if stream is not None:
        stream.write(text)
        stream.flush()
