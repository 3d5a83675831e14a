"""Keys counted by blocks of time, so that due keys of any number are counted in few steps.

Fine blocks are 2**13 ms (8 s) and coarse ones 2**26 ms (19 h): ten years are under 5,000 coarse
blocks, each of 8,192 fine ones, each of 8,192 milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

Totals = list[tuple[dict[int, int], int, int]]
"""New totals: (the dict, the block in it, the total); a total of 0 means removal."""

FINE_BITS = 13
COARSE_BITS = 26


class CountsByTime:
    """How many keys expire in each block of time."""

    __slots__ = ("_coarse", "_fine")

    def __init__(self) -> None:
        self._fine: dict[int, int] = {}
        self._coarse: dict[int, int] = {}

    def plan(self, deltas: Mapping[int, int]) -> Totals:
        """The totals after ``deltas`` (milliseconds and change of the count), ready to be stored.

        Every block gets an entry here, with 0 keys if necessary (which changes no count), so that
        storing cannot fail.
        """
        plan: Totals = []
        for counts, bits in ((self._fine, FINE_BITS), (self._coarse, COARSE_BITS)):
            totals: dict[int, int] = {}
            for deadline_ms in deltas:
                block = deadline_ms >> bits
                totals[block] = totals.get(block, 0) + deltas[deadline_ms]
            for block in totals:
                delta = totals[block]
                if delta:
                    plan.append((counts, block, counts.setdefault(block, 0) + delta))
        return plan

    def up_to(self, now_ms: int) -> tuple[int, range]:
        """Keys in all fine blocks before that of ``now_ms``, and the offset of ``now_ms`` in it."""
        coarse, fine = now_ms >> COARSE_BITS, now_ms >> FINE_BITS
        total = sum([self._coarse[block] for block in self._coarse if block < coarse])
        first = coarse << (COARSE_BITS - FINE_BITS)
        total += sum([self._fine.get(block, 0) for block in range(first, fine)])
        return total, range(fine << FINE_BITS, now_ms + 1)
