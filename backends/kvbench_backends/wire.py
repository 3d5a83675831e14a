"""``kvb://host:port/namespace`` and ``kvb+async://...``: servers of the wire protocol.

The first through the synchronous client, the second through the asynchronous one. Without a host
they start a private server, which ends with the backend. Batches are atomic up to 65,535 keys; a
larger one is several requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from kvbench.backend import AsyncBackend, Backend
from kvbench.client.address import Address
from kvbench.client.aio import KvClient
from kvbench.client.sync import SyncKvClient
from kvbench.errors import KvServerError
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.model import BatchKind, Capability, Pairs, Value
from kvbench.protocol.opcodes import DEFAULT_PORT

_BATCH_KINDS = dict.fromkeys(("mget", "mset", "mdel", "mexists", "mset_each"), BatchKind.NATIVE)


def _locate(url: str) -> tuple[str, LocalServer | None]:
    """The URL as an address; without a host, that of a server started for it."""
    rest = url.partition("://")[2]
    if rest and not rest.startswith("/"):
        return url, None
    Address.parse("localhost" + rest)  # A mistake in the namespace is told before a server starts.
    server = LocalServer(OWN_SERVER)
    try:
        return server.wait_for_line("listening on").split()[-1] + rest, server
    except BaseException:
        server.stop()
        raise


def _facts(info: Mapping[str, object], capabilities: Sequence[str]) -> dict[str, str]:
    """What INFO and HELLO tell, as far as it belongs in a record."""
    told = {"product": "server of the wire protocol"}
    for name in ("version", "codec", "event_loop"):
        if name in info:
            told[name] = str(info[name])
    if capabilities:
        told["extensions"] = ", ".join(capabilities)
    return told


class WireBackend(Backend):
    """A server of the wire protocol, through :class:`SyncKvClient`."""

    summary = "a server of the wire protocol, synchronous client"
    url_example = "kvb://127.0.0.1:16380/namespace"
    is_network = True
    default_port = DEFAULT_PORT
    capabilities = frozenset(Capability)
    batch_kinds = _BATCH_KINDS

    def __init__(self, client: SyncKvClient, server: LocalServer | None) -> None:
        self._client = client
        self._server = server
        if server is not None:
            self.private_url = f"kvb://{client.address}"

    @classmethod
    def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`."""
        address, server = _locate(url)
        try:
            return cls(SyncKvClient.connect(address), server)
        except BaseException:
            if server is not None:
                server.stop()
            raise

    def close(self) -> None:
        """As :meth:`Backend.close`; a private server is stopped."""
        try:
            self._client.close()
        finally:
            if self._server is not None:
                self._server.stop()

    def describe(self) -> Mapping[str, str]:
        """What the server tells by INFO and HELLO."""
        try:
            capabilities = self._client.hello()[1]
        except KvServerError:
            capabilities = []  # A server of the family without extensions refuses HELLO.
        return _facts(self._client.info(), capabilities)

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        return self._client.get(key)

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""
        self._client.set(key, value, ttl)

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        return self._client.delete(key)

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        return self._client.exists(key)

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`."""
        return self._client.mget(keys)

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`."""
        self._client.mset(pairs, ttl)

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`."""
        self._client.mset_each(entries)

    def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`."""
        return self._client.mdel(keys)

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`."""
        return self._client.mexists(keys)

    def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`."""
        return self._client.expire(key, ttl)

    def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        return self._client.ttl(key)

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`."""
        return self._client.setnx(key, value, ttl)

    def incr(self, key: str, delta: int = 1) -> int:
        """As :meth:`Backend.incr`."""
        return self._client.incr(key, delta)

    def decr(self, key: str, delta: int = 1) -> int:
        """As :meth:`Backend.decr`."""
        return self._client.decr(key, delta)

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """As :meth:`Backend.cas`."""
        return self._client.cas(key, expected, new, ttl)

    def lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`Backend.lock`."""
        return self._client.lock(key, owner, ttl)

    def unlock(self, key: str, owner: str) -> bool:
        """As :meth:`Backend.unlock`."""
        return self._client.unlock(key, owner)

    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`Backend.extend_lock`."""
        return self._client.extend_lock(key, owner, ttl)

    def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.pipelined_get`."""
        return self._client.pipelined_get(keys)

    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.pipelined_set`."""
        self._client.pipelined_set(pairs, ttl)

    def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_delete`."""
        return self._client.pipelined_delete(keys)

    def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_exists`."""
        return self._client.pipelined_exists(keys)


class AsyncWireBackend(AsyncBackend):
    """A server of the wire protocol, through :class:`KvClient`."""

    summary = "a server of the wire protocol, asynchronous client"
    url_example = "kvb+async://127.0.0.1:16380/namespace"
    is_network = True
    default_port = DEFAULT_PORT
    capabilities = frozenset(Capability)
    batch_kinds = _BATCH_KINDS

    def __init__(
        self, client: KvClient, server: LocalServer | None, facts: Mapping[str, str]
    ) -> None:
        self._client = client
        self._server = server
        self._facts = facts
        if server is not None:
            self.private_url = f"kvb+async://{client.address}"

    @classmethod
    async def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`."""
        address, server = _locate(url)
        try:
            client = await KvClient.connect(address)
            try:
                return cls(client, server, await cls._ask(client))
            except BaseException:
                await client.close()
                raise
        except BaseException:
            if server is not None:
                server.stop()
            raise

    @staticmethod
    async def _ask(client: KvClient) -> Mapping[str, str]:
        try:
            capabilities = (await client.hello())[1]
        except KvServerError:
            capabilities = []  # A server of the family without extensions refuses HELLO.
        return _facts(await client.info(), capabilities)

    async def close(self) -> None:
        """As :meth:`Backend.close`; a private server is stopped."""
        try:
            await self._client.close()
        finally:
            if self._server is not None:
                await asyncio.to_thread(self._server.stop)

    def describe(self) -> Mapping[str, str]:
        """What the server told by INFO and HELLO when it was opened."""
        return self._facts

    async def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        return await self._client.get(key)

    async def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""
        await self._client.set(key, value, ttl)

    async def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        return await self._client.delete(key)

    async def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        return await self._client.exists(key)

    async def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`."""
        return await self._client.mget(keys)

    async def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`."""
        await self._client.mset(pairs, ttl)

    async def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`."""
        await self._client.mset_each(entries)

    async def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`."""
        return await self._client.mdel(keys)

    async def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`."""
        return await self._client.mexists(keys)

    async def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`."""
        return await self._client.expire(key, ttl)

    async def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        return await self._client.ttl(key)

    async def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`."""
        return await self._client.setnx(key, value, ttl)

    async def incr(self, key: str, delta: int = 1) -> int:
        """As :meth:`Backend.incr`."""
        return await self._client.incr(key, delta)

    async def decr(self, key: str, delta: int = 1) -> int:
        """As :meth:`Backend.decr`."""
        return await self._client.decr(key, delta)

    async def cas(
        self, key: str, expected: Value, new: Value, ttl: float | None = None
    ) -> bool | None:
        """As :meth:`Backend.cas`."""
        return await self._client.cas(key, expected, new, ttl)

    async def lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`Backend.lock`."""
        return await self._client.lock(key, owner, ttl)

    async def unlock(self, key: str, owner: str) -> bool:
        """As :meth:`Backend.unlock`."""
        return await self._client.unlock(key, owner)

    async def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`Backend.extend_lock`."""
        return await self._client.extend_lock(key, owner, ttl)

    async def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.pipelined_get`."""
        return await self._client.pipelined_get(keys)

    async def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.pipelined_set`."""
        await self._client.pipelined_set(pairs, ttl)

    async def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_delete`."""
        return await self._client.pipelined_delete(keys)

    async def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_exists`."""
        return await self._client.pipelined_exists(keys)
