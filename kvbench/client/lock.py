"""A lock that expires: held in an ``async with``, on the server, for a bounded time."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable
from types import TracebackType
from typing import Self

from kvbench.client.aio import KvClient
from kvbench.client.pool import KvPool
from kvbench.errors import KvError, KvServerError, KvTimeoutError, LockLostError
from kvbench.protocol.opcodes import Status

RETRY_INTERVAL_S = 0.05
"""Interval between attempts to acquire a held lock: short for people, long for a server."""

_log = logging.getLogger("kvbench.client")


class Lock:
    """A lock on a key, held during the ``async with``, for ``ttl`` seconds at most.

    Args:
        client: a KvClient or a KvPool.
        key: the lock's key.
        ttl: seconds until it expires; :meth:`extend` restarts them.
        owner: the holder's name; a unique one by default.
        acquire_timeout: seconds to wait while another owner holds it; None waits without limit.

    Raises:
        KvTimeoutError: another owner held it all the time.
        LockLostError: at the end: it had expired, so another owner may have held it concurrently.
        KvServerError: the server refused for another reason; the lock may still be held, at the
            end until its ttl expires.

    An exception of the body takes precedence over an error of unlocking, which is then logged. If
    acquiring is cancelled, the lock may stay held until its ttl expires.
    """

    def __init__(
        self,
        client: KvClient | KvPool,
        key: str,
        ttl: float = 30,
        *,
        owner: str | None = None,
        acquire_timeout: float | None = None,
    ) -> None:
        self._client = client
        self.key = key
        self.ttl = ttl
        self.owner = owner if owner is not None else uuid.uuid4().hex
        self.acquire_timeout = acquire_timeout

    async def extend(self) -> None:
        """Set the remaining time to ``ttl`` seconds.

        Raises:
            LockLostError: it has expired.
            KvServerError: the server refused for another reason; it may still be held.
        """
        await self._still_held(self._client.extend_lock(self.key, self.owner, self.ttl))

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not await self._client.lock(self.key, self.owner, self.ttl):
            pause_s = RETRY_INTERVAL_S
            if self.acquire_timeout is not None:
                left_s = self.acquire_timeout - (loop.time() - began)
                if left_s <= 0:
                    raise KvTimeoutError(
                        f"lock {self.key!r} was held by another for {self.acquire_timeout:g} s"
                    )
                pause_s = min(pause_s, left_s)
            await asyncio.sleep(pause_s)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._still_held(self._client.unlock(self.key, self.owner))
        except KvError as failure:
            if error is None:
                raise
            _log.warning("lock %r was not released: %s", self.key, failure)

    async def _still_held(self, answer: Awaitable[bool]) -> None:
        try:
            held = await answer
        except KvServerError as refusal:
            if refusal.status != Status.ERROR or await self._may_be_ours():
                raise
            held = False  # Another owner holds it now.
        if not held:
            raise LockLostError(
                f"lock {self.key!r} had expired: use a longer ttl than {self.ttl:g} s, or extend it"
            )

    async def _may_be_ours(self) -> bool:
        """Whether this owner may still hold the lock after an ERROR, which can mean anything.

        The key's value decides: it is the owner's name (LOCK-007). Messages are for people.
        """
        try:
            return await self._client.get(self.key) == self.owner
        except KvError:
            return True
