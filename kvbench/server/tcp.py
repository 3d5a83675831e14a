"""The server over TCP: listening, timers, and graceful shutdown.

All code runs in the event loop's thread, so the store changes only between two requests. This makes
a batch atomic for all connections. Two timers run: one purges expired keys in bounded steps, so
that memory is freed without traffic and no request waits long; one looks for connections that are
idle or do not finish a request.

There is no authentication yet, so the server listens on loopback addresses only, unless the
configuration disables protected mode.

Graceful shutdown (:meth:`KvServer.stop`): stop accepting, read once more what has arrived, answer
it, and close each connection after its replies. Clients that do not read their replies in time are
disconnected.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from kvbench.clock import Clock, SystemClock
from kvbench.engine import Engine
from kvbench.errors import KvConnectionError, UsageError
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX
from kvbench.server.config import ServerConfig
from kvbench.server.connection import ServerConnection
from kvbench.server.dispatch import Dispatcher
from kvbench.server.reserve import reserve
from kvbench.server.stats import Stats
from kvbench.server.turns import Turns

PURGE_EVERY_S = 1.0
"""Interval of the purge when no expired keys were left."""

PURGE_PAUSE_S = 0.001
"""Interval between purge steps while more keys are due: about the length of a step, so at least
half of the time is for requests."""

SWEEPS_PER_TIMEOUT = 4
"""Checks of idle connections per timeout (the shorter one): limits how late a close can be."""

_BACKLOG = 1024
"""Listen backlog: hundreds of connections can arrive at once."""

_log = logging.getLogger("kvbench.server")


class KvServer:
    """A server on one address. ``async with`` starts it, and shuts it down gracefully.

    Args:
        config: where to listen, and the limits.
        clock: the time of TTLs; tests use a ManualClock for exact times.

    Attributes:
        engine: the store.
        stats: the counters of INFO.
    """

    def __init__(self, config: ServerConfig, *, clock: Clock | None = None) -> None:
        self.config = config
        self.engine: Engine[bytes, bytes] = Engine(clock)
        self.stats = Stats(clock)
        self._dispatcher = Dispatcher(
            self.engine, self.stats, max(config.max_payload_bytes, PAYLOAD_BYTES_MAX)
        )
        self._turns = Turns()
        self._live: set[ServerConnection] = set()
        self._listener: asyncio.Server | None = None
        self._is_stopping = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._host = ""
        self._port = 0

    @property
    def address(self) -> str:
        """Address for clients: ``host:port``, IPv6 in brackets. Set once it listens."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            KvConnectionError: the address is in use, not permitted, or not of this machine.
            UsageError: the address is not loopback, and protected mode is on.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_on_loop_error)
        self.stats.event_loop = "uvloop" if type(loop).__module__ == "uvloop" else "asyncio"
        listening = await _listening_socket(self.config)
        self._host, self._port = listening.getsockname()[:2]
        self._listener = await loop.create_server(
            lambda: ServerConnection(
                self._dispatcher, self.config, self._live, lambda: self._is_stopping, self._turns
            ),
            sock=listening,
            backlog=_BACKLOG,
        )
        self._purge()
        timeouts = [s for s in (self.config.idle_timeout_s, self.config.frame_timeout_s) if s]
        if timeouts:
            self._sweep(min(timeouts) / SWEEPS_PER_TIMEOUT)

    async def stop(self) -> None:
        """Answer received requests, then close everything. May be called twice."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        self._is_stopping = True
        # Two iterations of the event loop read what the kernel has already received.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for timer in self._timers.values():
            timer.cancel()
        for connection in list(self._live):
            connection.finish()
        await self._wait_until_gone(self.config.drain_timeout_s)
        if self._live:
            _log.warning("%d clients did not take their replies in time", len(self._live))
        self.abort()
        await self._wait_until_gone(1.0)

    def abort(self) -> None:
        """Close every connection immediately; unsent replies are lost."""
        for connection in list(self._live):
            connection.abort()

    async def __aenter__(self) -> KvServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _wait_until_gone(self, timeout_s: float) -> None:
        if self._live:
            closed = [connection.closed for connection in self._live]
            await asyncio.wait(closed, timeout=timeout_s)

    def _purge(self) -> None:
        """Purge a bounded number of expired keys, and reschedule: soon when more are due."""
        dropped = 0
        try:
            dropped = self.engine.purge()
        finally:
            self._again("purge", PURGE_PAUSE_S if dropped else PURGE_EVERY_S, self._purge)

    def _sweep(self, every_s: float) -> None:
        now_ns = SystemClock.now_ns()
        try:
            for connection in list(self._live):
                connection.sweep(now_ns)
        finally:
            self._again("sweep", every_s, lambda: self._sweep(every_s))

    def _again(self, name: str, delay_s: float, step: Callable[[], None]) -> None:
        call_later = asyncio.get_running_loop().call_later
        try:
            self._timers[name] = call_later(delay_s, step)
        except MemoryError:
            reserve.spend()
            self._timers[name] = call_later(delay_s, step)


async def serve(
    config: ServerConfig,
    *,
    clock: Clock | None = None,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then shut down gracefully; returns the exit code.

    Args:
        config: where to listen, and the limits.
        clock: the time of TTLs.
        ready: called once with the address when clients can connect.

    Returns:
        0 after a graceful shutdown; 128 plus the signal number if a second signal cut it short.

    Raises:
        KvConnectionError: the server cannot listen there.
        UsageError: protected mode is on, and the address is not loopback.
    """
    loop = asyncio.get_running_loop()
    server = KvServer(config, clock=clock)
    first_signal = asyncio.Event()
    exit_code = 0

    def on_signal(number: int) -> None:
        nonlocal exit_code
        if first_signal.is_set():
            exit_code = 128 + number
            server.abort()
        first_signal.set()

    await server.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    _log.info("ready", extra={"facts": {"address": server.address}})
    if ready is not None:
        ready(server.address)
    await first_signal.wait()
    _log.info("stopping", extra={"facts": {"connections": server.stats.connections_now}})
    await server.stop()
    _log.info("stopped")
    return exit_code


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error outside of a request. The loop has closed the connection concerned."""
    if isinstance(context.get("exception"), MemoryError):
        reserve.spend()
    loop.default_exception_handler(context)


async def _listening_socket(config: ServerConfig) -> socket.socket:
    """Listen on the first address of a name, so that there is one address to announce."""
    host, port = config.host, config.port
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        if config.protected_mode and not _is_loopback(str(address[0])):
            raise UsageError(
                f"refused to listen on {host} ({address[0]}): the server has no password, so "
                "everyone who can connect can read and change all data; listen on 127.0.0.1, or "
                "use --no-protected-mode if you trust everyone who can connect"
            )
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise _cannot_listen(host, port, error) from None


def _is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address; IPv6 may hold an IPv4 address."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> KvConnectionError:
    return KvConnectionError(f"cannot listen on {host} port {port}: {_advice(error)}")


def _advice(error: OSError | UnicodeError) -> str:
    """What is wrong with an address, and how to fix it."""
    if isinstance(error, UnicodeError | socket.gaierror):
        return "no such host; --host takes an address of this machine, such as 127.0.0.1"
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{reason}; choose another address with --host and --port (port 0: a free one)"
