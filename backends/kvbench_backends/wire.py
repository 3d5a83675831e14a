"""``kvb://host:port/namespace`` and ``kvb+async://...``: servers of the wire protocol.

The first through the synchronous client, the second through the asynchronous one. Without a host
they start a private server, which ends with the backend. Batches are atomic up to 65,535 keys; a
larger one is several requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

from typing_extensions import override

from kvbench.backend import BATCH_OPERATIONS, AsyncBackend, Backend
from kvbench.client.address import Address
from kvbench.client.aio import KvClient
from kvbench.client.sync import SyncKvClient
from kvbench.errors import KvServerError
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.model import BatchKind, Capability
from kvbench.protocol.opcodes import DEFAULT_PORT
from kvbench_backends.wire_abilities import narrowed, probes

_BATCH_KINDS = dict.fromkeys(BATCH_OPERATIONS, BatchKind.NATIVE)


def _locate(url: str) -> tuple[str, LocalServer | None]:
    """The URL as an address; without a host, that of a server started for it."""
    rest = url.partition("://")[2]
    if rest and not rest.startswith("/"):
        return url, None
    Address.parse("localhost" + rest)  # A wrong namespace is refused before a server starts.
    server = LocalServer(OWN_SERVER)
    try:
        return server.wait_for_line("listening on").split()[-1] + rest, server
    except BaseException:
        server.stop()
        raise


def _facts(info: Mapping[str, object], capabilities: Sequence[str]) -> dict[str, str]:
    """Facts for the record, from the answers to INFO and HELLO."""
    facts = {"product": "server of the wire protocol"}
    for name in ("version", "codec", "event_loop"):
        if name in info:
            facts[name] = str(info[name])
    if capabilities:
        facts["extensions"] = ", ".join(capabilities)
    return facts


class WireBackend(SyncKvClient, Backend):
    """A server of the wire protocol: the client itself, with nothing between it and a call."""

    summary = "a server of the wire protocol, synchronous client"
    url_example = "kvb://127.0.0.1:16380/namespace"
    is_network = True
    default_port = DEFAULT_PORT
    capabilities = frozenset(Capability)
    batch_kinds = _BATCH_KINDS
    _server: LocalServer | None = None

    @classmethod
    @override
    def open(cls, url: str) -> Self:
        address, server = _locate(url)
        try:
            backend = cls.connect(address)
            try:
                backend._find_abilities()
            except BaseException:
                backend.close()
                raise
        except BaseException:
            if server is not None:
                server.stop()
            raise
        if server is not None:
            backend._server, backend.private_url = server, f"kvb://{backend.address}"
        return backend

    def _find_abilities(self) -> None:
        missing = []
        for probe in probes():
            try:
                getattr(self, probe.method)(*probe.arguments)
            except KvServerError:
                missing.append(probe.method)
        self.__class__ = narrowed(type(self), missing, self._announced())

    def _announced(self) -> list[str]:
        """What HELLO announces: a server of the family without extensions refuses it."""
        try:
            return self.hello()[1]
        except KvServerError:
            return []

    @override
    def close(self) -> None:
        try:
            super().close()
        finally:
            if self._server is not None:
                self._server.stop()

    def describe(self) -> Mapping[str, str]:
        """The server's answers to INFO and HELLO."""
        return _facts(self.info(), self._announced())


class AsyncWireBackend(KvClient, AsyncBackend):
    """A server of the wire protocol: the asynchronous client itself."""

    summary = "a server of the wire protocol, asynchronous client"
    url_example = "kvb+async://127.0.0.1:16380/namespace"
    is_network = True
    default_port = DEFAULT_PORT
    capabilities = frozenset(Capability)
    batch_kinds = _BATCH_KINDS
    _server: LocalServer | None = None
    _facts: Mapping[str, str] = {}

    @classmethod
    @override
    async def open(cls, url: str) -> Self:
        address, server = _locate(url)
        try:
            backend = await cls.connect(address)
            try:
                await backend._ask()
            except BaseException:
                await backend.close()
                raise
        except BaseException:
            if server is not None:
                server.stop()
            raise
        if server is not None:
            backend._server, backend.private_url = server, f"kvb+async://{backend.address}"
        return backend

    async def _ask(self) -> None:
        """Find out what the server can do, and what it says of itself."""
        missing = []
        for probe in probes():
            try:
                await getattr(self, probe.method)(*probe.arguments)
            except KvServerError:
                missing.append(probe.method)
        try:
            announced = (await self.hello())[1]
        except KvServerError:
            announced = []  # A server of the family without extensions refuses HELLO.
        self._facts = _facts(await self.info(), announced)
        self.__class__ = narrowed(type(self), missing, announced)

    @override
    async def close(self) -> None:
        try:
            await super().close()
        finally:
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)

    def describe(self) -> Mapping[str, str]:
        """The server's answers to INFO and HELLO when it was opened."""
        return self._facts
