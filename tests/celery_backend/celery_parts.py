"""The real parts of a Celery app, as processes of their own: broker, result server, worker."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from celery import Celery
from kvbench_backends.valkey_connection import start_private_server

from kvbench.local_server import OWN_SERVER, LocalServer, free_port

HERE = Path(__file__).parent
WAIT_S = 30.0
"""For a result that is due at once, on a busy machine."""


@contextmanager
def broker() -> Iterator[str]:
    """A private Valkey, as a broker's URL."""
    server, url = start_private_server("valkey://")
    try:
        yield url.replace("valkey://", "redis://")
    finally:
        server.stop()


class ResultServer:
    """``kvbench serve`` on a port that stays the same when it is started anew."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = [*OWN_SERVER[:-1], str(self.port)]
        self._server = LocalServer(command)
        self._server.wait_for_line("listening")

    def stop(self) -> None:
        self._server.stop()

    def url(self) -> str:
        """The server's URL, with a namespace that nobody else uses."""
        return f"kvb://127.0.0.1:{self.port}/{uuid.uuid4().hex}"


@contextmanager
def result_server() -> Iterator[ResultServer]:
    server = ResultServer()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def worker(
    broker_url: str,
    backend_url: str,
    settings: Mapping[str, object] | None = None,
    pool: str = "prefork",
    concurrency: int = 2,
) -> Iterator[LocalServer]:
    """A worker of ``celery_tasks``, ready when the block begins."""
    environment = {
        "TEST_BROKER": broker_url,
        "TEST_BACKEND": backend_url,
        "TEST_SETTINGS": json.dumps(settings or {}),
        "PYTHONPATH": str(HERE),
        "C_FORCE_ROOT": "1",
    }
    command = ["env", *[f"{name}={value}" for name, value in environment.items()]]
    command += [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-P", pool]
    command += ["-c", str(concurrency), "-l", "INFO", "-n", f"{uuid.uuid4().hex}@%h"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    process = LocalServer(command)
    try:
        process.wait_for_line(" ready.", timeout_s=2 * WAIT_S)
        yield process
    finally:
        process.stop()


def app_for(
    broker_url: str, backend_url: str, settings: Mapping[str, object] | None = None
) -> Celery:
    """The side that sends tasks and waits for results: the same tasks by name."""
    app = Celery("celery_tasks", broker=broker_url, backend=backend_url, set_as_current=False)
    app.conf.update(settings or {})
    return app


def signature(app: Celery, name: str, *arguments: object):
    return app.signature(f"celery_tasks.{name}", args=arguments)


def with_tests() -> dict[str, str]:
    """The environment for a process that imports this module."""
    return {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
