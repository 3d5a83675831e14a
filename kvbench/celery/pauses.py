"""Polling intervals for a result that is not ready yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

_FIRST_S = 0.002
_GROWTH = 1.5


def pauses(
    timeout: float | None, interval: float | None, on_interval: Callable[[], object] | None
) -> Iterator[None]:
    """Yield at once, then after growing pauses of at most ``interval``, until the timeout."""
    deadline = None if timeout is None else time.monotonic() + timeout
    longest_s = 0.5 if interval is None else interval
    wait_s = min(_FIRST_S, longest_s)
    while True:
        yield
        if on_interval is not None:
            on_interval()
        left_s = wait_s if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            return
        time.sleep(min(wait_s, left_s))
        wait_s = min(wait_s * _GROWTH, longest_s)
