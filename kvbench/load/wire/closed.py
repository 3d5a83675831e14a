"""The closed loop: each connection sends its next call when its last one was answered.

All answers that have come are read first, each with its time, and only then the next calls are
sent. Sending takes the kernel three times as long as receiving: if each answer were followed by a
call at once, the answers behind it would wait for that in their sockets, and with 50 connections
the median latency would be 1.4 times that of redis-benchmark, which works in the same two phases.

Nearly all answers have a known shape, so their way is written out in one function, without a call
of another: a redis-server on a core apart answers over 100,000 GETs a second, and most of the time
of each is taken by its two system calls.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from itertools import cycle

from typing_extensions import override

from kvbench.load.wire.call_log import CallLog
from kvbench.load.wire.connections import EVENTS_MAX, RECEIVE_BYTES, LoadConnection
from kvbench.load.wire.endpoint import Endpoint
from kvbench.load.wire.loop import TEND_S, Loop, clock
from kvbench.load.wire.prepared import Prepared


class ClosedLoop(Loop):
    """As many calls under way as there are connections."""

    def __init__(
        self,
        endpoint: Endpoint,
        prepared: Sequence[Prepared],
        *,
        connections: int,
        log: CallLog,
        call_timeout_ns: int,
    ) -> None:
        super().__init__(
            endpoint, prepared, connections=connections, log=log, call_timeout_ns=call_timeout_ns
        )
        parts = [(one, one.expected.shapes, one.data, len(one.data)) for one in prepared]
        self._following_parts = cycle(parts).__next__

    def start(self) -> None:
        """Send the first call of each connection."""
        for connection in self.connections.all:
            self.ready(connection)

    @override
    def ready(self, connection: LoadConnection) -> None:
        if self.is_sending:
            connection.is_counted = True
            self.begin(connection, self.following(), clock())

    @override
    def lost(self, connection: LoadConnection) -> None:
        """No connection is free while calls are sent."""

    @override
    def finished(self, connection: LoadConnection, now_ns: int, *, has_errors: bool) -> None:
        if not self.is_sending:
            return
        if not has_errors:
            self.log.done.append(now_ns)
            self.log.sent.append(connection.sent_ns)
        self.begin(connection, self.following(), now_ns)

    @override
    def drain(self) -> None:
        self.counts_answers = False
        super().drain()

    @override
    def run_until(self, end_ns: int) -> None:
        poll, table, log = self.connections.poll, self.connections.table, self.log
        following, buffer = self._following_parts, bytearray(RECEIVE_BYTES)
        done, sent = log.done.append, log.sent.append
        readable = select.EPOLLIN
        answered: list[LoadConnection] = []
        now_ns = clock()
        while now_ns < end_ns:
            for fd, events in poll(TEND_S, EVENTS_MAX):
                if events != readable:
                    if fd in table:
                        self.handle(table[fd], events)
                    continue
                try:
                    connection = table[fd]
                    size = connection.receive_into(buffer)
                except KeyError:  # Lost after an earlier event of this batch.
                    continue
                except OSError:
                    self.handle(connection, events)
                    continue
                shape = connection.shapes.get(size)
                if shape is None or shape.unpack(buffer) != shape.literals:
                    self.read(connection, bytes(buffer[:size]))
                    if size == RECEIVE_BYTES:
                        self.handle(connection, events)
                    continue
                done(clock())
                sent(connection.sent_ns)
                shape.calls += 1
                answered.append(connection)
            for connection in answered:
                connection.prepared, connection.shapes, request, size = following()
                connection.sent_ns = clock()
                try:
                    taken = connection.send(request)
                except OSError:
                    taken = 0
                if taken != size:
                    connection.unsent = memoryview(request)[taken:]
                    self.write(connection)
            answered.clear()
            now_ns = clock()
            self.tend(now_ns)
            if log.is_full:
                log.count_portion()
