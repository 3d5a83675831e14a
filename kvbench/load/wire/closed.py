"""The closed loop: each connection sends its next call when its last one was answered.

Nearly all answers have a known shape, so their way is written out in one function, without a call
of another: a redis-server answers 180,000 GETs a second here, which leaves 5.5 µs for each, and
the two system calls take most of that.
"""

from __future__ import annotations

import select

from typing_extensions import override

from kvbench.load.wire.connections import EVENTS_MAX, RECEIVE_BYTES, LoadConnection
from kvbench.load.wire.loop import TEND_S, Loop, clock


class ClosedLoop(Loop):
    """As many calls under way as there are connections."""

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
        poll, table, log, following = (
            self.connections.poll, self.connections.table, self.log, self.following
        )  # fmt: skip
        done, sent = log.done.append, log.sent.append
        readable = select.EPOLLIN
        now_ns = clock()
        while now_ns < end_ns:
            for fd, events in poll(TEND_S, EVENTS_MAX):
                connection = table.get(fd)
                if connection is None:
                    continue
                if events != readable:
                    self.handle(connection, events)
                    continue
                try:
                    data = connection.receive(RECEIVE_BYTES)
                except OSError:
                    self.handle(connection, events)
                    continue
                shape = connection.shapes.get(len(data))
                if shape is None or connection.then or shape.unpack(data) != shape.literals:
                    self.read(connection, data)
                    continue
                shape.calls += 1
                now_ns = clock()
                done(now_ns)
                sent(connection.sent_ns)
                prepared = following()
                connection.prepared = prepared
                connection.then = prepared.then
                connection.shapes = prepared.expected.shapes
                connection.sent_ns = now_ns
                request = prepared.data
                try:
                    taken = connection.send(request)
                except OSError:
                    taken = 0
                if taken != len(request):
                    connection.unsent = memoryview(request)[taken:]
                    self.write(connection)
            now_ns = clock()
            self.tend(now_ns)
            if log.is_full:
                log.count_portion()
