"""Decodes JSON and TOML from outside: any failure is a ValueError.

A decoder raises RecursionError for a hundred thousand brackets, which callers do not expect; here
it becomes a ValueError, like any other damage.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import cleandoc
from typing import Any, TypeVar

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


def with_clean_descriptions(schema: Any) -> Any:
    """A JSON Schema whose descriptions are docstrings without their indentation.

    Versions of msgspec differ in that, and the schemas in the specification must not.
    """
    match schema:
        case dict():
            return {
                name: cleandoc(value)
                if name == "description" and isinstance(value, str)
                else with_clean_descriptions(value)
                for name, value in schema.items()
            }
        case list() | tuple():
            return [with_clean_descriptions(one) for one in schema]
    return schema
