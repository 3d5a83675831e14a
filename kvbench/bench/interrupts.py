"""Ctrl-C in two steps: the first ends a run gracefully, the second immediately.

The first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt wherever the run is, so even a slow
call ends at once. In sections that must not be interrupted (writing a record, removing keys) it
waits for the section's end. The second signal ends the process; child processes then end, too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Controls when Ctrl-C may interrupt. Before :meth:`installed` it changes nothing.

    Attributes:
        signal_number: the received signal, 0 before.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._sections = 0
        self._is_waiting = False
        self._last_words: Callable[[], None] = lambda: None

    @contextmanager
    def installed(self, last_words: Callable[[], None]) -> Iterator[None]:
        """Handle signals during a ``with`` block; only in the main thread.

        Args:
            last_words: called before the second signal ends the process, to leave the terminal
                usable.
        """
        self._last_words = last_words
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.signal_number:
            self._last_words()
            os._exit(128 + number)
        self.signal_number = number
        if self._sections:
            self._is_waiting = True
        else:
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A section that the first signal does not interrupt; KeyboardInterrupt comes after it."""
        self._sections += 1
        try:
            yield
        finally:
            self._sections -= 1
            if self._is_waiting and not self._sections:
                self._is_waiting = False
                raise KeyboardInterrupt
