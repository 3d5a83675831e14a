"""One place of a table: text that is ready to print, and what it means.

Renderers lay entries out; they never look into results, and so they cannot disagree. Signs lead to
notes, and a sign means the same in all tables of a target: ``≈`` not distinguishable from noise,
``†`` the machine changed speed, ``‡`` the client was the bottleneck, ``·`` not measured, and
``¹ ² ³`` the reason why there is no number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from kvbench.report import format as text
from kvbench.report.summary import Judgement, Mean, TargetSummary, is_client_bound, judge
from kvbench.results import Cell, Rate

UNCLEAR, UNSTABLE, CLIENT_BOUND, UNREACHED = "≈", "†", "‡", "·"

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Tone(Enum):
    """What an entry means; a renderer may give it a colour."""

    PLAIN = auto()
    FASTER = auto()
    SLOWER = auto()
    FAINT = auto()


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in a table.

    Attributes:
        text: the figure.
        detail: its interval, or a second figure that belongs to it; may stand below it.
        mark: a word or signs behind them.
        tone: what it means.
    """

    text: str
    detail: str = ""
    mark: str = ""
    tone: Tone = Tone.PLAIN


NOT_MEASURED = Entry(UNREACHED, tone=Tone.FAINT)
BLANK = Entry("")


class Entries:
    """The entries of one target's cells.

    Args:
        summary: the target and its cells.
    """

    def __init__(self, summary: TargetSummary) -> None:
        self._summary = summary
        self._reasons = list(
            dict.fromkeys([one.reason for one in summary.cells if one.speedup is None])
        )

    def speedup(self, cell: Cell, *, with_bounds: bool = True) -> Entry:
        """Batch over individual with its interval, or why there is none."""
        if cell.speedup is None:
            return self._no_number(cell)
        figure = text.speedup(cell.speedup)
        detail = text.bounds(cell.speedup) if with_bounds else ""
        signs = UNSTABLE if not cell.is_stable else ""
        match judge(cell, self._summary.target):
            case Judgement.EMULATED:
                return Entry("emulated", mark=signs, tone=Tone.FAINT)
            case Judgement.UNCLEAR:
                return Entry(figure, detail, UNCLEAR + signs)
            case Judgement.SLOWER:
                return Entry(figure, detail, f"slower{signs}", Tone.SLOWER)
            case _:
                return Entry(figure, detail, signs, Tone.FASTER)

    def batch_rate(self, cell: Cell) -> Entry:
        """Keys per second of batch calls."""
        return self._rate(cell, cell.batch)

    def individual_rate(self, cell: Cell) -> Entry:
        """Keys per second of single calls."""
        return self._rate(cell, cell.individual)

    def batch_time(self, cell: Cell) -> Entry:
        """Time of a batch call, and beside it the amortised time per key."""
        if cell.batch is None:
            return self._no_number(cell)
        digits = text.supported_digits(cell.speedup)
        return Entry(
            text.duration(cell.batch.call_ns_median, digits),
            f"{text.duration(cell.batch.ns_per_key, digits)}/key",
            self._signs(cell),
        )

    def notes(self) -> tuple[str, ...]:
        """What the signs mean: only of those that occur."""
        target, cells = self._summary.target, self._summary.cells
        notes = []
        if any(judge(cell, target) is Judgement.UNCLEAR for cell in cells):
            notes.append(f"{UNCLEAR} not distinguishable from noise; more --blocks may tell.")
        drifts = [cell.drift for cell in cells if not cell.is_stable]
        if drifts:
            notes.append(
                f"{UNSTABLE} unstable: the machine's own speed drifted by up to {max(drifts):.0%}. "
                "Stop other work on it and run again."
            )
        if any(is_client_bound(cell, target) for cell in cells):
            notes.append(
                f"{CLIENT_BOUND} the client used its core up: the store may be faster than this."
            )
        for number, reason in enumerate(self._reasons, start=1):
            shown = text.plain(reason) or "the run recorded no reason"
            notes.append(f"{_superscript(number)} no number: {shown}")
        if len(cells) < len(self._summary.ops) * len(self._summary.sizes):
            notes.append(f"{UNREACHED} not measured.")
        return tuple(notes)

    def _rate(self, cell: Cell, rate: Rate | None) -> Entry:
        if rate is None:
            return self._no_number(cell)
        digits = text.supported_digits(cell.speedup)
        return Entry(text.rate(rate.keys_per_s, digits), mark=self._signs(cell))

    def _no_number(self, cell: Cell) -> Entry:
        if cell.reason not in self._reasons:
            return Entry(text.NO_FIGURE, tone=Tone.FAINT)
        number = self._reasons.index(cell.reason) + 1
        return Entry(text.NO_FIGURE, mark=_superscript(number), tone=Tone.FAINT)

    def _signs(self, cell: Cell) -> str:
        is_bound = is_client_bound(cell, self._summary.target)
        return (UNSTABLE if not cell.is_stable else "") + (CLIENT_BOUND if is_bound else "")


def mean_entry(mean: Mean | None, *, with_bounds: bool = True) -> Entry:
    """A geometric mean with its interval, and a mark where it is not over all cells."""
    if mean is None:
        return BLANK
    if mean.speedup is None:
        return Entry(text.NO_FIGURE, tone=Tone.FAINT)
    part = "" if mean.counted == mean.cells else f"{mean.counted} of {mean.cells}"
    detail = text.bounds(mean.speedup) if with_bounds else ""
    return Entry(text.speedup(mean.speedup), detail, part)


def _superscript(number: int) -> str:
    return str(number).translate(_SUPERSCRIPTS)
