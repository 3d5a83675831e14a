"""Decodes JSON and TOML from outside: any failure is a ValueError.

A decoder raises RecursionError for a hundred thousand brackets, which callers do not expect; here
it becomes a ValueError, like any other damage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

_T = TypeVar("_T")


def decode(decoder: Callable[[bytes], _T], content: bytes) -> _T:
    """Decode ``content``.

    Raises:
        ValueError: it cannot be decoded. A ``msgspec.ValidationError`` if the syntax is valid but
            the structure is wrong or nested too deeply.
    """
    try:
        return decoder(content)
    except RecursionError:
        raise msgspec.ValidationError("it is nested too deeply") from None
