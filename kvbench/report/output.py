"""Writes a report to a file, atomically.

The text goes into a new file in the same directory, which then replaces the old one: a full disk or
a kill never leaves half a report, and the old file stays intact.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from kvbench.errors import UsageError


def write_report(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, replacing the file.

    Special files, such as ``/dev/stdout`` or a named pipe, are written to directly.

    Raises:
        UsageError: it cannot be written; ``path`` is unchanged.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            # A link stays a link: its target is replaced.
            _replace(path.resolve(), text)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; name a file in a directory that has room "
            "and that you can write to"
        ) from None


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
