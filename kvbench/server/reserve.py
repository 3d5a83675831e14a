"""Memory reserved for when the process runs out of it.

A server without free memory must still read, answer, close connections, set timers and delete keys.
Each needs a little memory. So some is allocated at the start, and freed at the first MemoryError:
from then on the event loop uses it. Requests that store must not use it up. So half of it is
withheld while they run: they use other free memory, or are rejected. This ends when twice the
reserve can be allocated again.
"""

from __future__ import annotations

import mmap

_PIECE_BYTES = 256 * 1024
"""Buffer size of a read in the event loops: their largest allocation."""

_PIECES = 32
"""8 MiB of address space together, never written to, so not resident."""


class Reserve:
    """Reserved memory of the process."""

    __slots__ = ("_held", "is_spent")

    def __init__(self) -> None:
        self._held = _pieces(_PIECES)
        self.is_spent = False
        """Whether the reserve was freed and could not be allocated again so far."""

    def spend(self) -> None:
        """Free the reserve, unless that was done already. Allocates nothing."""
        if not self.is_spent:
            self.is_spent = True
            self._held.clear()

    def withhold(self) -> None:
        """Before a request that stores: allocate half of the freed reserve, or all permanently.

        Raises:
            MemoryError: not enough memory.
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
        """After such requests: free the withheld half."""
        if self.is_spent:
            self._held.clear()


def _pieces(count: int) -> list[bytes]:
    return [bytes(_PIECE_BYTES) for _ in range(count)]


reserve = Reserve()
"""The reserve of this process. Memory belongs to the process, so there is one."""
