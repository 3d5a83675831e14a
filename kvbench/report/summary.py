"""The meaning of cells: which speedups are real, which batch size to use, and what it gains.

A speedup is compared with the ratio of single calls measured against themselves, which is due to
chance: if its interval overlaps that one, extended to contain 1, it proves nothing about batching.

Pure: results in, figures out, no text for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvbench.model import BatchKind, BatchOperation
from kvbench.results import Cell, Curve, Figure, Results, TargetRecord

OPERATIONS = tuple([operation.value for operation in BatchOperation])
"""The order in which operations are shown; others come after them."""

CLIENT_BOUND_SHARE = 0.9
"""From this share of a core upwards the measuring process counts as the bottleneck."""

GOOD_SHARE = 0.9
"""The recommended batch size is the smallest that reaches this share of the best keys/s: beyond it,
callers wait longer for little gain."""

_ONE_ROUND_TRIP_MAX = 1.5


class Judgement(StrEnum):
    """The judgement on a cell's batch."""

    FASTER = "faster"
    SLOWER = "slower"
    UNCLEAR = "not-distinguishable"
    EMULATED = "emulated"
    NO_NUMBER = "no-number"


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """An operation on a target.

    Attributes:
        op: its name.
        cells: by batch size, ascending.
        curve: time of a call by its number of keys; None with fewer than two sizes.
        recommended: the cell of the recommended batch size; None to use single calls.
    """

    op: str
    cells: dict[int, Cell]
    curve: Curve | None
    recommended: Cell | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """The declared batch kinds; several if they differ by size."""
        return tuple(dict.fromkeys([cell.batch_kind for cell in self.cells.values()]))

    @property
    def with_figures(self) -> list[Cell]:
        """Cells that have figures, by size."""
        return [cell for cell in self.cells.values() if cell.arms]


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """One target with its operations.

    Attributes:
        target: its record; made from the cells if there is none.
        operations: by name, in the order in which they are shown.
    """

    target: TargetRecord
    operations: dict[str, OperationSummary]

    @property
    def cells(self) -> list[Cell]:
        """All cells, operation by operation."""
        return [cell for one in self.operations.values() for cell in one.cells.values()]

    @property
    def sizes(self) -> tuple[int, ...]:
        """All batch sizes, ascending."""
        return tuple(sorted({cell.batch_size for cell in self.cells}))

    def cell(self, op: str, batch_size: int) -> Cell | None:
        """The cell of an operation and size, None if it was not reached or not requested."""
        found = self.operations.get(op)
        return found.cells.get(batch_size) if found else None


def summarise(results: Results) -> tuple[TargetSummary, ...]:
    """Every target with its operations, in the order of the file."""
    targets = {target.target: target for target in results.targets}
    for cell in results.cells:
        targets.setdefault(cell.target, TargetRecord(cell.target, is_network=False, facts={}))
    return tuple([_summarise_target(target, results) for target in targets.values()])


def _summarise_target(target: TargetRecord, results: Results) -> TargetSummary:
    mine = [cell for cell in results.cells if cell.target == target.target]
    curves = {curve.op: curve for curve in results.curves if curve.target == target.target}
    operations = {}
    for op in sorted({cell.op for cell in mine}, key=_rank):
        cells = sorted([cell for cell in mine if cell.op == op], key=lambda one: one.batch_size)
        operations[op] = OperationSummary(
            op,
            {cell.batch_size: cell for cell in cells},
            curves.get(op),
            _recommended(cells, target),
        )
    return TargetSummary(target, operations)


def _recommended(cells: Sequence[Cell], target: TargetRecord) -> Cell | None:
    faster = [cell for cell in cells if judge(cell, target) is Judgement.FASTER]
    if not faster:
        return None
    best = max([keys_per_s(cell) for cell in faster])
    return next(cell for cell in faster if keys_per_s(cell) >= GOOD_SHARE * best)


def keys_per_s(cell: Cell) -> float:
    """Keys per second of batch calls."""
    return cell.arms["batch"].keys_per_s.estimate


def judge(cell: Cell, target: TargetRecord) -> Judgement:
    """The judgement on a cell's speedup, given its target's ratio by chance."""
    if cell.speedup is None or "batch" not in cell.arms:
        return Judgement.NO_NUMBER
    if cell.batch_kind == BatchKind.EMULATED:
        return Judgement.EMULATED
    low, high = chance(target)
    if cell.speedup.low is not None and cell.speedup.low > high:
        return Judgement.FASTER
    if cell.speedup.high is not None and cell.speedup.high < low:
        return Judgement.SLOWER
    return Judgement.UNCLEAR


def chance(target: TargetRecord) -> tuple[float, float]:
    """The interval of ratios due to chance, extended to contain 1."""
    ratio = target.self_ratio or Figure(1.0)
    low = ratio.estimate if ratio.low is None else ratio.low
    high = ratio.estimate if ratio.high is None else ratio.high
    return min(1.0, low), max(1.0, high)


def is_client_bound(cell: Cell, target: TargetRecord) -> bool:
    """Whether a store outside this process may be faster than the client that measured it."""
    batch = cell.arms.get("batch")
    return target.is_network and batch is not None and batch.client_cpu >= CLIENT_BOUND_SHARE


def has_two_groups(cell: Cell) -> bool:
    """Whether the rounds of a compared arm fell into two groups."""
    return any(arm.groups is not None for arm in cell.arms.values())


def contradicts_kind(cell: Cell) -> bool:
    """Whether the measured round trips contradict the declared batch kind."""
    if cell.round_trips is None or cell.round_trips_at < 2:
        return False
    is_one_call = cell.round_trips <= _ONE_ROUND_TRIP_MAX
    if cell.batch_kind == BatchKind.NATIVE:
        return not is_one_call
    if cell.batch_kind == BatchKind.EMULATED:
        return is_one_call
    # Pipelined commands and transactions may take a few, but not one for each key.
    return cell.round_trips > cell.round_trips_at / 2


def _rank(op: str) -> tuple[int, str]:
    return (OPERATIONS.index(op) if op in OPERATIONS else len(OPERATIONS), op)
