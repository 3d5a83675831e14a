"""Results files for histories: runs that a test can date, slow down and move to another machine."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from kvbench.results import Results, encode_record
from tests.compare.compared_results import run_results

FIRST = datetime(2026, 11, 1, 12, tzinfo=UTC)


def dated(results: Results, day: int, git: str) -> Results:
    """The same results, measured so many days after :data:`FIRST`."""
    header = msgspec.structs.replace(
        results.header,
        started_at=(FIRST + timedelta(days=day)).isoformat(),
        environment={**results.header.environment, "git": git},
    )
    return Results(
        header, results.targets, results.cells, results.curves, results.baselines, results.rounds,
        results.footer, results.loads, results.capacities,
    )  # fmt: skip


def write_results(path: Path, results: Results) -> Path:
    records = [
        results.header, *results.targets, *results.cells, *results.loads, *results.capacities,
    ]  # fmt: skip
    footer = [results.footer] if results.footer else []
    path.write_bytes(b"".join(map(encode_record, [*records, *footer])))
    return path


def write_runs(folder: Path, slower: list[float], **given) -> list[Path]:
    """A file for each day, in which batch calls take so many times as long."""
    return [
        write_results(
            folder / f"run-{day}.jsonl",
            dated(run_results(day + 1, slower=factor, **given), day, f"c{day:07d}"),
        )
        for day, factor in zip(itertools.count(), slower, strict=False)
    ]
