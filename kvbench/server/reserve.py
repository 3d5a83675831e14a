"""Memory kept back for the moment when there is none.

A server that has used up its memory must still answer, close connections, set timers and delete
keys: all of it needs a little. So some address space is reserved at the start, and given back to
the allocator at the first MemoryError. While it cannot be reserved again, requests that store are
refused (:meth:`Reserve.is_short`): else they would use up the rest, and the event loop itself would
fail.
"""

from __future__ import annotations

import mmap

RESERVE_BYTES = 8 * 1024 * 1024
"""Eight arenas of Python's allocator. Reserved, not used: it does not count as resident memory."""


class Reserve:
    """Memory of the process, kept back."""

    __slots__ = ("_held", "is_spent")

    def __init__(self) -> None:
        self._held: mmap.mmap | None = mmap.mmap(-1, RESERVE_BYTES)
        self.is_spent = False
        """Whether the reserve has been given away and not been seen since."""

    def spend(self) -> None:
        """Give the reserve to the allocator. Allocates nothing."""
        self.is_spent = True
        if self._held is not None:
            self._held.close()
            self._held = None

    def is_short(self) -> bool:
        """Whether there is still no memory to reserve. If there is, it is reserved again."""
        if self.is_spent:
            try:
                self._held = mmap.mmap(-1, RESERVE_BYTES)
                self.is_spent = False
            except (MemoryError, OSError):
                return True
        return False


reserve = Reserve()
"""The reserve of this process: memory belongs to the process, whatever runs in it."""
