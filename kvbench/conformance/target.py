"""A target that was opened: an address for the wire suite, a backend for the other, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from kvbench.backend import Backend
from kvbench.clock import ManualClock
from kvbench.conformance.patience import Patience
from kvbench.local_server import LocalServer
from kvbench.registry import open_backend


@dataclass(slots=True)
class Target:
    """A target, opened. Closing it stops what opening it started.

    Attributes:
        name: as the user gave it, without a password, for people.
        address: host and port for the wire suite; None for a target that has none.
        url: opens it as a backend; empty for a target that is only an address.
        store: the opened backend, where there is one.
        clock: the clock that the store runs on, where time can be exact.
        reopen: opens the backend once more, where a URL cannot.
        server: the private server behind it, where there is one.
        net_ttl_ms: the TTL that keys of the wire suite get where no clause says otherwise; None
            until the suite has seen whether TTLs work.
        restart: starts its server again after it was lost; None where that is not possible.
        patience: how long it has been silent.
    """

    name: str
    address: tuple[str, int] | None = None
    url: str = ""
    store: Backend | None = None
    clock: ManualClock | None = None
    reopen: Callable[[], Backend] | None = None
    server: LocalServer | None = None
    net_ttl_ms: int | None = None
    restart: Callable[[], None] | None = None
    patience: Patience = field(default_factory=Patience)

    def another_store(self) -> Backend:
        """The backend opened once more: another connection to the same data, where it is shared."""
        if self.reopen is not None:
            return self.reopen()
        private = self.store.private_url if self.store is not None else ""
        return open_backend(private or self.url)

    def close(self) -> None:
        """Close the store and stop the private server, if there is one."""
        if self.store is not None:
            self.store.close()
        if self.server is not None:
            self.server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
