"""The address of a Dask scheduler: whether it can be one, and a connection to it.

A wrong one is one line, within 10 s. ``distributed`` is imported when a connection is made.
"""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import logging
import re
import socket
import threading
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from kvbench.errors import KvConnectionError, UsageError
from kvbench.registry import backend_class

CONNECT_TIMEOUT_S = 2.5
"""A wrong address is reported within 10 s: Dask waits twice as long again as its process ends."""

_ADDRESS = re.compile(r"[a-z]+://[^\s/]+:\d+")


def check_cluster(address: str, urls: tuple[str, ...]) -> None:
    """Check that a scheduler's address accepts connections, and that each target has an address.

    Raises:
        UsageError: no address, or a target inside a process of this machine.
        KvConnectionError: nothing listens there, or the package ``distributed`` is not installed.
    """
    if not _ADDRESS.fullmatch(address):
        raise UsageError(f"--dask {address}: write a scheduler's address, tcp://HOST:8786")
    for url in urls:
        if not (backend_class(url).is_network and urlsplit(url).hostname):
            scheme = url.partition(":")[0]
            raise UsageError(
                f"--dask needs targets with an address, which all workers reach: {scheme}://HOST"
                if backend_class(url).is_network
                else f"--dask needs targets with an address: {scheme}:// is on this machine only"
            )
    if importlib.util.find_spec("distributed") is None:
        raise KvConnectionError(
            "--dask needs the package distributed, not installed; "
            "pip install 'kvbench[distributed]'"
        )
    try:
        host, port = urlsplit(address).hostname, urlsplit(address).port
        socket.create_connection((host or "", port or 0), CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        raise KvConnectionError(_no_scheduler(address)) from None


def connect(address: str) -> Any:
    """A client of a scheduler. Raises KvConnectionError: it does not answer.

    Dask waits without a bound for a scheduler that accepts the connection and is silent, so it
    connects in another thread.
    """
    from distributed import Client

    # What matters is reported; a lost scheduler would be several tracebacks.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    clients: SimpleQueue[Any] = SimpleQueue()

    def make() -> None:
        try:
            clients.put(
                Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False, name="kvbench")
            )
        except Exception:  # noqa: BLE001 - another server gives the strangest ones
            clients.put(None)

    threading.Thread(target=make, daemon=True).start()
    with contextlib.suppress(Empty):
        if client := clients.get(timeout=CONNECT_TIMEOUT_S + 1.0):
            return client
    raise KvConnectionError(_no_scheduler(address))


def _no_scheduler(address: str) -> str:
    return f"no Dask scheduler answers at {address}; `dask scheduler` starts one"


def is_loopback(host: str) -> bool:
    """Whether a host is a machine's name for itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
