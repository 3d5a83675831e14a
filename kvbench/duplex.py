"""Sending and receiving concurrently, on one blocking socket.

A client that sends many requests before reading a reply can block forever: a server with bounded
buffers stops reading while its replies are not read, and the client's send buffers are full. So
pipelines are sent while replies are read.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

POLLIN = getattr(select, "POLLIN", 1)
POLLOUT = getattr(select, "POLLOUT", 4)

_RECV_BYTES = 262_144
"""Pipelined replies come in bulk: a larger piece needs fewer calls."""


class Poll(Protocol):
    """The part of ``select.poll`` used here, for one stream."""

    def register(self, stream: socket.socket, events: int, /) -> None:
        """Watch a stream for events."""

    def modify(self, stream: socket.socket, events: int, /) -> None:
        """Change the watched events."""

    def poll(self, timeout_ms: float, /) -> list[tuple[int, int]]:
        """(descriptor, events) when there are some; empty after the given milliseconds."""


class _PollBySelect:
    """A :class:`Poll` where ``select.poll`` is missing: eventlet removes it."""

    def register(self, stream: socket.socket, events: int, /) -> None:
        self._stream, self._events = stream, events

    modify = register

    def poll(self, timeout_ms: float, /) -> list[tuple[int, int]]:
        watched = [self._stream]
        writers = watched if self._events & POLLOUT else []
        readable, writable, _ = select.select(watched, writers, [], timeout_ms / 1000)
        events = (POLLIN if readable else 0) | (POLLOUT if writable else 0)
        return [(self._stream.fileno(), events)] if events else []


def new_poll() -> Poll:
    """The system's poll, or the same by select."""
    return select.poll() if hasattr(select, "poll") else _PollBySelect()


def send_while_receiving(
    stream: socket.socket, requests: bytes, feed: Callable[[bytes], bool], timeout_s: float
) -> None:
    """Send ``requests`` in few writes, and pass all received bytes to ``feed``.

    Args:
        stream: connected; it stays non-blocking if this raises.
        requests: all of them.
        feed: takes received bytes, and returns whether all replies are complete.
        timeout_s: for the whole call.

    Raises:
        TimeoutError: not all came in time.
        OSError: the connection broke, or the peer closed it.
    """
    deadline = time.monotonic() + timeout_s
    before_s = stream.gettimeout()
    stream.setblocking(False)
    ready = new_poll()
    ready.register(stream, POLLIN)
    unsent = memoryview(requests)
    while True:
        unsent = _send_some(stream, unsent)
        ready.modify(stream, POLLIN | POLLOUT if unsent else POLLIN)
        left_s = deadline - time.monotonic()
        events = ready.poll(left_s * 1000) if left_s > 0 else []
        if not events:
            raise TimeoutError
        if events[0][1] & ~POLLOUT:
            data = stream.recv(_RECV_BYTES)
            if not data:
                raise ConnectionResetError("the server closed it")
            if feed(data):
                break
    stream.settimeout(before_s)


def _send_some(stream: socket.socket, unsent: memoryview) -> memoryview:
    """Send as much as the socket accepts now; returns the rest."""
    while unsent:
        try:
            unsent = unsent[stream.send(unsent) :]
        except BlockingIOError:
            break
    return unsent
