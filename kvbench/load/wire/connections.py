"""Non-blocking connections of the wire driver: opening, losing and opening them again.

A connection is down, greeting, or up. Greeting proves that the server speaks the protocol and lets
us in. One that breaks is counted, and is opened again after a pause that doubles up to half a
second. Nothing here waits: a server that is gone costs the loop a few system calls a second.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable
from enum import Enum, auto

from kvbench.clock import NS_PER_MS
from kvbench.load.wire.endpoint import Endpoint
from kvbench.load.wire.prepared import Prepared, Shape

RETRY_NS_MIN = 10 * NS_PER_MS
RETRY_NS_MAX = 500 * NS_PER_MS

RECEIVE_BYTES = 64 * 1024
"""Taken from a socket at once. The answer to a large MGET comes in several pieces."""

EVENTS_MAX = 4096
"""Taken from epoll at once."""

_WATCHED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
"""Edge-triggered, which saves the kernel a second look at each connection (0.15 µs a call).

So an event must be followed by reading until a socket is empty: it is after a read that returned
less than was asked for, if the event did not tell of the end of the stream as well.
"""

NO_SHAPES: dict[int, Shape] = {}
"""Of a connection whose next bytes do not begin the answer to a call: a parser has to read them."""


class State(Enum):
    """What a connection is doing."""

    DOWN = auto()
    GREETING = auto()
    UP = auto()


class LoadConnection:
    """One client of a load run.

    Attributes:
        state: what it is doing.
        receive: the socket's ``recv``.
        receive_into: the socket's ``recv_into``.
        send: the socket's ``send``.
        prepared: what it waits for the answer to; None if for nothing.
        shapes: known shapes of that answer, until its first bytes have come.
        sent_ns: when the call was sent.
        intended_ns: when it was due; as ``sent_ns`` in a closed loop.
        is_counted: whether the call belongs to the window.
        unsent: what the socket did not take yet.
        retry_ns: when to open it again, if it is down.
    """

    __slots__ = (
        "fd", "intended_ns", "is_counted", "pause_ns", "prepared", "receive", "receive_into",
        "replies", "retry_ns", "send", "sent_ns", "shapes", "socket", "state", "unsent",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint) -> None:
        self.state = State.DOWN
        self.socket: socket.socket | None = None
        self.fd = -1
        self.receive: Callable[[int], bytes]
        self.receive_into: Callable[[bytearray], int]
        self.send: Callable[[bytes | memoryview], int]
        self.replies = endpoint.dialect.replies()
        self.prepared: Prepared | None = None
        self.shapes = NO_SHAPES
        self.sent_ns = 0
        self.intended_ns = 0
        self.is_counted = False
        self.unsent: bytes | memoryview = b""
        self.retry_ns = 0
        self.pause_ns = RETRY_NS_MIN


class Connections:
    """All connections of a load run to one server.

    Args:
        endpoint: the server.
        count: how many.

    Raises:
        KvConnectionError: the server's name is not known.

    Attributes:
        table: those that have a socket, by its file descriptor.
        poll: the ``poll`` of an epoll that watches them.
        broken: how many broke that were up.
    """

    def __init__(self, endpoint: Endpoint, count: int) -> None:
        self._family, self._address = endpoint.resolve()
        self._greeting = endpoint.dialect.greeting()
        self._epoll = select.epoll()
        self.poll: Callable[[float, int], list[tuple[int, int]]] = self._epoll.poll
        self.all = [LoadConnection(endpoint) for _ in range(count)]
        self.table: dict[int, LoadConnection] = {}
        self.broken = 0

    @property
    def epoll_fd(self) -> int:
        """The file descriptor of the epoll, which can itself be waited for."""
        return self._epoll.fileno()

    def open(self, connection: LoadConnection, now_ns: int) -> str:
        """Begin to open a connection that is down; its greeting is sent when it is writable.

        Returns:
            Why it cannot be opened: then it stays down until ``retry_ns``. Empty if it can.
        """
        try:
            opened = socket.socket(self._family, socket.SOCK_STREAM)
        except OSError as error:
            self._postpone(connection, now_ns)
            return _reason(error.errno or errno.EIO)
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failed = opened.connect_ex(self._address)
        if failed not in (0, errno.EINPROGRESS):
            opened.close()
            self._postpone(connection, now_ns)
            return _reason(failed)
        connection.socket, connection.fd = opened, opened.fileno()
        connection.receive, connection.receive_into = opened.recv, opened.recv_into
        connection.send = opened.send
        connection.state = State.GREETING
        connection.prepared, connection.sent_ns = self._greeting, now_ns
        connection.replies.begin(self._greeting.expected)
        connection.unsent = self._greeting.data
        self.table[connection.fd] = connection
        self._epoll.register(connection.fd, _WATCHED | select.EPOLLOUT)
        return ""

    def write(self, connection: LoadConnection) -> bool:
        """Send what is unsent, as far as the socket takes it.

        Returns:
            False if the connection is broken; the caller closes it.
        """
        if connection.unsent:
            try:
                sent = connection.send(connection.unsent)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                return False
            connection.unsent = connection.unsent[sent:]
        wanted = _WATCHED | (select.EPOLLOUT if connection.unsent else 0)
        self._epoll.modify(connection.fd, wanted)
        return True

    def mark_up(self, connection: LoadConnection) -> None:
        """The greeting was answered: the connection is free for calls."""
        connection.state = State.UP
        connection.prepared = None
        connection.shapes = NO_SHAPES
        connection.pause_ns = RETRY_NS_MIN

    def close(self, connection: LoadConnection, now_ns: int) -> None:
        """Close a connection that broke, to be opened again after its pause."""
        self.broken += connection.state is State.UP
        self._drop(connection)
        self._postpone(connection, now_ns)

    def _postpone(self, connection: LoadConnection, now_ns: int) -> None:
        connection.retry_ns = now_ns + connection.pause_ns
        connection.pause_ns = min(2 * connection.pause_ns, RETRY_NS_MAX)

    def _drop(self, connection: LoadConnection) -> None:
        if connection.socket is not None:
            del self.table[connection.fd]
            connection.socket.close()  # Which also ends the epoll's watch.
        connection.socket, connection.fd = None, -1
        connection.state = State.DOWN
        connection.prepared = None
        connection.shapes = NO_SHAPES
        connection.unsent = b""

    def close_all(self) -> None:
        """Close everything; may be called twice."""
        for connection in self.all:
            self._drop(connection)
        self._epoll.close()


def _reason(number: int) -> str:
    if number == errno.EMFILE:
        return "too many open files: raise `ulimit -n`, or use fewer clients"
    return os.strerror(number)
