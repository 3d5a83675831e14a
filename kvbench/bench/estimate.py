"""How long a run will take: first a guess from the plan, then from what was seen of each target."""

from __future__ import annotations

from kvbench.bench.arms import Arm
from kvbench.bench.blocks import Lane, is_mirrored
from kvbench.bench.plan import Operation, Plan, Settings

_CALL_NS_NETWORK = 60_000.0
_CALL_NS_IN_PROCESS = 200.0
_OVERHEAD = 1.3
"""Calibration, checks, filling and statistics, as a factor on the timed slices."""


class TimeLeft:
    """Keeps count of what is still to be done, in expected seconds.

    Args:
        plan: the run.
        is_network: for each target of the plan, whether its calls leave the process.
    """

    def __init__(self, plan: Plan, is_network: list[bool]) -> None:
        self._settings = plan.settings
        self._cells = [
            (place, *cell) for place, one in enumerate(plan.targets) for cell in one.cells
        ]
        self._call_ns = [_CALL_NS_NETWORK if far else _CALL_NS_IN_PROCESS for far in is_network]

    def learn(self, target: int, individual: Lane, batch_size: int) -> None:
        """A target's single calls were calibrated: believe that rather than the guess."""
        self._call_ns[target] = individual.slice_ns / (individual.passes * batch_size)

    def finish(self, target: int, operation: Operation, batch_size: int) -> None:
        """A cell is done, or will not be."""
        self._cells.remove((target, operation, batch_size))

    def seconds(self, current_share: float = 0.0) -> float:
        """Expected seconds to the end, when this share of the first unfinished cell is done."""
        times = [
            cell_seconds(self._settings, self._call_ns[target], batch_size)
            for target, _, batch_size in self._cells
        ]
        return sum(times) - (times[0] * current_share if times else 0.0)


def cell_seconds(settings: Settings, call_ns: float, batch_size: int) -> float:
    """Expected seconds for a cell whose single calls take ``call_ns`` each."""
    slice_ns = max(settings.slice_ns, round(call_ns * batch_size))
    lane = Lane(Arm.INDIVIDUAL, 1, slice_ns)
    repeats = 2 if is_mirrored([lane], settings.slice_ns) else 1
    block_ns = repeats * (slice_ns + settings.slice_ns)
    return _OVERHEAD * (settings.blocks + 1) * block_ns / 1e9
