"""Write reports/load: capacity and percentiles of five stores, and the wire driver beside others.

A real redis-server runs on the servers' core; the others are private servers. SQLite is a file.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from kvbench.bench.placement import choose_placement
from kvbench.local_server import SERVER_CPUS_VARIABLE
from tests.benchmarks import bench_load
from tests.foreign_stores import redis_server

ARMS = ("--batch-size", "50", "--arm", "individual,pipelined,batch")
SLO = ("capacity", "--slo", "p99<5ms", "--rounds", "3")
SQLITE = "sqlite"
REPORTS = {
    "capacity": (*SLO, "--driver", "wire", "--clients", "20"),
    "capacity-sqlite": SLO,
    "percentiles": ("load", "--rate", "4k keys/s", "--duration", "15s"),
}
"""The arguments of each report, by its name. No wire reaches SQLite: it has its Python client."""

TOOLS = "tools"

NO_RESULT = 1
"""The exit code where a lane has no result: SQLite's adapter has no pipelined calls."""


def tools_report() -> str:
    """Our wire driver in turn with redis-benchmark and resp-benchmark, as Markdown."""
    comparisons = (
        ("redis-benchmark -c 50", bench_load.ours, bench_load.redis_benchmark, 1),
        ("redis-benchmark -c 50 -P 16", bench_load.ours, bench_load.redis_benchmark, 16),
        ("resp-benchmark -c 50", bench_load.ours, lambda url, _: bench_load.resp_benchmark(url), 1),
    )
    lines = [
        "# The wire driver beside other load generators",
        "",
        "GET of 20,000 random keys of 100 B on one redis-server, 50 connections, five turns each; "
        "the tool on one core, the server on the other, both kept awake. Medians of turns; "
        "ratios are medians of the turns' ratios. resp-benchmark prints no percentiles. Written by "
        "`nox -s load -- tools`.",
        "",
        "| other tool | requests/s, kvbench | requests/s, other | ratio | p50 ratio | p99 ratio |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    with bench_load.redis_apart() as url:
        for name, ours, theirs, depth in comparisons:
            pairs = bench_load.compare(ours(url, depth), theirs(url, depth), turns=5)
            sides = zip(*pairs, strict=True)
            rates = [statistics.median([one.requests_per_s for one in side]) for side in sides]
            turns = zip(*[bench_load.ratios(*pair) for pair in pairs], strict=True)
            ratios = [statistics.median(ratio) for ratio in turns]
            shown = [f"{one:,.0f}" for one in rates]
            shown += [f"{one:.2f}" if one else "" for one in ratios]
            lines.append(f"| `{name}` | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and write; the exit code of the first command that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("reports/load"))
    parser.add_argument("names", nargs="*", default=[*REPORTS, TOOLS])
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if TOOLS in args.names:
        args.names.remove(TOOLS)
        (args.output / f"{TOOLS}.md").write_text(tools_report())
    os.environ[SERVER_CPUS_VARIABLE] = ",".join(map(str, choose_placement().servers))
    with redis_server() as redis, tempfile.TemporaryDirectory() as folder:
        servers, file = ["kvb://", "valkey://", redis, "memcached://"], f"sqlite://{folder}/kv.db"
        for name in args.names:
            command, *options = REPORTS[name]
            targets = [*servers, file]
            if command == "capacity":
                targets = [file] if name.endswith(SQLITE) else servers
            report = args.output / f"{name}.md"
            files = ["--report", str(report), "--output", f"{folder}/{name}.jsonl"]
            done = subprocess.run(
                [sys.executable, "-m", "kvbench", command, *targets, *options, *ARMS, *files]
            )
            if done.returncode not in (0, NO_RESULT):
                return done.returncode
            escaped = folder.replace("_", r"\_")
            text = (
                report.read_text().replace(folder, "/tmp/kvbench").replace(escaped, "/tmp/kvbench")
            )
            report.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
