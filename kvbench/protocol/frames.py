"""Frames: ``code u8, payload_length u32, payload``, the same in both directions.

:class:`FrameReader` splits a byte stream into frames, however it was fragmented. It holds at most
one unfinished frame and the last pushed bytes, and never a frame over the limit: an oversize header
stops the reader before any byte of its payload is stored (LIMIT-001).

Compiled by mypyc if there is a C compiler.
"""

import struct
from typing import Final

from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX

HEADER_BYTES: Final = 5
FRAME_COST_BYTES: Final = 48
"""Added to the payload of each frame taken in portions: the work of the smallest request,
expressed as bytes of payload that cause as much work."""

_NO_LIMIT: Final = 1 << 60
_pack_header: Final = struct.Struct(">BI").pack


def frame(code: int, payload: bytes) -> bytes:
    """One frame: an opcode or a status, and its payload."""
    header: bytes = _pack_header(code, len(payload))
    return header + payload


def frame_header(code: int, payload_bytes: int) -> bytes:
    """The header of a frame with a payload of that many bytes."""
    header: bytes = _pack_header(code, payload_bytes)
    return header


class FrameReader:
    """Splits a stream of bytes into ``(code, payload)`` frames.

    To process all frames at once, call :meth:`feed`; to process them in portions, call
    :meth:`push`, and :meth:`take` while :attr:`has_more`.

    Args:
        payload_bytes_max: largest accepted payload.

    Attributes:
        oversize_bytes: declared payload of the first header over the limit; 0 if there was none.
            The frames before it can still be taken. Everything after it is dropped: the stream
            cannot be trusted any more, so answer and close.
        has_more: whether :meth:`take` may return a frame, or find a header over the limit.
        frames_taken: number of frames returned.
    """

    def __init__(self, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self.payload_bytes_max = payload_bytes_max
        self.oversize_bytes = 0
        self.has_more = False
        self.frames_taken = 0
        self._data = b""
        self._at = 0
        """Offset of the next frame in ``_data``, unless it begins in ``_partial``."""
        self._partial = bytearray()
        """An unfinished frame; its rest is in ``_data``, from ``_at`` on."""

    @property
    def buffered_bytes(self) -> int:
        """Number of stored bytes: of the unfinished frame, and of data not taken yet."""
        return len(self._partial) + len(self._data) - self._at

    @property
    def is_in_frame(self) -> bool:
        """Whether the stream so far ends inside a frame."""
        return len(self._partial) > 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes of the stream; returns the frames that they complete, in order."""
        self.push(data)
        return self.take(_NO_LIMIT)

    def push(self, data: bytes) -> None:
        """Take the next bytes of the stream, to be split by :meth:`take`."""
        if self.oversize_bytes > 0:
            return
        if self._at < len(self._data):
            data = self._data[self._at :] + data
        self._data = data
        self._at = 0
        self.has_more = True

    def take(self, budget_bytes: int) -> list[tuple[int, bytes]]:
        """The next frames, in order, until their payloads reach the budget.

        Each counts :data:`FRAME_COST_BYTES` more. A frame with a payload larger than the budget is
        always the last.
        """
        frames: list[tuple[int, bytes]] = []
        if self.oversize_bytes > 0:
            return frames
        if self._partial:
            if not self._complete_partial(frames):
                self.has_more = False
                return frames
            budget_bytes -= FRAME_COST_BYTES + len(frames[0][1])
        data = self._data
        start = self._at
        size = len(data)
        while budget_bytes > 0 and size - start >= HEADER_BYTES:
            length = (
                (data[start + 1] << 24)
                | (data[start + 2] << 16)
                | (data[start + 3] << 8)
                | data[start + 4]
            )
            end = start + HEADER_BYTES + length
            if length > self.payload_bytes_max:
                self._stop(length)
                self.frames_taken += len(frames)
                return frames
            if end > size:
                break
            frames.append((data[start], data[start + HEADER_BYTES : end]))
            budget_bytes -= FRAME_COST_BYTES + length
            start = end
        if budget_bytes > 0:
            # The rest is the beginning of a frame.
            if start < size:
                self._partial += data[start:]
            self._data = b""
            start = 0
            self.has_more = False
        self._at = start
        self.frames_taken += len(frames)
        return frames

    def _complete_partial(self, frames: list[tuple[int, bytes]]) -> bool:
        """Complete the unfinished frame from the data; if it is whole, add it to ``frames``."""
        partial = self._partial
        self._fill(partial, HEADER_BYTES)
        if len(partial) < HEADER_BYTES:
            return False
        length = (partial[1] << 24) | (partial[2] << 16) | (partial[3] << 8) | partial[4]
        if length > self.payload_bytes_max:
            self._stop(length)
            return False
        self._fill(partial, HEADER_BYTES + length)
        if len(partial) < HEADER_BYTES + length:
            return False
        # Through a view, so that a payload of 64 MiB is copied once.
        with memoryview(partial) as view:
            frames.append((partial[0], bytes(view[HEADER_BYTES:])))
        self._partial = bytearray()
        return True

    def _fill(self, partial: bytearray, needed: int) -> None:
        """Move bytes from ``_data`` until ``partial`` has ``needed``, or no more are left."""
        missing = needed - len(partial)
        if missing > 0:
            data = self._data
            end = min(self._at + missing, len(data))
            partial += data if self._at == 0 and end == len(data) else data[self._at : end]
            self._at = end

    def _stop(self, length: int) -> None:
        self.oversize_bytes = length
        self.has_more = False
        self._data = b""
        self._at = 0
        self._partial = bytearray()
