"""What the cells mean: which speedups are real, and the mean over those that count.

A speedup is judged against its target's noise floor: the interval of the individual arm measured
against itself, stretched to hold 1 where it does not. An interval that overlaps the floor says
nothing about batching. The mean is geometric, as it must be for ratios (Fleming and Wallace 1986),
over all cells that have a speedup; emulated batches are no batches and stay out. Cells are measured
one after the other, so their errors are taken for independent and add up as squares.

Everything here is pure: results in, figures out, no text for people.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvbench.model import BatchKind
from kvbench.results import Cell, Interval, Results, Target

OPERATIONS = ("mget", "mset", "mdel", "mexists")
"""The order in which operations are shown; others come after them."""

CLIENT_BOUND_SHARE = 0.9
"""From this share of a core upwards the measuring process itself is taken for the bottleneck."""


class Judgement(StrEnum):
    """What a cell says about its batch."""

    FASTER = "faster"
    SLOWER = "slower"
    UNCLEAR = "not-distinguishable"
    EMULATED = "emulated"
    NO_NUMBER = "no-number"


@dataclass(frozen=True, slots=True)
class Mean:
    """A geometric mean of speedups.

    Attributes:
        speedup: the mean with its interval, None when no cell counts.
        counted: cells in the mean.
        cells: cells there are.
    """

    speedup: Interval | None
    counted: int
    cells: int


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """One target with its cells, and what they come to.

    Attributes:
        target: as its record says; made up from the cells when they have no such record.
        cells: in the order in which they were measured; a cell measured again replaces the first.
        ops: the operations of the cells, in the order in which they are shown.
        sizes: the batch sizes of the cells, ascending.
        mean: over all cells.
        mean_by_op: over the cells of each operation.
    """

    target: Target
    cells: tuple[Cell, ...]
    ops: tuple[str, ...]
    sizes: tuple[int, ...]
    mean: Mean
    mean_by_op: dict[str, Mean]

    def cell(self, op: str, batch_size: int) -> Cell | None:
        """The cell of an operation and size, None when it was not reached or not asked for."""
        found = (cell for cell in self.cells if (cell.op, cell.batch_size) == (op, batch_size))
        return next(found, None)

    def kinds(self) -> dict[str, str]:
        """Operation -> its batch kind; several where it differs by batch size."""
        return {op: "/".join(_distinct(self._cells_of(op))) for op in self.ops}

    def _cells_of(self, op: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.op == op]


def summarise(results: Results) -> tuple[TargetSummary, ...]:
    """Every target with its cells, in the order of the file."""
    targets = {target.target: target for target in results.targets}
    for cell in results.cells:
        targets.setdefault(cell.target, Target(cell.target, is_network=False, facts={}))
    return tuple([_summarise_target(target, results.cells) for target in targets.values()])


def _summarise_target(target: Target, all_cells: Sequence[Cell]) -> TargetSummary:
    mine = {(one.op, one.batch_size): one for one in all_cells if one.target == target.target}
    cells = tuple(mine.values())
    ops = sorted({cell.op for cell in cells}, key=_rank)
    return TargetSummary(
        target=target,
        cells=cells,
        ops=tuple(ops),
        sizes=tuple(sorted({cell.batch_size for cell in cells})),
        mean=geometric_mean(cells),
        mean_by_op={op: geometric_mean([one for one in cells if one.op == op]) for op in ops},
    )


def geometric_mean(cells: Sequence[Cell]) -> Mean:
    """The geometric mean of the speedups of those cells that have one and are no emulation."""
    counted = [
        cell.speedup
        for cell in cells
        if cell.speedup is not None
        and cell.speedup.estimate > 0
        and cell.batch_kind != BatchKind.EMULATED
    ]
    return Mean(_mean_of(counted) if counted else None, len(counted), len(cells))


def _mean_of(speedups: Sequence[Interval]) -> Interval:
    estimate = statistics.geometric_mean([one.estimate for one in speedups])
    # Half of each interval's width in logarithms, where a ratio's error is symmetric.
    halves = [math.log(one.high / one.low) / 2 for one in speedups if 0 < one.low <= one.high]
    error = math.exp(math.hypot(*halves) / len(speedups))
    return Interval(estimate, estimate / error, estimate * error)


def judge(cell: Cell, target: Target) -> Judgement:
    """What a cell's speedup says, given the noise of its target."""
    if cell.speedup is None:
        return Judgement.NO_NUMBER
    if cell.batch_kind == BatchKind.EMULATED:
        return Judgement.EMULATED
    low, high = noise_floor(target)
    if cell.speedup.low > high:
        return Judgement.FASTER
    if cell.speedup.high < low:
        return Judgement.SLOWER
    return Judgement.UNCLEAR


def noise_floor(target: Target) -> tuple[float, float]:
    """The ratios that chance alone reaches: the A/A interval, with 1 inside it."""
    if target.noise is None:
        return 1.0, 1.0
    return min(1.0, target.noise.low), max(1.0, target.noise.high)


def is_client_bound(cell: Cell, target: Target) -> bool:
    """Whether a store outside this process may be faster than the client that measured it."""
    return target.is_network and cell.client_cpu >= CLIENT_BOUND_SHARE


def _rank(op: str) -> tuple[int, str]:
    return (OPERATIONS.index(op) if op in OPERATIONS else len(OPERATIONS), op)


def _distinct(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys([cell.batch_kind for cell in cells]))
