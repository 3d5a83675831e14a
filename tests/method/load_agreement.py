"""Whether the intervals of load runs hold between runs: the same command several times.

For each lane the intervals of keys per second and of the 99th percentile are held against each
other. Each run is a process that a user would start.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kvbench.bench.estimate import half_width
from kvbench.results import Figure, Results, read_results

COMMAND = (
    "load", "kvb://", "valkey://", "--batch-size", "50", "--arm", "individual,batch",
    "--duration", "5s",
)  # fmt: skip
RUNS = 6
OVERLAP_MIN = 0.95
_TIMEOUT_S = 300.0


def run_once(seed: int, folder: Path, options: list[str]) -> Results:
    """The command, as a user runs it."""
    path = folder / f"load-{seed}.jsonl"
    command = [sys.executable, "-m", "kvbench", *COMMAND, "--seed", str(seed), "--output", path]
    subprocess.run([*command, *options], check=True, capture_output=True, timeout=_TIMEOUT_S)
    return read_results(path)


def figures(run: Results) -> Iterator[tuple[str, Figure]]:
    """Keys per second and p99 of each lane, with names."""
    for load in run.loads:
        name = f"{load.target} {load.arm}"
        if load.keys_per_s is not None:
            yield f"{name} keys/s", load.keys_per_s
        for kind, latency in load.latency.items():
            if "p99_ns" in latency.intervals:
                yield f"{name} p99 {kind}", latency.intervals["p99_ns"]


def overlapping(runs: list[Results]) -> tuple[float, list[str]]:
    """The share of pairs of intervals of a figure that overlap, and a table as Markdown."""
    found: dict[str, list[Figure]] = {}
    for run in runs:
        for name, figure in figures(run):
            found.setdefault(name, []).append(figure)
    lines = [f"| figure | {' | '.join([f'run {i}' for i in range(1, len(runs) + 1)])} |"]
    lines.append("|---|" + "---:|" * len(runs))
    overlaps = []
    for name, several in found.items():
        overlaps += [
            a.low <= b.high and b.low <= a.high
            for a, b in itertools.combinations(several, 2)
            if a.low is not None and b.low is not None
        ]
        shown = [f"{one.estimate:,.4g} ±{half_width(one) or 0:.0%}" for one in several]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return statistics.fmean(overlaps), lines


def main() -> int:
    """Run, print the table and the share; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("options", nargs="*", help="further options of kvbench load")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        runs = [run_once(seed, Path(name), args.options) for seed in range(1, args.runs + 1)]
    share, lines = overlapping(runs)
    print("\n".join(lines))
    print(f"\noverlapping pairs of intervals: {share:.1%} (bar {OVERLAP_MIN:.0%})")
    return 0 if share >= OVERLAP_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
