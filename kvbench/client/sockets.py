"""What both clients do at the socket: check timeouts, prepare a stream, say why none was had."""

from __future__ import annotations

import os
import socket

from kvbench.errors import KvConnectionError, UsageError

TIMEOUT_SECONDS_MAX = 1_000_000
"""Over eleven days. The operating system's poll takes 24 days at most."""


def check_timeouts(**seconds: float) -> None:
    """Refuse timeouts that are no time: each has a name and a number of seconds.

    Raises:
        UsageError: one is not above 0, or longer than :data:`TIMEOUT_SECONDS_MAX`, or no number.
    """
    for name, value in seconds.items():
        if not isinstance(value, int | float) or not 0 < value <= TIMEOUT_SECONDS_MAX:
            raise UsageError(
                f"{name} must be above 0 and at most {TIMEOUT_SECONDS_MAX} seconds, not {value!r}"
            )


def prepare(stream: socket.socket) -> None:
    """Make a connected stream fit for requests: no waiting for more before a small one is sent.

    Raises:
        ConnectionRefusedError: it is connected to itself. Linux does that now and then when nobody
            listens on a port from which connections are made; each request would come back as its
            own reply, and a GET read so looks like an absent key.
    """
    if stream.getsockname() == stream.getpeername():
        raise ConnectionRefusedError("nobody listens there")
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def no_connection(name: str, error: Exception, timeout_s: float) -> KvConnectionError:
    """Why the server called ``name`` could not be reached, in our own words."""
    if isinstance(error, TimeoutError):
        return KvConnectionError(f"{name}: no connection within {timeout_s:g} s")
    if isinstance(error, UnicodeError):
        return KvConnectionError(f"{name}: no such host: its name is not one of the DNS")
    reason = str(error)
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        reason = os.strerror(error.errno)
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return KvConnectionError(f"{name}: no connection: {reason}; is a server running there?")
