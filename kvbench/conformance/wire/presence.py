"""Whether a server of the wire protocol is there, and what else it may be.

A GET is sent, which changes nothing. A peer that answers or closes is there; what only a peer of
another protocol would say is recognised by its first bytes. Such a peer may wait for more than a
GET before it says anything:

- One whose protocol has lines waits for the end of one. On a separate connection :data:`LINE`
  ends one; a server of this protocol takes it for the beginning of a header, and does nothing.
- One that speaks TLS closes on what is no TLS, often without a word. :data:`TLS_RECORD` makes it
  speak; a server of ours takes it for a request that is never complete.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from dataclasses import dataclass
from enum import Enum, auto

from kvbench.conformance.wire.frames import frame
from kvbench.protocol.opcodes import Opcode

LINE = b"?\r\n"
"""Shorter than a header: no server of the wire protocol can act on it."""

TLS_RECORD = b"\x16\x03\x01\x00\x04\xff\x00\x00\x00"
"""A handshake message of a type that there is not: TLS answers with an alert."""

_PROBE = frame(Opcode.GET, b"kvbench:probe")

_LINE_AFTER_S = 1.0
"""A peer that has not answered a GET by then may be waiting for the end of a line."""

_SHOWN_BYTES = 40
"""Of what a peer has said: enough to know it again."""


class Absence(Enum):
    """In which way a server is not there."""

    UNREACHABLE = auto()
    SILENT = auto()
    OTHER_PROTOCOL = auto()


@dataclass(frozen=True, slots=True)
class Absent:
    """Why nothing can be said of a server.

    Attributes:
        how: whether it listens, and speaks.
        reason: one sentence, with what to do next.
    """

    how: Absence
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class _Protocol:
    """Another protocol: how its first bytes look, and what to do about it."""

    pattern: re.Pattern[bytes]
    name: str
    advice: str


_PROTOCOLS = [
    _Protocol(re.compile(pattern, re.IGNORECASE | re.DOTALL), name, advice)
    for pattern, name, advice in (
        (rb"SSH-\d", "an SSH server", "name the port of the store"),
        (rb"HTTP/\d|\s*<(!doctype|html)", "an HTTP server", "name the port of the store"),
        (rb"220[ -]", "a mail or FTP server", "name the port of the store"),
        (rb"(ERROR|(CLIENT_|SERVER_)ERROR .*)\r\n", "memcached", "use memcached://{place}"),
        (rb"-[A-Z]{3,} [^\r\n]*\r\n", "Redis", "use redis://{place}"),
        (rb"[\x15\x16]\x03[\x00-\x04]", "TLS", "name a port without TLS"),
    )
]
"""None of these bytes is a status, so no server of the wire protocol begins an answer with them."""


def why_absent(
    address: tuple[str, int], reply_timeout_s: float, patience_s: float = 0.0
) -> Absent | None:
    """Why nothing can be said of a server; None while it is there.

    It is there when it answers, or closes the connection, unless what it says is another protocol.

    Args:
        address: host and port.
        reply_timeout_s: how long it may take for a reply.
        patience_s: how much longer a connection and a reply may take, where it is restarted or
            busy with what came before.
    """
    place = f"{address[0]}:{address[1]}"
    until = time.monotonic() + patience_s
    while True:
        try:
            probe = socket.create_connection(address, reply_timeout_s)
            break
        except OSError as error:
            if time.monotonic() >= until:
                reason = (
                    f"{place}: no connection: {error.strerror or error}; is a server running there?"
                )
                return Absent(Absence.UNREACHABLE, reason)
            time.sleep(0.05)
    with probe:
        said = _first_words(address, probe, max(until, time.monotonic()) + reply_timeout_s)
    if said is None:
        reason = (
            f"{place} has not answered a GET within {reply_timeout_s + patience_s:g} s: does it "
            f"speak the wire protocol? Another kind of store needs its scheme, e.g. redis://{place}"
        )
        return Absent(Absence.SILENT, reason)
    other = recognised(said or _words_of_tls(address, reply_timeout_s), place)
    return Absent(Absence.OTHER_PROTOCOL, f"{place}: {other}") if other else None


def recognised(said: bytes, place: str) -> str:
    """What a peer looks like that begins so, and what to do; empty unless it is another protocol.

    Args:
        said: its first bytes.
        place: host and port, for the advice.
    """
    for one in _PROTOCOLS:
        if one.pattern.match(said):
            shown = said[:_SHOWN_BYTES].decode("ascii", "backslashreplace").strip()
            advice = one.advice.format(place=place)
            return f"this looks like {one.name}: {advice} (it said {shown!r})"
    return ""


def _first_words(address: tuple[str, int], probe: socket.socket, until: float) -> bytes | None:
    """What a peer says to a GET, or to the end of a line; empty for a close, None for nothing."""
    try:
        probe.sendall(_PROBE)
    except OSError:
        return b""
    said = _receive_any([probe], min(until, time.monotonic() + _LINE_AFTER_S))
    if said:
        return said[0][1]
    try:
        other = socket.create_connection(address, max(0.1, until - time.monotonic()))
    except OSError:
        other = socket.socket()  # It takes one connection at a time.
    with other:
        both = [probe]
        try:
            other.sendall(LINE)
            both.append(other)
        except OSError:
            pass
        while said := _receive_any(both, until):
            for spoken, words in said:
                # A server of ours says nothing to a part of a header, but may turn it away.
                if spoken is probe or recognised(words, ""):
                    return words
            both = [probe]
    return None


def _receive_any(
    connections: list[socket.socket], until: float
) -> list[tuple[socket.socket, bytes]]:
    """Which connections have spoken, or closed, and what they said; none when it got too late."""
    with selectors.DefaultSelector() as selector:
        for one in connections:
            selector.register(one, selectors.EVENT_READ)
        ready = selector.select(max(0.0, until - time.monotonic()))
    return [(one, _receive(one)) for key, _ in ready for one in connections if one is key.fileobj]


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(256)
    except OSError:
        return b""  # Closed: a server is there.


def _words_of_tls(address: tuple[str, int], timeout_s: float) -> bytes:
    """What a peer that closes on a GET says to a record of TLS."""
    try:
        with socket.create_connection(address, timeout_s) as probe:
            probe.settimeout(min(timeout_s, _LINE_AFTER_S))
            probe.sendall(TLS_RECORD)
            return probe.recv(256)
    except OSError:
        return b""
