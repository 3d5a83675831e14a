"""Real servers that kvbench did not start as its own, for tests on foreign stores."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
def http_server() -> Iterator[str]:
    """The address of the HTTP server that comes with Python."""
    port = free_port()
    server = LocalServer([sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)])
    try:
        assert _accepts(port), "http.server did not start"
        yield f"127.0.0.1:{port}"
    finally:
        server.stop()


@contextmanager
def tls_server(directory: Path) -> Iterator[str]:
    """The address of OpenSSL's own TLS server, its key and certificate in ``directory``."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on the PATH: apt-get install openssl")
    key, certificate = str(directory / "key.pem"), str(directory / "certificate.pem")
    make = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=test"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run(["openssl", *make.split(), *files], check=True, capture_output=True)
    options = ["s_server", "-quiet", "-key", key, "-cert", certificate]
    with _server("openssl", "-port", options) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def _server(name: str, port_option: str, options: list[str]) -> Iterator[int]:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"no {name} on the PATH: apt-get install {name}")
    for _ in range(_ATTEMPTS):
        port = free_port()
        server = LocalServer([program, *options, port_option, str(port)])
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
