"""A Dask scheduler and workers on loopback, each a real process."""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kvbench.local_server import LocalServer

WORKERS = 2

START_TIMEOUT_S = 60.0
"""Importing Dask takes seconds on a busy machine."""


def low_port() -> int:
    """A TCP port that was free just now, below those that Linux gives to connections."""
    while True:
        port = random.randrange(20_000, 32_768)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


@contextmanager
def dask_cluster() -> Iterator[str]:
    """The address of a scheduler that has :data:`WORKERS` workers."""
    port = low_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = [
        sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
        "--port", str(port), "--no-dashboard",
    ]  # fmt: skip
    with ExitStack() as stack:
        started(stack, scheduler).wait_for_line("Scheduler at:", START_TIMEOUT_S)
        workers = [
            started(stack, [
                sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
                "--no-nanny", "--no-dashboard", "--worker-port", str(low_port()),
            ])
            for _ in range(WORKERS)
        ]  # fmt: skip
        for worker in workers:
            worker.wait_for_line("Registered to:", START_TIMEOUT_S)
        yield address


def started(stack: ExitStack, command: list[str]) -> LocalServer:
    """A process that is stopped with the stack."""
    process = LocalServer(command)
    stack.callback(process.stop)
    return process
