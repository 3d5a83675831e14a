"""Frames: ``code u8, payload_length u32, payload``, the same in both directions.

:class:`FrameReader` cuts a byte stream into frames, however it was fragmented. It holds at most
one unfinished frame, and never one that is over the limit: a header that declares too much stops
the reader before a single byte of that payload is kept (LIMIT-001).

Compiled by mypyc where a C compiler is there.
"""

import struct
from typing import Final

from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX

HEADER_BYTES: Final = 5
_pack_header: Final = struct.Struct(">BI").pack


def frame(code: int, payload: bytes) -> bytes:
    """One frame: an opcode or a status, and its payload."""
    header: bytes = _pack_header(code, len(payload))
    return header + payload


class FrameReader:
    """Cuts a stream of bytes into ``(code, payload)`` frames.

    Args:
        payload_bytes_max: the largest payload that is accepted.
    """

    def __init__(self, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self.payload_bytes_max = payload_bytes_max
        self.oversize_bytes = 0
        """What the first header over the limit declared; 0 as long as there was none."""
        self._partial = bytearray()
        self._needed = HEADER_BYTES

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the unfinished frame that are held."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes of the stream and return the frames that they complete, in order.

        When a header declares more than the limit, the frames before it are returned,
        :attr:`oversize_bytes` tells what it declared, and everything from there on is dropped:
        the stream cannot be trusted any more, so answer and close.
        """
        frames: list[tuple[int, bytes]] = []
        if self.oversize_bytes:
            return frames
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return frames
            data = bytes(self._partial)
            self._partial = bytearray()
        start = 0
        size = len(data)
        while size - start >= HEADER_BYTES:
            length = (
                (data[start + 1] << 24)
                | (data[start + 2] << 16)
                | (data[start + 3] << 8)
                | data[start + 4]
            )
            if length > self.payload_bytes_max:
                self.oversize_bytes = length
                return frames
            end = start + HEADER_BYTES + length
            if end > size:
                self._needed = HEADER_BYTES + length
                self._partial += data[start:]
                return frames
            frames.append((data[start], data[start + HEADER_BYTES : end]))
            start = end
        if start < size:
            self._needed = HEADER_BYTES
            self._partial += data[start:]
        return frames
