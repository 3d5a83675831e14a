"""Frames as section 3 of the spec has them: ``code u8, payload_length u32, payload``.

The suite's own, as are :mod:`values <kvbench.conformance.wire.values>` and ``codec``: a fault that
the server's codec and a client's share would hide from a suite that uses the same.
"""

from __future__ import annotations

import struct

HEADER_BYTES = 5


def frame(code: int, payload: bytes) -> bytes:
    """One frame: an opcode or a status, and its payload."""
    return struct.pack(">BI", code, len(payload)) + payload


def declared_bytes(stream: bytes | bytearray, start: int = 0) -> int:
    """What the header at ``start`` declares; 0 as long as it is not whole."""
    if len(stream) - start < HEADER_BYTES:
        return 0
    return int.from_bytes(stream[start + 1 : start + HEADER_BYTES], "big")


def take_frames(stream: bytearray) -> list[tuple[int, bytes]]:
    """The whole frames at the start of ``stream``, code and payload, which leave it."""
    frames: list[tuple[int, bytes]] = []
    start = 0
    while len(stream) - start >= HEADER_BYTES:
        begin = start + HEADER_BYTES
        end = begin + declared_bytes(stream, start)
        if end > len(stream):
            break
        frames.append((stream[start], bytes(stream[begin:end])))
        start = end
    del stream[:start]
    return frames
