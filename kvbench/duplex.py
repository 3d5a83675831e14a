"""Sending and receiving at the same time, on one blocking socket.

Whoever sends many requests before reading a reply can wait for ever: a server that bounds its
buffers stops reading while its replies are not fetched, and the sender's own buffers are full. So
pipelines are sent while what comes back is already read.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

_RECV_BYTES = 262_144
"""Pipelined replies come in bulk: a larger piece costs fewer calls."""


def send_while_receiving(
    stream: socket.socket, requests: bytes, feed: Callable[[bytes], bool], timeout_s: float
) -> None:
    """Send ``requests`` in as few writes as the socket takes, and pass all that comes to ``feed``.

    Args:
        stream: connected; it is left without blocking when this raises.
        requests: all of them.
        feed: takes the next bytes received, and says whether they were the last that are due.
        timeout_s: of the whole.

    Raises:
        TimeoutError: not all came in time.
        OSError: the connection broke, or the peer closed it.
    """
    deadline = time.monotonic() + timeout_s
    before_s = stream.gettimeout()
    stream.setblocking(False)
    ready = select.poll()
    ready.register(stream, select.POLLIN)
    unsent = memoryview(requests)
    while True:
        unsent = _send_some(stream, unsent)
        ready.modify(stream, select.POLLIN | select.POLLOUT if unsent else select.POLLIN)
        left_s = deadline - time.monotonic()
        events = ready.poll(left_s * 1000) if left_s > 0 else []
        if not events:
            raise TimeoutError
        if events[0][1] & ~select.POLLOUT:
            data = stream.recv(_RECV_BYTES)
            if not data:
                raise ConnectionResetError("the server closed it")
            if feed(data):
                break
    stream.settimeout(before_s)


def _send_some(stream: socket.socket, unsent: memoryview) -> memoryview:
    """Send what the socket takes now; returns the rest."""
    while unsent:
        try:
            unsent = unsent[stream.send(unsent) :]
        except BlockingIOError:
            break
    return unsent
