"""What the closed and the open loop share: opening, reading answers, losing connections, draining.

The clock is ``time.perf_counter_ns``. A call is timed from just before its bytes are sent until its
last reply was parsed. Nothing here waits longer than :data:`TEND_NS` for one connection.
"""

from __future__ import annotations

import select
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import cycle

from kvbench.clock import NS_PER_MS
from kvbench.errors import ProtocolError
from kvbench.load.tally import LoadTally
from kvbench.load.wire.call_log import CallLog
from kvbench.load.wire.connections import (
    EVENTS_MAX,
    NO_SHAPES,
    RECEIVE_BYTES,
    Connections,
    LoadConnection,
    State,
)
from kvbench.load.wire.endpoint import Endpoint
from kvbench.load.wire.prepared import Expected, Prepared

TEND_NS = 10 * NS_PER_MS
"""How often timeouts and connections that are down are looked after."""

TEND_S = TEND_NS / 1e9

clock: Callable[[], int] = time.perf_counter_ns


class Loop(ABC):
    """A load run on one server.

    Args:
        endpoint: the server.
        prepared: calls, sent in turn and over again.
        connections: how many.
        log: takes the times of calls.
        call_timeout_ns: a call without an answer for so long ends its connection.

    Attributes:
        log: as given.
        connections: all of them.
        following: the next call.
        tally: of the window so far, without what shapes and log count.
        is_sending: whether new calls are sent: until the end of the window.
        counts_answers: whether answers count: in a closed loop until the end of the window.
        idle_ns: CPU time spent waiting in the window.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        prepared: Sequence[Prepared],
        *,
        connections: int,
        log: CallLog,
        call_timeout_ns: int,
    ) -> None:
        self.log = log
        self.connections = Connections(endpoint, connections)
        self.following: Callable[[], Prepared] = cycle(prepared).__next__
        self.tally = LoadTally()
        self.is_sending = True
        self.counts_answers = True
        self.idle_ns = 0
        self._expected = _distinct(prepared)
        self._call_timeout_ns = call_timeout_ns
        self._tend_at_ns = 0

    @abstractmethod
    def run_until(self, end_ns: int) -> None:
        """Send and receive until the clock shows ``end_ns``."""

    @abstractmethod
    def finished(self, connection: LoadConnection, now_ns: int, *, has_errors: bool) -> None:
        """A call was answered completely; its connection is free."""

    @abstractmethod
    def ready(self, connection: LoadConnection) -> None:
        """A connection was opened again, and is free."""

    @abstractmethod
    def lost(self, connection: LoadConnection) -> None:
        """A connection that was free broke."""

    # --- The window --------------------------------------------------------------------------

    def begin_window(self, start_ns: int, duration_ns: int) -> None:
        """The warm-up is over: forget what was counted."""
        self.tally = LoadTally()
        self.log.begin(start_ns, duration_ns)
        self.connections.broken = 0
        self.idle_ns = 0
        for expected in self._expected:
            for shape in expected.shapes.values():
                shape.calls = 0

    def drain(self) -> None:
        """Wait for the answers to all calls under way, each up to the timeout of calls."""
        links = self.connections
        self.is_sending = False
        while any(one.prepared is not None and one.state is State.UP for one in links.all):
            for fd, events in links.poll(TEND_S, EVENTS_MAX):
                if fd in links.table:
                    self.handle(links.table[fd], events)
            self.tend(clock())

    def result(self) -> LoadTally:
        """The tally of the window."""
        tally = self.tally
        tally.broken = self.connections.broken
        for expected in self._expected:
            counts_call = not expected.is_first_step
            for shape in expected.shapes.values():
                requests = shape.calls * expected.requests
                tally.calls += shape.calls * counts_call
                tally.requests += requests
                tally.keys += requests * expected.keys_per_request * counts_call
                tally.hits += shape.calls * shape.hits
                tally.misses += shape.calls * shape.misses
        self.log.write(tally)
        return tally

    # --- Calls -------------------------------------------------------------------------------

    def begin(self, connection: LoadConnection, prepared: Prepared, now_ns: int) -> None:
        """Send a call, or its first step, on a free connection."""
        connection.sent_ns = now_ns
        self.send(connection, prepared)

    def send(self, connection: LoadConnection, prepared: Prepared) -> None:
        """Send a step of a call."""
        connection.prepared = prepared
        connection.shapes = prepared.expected.shapes
        data = prepared.data
        if connection.unsent:  # An error was answered before the whole call was taken.
            connection.unsent = bytes(connection.unsent) + data
            return
        try:
            sent = connection.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.lose(connection, "connection")
            return
        if sent != len(data):
            connection.unsent = memoryview(data)[sent:]
            self.write(connection)

    def write(self, connection: LoadConnection) -> None:
        """Send what the socket did not take before, as far as it does now."""
        if not self.connections.write(connection):
            self.lose(connection, "connection")

    def handle(self, connection: LoadConnection, events: int) -> None:
        """React to an event of a connection: write, read, and go on with its call."""
        if events & select.EPOLLOUT:
            self.write(connection)
            if connection.state is State.DOWN:
                return
        if not events & ~select.EPOLLOUT:
            return
        to_the_end = events & ~(select.EPOLLIN | select.EPOLLOUT)
        while connection.state is not State.DOWN:
            try:
                data = connection.receive(RECEIVE_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            self.read(connection, data)
            if len(data) < RECEIVE_BYTES and not to_the_end:
                return

    def read(self, connection: LoadConnection, data: bytes) -> None:
        """Parse what was received, and go on with the call if its answer is complete."""
        prepared = connection.prepared
        if not data or prepared is None:
            self.lose(connection, "protocol" if data else "connection")
            return
        shape = connection.shapes.get(len(data))
        if shape is not None and shape.unpack(data) == shape.literals:
            shape.calls += connection.is_counted and self.counts_answers
        else:
            replies = connection.replies
            if connection.shapes is not NO_SHAPES:
                replies.begin(prepared.expected)
                connection.shapes = NO_SHAPES
            try:
                if not replies.feed(data):
                    return
            except ProtocolError:
                self.lose(connection, "protocol")
                return
            if connection.state is State.GREETING:
                self._greeted(connection)
                return
            self._count(connection, prepared)
        self._answered(connection)

    def _count(self, connection: LoadConnection, prepared: Prepared) -> None:
        """Count an answer that a parser read."""
        if not (connection.is_counted and self.counts_answers):
            return
        replies, expected, tally = connection.replies, prepared.expected, self.tally
        failed = len(replies.failures)
        for kind in replies.failures:
            tally.errors[kind] = tally.errors.get(kind, 0) + 1
        answered = expected.requests - failed
        tally.requests += answered
        if failed or not expected.is_first_step:
            tally.calls += 1
        if not expected.is_first_step:
            tally.keys += answered * expected.keys_per_request
        tally.hits += replies.hits
        tally.misses += replies.misses

    def _answered(self, connection: LoadConnection) -> None:
        """The answer to a step is complete: go on with the second, or finish the call."""
        replies, prepared = connection.replies, connection.prepared
        then = prepared.then if prepared else None
        by_parser = connection.shapes is NO_SHAPES
        has_errors = by_parser and bool(replies.failures)
        if by_parser and replies.must_close:
            self.lose(connection, "")
        elif then is not None and not has_errors:
            self.send(connection, then)
        else:
            connection.prepared = None
            connection.shapes = NO_SHAPES
            self.finished(connection, clock(), has_errors=has_errors)

    def _greeted(self, connection: LoadConnection) -> None:
        if connection.replies.failures:
            self.lose(connection, "")
        else:
            self.connections.mark_up(connection)
            self.ready(connection)

    # --- Trouble -----------------------------------------------------------------------------

    def lose(self, connection: LoadConnection, kind: str) -> None:
        """Close a connection that broke, and count its requests under way as errors of a kind.

        Args:
            connection: up or greeting.
            kind: empty if the errors were counted already.
        """
        prepared = connection.prepared
        if connection.state is State.UP:
            if prepared is None:
                self.lost(connection)
            elif kind and connection.is_counted:
                errors = self.tally.errors
                errors[kind] = errors.get(kind, 0) + prepared.expected.requests
        self.connections.close(connection, clock())

    def tend(self, now_ns: int) -> None:
        """Look for calls without an answer and for connections to be opened again."""
        if now_ns < self._tend_at_ns:
            return
        self._tend_at_ns = now_ns + TEND_NS
        for connection in self.connections.all:
            if connection.state is State.DOWN:
                if self.is_sending and now_ns >= connection.retry_ns:
                    self.connections.open(connection, now_ns)
            elif (
                connection.prepared is not None
                and now_ns - connection.sent_ns > self._call_timeout_ns
            ):
                self.lose(connection, "timeout")


def _distinct(prepared: Sequence[Prepared]) -> list[Expected]:
    """What the answers to all steps of all calls look like, each once."""
    steps = [step for one in prepared for step in (one, one.then) if step is not None]
    return list({id(step.expected): step.expected for step in steps}.values())
