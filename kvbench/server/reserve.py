"""Memory kept back for the moment when there is none.

A server that has used up its memory must still read, answer, close connections, set timers and
delete keys: all of it needs a little. So some memory is taken at the start, and given back to the
allocator at the first MemoryError. From then on the event loop lives on that. Requests that store
must not use it up: half of it is withheld while they run, so they find room in what was free or has
become free, or are refused. That ends when twice the reserve can be had.
"""

from __future__ import annotations

import mmap

_PIECE_BYTES = 256 * 1024
"""What the event loops read at once: the largest thing that they need."""

_PIECES = 32
"""Together 8 MiB of address space, never written to, so not of resident memory."""


class Reserve:
    """Memory of the process, kept back."""

    __slots__ = ("_held", "is_spent")

    def __init__(self) -> None:
        self._held = _pieces(_PIECES)
        self.is_spent = False
        """Whether the reserve has been given away and could not be had again so far."""

    def spend(self) -> None:
        """Give the reserve to the allocator, unless that was done before. Allocates nothing."""
        if not self.is_spent:
            self.is_spent = True
            self._held.clear()

    def withhold(self) -> None:
        """Before a request that stores: take half of what was given away, or all of it for good.

        Raises:
            MemoryError: there is not so much.
        """
        if not self.is_spent or self._held:
            return
        try:
            mmap.mmap(-1, 2 * _PIECES * _PIECE_BYTES).close()
        except (MemoryError, OSError):
            self._held = _pieces(_PIECES // 2)
        else:
            self._held = _pieces(_PIECES)
            self.is_spent = False

    def release(self) -> None:
        """After such requests: give back what was withheld."""
        if self.is_spent:
            self._held.clear()


def _pieces(count: int) -> list[bytes]:
    return [bytes(_PIECE_BYTES) for _ in range(count)]


reserve = Reserve()
"""The reserve of this process: memory belongs to the process, whatever runs in it."""
