"""Write reports/load: capacity within p99 < 5 ms, and percentiles at a fixed rate, of five stores.

A real redis-server runs on the servers' core; the others are private servers. SQLite is a file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from kvbench.bench.placement import choose_placement
from kvbench.local_server import SERVER_CPUS_VARIABLE
from tests.foreign_stores import redis_server

ARMS = ("--batch-size", "50", "--arm", "individual,pipelined,batch")
REPORTS = {
    "capacity": ("capacity", "--slo", "p99<5ms", "--rounds", "4"),
    "percentiles": ("load", "--rate", "10k keys/s", "--duration", "5s"),
}
"""The arguments of each report, by its name."""


def main() -> int:
    """Measure and write; the exit code of the first command that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("reports/load"))
    parser.add_argument("names", nargs="*", default=list(REPORTS))
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    os.environ[SERVER_CPUS_VARIABLE] = ",".join(map(str, choose_placement().servers))
    with redis_server() as redis, tempfile.TemporaryDirectory() as folder:
        targets = ["kvb://", "valkey://", redis, "memcached://", f"sqlite://{folder}/kv.db"]
        for name in args.names:
            command, *options = REPORTS[name]
            report = args.output / f"{name}.md"
            files = ["--report", str(report), "--output", f"{folder}/{name}.jsonl"]
            done = subprocess.run(
                [sys.executable, "-m", "kvbench", command, *targets, *options, *ARMS, *files]
            )
            if done.returncode:
                return done.returncode
            text = report.read_text().replace(folder, "/tmp/kvbench")
            report.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
