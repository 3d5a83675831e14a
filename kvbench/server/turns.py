"""Fair scheduling: one server-wide queue, so that no client can block the others.

A turn is the time between two polls of the network by the event loop. All connections together get
a few milliseconds of it, however many are busy, so a new request is read soon. The rules:

- New requests are served immediately while the turn has time left: the usual case, without a queue.
- A connection with more work than its share waits in the queue, and is not read from until its
  backlog is done. This bounds its memory, and keeps uvloop, which reads a socket up to 32 times in
  a row, from reading it again at once.
- When the turn has no time left, a connection with a few bytes goes before those with many, so a
  small request does not wait for large ones. Those still get a share in each turn, in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from kvbench.clock import NS_PER_MS, Clock, SystemClock
from kvbench.server.reserve import reserve

SHARE_NS = NS_PER_MS
"""A connection's share before it must wait: about 1,000 small requests."""

ARRIVALS_NS = 2 * NS_PER_MS
"""Time per turn for connections with new data; after that they are queued, too."""

QUEUE_NS = 2 * NS_PER_MS
"""Time per turn for the queue; up to half of it for connections with a few bytes."""


class Worker(Protocol):
    """What Turns schedules: a connection."""

    is_queued: bool

    @property
    def has_little_to_do(self) -> bool:
        """Whether all of its work needs much less than a share."""
        ...

    def work(self, until_ns: int) -> bool:
        """Work until about ``until_ns``; returns whether more is to do."""
        ...

    def set_reading(self) -> None:
        """``is_queued`` changed: read nothing while it is set."""
        ...

    def abort(self) -> None:
        """Close immediately."""
        ...


class Turns:
    """Shares the event loop's time among workers.

    Args:
        clock: measures the shares.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.now_ns = (clock if clock is not None else SystemClock()).now_ns
        self._light: deque[Worker] = deque()
        self._busy: deque[Worker] = deque()
        self._arrivals_ns = 0
        self._is_due = False

    def serve(self, worker: Worker) -> None:
        """Serve a worker that has work: now, or from the queue."""
        self._come_again_if_due()
        if worker.is_queued:
            return
        if self._arrivals_ns >= ARRIVALS_NS:
            self._enqueue(worker, self._light if worker.has_little_to_do else self._busy)
            return
        begin_ns = self.now_ns()
        has_more = _work(worker, begin_ns + SHARE_NS)
        self._arrivals_ns += self.now_ns() - begin_ns
        if has_more:
            self._enqueue(worker, self._busy)
        elif self._arrivals_ns >= ARRIVALS_NS:
            self._come_again()

    def _enqueue(self, worker: Worker, queue: deque[Worker]) -> None:
        worker.is_queued = True
        queue.append(worker)
        worker.set_reading()
        self._come_again()

    def _come_again(self) -> None:
        if not self._is_due:
            asyncio.get_running_loop().call_soon(self._turn)
            self._is_due = True

    def _come_again_if_due(self) -> None:
        """Make sure that the queue will be served, also if memory was too short before."""
        if not self._is_due and (self._light or self._busy):
            self._come_again()

    def _turn(self) -> None:
        """Serve the queue for its part of a turn."""
        self._is_due = False
        self._arrivals_ns = 0
        begin_ns = self.now_ns()
        try:
            self._serve_queue(self._light, begin_ns + QUEUE_NS // 2)
            self._serve_queue(self._busy, begin_ns + QUEUE_NS)
        finally:
            self._come_again_if_due()

    def _serve_queue(self, queue: deque[Worker], until_ns: int) -> None:
        """Serve the first worker in the queue, and more until ``until_ns``."""
        now_ns = self.now_ns()
        while queue:
            worker = queue.popleft()
            worker.is_queued = False
            if _work(worker, now_ns + SHARE_NS):
                worker.is_queued = True
                self._busy.append(worker)
            else:
                worker.set_reading()
            now_ns = self.now_ns()
            if now_ns >= until_ns:
                return


def _work(worker: Worker, until_ns: int) -> bool:
    """Let a worker run; if it runs out of memory, close it, and no other."""
    try:
        return worker.work(until_ns)
    except MemoryError:
        # Replies may be lost: a later one must not be matched to the wrong request.
        reserve.spend()
        worker.abort()
        return False
    finally:
        if reserve.is_spent:
            reserve.release()
