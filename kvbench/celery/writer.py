"""Collects the results of a window and stores them together.

The first result starts the window; at its end a thread stores all collected results with one call.
Until then they exist only in this process: a killed process loses at most those of one window, and
those that came while a store was running or failing. Order is kept: the next window is stored only
after the one before it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kvbench.client.forks import watch
from kvbench.errors import KvError, KvTimeoutError

_log = logging.getLogger("kvbench.celery")

ENTRIES_MAX = 1000
"""A window with this many results is stored early; ``put`` blocks while twice as many wait."""

Store = Callable[[Mapping[str, "PendingResult"]], None]


@dataclass(frozen=True, slots=True)
class PendingResult:
    """A result to be stored.

    Attributes:
        payload: encoded by Celery.
        ttl: seconds to keep it, None for no limit.
        is_final: whether it is a success, which nothing may replace.
    """

    payload: str | bytes
    ttl: float | None
    is_final: bool


class BatchWriter:
    """Collects results, and stores those of a window together in a separate thread.

    Args:
        store: stores entries by key; its errors are logged, and the call is retried.
        window_s: from the first result to the store.
        waits_s: seconds to wait after each successive failure; when they run out, the results are
            dropped and their keys are logged.
        patience_s: limit for the waits of :meth:`put` and :meth:`flush`.
    """

    def __init__(
        self,
        store: Store,
        window_s: float,
        waits_s: Callable[[], Iterator[float]],
        patience_s: float,
    ) -> None:
        self._store = store
        self._window_s = window_s
        self._waits_s = waits_s
        self._patience_s = patience_s
        self._leave_to_parent()
        watch(self)

    def _leave_to_parent(self) -> None:
        """A forked child has nothing to store: the parent does it."""
        self._changed = threading.Condition()
        self._waiting: dict[str, PendingResult] = {}
        self._storing: dict[str, PendingResult] = {}
        self._is_urgent = False
        self._thread: threading.Thread | None = None

    def put(self, key: str, entry: PendingResult) -> None:
        """Store an entry within the window. A waiting success is not replaced.

        Raises:
            KvTimeoutError: the server does not respond, and too many results wait.
        """
        with self._changed:
            self._wait_until(lambda: len(self._waiting) < 2 * ENTRIES_MAX)
            present = self.get(key)
            if present is not None and present.is_final:
                return
            self._waiting[key] = entry
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="kvb-results", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def get(self, key: str) -> PendingResult | None:
        """The entry of a key, if it is not known to be stored yet."""
        return self._waiting.get(key) or self._storing.get(key)

    def flush(self) -> None:
        """Wait until all entries are stored.

        Raises:
            KvTimeoutError: it took too long; storing continues.
        """
        with self._changed:
            if self._waiting or self._storing:
                self._is_urgent = bool(self._waiting)
                self._changed.notify_all()
                self._wait_until(lambda: not self._waiting and not self._storing)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        if not self._changed.wait_for(done, self._patience_s):
            raise KvTimeoutError(
                f"{len(self._waiting) + len(self._storing)} results wait to be stored for over "
                f"{self._patience_s:g} s: is the server running?"
            )

    def _run(self) -> None:
        """The thread: wait for a window, store it, repeat."""
        changed = self._changed
        while True:
            with changed:
                changed.wait_for(lambda: self._waiting)
                changed.wait_for(self._is_due, self._window_s)
                self._storing, self._waiting = self._waiting, {}
                self._is_urgent = False
                changed.notify_all()
            try:
                self._store_all(self._storing)
            finally:
                with changed:
                    self._storing = {}
                    changed.notify_all()

    def _is_due(self) -> bool:
        return self._is_urgent or len(self._waiting) >= ENTRIES_MAX

    def _store_all(self, entries: dict[str, PendingResult]) -> None:
        """Store, with retries, until the waits run out."""
        waits = self._waits_s()
        while True:
            try:
                self._store(entries)
            except (KvError, ValueError, TypeError) as error:
                may_pass = isinstance(error, ConnectionError | TimeoutError)
                wait_s = next(waits, None) if may_pass else None
                if wait_s is None:
                    _log.error("results are lost, %s: %s", error, ", ".join(entries))
                    return
                _log.warning("%d results wait to be stored: %s", len(entries), error)
                time.sleep(wait_s)
            else:
                return
