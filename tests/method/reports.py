"""Makes what is under reports/ anew: ``python -m tests.method.reports [conformance|figures]``.

It wants an idle machine, redis-server, memcached and Go, and takes some ten minutes. Files over
100 kB are not in git; who needs the numbers behind a report makes them with this.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvbench.local_server import LocalServer

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"
FOREIGN = ROOT / "tests" / "foreign"
REDIS, FOREIGN_SERVER = "127.0.0.1:6379", "127.0.0.1:16390"
"""Fixed, so that a report names the same targets each time."""

STORES = ("memory://", "kvb://", "kvb+async://", "valkey://", "memcached://", "sqlite://stores.db")
CHECKED = (
    "kvb://", "kvb+async://", "memory://", "valkey://", f"redis://{REDIS}", "memcached://",
    "sqlite://kv.db", "lmdb://lmdb", "rocksdb://rocksdb", FOREIGN_SERVER,
)  # fmt: skip
PUBLISHED = REPORTS / "batch-operations" / "published.jsonl"


def main() -> None:
    """Make the reports that the command line asks for; all of them without an argument."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=["conformance", "figures"])
    part = parser.parse_args().part
    if part != "figures":
        conformance(REPORTS / "conformance")
    if part != "conformance":
        sizes = ("--batch-sizes", "10,100,1000")
        figures(REPORTS / "stores", *STORES, "lmdb://stores-lmdb", *sizes)
        figures(REPORTS / "batch-operations", "--preset", "batch-operations", beside=PUBLISHED)
        sizes = ("--batch-sizes", "100", "--ops", "mget,mset")
        figures(REPORTS / "round-trip-time", "kvb://", "valkey://", "--rtt", "0.5ms", *sizes)


def figures(folder: Path, *arguments: str, beside: Path | None = None) -> None:
    """Measure, and write ``results.jsonl`` and ``report.md`` into ``folder``."""
    results = folder / "results.jsonl"
    results.unlink(missing_ok=True)
    kvbench("run", *arguments, "--output", str(results))
    report = ["--format", "markdown", "--output", str(folder / "report.md")]
    kvbench("report", str(results), *report, *(["--beside", str(beside)] if beside else []))


def conformance(folder: Path) -> None:
    """Check every kind of store, and the server in Go, and write the matrix into ``folder``."""
    outputs = {"json": "matrix.json", "markdown": "matrix.md", "html": "matrix.html"}
    outputs["badge"] = "badge.svg"
    files = [word for name, file in outputs.items() for word in (f"--{name}", str(folder / file))]
    profile = f"{FOREIGN_SERVER}={FOREIGN / 'profile.toml'}"
    host, _, port = REDIS.partition(":")
    redis = ["redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no"]
    with (
        foreign_server() as server,
        running(redis, "Ready to accept"),
        running(server, "listening"),
    ):
        kvbench("check", *CHECKED, "--profile", profile, "--seed", "1", *files)


@contextmanager
def foreign_server() -> Iterator[list[str]]:
    """The command that starts the server in Go, which is built for it."""
    go = shutil.which("go")
    assert go is not None, "there is no Go compiler to build tests/foreign/server.go with"
    with tempfile.TemporaryDirectory() as folder:
        program = str(Path(folder) / "server")
        subprocess.run([go, "build", "-o", program, FOREIGN / "server.go"], check=True)
        yield [program, "-address", FOREIGN_SERVER]


@contextmanager
def running(command: list[str], line: str) -> Iterator[None]:
    """A server that has said ``line``, as long as the block runs."""
    server = LocalServer(command)
    try:
        server.wait_for_line(line)
        yield
    finally:
        server.stop()


def kvbench(*arguments: str) -> None:
    """Run a command in an empty folder, where files of stores go."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "kvbench", *arguments]
        subprocess.run(command, cwd=folder, check=True, timeout=1800)


if __name__ == "__main__":
    main()
