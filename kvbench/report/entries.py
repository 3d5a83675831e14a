"""Entries of tables: text ready to print, and its meaning.

Renderers lay out entries and never read results, so they cannot disagree. A sign refers to a note,
and means the same in all tables of a target.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from kvbench.model import BatchOperation
from kvbench.report import format as text
from kvbench.report.summary import (
    Judgement,
    TargetSummary,
    contradicts_kind,
    has_two_groups,
    is_client_bound,
    judge,
)
from kvbench.results import Cell, Figure, TwoGroups

UNCLEAR, UNSTABLE, CLIENT_BOUND, GROUPS, OTHER_KIND, UNREACHED = "≈", "†", "‡", "◊", "≠", "·"

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Tone(Enum):
    """The meaning of an entry; a renderer may give it a colour."""

    PLAIN = auto()
    FASTER = auto()
    SLOWER = auto()
    FAINT = auto()


@dataclass(frozen=True, slots=True)
class TableEntry:
    """One entry of a table.

    Attributes:
        text: the figure.
        detail: its interval, or a related second figure; may be placed below it.
        mark: a word or signs after them.
        tone: its meaning.
    """

    text: str
    detail: str = ""
    mark: str = ""
    tone: Tone = Tone.PLAIN


SINGLE = {operation.value: operation.single.upper() for operation in BatchOperation}
"""The user's word for the single call of each batch operation."""

NOT_MEASURED = TableEntry(UNREACHED, tone=Tone.FAINT)
BLANK = TableEntry("")


class Entries:
    """The entries of one target's cells.

    Args:
        summary: the target and its cells.
    """

    def __init__(self, summary: TargetSummary) -> None:
        self._summary = summary
        reasons = [cell.reason for cell in summary.cells if not cell.arms and not cell.speedup]
        self._reasons = list(dict.fromkeys(reasons))

    def judge(self, cell: Cell) -> Judgement:
        """The sentence of a cell about its batch, on this target."""
        return judge(cell, self._summary.target)

    def speedup(self, cell: Cell) -> TableEntry:
        """Batch over individual with its interval, or why there is no figure."""
        if cell.speedup is None:
            return self._no_number(cell)
        figure, detail = text.ratio(cell.speedup), text.bounds(cell.speedup)
        signs = self._signs(cell)
        match self.judge(cell):
            case Judgement.EMULATED:
                return TableEntry("emulated", mark=signs, tone=Tone.FAINT)
            case Judgement.UNCLEAR:
                return TableEntry(figure, detail, UNCLEAR + signs)
            case Judgement.SLOWER:
                return TableEntry(figure, detail, f"slower{signs}", Tone.SLOWER)
            case _:
                return TableEntry(figure, detail, signs, Tone.FASTER)

    def ratio(self, cell: Cell, name: str) -> TableEntry:
        """One of a cell's ratios with its interval."""
        if name not in cell.ratios:
            return self._no_number(cell)
        return TableEntry(
            text.ratio(cell.ratios[name]), text.bounds(cell.ratios[name]), self._signs(cell)
        )

    def rate(self, cell: Cell, arm: str = "batch") -> TableEntry:
        """Keys per second of an arm, with half of its interval's width."""
        if arm not in cell.arms:
            return self._no_number(cell)
        keys_per_s = cell.arms[arm].keys_per_s
        digits = text.supported_digits(keys_per_s)
        figure = text.rate(keys_per_s.estimate, digits)
        return TableEntry(figure, text.half_width(keys_per_s), self._signs(cell))

    def call_time(self, cell: Cell, arm: str) -> TableEntry:
        """Time of one call in an arm."""
        if arm not in cell.arms:
            return self._no_number(cell)
        return self._time(cell, cell.arms[arm].call_ns, 1)

    def keys_time(self, cell: Cell, arm: str) -> TableEntry:
        """Time that an arm needs for all keys of the cell's batch size."""
        if arm not in cell.arms:
            return self._no_number(cell)
        return self._time(cell, cell.arms[arm].ns_per_key, cell.batch_size)

    def time_per_key(self, cell: Cell) -> TableEntry:
        """Amortised time per key of a batch call."""
        if "batch" not in cell.arms:
            return self._no_number(cell)
        return self._time(cell, cell.arms["batch"].ns_per_key, 1)

    def _time(self, cell: Cell, figure: Figure, factor: int) -> TableEntry:
        shown = text.duration(figure.estimate * factor, text.supported_digits(figure))
        return TableEntry(shown, mark=self._signs(cell))

    def notes(self) -> tuple[str, ...]:
        """The meanings of the signs that occur."""
        target, cells = self._summary.target, self._summary.cells
        notes = []
        if any(judge(cell, target) is Judgement.UNCLEAR for cell in cells):
            notes.append(f"{UNCLEAR} cannot be told from chance; try more --rounds.")
        unstable = [cell for cell in cells if not cell.is_stable]
        if unstable:
            notes.append(
                f"{UNSTABLE} unstable: {_why_unstable(unstable)}. Stop other work, repeat."
            )
        if any(is_client_bound(cell, target) for cell in cells):
            notes.append(
                f"{CLIENT_BOUND} the client used a whole core: the store may be faster than this."
            )
        grouped = [one for cell in cells for one in _groups(cell)]
        if grouped:
            notes.append(f"{GROUPS} {_describe_groups(*grouped[0])}")
        for cell in cells:
            if contradicts_kind(cell):
                notes.append(
                    f"{OTHER_KIND} declared {text.plain(cell.batch_kind)}, but a batch of "
                    f"{cell.round_trips_at} took {cell.round_trips:.1f} round trips."
                )
                break
        for number, reason in enumerate(self._reasons, start=1):
            shown = text.plain(reason) or "the run recorded no reason"
            notes.append(f"{_superscript(number)} no number: {shown}")
        if len(cells) < len(self._summary.operations) * len(self._summary.sizes):
            notes.append(f"{UNREACHED} not measured.")
        return tuple(notes)

    def _no_number(self, cell: Cell) -> TableEntry:
        if cell.reason not in self._reasons:
            return TableEntry(text.NO_FIGURE, tone=Tone.FAINT)
        number = self._reasons.index(cell.reason) + 1
        return TableEntry(text.NO_FIGURE, mark=_superscript(number), tone=Tone.FAINT)

    def _signs(self, cell: Cell) -> str:
        signs = {
            UNSTABLE: not cell.is_stable,
            CLIENT_BOUND: is_client_bound(cell, self._summary.target),
            GROUPS: has_two_groups(cell),
            OTHER_KIND: contradicts_kind(cell),
        }
        return "".join([sign for sign, holds in signs.items() if holds])


def bare(entry: TableEntry) -> TableEntry:
    """An entry without its second figure, for narrow tables."""
    return TableEntry(entry.text, mark=entry.mark, tone=entry.tone)


def faint(entry: TableEntry) -> TableEntry:
    """An entry of another run, without its second figure and its signs."""
    return TableEntry(entry.text, tone=Tone.FAINT)


def figure_entry(
    figure: Figure | None, write: text.Writer, absent: str = text.NO_FIGURE
) -> TableEntry:
    """A figure with half of its interval's width, or a word for its absence."""
    if figure is None:
        return TableEntry(absent, tone=Tone.FAINT)
    return TableEntry(
        write(figure.estimate, text.supported_digits(figure)), text.half_width(figure)
    )


def _why_unstable(cells: Iterable[Cell]) -> str:
    waited = max([cell.waited for cell in cells])
    drift = max([cell.drift for cell in cells])
    if waited > drift:
        return f"other work held a core for up to {waited:.0%} of the time"
    return f"the machine's own speed changed by up to {drift:.0%}"


def _groups(cell: Cell) -> list[tuple[Cell, str, TwoGroups]]:
    return [(cell, name, arm.groups) for name, arm in cell.arms.items() if arm.groups is not None]


def _describe_groups(cell: Cell, arm: str, groups: TwoGroups) -> str:
    fast, slow = text.duration(groups.fast_ns), text.duration(groups.slow_ns)
    return (
        f"rounds fell into two groups: {text.plain(cell.op)} × {cell.batch_size:,} {arm} took "
        f"{fast}/key in {groups.fast_rounds} rounds and {slow}/key in {groups.slow_rounds}. Other "
        "work may come and go, cores may sleep, or a server may move between cores: stop the work, "
        "keep cores awake, pin the server."
    )


def _superscript(number: int) -> str:
    return str(number).translate(_SUPERSCRIPTS)
