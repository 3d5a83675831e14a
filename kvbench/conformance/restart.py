"""Starts a target's server by a command of the user, again and again where it dies."""

from __future__ import annotations

from kvbench.local_server import LocalServer


class Restarter:
    """Calling it starts the server; what it had started before is ended first.

    Args:
        command: for the shell. It may run the server itself, or have another program start it.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._server: LocalServer | None = None

    def __call__(self) -> None:
        """Start the server; it need not listen yet."""
        self.stop()
        self._server = LocalServer(["sh", "-c", self._command])

    def stop(self) -> None:
        """End what was started."""
        if self._server is not None:
            self._server.stop()
            self._server = None
