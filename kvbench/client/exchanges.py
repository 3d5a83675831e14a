"""Calls on a blocking connection: the I/O of :class:`~kvbench.protocol.client.ClientProtocol`.

Both functions take a connected stream, whose timeout is the request timeout, and the state machine
of its connection. They raise the state machine's errors, after which it is closed, and:

- TimeoutError: not all responses came in time.
- OSError: the stream broke.
- KvServerError: the server refused. The connection stays usable.
- KvTimeoutError: all was received, but not decoded in time. The connection stays usable.
"""

from __future__ import annotations

import socket
import time
from typing import TypeVar

from kvbench.client.commands import Command
from kvbench.client.decoding import decode
from kvbench.duplex import send_while_receiving
from kvbench.errors import KvProtocolError, KvServerError
from kvbench.protocol.client import ClientProtocol

T = TypeVar("T")

RECV_BYTES = 65_536


def call_one(stream: socket.socket, protocol: ClientProtocol[None], command: Command[T]) -> T:
    """Send a request and read its response."""
    request = protocol.send(command.request, time.monotonic(), None)
    deadline, timeout_s = request.deadline, protocol.request_timeout_s
    stream.sendall(protocol.data_to_send())
    left_s = deadline - time.monotonic()
    is_shortened = left_s < 0.95 * timeout_s  # Else the difference does not matter.
    while True:
        if is_shortened:
            if left_s <= 0:
                raise TimeoutError
            stream.settimeout(left_s)
        protocol.receive(stream.recv(RECV_BYTES))
        if not request.is_waited_for:
            break
        is_shortened = True
        left_s = deadline - time.monotonic()
    if protocol.is_closed:
        raise protocol.error()
    if is_shortened:
        stream.settimeout(timeout_s)
    try:
        return decode(command, request.responses[0], deadline)
    except KvProtocolError as error:
        raise protocol.distrust(error) from None


def call_each(
    stream: socket.socket, protocol: ClientProtocol[None], commands: list[Command[T]]
) -> list[T]:
    """Send all requests in one flush, and read a response to each; at least one request.

    When the server refuses some, the first KvServerError is raised; the others took effect.
    """
    frames = b"".join([command.request for command in commands])
    request = protocol.send(frames, time.monotonic(), None, len(commands))

    def feed(data: bytes) -> bool:
        protocol.receive(data)
        return not request.is_waited_for

    send_while_receiving(stream, protocol.data_to_send(), feed, protocol.request_timeout_s)
    if protocol.is_closed:
        raise protocol.error()
    found: list[T] = []
    refused: KvServerError | None = None
    deadline = request.deadline
    try:
        for command, response in zip(commands, request.responses, strict=True):
            try:
                found.append(decode(command, response, deadline))
            except KvServerError as error:
                refused = refused or error
    except KvProtocolError as error:
        raise protocol.distrust(error) from None
    if refused is not None:
        raise refused
    return found
