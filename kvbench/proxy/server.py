"""The proxy: listens on loopback, and connects each client to the target.

The proxy has a cost: the process switches of each round trip add some tens of microseconds to the
delay, even to a delay of 0.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections import deque
from collections.abc import Callable

from kvbench.errors import KvConnectionError
from kvbench.proxy.alarms import Alarms
from kvbench.proxy.conditions import Conditions
from kvbench.proxy.connection import Link, ProxyConnection, Traffic
from kvbench.proxy.pipe import Line
from kvbench.proxy.target import format_address, parse_address

LISTEN_HOST = "127.0.0.1"
"""Only loopback: a client of the proxy reaches the target with this machine's rights."""

CONNECT_TIMEOUT_S = 5.0
DRAIN_TIMEOUT_S = 2.0
"""How long shutdown waits, beyond the delay, for data in flight to arrive."""

TRAFFIC_KEPT = 100
"""Connections whose traffic is recorded one by one, the latest; sums cover all."""

_BACKLOG = 1024

_ERRNO = re.compile(r"\[Errno (\d+)\]")


class Proxy:
    """A proxy in front of one target. ``async with`` starts it, and shuts it down gracefully.

    Args:
        target: ``host:port``.
        conditions: the simulated network.
        port: where it listens; 0 takes a free one.
        complain: called with a message when the target is lost, once until it is back.

    Raises:
        UsageError: the target is not an address.

    Attributes:
        address: for clients, ``host:port``; empty until it listens.
        traffic: of the last closed connections.
        connections: how many were accepted.
        to_target_bytes: forwarded by closed connections.
        to_client_bytes: the same in the other direction.
    """

    def __init__(
        self,
        target: str,
        conditions: Conditions,
        *,
        port: int = 0,
        complain: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.address = ""
        self.traffic: deque[Traffic] = deque(maxlen=TRAFFIC_KEPT)
        self.connections = 0
        self.to_target_bytes = 0
        self.to_client_bytes = 0
        self._target = target
        self._host, self._target_port = parse_address(target)
        self._conditions = conditions
        self._port = port
        self._complain = complain
        self._is_target_lost = False
        self._live: set[ProxyConnection] = set()
        self._joining: set[asyncio.Task[None]] = set()
        self._are_all_gone = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._link: Link

    async def start(self) -> None:
        """Listen, after checking that the target accepts connections.

        Raises:
            KvConnectionError: it cannot be reached, or the port is in use.
        """
        await self._probe_target()
        loop = asyncio.get_running_loop()
        try:
            listening = socket.create_server((LISTEN_HOST, self._port), backlog=_BACKLOG)
        except OSError as error:
            raise KvConnectionError(
                f"cannot listen on {LISTEN_HOST} port {self._port}: {_reason(error)}; choose "
                "another with --port (0: a free one)"
            ) from None
        self._link = self._make_link()
        self.address = format_address(*listening.getsockname()[:2])
        self._listener = await loop.create_server(
            lambda: self._accept().client, sock=listening, backlog=_BACKLOG
        )

    def _make_link(self) -> Link:
        conditions = self._conditions
        there_ns, back_ns = _halves(conditions.delay_ns)
        jitter_ns, bandwidth = conditions.jitter_ns // 2, conditions.bandwidth_bytes_per_s
        return Link(
            conditions,
            Line(there_ns, jitter_ns, bandwidth),
            Line(back_ns, jitter_ns, bandwidth),
            Alarms(asyncio.get_running_loop()),
        )

    def set_delay(self, delay_ns: int) -> None:
        """Change the added delay, from the next chunk on."""
        link = self._link
        link.to_target.delay_ns, link.to_client.delay_ns = _halves(delay_ns)

    async def stop(self) -> None:
        """Stop accepting, forward what is in flight, close. May be called twice."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        for task in list(self._joining):
            task.cancel()
        for connection in list(self._live):
            connection.finish()
        delay_ns = self._link.to_target.delay_ns + self._link.to_client.delay_ns
        await self._wait_until_gone(DRAIN_TIMEOUT_S + delay_ns / 1e9)
        self.abort()
        await self._wait_until_gone(1.0)
        self._link.alarms.close()

    def abort(self) -> None:
        """Close every connection immediately; data in flight is lost."""
        for connection in list(self._live):
            connection.abort()

    async def __aenter__(self) -> Proxy:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _accept(self) -> ProxyConnection:
        self.connections += 1
        connection = ProxyConnection(self.connections, self._link, self._on_closed)
        self._live.add(connection)
        self._are_all_gone.clear()
        task = asyncio.get_running_loop().create_task(self._join(connection))
        self._joining.add(task)

        def joined(task: asyncio.Task[None]) -> None:
            self._joining.discard(task)
            if task.cancelled():
                connection.refuse()

        task.add_done_callback(joined)
        return connection

    async def _join(self, connection: ProxyConnection) -> None:
        """Connect to the target."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(
                    lambda: connection.target, self._host, self._target_port
                )
        except OSError as error:
            connection.refuse()
            if not self._is_target_lost:
                self._complain(self._cannot_reach(error))
            self._is_target_lost = True
        else:
            self._is_target_lost = False

    async def _probe_target(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(self._host, self._target_port)
        except OSError as error:
            raise KvConnectionError(self._cannot_reach(error)) from None
        writer.close()

    def _cannot_reach(self, error: OSError) -> str:
        return f"cannot reach the target {self._target}: {_reason(error)}; is its server running?"

    def _on_closed(self, connection: ProxyConnection) -> None:
        if connection not in self._live:
            return
        self._live.discard(connection)
        traffic = connection.traffic()
        self.traffic.append(traffic)
        self.to_target_bytes += traffic.to_target_bytes
        self.to_client_bytes += traffic.to_client_bytes
        if not self._live:
            self._are_all_gone.set()

    async def _wait_until_gone(self, timeout_s: float) -> None:
        if self._live:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._are_all_gone.wait()
            except TimeoutError:
                pass  # The caller goes on to stop forcibly.


def _halves(delay_ns: int) -> tuple[int, int]:
    return delay_ns // 2, delay_ns - delay_ns // 2


def _reason(error: OSError) -> str:
    """The reason, in the system's words."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    # For a name with several addresses asyncio puts all their errors into one text.
    numbers = [error.errno] if error.errno else map(int, _ERRNO.findall(str(error)))
    return ", ".join(dict.fromkeys(map(os.strerror, numbers))) or str(error)
