"""``null://``: a backend that does nothing, the floor of the harness.

What a benchmark shows on it is the cost of the harness itself: no figure of a real store can be
better. It answers every read with a miss and drops every write; it declares no
capabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from kvbench.backend import Backend
from kvbench.errors import UrlError
from kvbench.model import BatchKind, Pairs, Value


class NullBackend(Backend):
    """Does nothing, as fast as a Python method can."""

    summary = "does nothing: the harness's own cost"
    url_example = "null://"
    batch_kinds = dict.fromkeys(("mget", "mset", "mdel", "mexists"), BatchKind.NATIVE)

    @classmethod
    def open(cls, url: str) -> Self:
        """Open nothing. UsageError when the URL is more than ``null://``."""
        if url.partition("://")[2].strip("/"):
            raise UrlError(url, "null:// takes neither host nor path")
        return cls()

    def close(self) -> None:
        """Nothing to close."""

    def get(self, key: str) -> Value:
        """None: every key is absent."""
        return None

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Forgets the value."""

    def delete(self, key: str) -> bool:
        """False: no key was there."""
        return False

    def exists(self, key: str) -> bool:
        """False: no key is there."""
        return False

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """None for each key."""
        return [None] * len(keys)

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Forgets the values."""

    def mdel(self, keys: Sequence[str]) -> int:
        """0: no key was there."""
        return 0

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """False for each key."""
        return [False] * len(keys)
