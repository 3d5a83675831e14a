"""Reads the JSON of pytest-benchmark as results, so that it can be compared like those of a run.

Each of its benchmarks is a :class:`~kvbench.results.records.Timing`: the time of one call. All its
measured rounds follow each other in one process, often thousands within a second. Neighbours share
what the machine does at that moment, so they are not independent, and an interval from all of them
would be far too narrow. So consecutive rounds form :data:`GROUPS_MAX` groups, and the median of
each group is one round here (batch means: Schmeiser, "Batch size effects in the analysis of
simulation output", 1982). That covers changes within this process. It does not cover what a new
process changes: memory layout, connection, placement on cores. :data:`NOTE` says so to readers.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from kvbench.decoding import decode
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean
from kvbench.results.file import Results, read_results
from kvbench.results.records import SCHEMA, Figure, Footer, Header, Timing

GROUPS_MAX = 20
"""Groups of consecutive rounds. An interval from 20 has 10 units at least (see kvbench.rounds), and
a group of a one-second benchmark lasts 50 ms, longer than most disturbances."""

TARGET = "kvbench_target"
"""The entry of ``extra_info`` that names the target; kvbench's fixtures write it."""

NO_TARGET = "pytest-benchmark"
"""The target of benchmarks that name none."""

NOTE = (
    "Figures of pytest-benchmark: all rounds of a file are of one process. They are taken in up to "
    f"{GROUPS_MAX} groups of consecutive rounds, and +N counts such groups. The intervals cover "
    "what changed within the two processes, not what a new process changes by itself, which is "
    "often more: repeat both before you believe a small difference. `kvbench compare --run` "
    "measures in many processes."
)

_NS_PER_S = 1e9
_NO_ROUNDS = "its JSON has no rounds: write it with --benchmark-json or --benchmark-save-data"
_OTHER_JSON = (
    "is JSON, but neither results of kvbench (JSON Lines, by --output) nor those of "
    "pytest-benchmark (by --benchmark-json)"
)


class _Stats(msgspec.Struct, frozen=True):
    data: list[float] = []


class _Benchmark(msgspec.Struct, frozen=True):
    name: str
    fullname: str
    stats: _Stats
    extra_info: dict[str, Any] = {}
    options: dict[str, Any] = {}


class _Document(msgspec.Struct, frozen=True):
    machine_info: dict[str, Any]
    benchmarks: list[_Benchmark]
    commit_info: dict[str, Any] = {}
    datetime: str = ""
    version: str = ""


def read_comparable(path: Path) -> Results:
    """Read what `kvbench compare` takes: a results file, or the JSON of pytest-benchmark.

    Raises:
        ResultsError: as :func:`~kvbench.results.read_results`; or it is other JSON, or damaged.
    """
    content = _json_document(path)
    return read_results(path) if content is None else _read(path, content)


def _json_document(path: Path) -> bytes | None:
    """The content of a file that is one JSON value and no line of results; None for any other."""
    try:
        content = path.read_bytes()
        value = decode(msgspec.json.decode, content)
    except (OSError, ValueError):
        return None  # read_results says what is wrong with it.
    return None if isinstance(value, dict) and "type" in value else content


def _read(path: Path, content: bytes) -> Results:
    value = msgspec.json.decode(content)
    if not isinstance(value, dict) or not {"benchmarks", "machine_info"} <= value.keys():
        raise ResultsError(str(path), 0, _OTHER_JSON)
    try:
        document = clean(decode(msgspec.json.Decoder(_Document).decode, content))
    except ValueError as error:
        raise ResultsError(str(path), 0, f"damaged JSON of pytest-benchmark: {error}") from None
    if not document.benchmarks:
        raise ResultsError(str(path), 0, "has no benchmarks: pytest-benchmark measured none")
    twice = Counter([(_target(one), one.name) for one in document.benchmarks])
    timings = [
        _timing(one, one.name if twice[_target(one), one.name] == 1 else one.fullname)
        for one in document.benchmarks
    ]
    return Results(
        header=_header(document),
        targets=(),
        cells=(),
        curves=(),
        baselines=None,
        rounds=(),
        footer=Footer("complete", 0.0, 0),
        timings=tuple(timings),
    )


def _target(one: _Benchmark) -> str:
    return str(one.extra_info.get(TARGET, NO_TARGET))


def _timing(one: _Benchmark, name: str) -> Timing:
    if not one.stats.data:
        return Timing(_target(one), name, None, _NO_ROUNDS)
    rounds = [time_s * _NS_PER_S for time_s in grouped(one.stats.data)]
    if min(rounds) <= 0:
        return Timing(_target(one), name, None, "the clock did not advance during its rounds")
    middle = math.exp(statistics.fmean(map(math.log, rounds)))
    return Timing(_target(one), name, Figure(middle, rounds=rounds))


def grouped(times: Sequence[float]) -> list[float]:
    """The medians of up to :data:`GROUPS_MAX` groups of consecutive times, equal in size by one."""
    groups = min(GROUPS_MAX, len(times))
    edges = [len(times) * place // groups for place in range(groups + 1)]
    return [statistics.median(times[start:end]) for start, end in pairwise(edges)]


def _header(document: _Document) -> Header:
    """What `kvbench compare` looks at to say whether two files are of one machine and setting."""
    info, cpu = document.machine_info, document.machine_info.get("cpu")
    cpu = cpu if isinstance(cpu, dict) else {}
    environment = {
        "cpu": cpu.get("brand_raw"),
        "cores": cpu.get("count"),
        "kernel": info.get("release"),
        "python": info.get("python_version"),
        "pytest_benchmark": document.version,
        "git": document.commit_info.get("id"),
    }
    settings: dict[str, Any] = {"source": "pytest-benchmark"}
    for name in ("timer", "disable_gc", "warmup"):
        values = {str(one.options.get(name)) for one in document.benchmarks}
        settings[name] = ", ".join(sorted(values))
    return Header(SCHEMA, document.datetime, "pytest", settings, environment, note=NOTE)
