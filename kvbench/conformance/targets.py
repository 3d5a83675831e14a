"""Targets of the suite: from what the user typed to something that cases can work with.

``host:port`` is a wire target and nothing else: a server in any language. ``kvb://...`` is both, a
wire target and a backend; any other URL is a backend. Without a host, ``kvb://`` starts a private
server, and both suites look at the same one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from kvbench.backend import Backend
from kvbench.clock import ManualClock
from kvbench.conformance.case import Suite
from kvbench.errors import UnsupportedError, UsageError
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.protocol.opcodes import DEFAULT_PORT
from kvbench.registry import backend_class, open_backend, scheme_of

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/\[\]@\s]+):(\d{1,5})")


@dataclass(slots=True)
class Target:
    """A target, opened. Closing it stops what opening it started.

    Attributes:
        name: as the user gave it, for people.
        address: host and port for the wire suite; None for a target that has none.
        url: opens it as a backend; empty for a target that is only an address.
        store: the opened backend, where there is one.
        clock: the clock that the store runs on, where time can be exact.
    """

    name: str
    address: tuple[str, int] | None = None
    url: str = ""
    store: Backend | None = None
    clock: ManualClock | None = None
    _server: LocalServer | None = field(default=None, repr=False)

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites that can look at it."""
        wire = (Suite.WIRE,) if self.address else ()
        return (*wire, Suite.BACKEND) if self.url else wire

    def another_store(self) -> Backend:
        """The backend opened once more: another connection to the same data, where it is shared."""
        private = self.store.private_url if self.store is not None else ""
        return open_backend(private or self.url)

    def close(self) -> None:
        """Close the store and stop the private server, if there is one."""
        if self.store is not None:
            self.store.close()
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_target(text: str) -> Target:
    """Open what the user named.

    Raises:
        UsageError: neither an address nor the URL of a registered backend.
        KvConnectionError: nobody answers there.
        BackendUnavailableError: a driver or server program is not installed.
    """
    match = _HOST_PORT.fullmatch(text)
    if match is not None:
        return Target(text, address=_address(match.group(1), int(match.group(2))))
    if "://" not in text:
        raise UsageError(f"{text!r} is neither host:port nor a URL such as memory:// or kvb://")
    scheme = scheme_of(text)
    if scheme not in ("kvb", "kvb+async"):
        return _open_store(Target(text, url=text))
    parts = urlsplit(text)
    if parts.hostname:
        address = _address(parts.hostname, parts.port or DEFAULT_PORT)
        return _open_store(Target(text, address=address, url=text))
    backend_class(text)
    server = LocalServer(OWN_SERVER)
    listening = server.wait_for_line("listening on").split()[-1]
    host, _, port = listening.rpartition(":")
    url = f"{scheme}://{listening}{parts.path}"
    target = Target(text, address=_address(host, int(port)), url=url, _server=server)
    return _open_store(target)


def _open_store(target: Target) -> Target:
    """Open the backend: on a clock that cases can move, where the store allows that."""
    try:
        cls = backend_class(target.url)
        try:
            if issubclass(cls, Backend):
                clock = ManualClock()
                target.store = cls.open_on_clock(target.url, clock)
                target.clock = clock
        except UnsupportedError:
            pass
        if target.store is None:
            target.store = open_backend(target.url)
    except BaseException:
        target.close()
        raise
    return target


def _address(host: str, port: int) -> tuple[str, int]:
    if not 1 <= port <= 65_535:
        raise UsageError(f"port {port} is not 1 to 65535")
    return host.strip("[]"), port
