"""Real servers that kvbench did not start as its own, for tests on foreign stores."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kvbench.local_server import LocalServer, free_port

_ATTEMPTS = 5


@contextmanager
def redis_server(*options: str) -> Iterator[str]:
    """The URL of a redis-server that keeps nothing on disk; skips where there is none."""
    keeps_nothing = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with _server("redis-server", "--port", [*keeps_nothing, *options]) as port:
        yield f"redis://127.0.0.1:{port}"


@contextmanager
def memcached_server(*options: str) -> Iterator[str]:
    """The URL of a memcached; skips where there is none."""
    with _server("memcached", "-p", ["-l", "127.0.0.1", "-u", "nobody", *options]) as port:
        yield f"memcached://127.0.0.1:{port}"


@contextmanager
def _server(name: str, port_option: str, options: list[str]) -> Iterator[int]:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} on the PATH: apt-get install {name}")
    for _ in range(_ATTEMPTS):
        port = free_port()
        server = LocalServer([program, port_option, str(port), *options])
        try:
            if _accepts(port):
                yield port
                return
        finally:
            server.stop()
    pytest.fail(f"{name} did not start")


def _accepts(port: int) -> bool:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    return False
