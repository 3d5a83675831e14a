"""Sockets of both clients: check timeouts, prepare a stream, explain a failed connect."""

from __future__ import annotations

import os
import socket

from kvbench.errors import KvConnectionError, UsageError

TIMEOUT_SECONDS_MAX = 1_000_000
"""Over eleven days. The operating system's poll allows at most 24 days."""


def check_timeouts(**seconds: float) -> None:
    """Check timeouts: each has a name and a number of seconds.

    Raises:
        UsageError: one is not above 0, longer than :data:`TIMEOUT_SECONDS_MAX`, or not a number.
    """
    for name, value in seconds.items():
        if not isinstance(value, int | float) or not 0 < value <= TIMEOUT_SECONDS_MAX:
            raise UsageError(
                f"{name} must be above 0 and at most {TIMEOUT_SECONDS_MAX} seconds, not {value!r}"
            )


def prepare(stream: socket.socket) -> None:
    """Prepare a connected stream: small requests are sent without delay (TCP_NODELAY).

    Raises:
        ConnectionRefusedError: it is connected to itself. Linux sometimes does that when nothing
            listens on a port in the range of client ports. Each request would return as its own
            reply, and a GET would look like an absent key.
    """
    if stream.getsockname() == stream.getpeername():
        raise ConnectionRefusedError("no server listens there")
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def no_connection(name: str, error: Exception, timeout_s: float) -> KvConnectionError:
    """The error for a server that could not be reached, in kvbench's words."""
    if isinstance(error, TimeoutError):
        return KvConnectionError(f"{name}: no connection within {timeout_s:g} s")
    if isinstance(error, UnicodeError):
        return KvConnectionError(f"{name}: no such host: DNS does not know the name")
    reason = str(error)
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        reason = os.strerror(error.errno)
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return KvConnectionError(f"{name}: no connection: {reason}; is a server running there?")
