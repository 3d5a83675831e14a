"""Chords on a key-value store: counts the parts, and calls the body after the last one.

Celery's default restores the group of all parts for each part. Here a part costs one flush, and
only the last one restores the group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from celery.backends.base import KeyValueStoreBackend

from kvbench.celery.connections import ResultClient

T = TypeVar("T")


class ChordBackend(KeyValueStoreBackend):
    """Counts the parts of chords. The subclass that stores has the methods below the line."""

    implements_incr = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._part = _LastPart()

    def incr(self, key: str) -> int:
        """Add 1 to a counter, after storing the results that it counts."""
        if (counted := self._part.count) is not None:
            return counted
        self.flush()
        count: int = self._call(ResultClient.incr, self._fitted(key))
        return count

    def expire(self, key: str, value: float | None) -> None:
        """Set a key's TTL in seconds; 0 or None leaves it unchanged."""
        if not value:
            return
        if self._part.count is None:
            self._call(ResultClient.expire, self._fitted(key), value)
        else:
            self._part.ttls.append((self._fitted(key), value))

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Store how many parts a chord has; Celery calls this before it sends the last one."""
        ttl, _ = self._chord_ttls()
        self._call(ResultClient.set, self._chord_keys(group_id).size, chord_size, ttl)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """Count a part of a chord; after the last one, call the body.

        A part is one flush: INCR, the number of parts, and EXPIRE for what the last one needs. The
        count is never retried, since it might count twice; so the connection is checked first.
        """
        if not request.group:
            return
        self.flush()
        self._again(self._call, ResultClient.reach)
        keys = self._chord_keys(request.group)
        task = self._fitted(self.get_key_for_task(request.id))
        ttl, kept_ttl = self._chord_ttls()
        ttls = ((keys.size, ttl), (keys.counter, ttl), (keys.group, kept_ttl), (task, kept_ttl))
        count, total, is_there = self._call(
            ResultClient.count_part,
            keys.counter,
            keys.size,
            keys.group,
            [(key, seconds) for key, seconds in ttls if seconds],
        )
        if is_there and (total is None or count < total):
            return
        self._end_chord(request, state, result, count, total, **kwargs)
        self._again(self._call, ResultClient.mdel, [keys.size, keys.counter])

    def _end_chord(
        self, request: Any, state: str, result: Any, count: int, total: int | None, **kwargs: Any
    ) -> None:
        """Celery's own end of a chord, or the error when its group is gone. Counts nothing."""
        body, self._part.count = request.chord, count
        request.chord = {**body, "chord_size": total}
        try:
            super().on_chord_part_return(request, state, result, **kwargs)
        finally:
            request.chord = body
            ttls, self._part.ttls, self._part.count = self._part.ttls, [], None
            self._again(self._call, ResultClient.expire_each, ttls)

    def _chord_keys(self, group_id: str) -> _ChordKeys:
        return _ChordKeys(
            self._fitted(self.get_key_for_group(group_id)),
            self._fitted(self.get_key_for_group(group_id, ".size")),
            self._fitted(self.get_key_for_chord(group_id)),
        )

    def _chord_ttls(self) -> tuple[float | None, float | None]:
        """TTL of a chord's counter and parts, in seconds; None for no limit."""
        ttl = getattr(self, "chord_expires", self.expires)  # New in Celery 5.7.
        return ttl or None, max(ttl, self.expires) if ttl and self.expires else None

    # --- Implemented by the class that stores ----------------------------------------------------

    def flush(self) -> None:
        """Wait until the results of this process are stored."""
        raise NotImplementedError

    def _call(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call a client method."""
        raise NotImplementedError

    def _again(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call, and retry when the connection fails."""
        raise NotImplementedError

    def _fitted(self, key: str) -> str:
        """The key on the server."""
        raise NotImplementedError


class _ChordKeys(NamedTuple):
    """The keys of a chord: its group, its number of parts, and its counter."""

    group: str
    size: str
    counter: str


class _LastPart(threading.local):
    """State of a thread while it finishes a chord.

    Attributes:
        count: of the parts; None outside of a chord.
        ttls: seconds by key, to be set in one flush.
    """

    def __init__(self) -> None:
        self.count: int | None = None
        self.ttls: list[tuple[str, float]] = []
