"""Who is served next: one server-wide queue, so that no client can stop the others.

A turn is what happens between two looks of the event loop at the network. All connections together
get a few milliseconds of it, however many are busy, so that a request that comes meanwhile is seen
soon after. The rules:

- What just came is served at once, as long as this turn has time left: the usual case, without a
  queue.
- A connection that has more to do than its share waits in the queue, and is not read from until
  its backlog is done: its memory stays bounded, and uvloop, which reads a socket up to 32 times in
  a row, does not come back to it at once.
- When the turn has no time left, a connection with a few bytes goes before those with many, so a
  small request waits neither behind a flood nor behind a hundred. Those get a share in each turn
  nevertheless, one after the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from kvbench.clock import NS_PER_MS, Clock, SystemClock
from kvbench.server.reserve import reserve

SHARE_NS = NS_PER_MS
"""What a connection gets before it must wait: some 1,000 small requests."""

ARRIVALS_NS = 2 * NS_PER_MS
"""What is spent in a turn on connections that just got something, before they must queue, too."""

QUEUE_NS = 2 * NS_PER_MS
"""What is spent in a turn on the queue; up to half of it on those with a few bytes."""


class Worker(Protocol):
    """Someone who can be served: a connection."""

    is_queued: bool

    @property
    def has_little_to_do(self) -> bool:
        """Whether all of its work takes much less than a share."""
        ...

    def work(self, until_ns: int) -> bool:
        """Do what there is to do until about ``until_ns``; returns whether there is more."""
        ...

    def set_reading(self) -> None:
        """``is_queued`` has changed: take in nothing more while it is set."""
        ...

    def abort(self) -> None:
        """End at once."""
        ...


class Turns:
    """Shares the time of the event loop among workers.

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
        """Serve a worker that has something to do: now, or in its turn."""
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
        """Make sure that the queue is served, also when memory was too short for that before."""
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
        """Serve the first in the queue, and further ones until ``until_ns``."""
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
    """Let a worker work; when memory runs out under it, end it, and nobody else."""
    try:
        return worker.work(until_ns)
    except MemoryError:
        # Replies may be lost, so the client must not take a later one for the one it waits for.
        reserve.spend()
        worker.abort()
        return False
    finally:
        if reserve.is_spent:
            reserve.release()
