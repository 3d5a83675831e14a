"""Opens all connections of a load run before its clock starts. None may fail here.

Later a connection that breaks is a figure; at the beginning it is a mistake in the command, such as
a wrong port, or more clients than the server takes, and the user reads one line about it.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time

from kvbench.clock import NS_PER_S
from kvbench.errors import KvConnectionError, KvProtocolError, KvRefusedError, ProtocolError
from kvbench.load.wire.connections import (
    EVENTS_MAX,
    RECEIVE_BYTES,
    Connections,
    LoadConnection,
    State,
)

CONNECT_TIMEOUT_NS = 5 * NS_PER_S
"""As long as the adapters wait."""


def open_all(connections: Connections) -> None:
    """Open all connections, and wait until the server has answered the greeting on each.

    Raises:
        KvConnectionError: it does not accept one, closes one, or is silent for five seconds.
        KvRefusedError: it answers a greeting with an error.
        KvProtocolError: it does not speak the protocol.
    """
    end_ns = time.perf_counter_ns() + CONNECT_TIMEOUT_NS
    for connection in connections.all:
        reason = connections.open(connection, time.perf_counter_ns())
        if reason:
            raise KvConnectionError(_refusal(connections, reason))
    while any(connection.state is not State.UP for connection in connections.all):
        if time.perf_counter_ns() > end_ns:
            raise KvConnectionError(_refusal(connections, "no answer within 5 s"))
        for fd, events in connections.poll(0.1, EVENTS_MAX):
            connection = connections.table[fd]
            data = _receive(connections, connection, events)
            if data is not None and _is_answered(connections, connection, data):
                connections.mark_up(connection)


def _receive(connections: Connections, connection: LoadConnection, events: int) -> bytes | None:
    """What a connection that is being opened has received; None for nothing yet."""
    assert connection.socket is not None
    failed = connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failed:
        raise KvConnectionError(_refusal(connections, os.strerror(failed)))
    if events & select.EPOLLOUT and not connections.write(connection):
        raise KvConnectionError(_refusal(connections, "the server closed it"))
    if not events & ~select.EPOLLOUT:
        return None
    try:
        return connection.receive(RECEIVE_BYTES)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        reason = os.strerror(error.errno or errno.ECONNRESET)
        raise KvConnectionError(_refusal(connections, reason)) from None


def _is_answered(connections: Connections, connection: LoadConnection, data: bytes) -> bool:
    if not data or connection.state is State.UP:
        reason = "the server sent what it was not asked for" if data else "the server closed it"
        raise KvConnectionError(_refusal(connections, reason))
    try:
        if not connection.replies.feed(data):
            return False
    except ProtocolError as error:
        raise KvProtocolError(_refusal(connections, str(error))) from None
    if connection.replies.failures:
        raise KvRefusedError(_refusal(connections, connection.replies.message))
    return True


def _refusal(connections: Connections, reason: str) -> str:
    ready = sum(connection.state is State.UP for connection in connections.all)
    return f"connection {ready + 1} of {len(connections.all)}: {reason}"
