"""Whether intervals hold between runs: the default command several times on this machine.

Each run is a process that a user would start. For each cell the intervals of its speedup are held
against each other and against the median of the estimates. With ``--disturb N`` a busy loop shares
a core with N of the runs, the last ones: their intervals must widen or their cells be marked.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kvbench.bench.estimate import half_width
from kvbench.results import Cell, Results, read_results

COMMAND = ("run", "memory://", "kvb://", "--batch-sizes", "10,100,1000")
RUNS = 8
OVERLAP_MIN = 0.95
HOLD_MIN = 0.93
HALF_WIDTH_MAX = {"in process": 0.03, "over loopback": 0.10}
_TIMEOUT_S = 300.0

_BUSY_LOOP = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
while os.getppid() == int(sys.argv[2]):
    pass
"""


@dataclass(frozen=True)
class Agreement:
    """How well runs agree, over all cells.

    Attributes:
        overlap: share of pairs of intervals of a cell that overlap.
        hold: share of intervals that hold the median of their cell's estimates.
        half_width: median half-width of the intervals, by kind of target.
        unstable: share of cells that are marked as unstable.
        wrong_and_sure: intervals of disturbed runs that miss the median of the quiet ones by more
            than a quarter of it and are not marked.
    """

    overlap: float
    hold: float
    half_width: dict[str, float]
    unstable: float
    wrong_and_sure: int

    def problems(self) -> list[str]:
        """Bars that are missed."""
        found = []
        if self.overlap < OVERLAP_MIN:
            found.append(f"{self.overlap:.1%} of interval pairs overlap, not {OVERLAP_MIN:.0%}")
        if self.hold < HOLD_MIN:
            found.append(f"{self.hold:.1%} of intervals hold the median, not {HOLD_MIN:.0%}")
        for kind, share in self.half_width.items():
            if share > HALF_WIDTH_MAX[kind]:
                bar = HALF_WIDTH_MAX[kind]
                found.append(f"median half-width {kind} {share:.1%}: over {bar:.0%}")
        return found


@contextlib.contextmanager
def busy_core(core: int) -> Iterator[None]:
    """A loop that takes all it gets of one core."""
    command = [sys.executable, "-c", _BUSY_LOOP, str(core), str(os.getpid())]
    with subprocess.Popen(command) as loop:
        try:
            yield
        finally:
            loop.kill()


def run_once(seed: int, folder: Path, options: list[str]) -> Results:
    """The default command, as a user runs it."""
    path = folder / f"run-{seed}.jsonl"
    command = [sys.executable, "-m", "kvbench", *COMMAND, "--seed", str(seed), "--output", path]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=_TIMEOUT_S)
    return read_results(path)


def cells_of(runs: list[Results]) -> dict[tuple[str, str, int], list[Cell]]:
    """Each cell of every run, by target, operation and batch size."""
    found: dict[tuple[str, str, int], list[Cell]] = {}
    for run in runs:
        for cell in run.cells:
            found.setdefault((cell.target, cell.op, cell.batch_size), []).append(cell)
    return found


def agreement(runs: list[Results], disturbed: list[Results]) -> Agreement:
    """Hold the runs against each other."""
    overlaps, holds = [], []
    widths: dict[str, list[float]] = {"in process": [], "over loopback": []}
    unstable = []
    wrong = 0
    quiet_median = {}
    for key, cells in cells_of(runs).items():
        figures = [cell.speedup for cell in cells if cell.speedup is not None]
        middle = quiet_median[key] = statistics.median([one.estimate for one in figures])
        holds += [one.low <= middle <= one.high for one in figures]
        overlaps += [
            a.low <= b.high and b.low <= a.high for a, b in itertools.combinations(figures, 2)
        ]
        kind = "in process" if key[0] == "memory://" else "over loopback"
        widths[kind] += [half_width(one) or 0.0 for one in figures]
        unstable += [not cell.is_stable for cell in cells]
    for key, cells in cells_of(disturbed).items():
        for cell in cells:
            middle, one = quiet_median[key], cell.speedup
            is_off = one is None or not one.low / 1.25 <= middle <= one.high * 1.25
            wrong += is_off and cell.is_stable
    return Agreement(
        statistics.fmean(overlaps),
        statistics.fmean(holds),
        {kind: statistics.median(found) for kind, found in widths.items() if found},
        statistics.fmean(unstable),
        wrong,
    )


def table(runs: list[Results], disturbed: list[Results]) -> str:
    """The estimates of every cell and run as Markdown; a mark where a cell is unstable."""
    lines = [f"| cell | {' | '.join([f'run {i}' for i in range(1, len(runs) + 1)])} |"]
    heads = [f"disturbed {i}" for i in range(1, len(disturbed) + 1)]
    lines[0] = f"{lines[0]} {' | '.join([*heads, ''])}".rstrip()
    lines.append("|---|" + "---:|" * (len(runs) + len(disturbed)))
    others = cells_of(disturbed)
    for key, cells in cells_of(runs).items():
        target, op, size = key
        shown = [_shown(cell) for cell in [*cells, *others.get(key, [])]]
        lines.append(f"| {target} {op} × {size:,} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    if cell.speedup is None:
        return "none"
    mark = "" if cell.is_stable else " †"
    return f"{cell.speedup.estimate:.3g} ±{half_width(cell.speedup) or 0:.1%}{mark}"


def main() -> int:
    """Run, print the table and the shares; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--disturb", type=int, default=0, metavar="N")
    parser.add_argument("--core", type=int, default=0, help="the core of the busy loop")
    parser.add_argument("options", nargs="*", help="further options of kvbench run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [run_once(seed, folder, args.options) for seed in range(1, args.runs + 1)]
        with busy_core(args.core) if args.disturb else contextlib.nullcontext():
            seeds = range(args.runs + 1, args.runs + args.disturb + 1)
            disturbed = [run_once(seed, folder, args.options) for seed in seeds]
    found = agreement(runs, disturbed)
    print(table(runs, disturbed))
    print(f"\noverlapping pairs {found.overlap:.1%}, intervals with the median {found.hold:.1%}")
    for kind, share in found.half_width.items():
        print(f"median half-width {kind}: {share:.1%}")
    print(f"cells marked unstable: {found.unstable:.0%}")
    if disturbed:
        print(f"disturbed intervals that are wrong and not marked: {found.wrong_and_sure}")
    problems = found.problems() + (["wrong and sure"] if found.wrong_and_sure else [])
    for problem in problems:
        print(f"missed: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
