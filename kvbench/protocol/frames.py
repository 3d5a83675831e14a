"""Frames: ``code u8, payload_length u32, payload``, the same in both directions.

:class:`FrameReader` cuts a byte stream into frames, however it was fragmented. It holds at most
one unfinished frame and what was pushed last, and never a frame that is over the limit: a header
that declares too much stops the reader before a single byte of that payload is kept (LIMIT-001).

Compiled by mypyc where a C compiler is there.
"""

import struct
from typing import Final

from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX

HEADER_BYTES: Final = 5
FRAME_COST_BYTES: Final = 48
"""What a frame counts beside its payload when frames are taken in portions: about the work that
the smallest request makes, in the bytes of a payload that make as much."""

_NO_LIMIT: Final = 1 << 60
_pack_header: Final = struct.Struct(">BI").pack


def frame(code: int, payload: bytes) -> bytes:
    """One frame: an opcode or a status, and its payload."""
    header: bytes = _pack_header(code, len(payload))
    return header + payload


def frame_header(code: int, payload_bytes: int) -> bytes:
    """The header of a frame whose payload has so many bytes."""
    header: bytes = _pack_header(code, payload_bytes)
    return header


class FrameReader:
    """Cuts a stream of bytes into ``(code, payload)`` frames.

    Whoever answers all frames at once calls :meth:`feed`; whoever answers them in portions calls
    :meth:`push`, and :meth:`take` as long as :attr:`has_more`.

    Args:
        payload_bytes_max: the largest payload that is accepted.

    Attributes:
        oversize_bytes: what the first header over the limit declared; 0 as long as there was none.
            The frames before it can still be taken. Everything from there on is dropped: the
            stream cannot be trusted any more, so answer and close.
        has_more: whether :meth:`take` may give a frame, or come upon a header over the limit.
        frames_taken: how many frames were given out.
    """

    def __init__(self, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self.payload_bytes_max = payload_bytes_max
        self.oversize_bytes = 0
        self.has_more = False
        self.frames_taken = 0
        self._data = b""
        self._at = 0
        """Where in ``_data`` the next frame begins, unless ``_partial`` holds its beginning."""
        self._partial = bytearray()
        """An unfinished frame; what completes it is in ``_data``, from ``_at`` on."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes that are held: of the unfinished frame, and of what was not taken yet."""
        return len(self._partial) + len(self._data) - self._at

    @property
    def is_in_frame(self) -> bool:
        """Whether the stream ends, so far, inside a frame."""
        return len(self._partial) > 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next bytes of the stream and return the frames that they complete, in order."""
        self.push(data)
        return self.take(_NO_LIMIT)

    def push(self, data: bytes) -> None:
        """Take the next bytes of the stream, for :meth:`take` to cut."""
        if self.oversize_bytes > 0:
            return
        if self._at < len(self._data):
            data = self._data[self._at :] + data
        self._data = data
        self._at = 0
        self.has_more = True

    def take(self, budget_bytes: int) -> list[tuple[int, bytes]]:
        """The next frames, in order, until their payloads have used up the budget.

        Each counts :data:`FRAME_COST_BYTES` more. So a frame with a payload that is larger than the
        budget is always the last.
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
            # What is left is the beginning of a frame.
            if start < size:
                self._partial += data[start:]
            self._data = b""
            start = 0
            self.has_more = False
        self._at = start
        self.frames_taken += len(frames)
        return frames

    def _complete_partial(self, frames: list[tuple[int, bytes]]) -> bool:
        """Move to the unfinished frame what belongs to it; once it is whole, to ``frames``."""
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
        """Move bytes from ``_data`` until ``partial`` has ``needed``, or there are none."""
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
