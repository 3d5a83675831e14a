"""A synchronous face for an asynchronous backend, on an event loop of its own.

For scripts and checks that want one interface for every target. Each call pays for entering the
loop, so the benchmark does not use it: it drives asynchronous backends inside their loop.

What the wrapped adapter declares, its face declares too, also as a class.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

from kvbench.backend import AsyncBackend, Backend, BackendDescription
from kvbench.errors import KvConnectionError, UsageError
from kvbench.model import Pairs, Value

_T = TypeVar("_T")


class BlockingBackend(Backend):
    """Every method of :class:`Backend`, run to its end on a private event loop.

    Attributes:
        inner: the asynchronous backend behind this face.
    """

    def __init__(self, inner: AsyncBackend, runner: asyncio.Runner) -> None:
        self.inner = inner
        self._runner = runner
        self._is_open = True

    @classmethod
    def over(cls, backend: type[AsyncBackend], url: str) -> BlockingBackend:
        """Open ``url`` with the asynchronous adapter ``backend``; errors as its ``open``."""
        runner = asyncio.Runner()
        try:
            return cls.around(runner.run(backend.open(url)), runner)
        except BaseException:
            runner.close()
            raise

    @classmethod
    def around(cls, inner: AsyncBackend, runner: asyncio.Runner) -> BlockingBackend:
        """The face of an open backend that lives on the runner's loop; closing it closes both."""
        declared = {name: getattr(inner, name) for name in BackendDescription.__annotations__}
        face = type(f"Blocking{type(inner).__name__}", (cls,), declared)
        blocking: BlockingBackend = face(inner, runner)
        return blocking

    @classmethod
    def open(cls, url: str) -> Self:
        """Not by URL: see :meth:`over`."""
        raise UsageError("a BlockingBackend wraps an asynchronous one: use BlockingBackend.over")

    def close(self) -> None:
        """Close the backend, then its loop."""
        if self._is_open:
            self._is_open = False
            self._runner.run(self.inner.close())
            self._runner.close()

    def _run(self, call: Coroutine[Any, Any, _T]) -> _T:
        if not self._is_open:
            call.close()
            raise KvConnectionError("this backend is closed: open it again")
        return self._runner.run(call)

    def describe(self) -> Mapping[str, str]:
        """As the wrapped backend."""
        return self.inner.describe()

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        return self._run(self.inner.get(key))

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""
        self._run(self.inner.set(key, value, ttl))

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        return self._run(self.inner.delete(key))

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        return self._run(self.inner.exists(key))

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`."""
        return self._run(self.inner.mget(keys))

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`."""
        self._run(self.inner.mset(pairs, ttl))

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`."""
        self._run(self.inner.mset_each(entries))

    def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`."""
        return self._run(self.inner.mdel(keys))

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`."""
        return self._run(self.inner.mexists(keys))

    def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`."""
        return self._run(self.inner.expire(key, ttl))

    def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        return self._run(self.inner.ttl(key))

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`."""
        return self._run(self.inner.setnx(key, value, ttl))

    def incr(self, key: str, delta: int = 1) -> int:
        """As :meth:`Backend.incr`."""
        return self._run(self.inner.incr(key, delta))

    def decr(self, key: str, delta: int = 1) -> int:
        """As :meth:`Backend.decr`."""
        return self._run(self.inner.decr(key, delta))

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """As :meth:`Backend.cas`."""
        return self._run(self.inner.cas(key, expected, new, ttl))

    def lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`Backend.lock`."""
        return self._run(self.inner.lock(key, owner, ttl))

    def unlock(self, key: str, owner: str) -> bool:
        """As :meth:`Backend.unlock`."""
        return self._run(self.inner.unlock(key, owner))

    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """As :meth:`Backend.extend_lock`."""
        return self._run(self.inner.extend_lock(key, owner, ttl))

    def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.pipelined_get`."""
        return self._run(self.inner.pipelined_get(keys))

    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.pipelined_set`."""
        self._run(self.inner.pipelined_set(pairs, ttl))

    def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_delete`."""
        return self._run(self.inner.pipelined_delete(keys))

    def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_exists`."""
        return self._run(self.inner.pipelined_exists(keys))
