"""The open loop: calls are sent when they are due, whatever became of earlier ones.

A call that is due takes the connection that has been free for the longest time. If none is free, it
waits in one queue for all, as in front of an application's connection pool: that wait is in the
latency since its intended time. The schedule is never moved.

A timer of epoll has a resolution of 1 ms. So the loop sleeps in ``select`` on the epoll itself,
which has one of 1 µs, until shortly before the next call, and polls during the rest.
"""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from kvbench.clock import NS_PER_S
from kvbench.load.arrivals import Schedule
from kvbench.load.tally import LATE_NS
from kvbench.load.wire.call_log import CallLog
from kvbench.load.wire.connections import EVENTS_MAX, LoadConnection
from kvbench.load.wire.endpoint import Endpoint
from kvbench.load.wire.loop import TEND_NS, Loop, clock
from kvbench.load.wire.prepared import Prepared

AWAKE_NS = 100_000
"""A sleep ends so long before the next call: waking up takes up to that time."""


class OpenLoop(Loop):
    """Calls by a schedule.

    Args:
        endpoint: the server.
        prepared: calls, sent in turn and over again.
        intended_ns: when each call is due, from the start of the warm-up.
        connections: how many.
        log: takes the times of calls.
        call_timeout_ns: a call without an answer for so long ends its connection.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        prepared: Sequence[Prepared],
        intended_ns: Schedule,
        *,
        connections: int,
        log: CallLog,
        call_timeout_ns: int,
    ) -> None:
        super().__init__(
            endpoint, prepared, connections=connections, log=log, call_timeout_ns=call_timeout_ns
        )
        self._free: deque[LoadConnection] = deque(self.connections.all)
        self._intended_ns = np.ascontiguousarray(intended_ns)
        self._times = self._intended_ns
        self._due: Sequence[int] = []
        """The same, quicker to read one by one."""
        self._next = 0
        self._window_start_ns = 0

    def start(self, start_ns: int, warm_up_ns: int) -> None:
        """Fix the schedule to the clock."""
        self._window_start_ns = start_ns + warm_up_ns
        self._times = self._intended_ns + start_ns
        self._due = memoryview(self._times)  # type: ignore[arg-type]  # An array is a buffer.

    @override
    def ready(self, connection: LoadConnection) -> None:
        self._free.append(connection)

    @override
    def lost(self, connection: LoadConnection) -> None:
        self._free.remove(connection)

    @override
    def finished(self, connection: LoadConnection, now_ns: int, *, has_errors: bool) -> None:
        if connection.is_counted and not has_errors:
            self.log.done.append(now_ns)
            self.log.sent.append(connection.sent_ns)
            self.log.intended.append(connection.intended_ns)
        self._free.append(connection)

    @override
    def run_until(self, end_ns: int) -> None:
        links = self.connections
        poll, table = links.poll, links.table
        while (now_ns := clock()) < end_ns:
            wait_ns = min(self._send_due(now_ns), end_ns - now_ns)
            if wait_ns > AWAKE_NS:
                sleep_ns = min(wait_ns - AWAKE_NS, TEND_NS)
                select.select([links.epoll_fd], [], [], sleep_ns / NS_PER_S)
                began_ns = 0
            else:
                began_ns = clock()
            events = poll(0, EVENTS_MAX)
            if not events and began_ns:
                self.idle_ns += clock() - began_ns
            for fd, event in events:
                if fd in table:
                    self.handle(table[fd], event)
            self.tend(now_ns)
            if self.log.is_full or (not events and wait_ns > 10 * AWAKE_NS):
                self.log.count_portion()

    def _send_due(self, now_ns: int) -> int:
        """Send the calls that are due, as far as connections are free.

        Returns:
            Nanoseconds until the next call can be due, or :data:`TEND_NS` if none can be sent.
        """
        due, free = self._due, self._free
        while free and self._next < len(due):
            intended_ns = due[self._next]
            if intended_ns > now_ns:
                now_ns = clock()
                if intended_ns > now_ns:
                    return intended_ns - now_ns
            self._next += 1
            connection = free.popleft()
            connection.intended_ns = intended_ns
            connection.is_counted = intended_ns >= self._window_start_ns
            now_ns = clock()
            if connection.is_counted and now_ns - intended_ns > LATE_NS:
                self.tally.late += 1
            self.begin(connection, self.following(), now_ns)
        return TEND_NS

    def unsent(self, end_ns: int) -> int:
        """Calls that were due before ``end_ns``, belong to the window and were not sent."""
        due = self._times[self._next :]
        return int(((due >= self._window_start_ns) & (due < end_ns)).sum())
