"""Which lines of the reference server the wire suite reaches, and how long its cases take."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from kvbench.conformance.suites import WIRE

from .operators import Mutation, mutations
from .trial import PACKAGE, timed

MODULES = tuple(
    [
        f"kvbench.{module}"
        for module in (
            "server.dispatch", "engine.engine", "engine.change", "engine.deadlines",
            "engine.counts", "protocol.check", "protocol.compare", "protocol.decode",
            "protocol.encode", "protocol.frames", "protocol.layout", "protocol.parsers",
            "protocol.requests", "protocol.responses",
        )
    ]
)  # fmt: skip
"""What answers a request: the dispatcher, the store and the codec."""

_SERVER = """
import asyncio, json, logging, sys
logging.disable(logging.CRITICAL)
import coverage
measured = coverage.Coverage(data_file=None, include=[sys.argv[1] + "/*"], messages=False)
measured.start()
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import serve
asyncio.run(serve(ServerConfig(port=0), ready=lambda address: print(address, flush=True)))
measured.stop()
data = measured.get_data()
print(json.dumps({path: sorted(data.lines(path)) for path in data.measured_files()}))
"""


def reached() -> tuple[list[Mutation], dict[str, float]]:
    """The mutations of lines that run in a server during the suite; the seconds of each case."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(PACKAGE)],
        env={**os.environ, "KVBENCH_PURE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().strip().rpartition(":")
            seconds_of = timed((host, int(port)), WIRE.cases)
            process.send_signal(signal.SIGTERM)
            found = json.loads(process.stdout.read())
        finally:
            process.kill()
    lines = {Path(path): frozenset(numbers) for path, numbers in found.items()}
    return [
        one for one in all_mutations(MODULES) if one.line in lines.get(file_of(one.module), ())
    ], seconds_of


def all_mutations(modules: Iterable[str]) -> list[Mutation]:
    """Every mutation of the modules."""
    return [one for module in modules for one in mutations(module, file_of(module).read_text())]


def file_of(module: str) -> Path:
    """The source file of a module of kvbench."""
    return PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
