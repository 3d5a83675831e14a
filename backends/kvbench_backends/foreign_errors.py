"""Errors of drivers become kvbench's where they enter: one table in each adapter, and one context.

A table names the driver's classes, and for each what is raised in its place. The class that is
nearest to the error's own decides, so that the order of the table means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeAlias

from kvbench.errors import KvbenchError

Table: TypeAlias = Mapping[type[Exception], Callable[[Any], KvbenchError | None]]
"""What is raised for an error of each class; None leaves the error as it is."""


class Translation:
    """A reusable context that raises kvbench's errors in place of a driver's.

    Args:
        table: returns the table. It is called when there is an error, since an adapter imports its
            driver late.
    """

    def __init__(self, table: Callable[[], Table]) -> None:
        self._table = table

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, KvbenchError):
            return
        table = self._table()
        nearest = next((known for known in type(error).__mro__ if known in table), None)
        translated = table[nearest](error) if nearest is not None else None
        if translated is not None:
            raise translated from None
