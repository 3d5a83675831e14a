"""One call on a blocking connection: requests out, as many responses in, nothing more.

What comes beyond the responses that are due, or cannot be one, is a KvProtocolError: the connection
must be closed then, as after every other error.
"""

from __future__ import annotations

import socket
import time

from kvbench.client.decoding import too_large
from kvbench.duplex import send_while_receiving
from kvbench.errors import KvProtocolError
from kvbench.protocol.frames import FrameReader

RECV_BYTES = 65_536


def exchange_one(
    stream: socket.socket, reader: FrameReader, request: bytes, timeout_s: float
) -> tuple[int, bytes]:
    """Send a request and read the one response that is due, all within the timeout.

    Args:
        stream: connected; its own timeout is ``timeout_s``.
        reader: of the connection's frames.
        request: a whole frame.
        timeout_s: of both together.

    Returns:
        Status and payload.

    Raises:
        TimeoutError: the response did not come in time.
        OSError: the connection broke.
        KvProtocolError: the response is too large, or more than one came.
    """
    deadline = time.monotonic() + timeout_s
    stream.sendall(request)
    left_s = deadline - time.monotonic()
    is_shortened = left_s < 0.95 * timeout_s  # Else the rest is as good as the whole.
    while True:
        if is_shortened:
            if left_s <= 0:
                raise TimeoutError
            stream.settimeout(left_s)
        data = stream.recv(RECV_BYTES)
        if not data:
            raise ConnectionResetError("the server closed it")
        frames = reader.feed(data)
        if frames:
            break
        if reader.oversize_bytes:
            raise too_large(reader)
        is_shortened = True
        left_s = deadline - time.monotonic()
    if len(frames) > 1 or reader.buffered_bytes or reader.oversize_bytes:
        raise KvProtocolError("more came than the one response that was due")
    if is_shortened:
        stream.settimeout(timeout_s)
    return frames[0]


def exchange_many(
    stream: socket.socket, reader: FrameReader, requests: list[bytes], timeout_s: float
) -> list[tuple[int, bytes]]:
    """Send all requests in one flush and read a response to each, all within the timeout.

    Arguments and errors as :func:`exchange_one`; there is at least one request.
    """
    frames: list[tuple[int, bytes]] = []

    def feed(data: bytes) -> bool:
        frames.extend(reader.feed(data))
        if len(frames) < len(requests) and reader.oversize_bytes:
            raise too_large(reader)
        return len(frames) >= len(requests)

    send_while_receiving(stream, b"".join(requests), feed, timeout_s)
    if len(frames) > len(requests) or reader.buffered_bytes or reader.oversize_bytes:
        raise KvProtocolError(f"more came than the {len(requests)} responses that were due")
    return frames
