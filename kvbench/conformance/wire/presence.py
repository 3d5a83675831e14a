"""Whether a server of the wire protocol is there, and what else it may be.

A GET is sent, which changes nothing. A peer that answers or closes is there; what only a peer of
another protocol would say is recognised by its first bytes. Such a peer may wait for more than a
GET before it says anything:

- One whose protocol has lines waits for the end of one. On a separate connection :data:`LINE`
  ends one; a server of this protocol takes it for the beginning of a header, and does nothing.
- A server of ours that reads lengths in the wrong byte order waits for the rest of a GET. It
  answers a PING, which has none.
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

from kvbench.conformance.wire.frames import HEADER_BYTES, declared_bytes, frame
from kvbench.protocol.opcodes import Opcode

LINE = b"?\r\n"
"""Shorter than a header: no server of the wire protocol can act on it."""

TLS_RECORD = b"\x16\x03\x01\x00\x04\xff\x00\x00\x00"
"""A handshake message of a type that there is not: TLS answers with an alert."""

_PROBE = frame(Opcode.GET, b"kvbench:probe")

_PING = frame(Opcode.PING, b"")
"""Without a payload, its length is the same in any byte order."""

_ANSWER_BYTES_MAX = 65_536
"""Of an answer to a GET of a key that is hardly there: more is not read."""

STARTED_S = 15.0
"""A server that a command starts listens by then."""

_LINE_AFTER_S = 1.0
"""A peer that has not answered a GET by then may be waiting for the end of a line."""

_ENDING_S = 0.05

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
            with probe:
                latest = max(until, time.monotonic()) + reply_timeout_s
                said = _first_words(address, probe, latest)
            if said == b"":
                # A process that ends closes its connections first, and then listens no more.
                time.sleep(_ENDING_S)
                socket.create_connection(address, reply_timeout_s).close()
            break
        except OSError as error:
            if time.monotonic() >= until:
                reason = (
                    f"{place}: no connection: {error.strerror or error}; is a server running there?"
                )
                # A process that is there but accepts no client is busy, or hangs.
                is_slow = isinstance(error, TimeoutError)
                return Absent(Absence.SILENT if is_slow else Absence.UNREACHABLE, reason)
            time.sleep(0.05)
    if said is None:
        reason = (
            f"{place} has not answered a GET within {reply_timeout_s + patience_s:g} s: does it "
            f"speak the wire protocol? Another kind of store needs its scheme, e.g. redis://{place}"
        )
        return Absent(Absence.SILENT, reason)
    other = recognised(said or _words_to(TLS_RECORD, address, reply_timeout_s) or b"", place)
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


@dataclass(frozen=True, slots=True)
class Misframed:
    """Why nothing that a server says can be read.

    Attributes:
        reason: for people.
        is_byte_order: whether it is only that its lengths are little-endian.
    """

    reason: str
    is_byte_order: bool


def why_misframed(address: tuple[str, int], timeout_s: float) -> Misframed | None:
    """Why the frames of a server that is there cannot be read; None where they can.

    Silence is no evidence of it, unless a request with a little-endian length is answered.
    """
    for request in (_PING, _PROBE):
        said = _answer(address, request, timeout_s)
        problem = misframed(said) if said else None
        if problem is not None:
            return problem
    swapped = _PROBE[:1] + _PROBE[HEADER_BYTES - 1 : 0 : -1] + _PROBE[HEADER_BYTES:]
    if said == b"" and _answer(address, swapped, timeout_s):
        reason = "a GET is answered only if the length of its payload is sent as little-endian"
        return Misframed(reason, is_byte_order=True)
    return None


def misframed(said: bytes) -> Misframed | None:
    """Why the answer to one request is no whole frame; None where it is one.

    Args:
        said: all that came before the server was silent.
    """
    shown = said[:_SHOWN_BYTES].hex(" ")
    came, declared = len(said) - HEADER_BYTES, declared_bytes(said)
    if came == declared:
        return None
    if came < 0:
        reason = f"an answer has {len(said)} bytes, less than a header: {shown}"
        return Misframed(reason, is_byte_order=False)
    is_swapped = int.from_bytes(said[1:HEADER_BYTES], "little") == came
    hint = "; as little-endian it would be right" if is_swapped else ""
    return Misframed(
        f"an answer declares {declared:,} bytes of payload, and {came:,} came: {shown}{hint}",
        is_swapped,
    )


def _answer(address: tuple[str, int], request: bytes, timeout_s: float) -> bytes | None:
    """All that comes for a request; empty for silence, None for a close."""
    try:
        with socket.create_connection(address, timeout_s) as probe:
            probe.sendall(request)
            return _read_frame(probe, timeout_s)
    except OSError:
        return None


def _read_frame(probe: socket.socket, timeout_s: float) -> bytes | None:
    """What comes until a frame is whole, or nothing more within a timeout; None for a close."""
    said = b""
    until = time.monotonic() + timeout_s
    while len(said) < HEADER_BYTES or len(said) - HEADER_BYTES < declared_bytes(said):
        probe.settimeout(max(0.01, until - time.monotonic()))
        try:
            data = probe.recv(_ANSWER_BYTES_MAX)
        except TimeoutError:
            return said
        if not data:
            return said or None
        said += data
        if len(said) >= _ANSWER_BYTES_MAX:
            break
    return said


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
    return _words_to(_PING, address, _LINE_AFTER_S)


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


def _words_to(request: bytes, address: tuple[str, int], timeout_s: float) -> bytes | None:
    """What a peer says to something else than a GET; None for nothing."""
    try:
        with socket.create_connection(address, timeout_s) as probe:
            probe.settimeout(min(timeout_s, _LINE_AFTER_S))
            probe.sendall(request)
            return probe.recv(256) or None
    except OSError:
        return None
