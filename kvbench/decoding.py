"""JSON and TOML that somebody else has written: it is read, or it is a ValueError.

A decoder that meets a hundred thousand brackets raises RecursionError, which no caller expects from
a file; here it becomes what every other damage is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


def decode(decoder: Callable[[bytes], _T], content: bytes) -> _T:
    """What ``decoder`` makes of ``content``.

    Raises:
        ValueError: it cannot be read. A ``msgspec.ValidationError`` when the syntax is that of a
            whole document, which has another shape or is nested too deeply.
    """
    try:
        return decoder(content)
    except RecursionError:
        raise msgspec.ValidationError("it is nested too deeply") from None
