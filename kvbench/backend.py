"""Backend and AsyncBackend: what an adapter for one kind of store looks like.

An adapter subclasses one of the two, says what it can do in its class attributes, and is registered
in the entry-point group ``kvbench.backends`` under its URL scheme. Four methods are required (get,
set, delete, exists) and ``close``. The batch methods default to loops over them, and are then
reported as ``emulated``; an adapter that overrides one names its kind in :attr:`batch_kinds`.
Everything else raises UnsupportedError until it is overridden and declared as a capability.

The pipelined methods (capability ``pipelining``) are single calls that share round trips: the
requests leave in one flush and each gets a separate reply. They are no batch: every call takes
effect by itself, in its order, and others may see a part of them. A KvError among the replies is
raised once all have come, the first of them; the other calls stand.

Contract, for both faces:

- Keys are ``str`` of 1 to 256 bytes of UTF-8. Values are ``bytes``, or any
  :data:`~kvbench.model.Value` with the capability ``typed-values``. TTLs are seconds.
- Wrong arguments raise TypeError or ValueError before anything is sent; a failing store raises a
  :class:`~kvbench.errors.KvError`. An error is never reported as a miss.
- A value stays what it was when it was given: later changes to a list or dict do not reach it.
- An adapter does nothing to keys that it was not given: there is no flush.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from kvbench.clock import Clock
from kvbench.errors import KvConnectionError, UnsupportedError
from kvbench.model import (
    BatchKind,
    BatchOperation,
    Capability,
    Pairs,
    Value,
    check_bytes,
    check_key,
    check_keys,
    check_value,
    pairs_to_dict,
    ttl_to_ms,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")

BATCH_OPERATIONS = (*[operation.value for operation in BatchOperation], "mset_each")
"""Operations that have a batch kind, in the order in which they are listed."""

OPTIONAL_METHODS: Mapping[Capability, tuple[str, ...]] = {
    Capability.TTL: ("expire", "ttl"),
    Capability.TTL_EACH: ("mset_each",),
    Capability.SETNX: ("setnx",),
    Capability.GETDEL: ("getdel",),
    Capability.COUNTERS: ("incr", "decr"),
    Capability.CAS: ("cas",),
    Capability.LOCKS: ("lock", "unlock", "extend_lock"),
    Capability.PIPELINING: (
        "pipelined_get", "pipelined_set", "pipelined_delete", "pipelined_exists",
    ),
}  # fmt: skip
"""The methods that need a capability; all others every adapter has."""


class BackendDescription:
    """The class attributes of an adapter: all that `kvbench backends` needs to know of it."""

    summary: ClassVar[str] = ""
    """One line for people: what store this is."""
    url_example: ClassVar[str] = ""
    """A URL that opens it, e.g. ``sqlite:///tmp/cache.db``."""
    url_options: ClassVar[Mapping[str, str]] = {}
    """What may follow ``?`` in the URL, and what each does: one line for people."""
    is_network: ClassVar[bool] = False
    """True when calls leave the process: its tables show round trips."""
    default_port: ClassVar[int | None] = None
    """TCP port of a URL that names a host and no port; None when there is no usual one."""
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {}
    """Kind of each overridden batch operation; one that is missing here is emulated."""
    ttl_resolution_s: ClassVar[float] = 0.001
    """How long after its TTL a key may still be there, in seconds: the tick of the store's time."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Import names of the drivers that must be installed."""
    install_hint: ClassVar[str] = ""
    """What to type when they are not, e.g. ``pip install 'kvbench[redis]'``."""
    private_url: str = ""
    """URL of the private server that opening this backend has started, for others to join it."""

    @classmethod
    def batch_kind(cls, operation: str) -> BatchKind:
        """How this adapter does ``operation``, one of :data:`BATCH_OPERATIONS`."""
        return cls.batch_kinds.get(operation, BatchKind.EMULATED)

    def describe(self) -> Mapping[str, str]:
        """Facts about the open store for the record: product, version, settings that matter.

        A store that removes keys to make room has the fact of :mod:`kvbench.eviction`.
        """
        return {}

    def _checked(
        self, entries: Iterable[tuple[str, Value, float | None]]
    ) -> list[tuple[str, Value, float | None]]:
        """The entries of a batch, after a look at all of them: a loop must not stop half-way."""
        check = check_value if Capability.TYPED_VALUES in self.capabilities else check_bytes
        checked = list(entries)
        for key, value, ttl in checked:
            check_key(key)
            check(key, value)
            ttl_to_ms(ttl)
        return checked


class ClosedStore:
    """Stands where the store of a closed backend was: each use is refused, and is no miss."""

    def __getattr__(self, name: str) -> object:
        raise KvConnectionError("this backend is closed: open it again")


def _unsupported(backend: object, operation: str) -> UnsupportedError:
    return UnsupportedError(f"{type(backend).__name__} does not support {operation}")


class Backend(BackendDescription, ABC):
    """A store, opened; synchronous. Also a context manager that closes it."""

    @classmethod
    @abstractmethod
    def open(cls, url: str) -> Self:
        """Open the store that ``url`` names.

        Raises:
            UsageError: the URL is not one of this scheme's.
            KvConnectionError: the connection failed.
            BackendUnavailableError: a driver or server program is missing.
        """

    @classmethod
    def open_on_clock(cls, url: str, clock: Clock) -> Self:
        """Open a store whose TTLs run on ``clock``, so that a test can move time exactly.

        Raises:
            UnsupportedError: this kind of store has a separate clock.
        """
        raise UnsupportedError(f"{cls.__name__} has a separate clock")

    @abstractmethod
    def close(self) -> None:
        """Let go of the store and of all that ``open`` started. Closing twice is fine."""

    @abstractmethod
    def get(self, key: str) -> Value:
        """The key's value, None when it is absent."""

    @abstractmethod
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """Store a value, with a TTL in seconds or none; replaces both."""

    @abstractmethod
    def delete(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether the key is there."""

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """The values of ``keys`` in their order, None where a key is absent."""
        check_keys(keys)
        return [self.get(key) for key in keys]

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Store a mapping or (key, value) pairs with one TTL; the last pair of a key wins."""
        items = pairs_to_dict(pairs).items()
        for key, value, _ in self._checked([(key, value, ttl) for key, value in items]):
            self.set(key, value, ttl)

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """Store (key, value, ttl) entries, each with a separate TTL."""
        for key, value, ttl in self._checked(entries):
            self.set(key, value, ttl)

    def mdel(self, keys: Sequence[str]) -> int:
        """Remove ``keys``; returns how many were there. A repeated key counts once."""
        check_keys(keys)
        return sum([self.delete(key) for key in keys])

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """Whether each of ``keys`` is there, in their order."""
        check_keys(keys)
        return [self.exists(key) for key in keys]

    def expire(self, key: str, ttl: float | None) -> bool:
        """Give a key a new TTL, or with None no TTL; returns whether it was there."""
        raise _unsupported(self, "expire")

    def ttl(self, key: str) -> float | None:
        """Seconds that the key has left, -1 without a TTL, None when it is absent."""
        raise _unsupported(self, "ttl")

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """Store a value if the key is absent; returns whether it did."""
        raise _unsupported(self, "setnx")

    def getdel(self, key: str) -> Value:
        """Remove a key; returns the value that it had, None when it was absent."""
        raise _unsupported(self, "getdel")

    def incr(self, key: str, delta: int = 1) -> int:
        """Add to an Int, from 0 when the key is absent; returns the new value."""
        raise _unsupported(self, "incr")

    def decr(self, key: str, delta: int = 1) -> int:
        """Subtract from an Int, from 0 when the key is absent; returns the new value."""
        raise _unsupported(self, "decr")

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """Replace ``expected`` by ``new``: True swapped, False mismatch, None when absent."""
        raise _unsupported(self, "cas")

    def lock(self, key: str, owner: str, ttl: float) -> bool:
        """Take a lock for ``ttl`` seconds; returns whether it was free."""
        raise _unsupported(self, "lock")

    def unlock(self, key: str, owner: str) -> bool:
        """Release a lock; False when it is not held. KvRefusedError when another owns it."""
        raise _unsupported(self, "unlock")

    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        """Give a held lock a new TTL; False when it is not held."""
        raise _unsupported(self, "extend_lock")

    def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        """What :meth:`get` answers to each of ``keys``, in their order; one flush."""
        raise _unsupported(self, "pipelined_get")

    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """:meth:`set` for each pair of a mapping or of pairs, in their order; one flush."""
        raise _unsupported(self, "pipelined_set")

    def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        """What :meth:`delete` answers to each of ``keys``: of a repeated key the first is True."""
        raise _unsupported(self, "pipelined_delete")

    def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        """What :meth:`exists` answers to each of ``keys``, in their order; one flush."""
        raise _unsupported(self, "pipelined_exists")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refusing(
    method: Callable[Concatenate[Backend, _P], _T],
) -> Callable[Concatenate[AsyncBackend, _P], Coroutine[Any, Any, _T]]:
    """The awaited twin of an optional method: UnsupportedError until an adapter overrides it."""

    @wraps(method)
    async def refuse(self: AsyncBackend, /, *_: _P.args, **__: _P.kwargs) -> _T:
        raise _unsupported(self, method.__name__)

    return refuse


class AsyncBackend(BackendDescription, ABC):
    """The asynchronous twin of :class:`Backend`: the same methods, awaited."""

    @classmethod
    @abstractmethod
    async def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`."""

    @abstractmethod
    async def close(self) -> None:
        """As :meth:`Backend.close`."""

    @abstractmethod
    async def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""

    @abstractmethod
    async def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""

    @abstractmethod
    async def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""

    async def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`."""
        check_keys(keys)
        return [await self.get(key) for key in keys]

    async def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`."""
        items = pairs_to_dict(pairs).items()
        for key, value, _ in self._checked([(key, value, ttl) for key, value in items]):
            await self.set(key, value, ttl)

    async def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`."""
        for key, value, ttl in self._checked(entries):
            await self.set(key, value, ttl)

    async def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`."""
        check_keys(keys)
        return sum([await self.delete(key) for key in keys])

    async def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`."""
        check_keys(keys)
        return [await self.exists(key) for key in keys]

    expire = _refusing(Backend.expire)
    ttl = _refusing(Backend.ttl)
    setnx = _refusing(Backend.setnx)
    getdel = _refusing(Backend.getdel)
    incr = _refusing(Backend.incr)
    decr = _refusing(Backend.decr)
    cas = _refusing(Backend.cas)
    lock = _refusing(Backend.lock)
    unlock = _refusing(Backend.unlock)
    extend_lock = _refusing(Backend.extend_lock)
    pipelined_get = _refusing(Backend.pipelined_get)
    pipelined_set = _refusing(Backend.pipelined_set)
    pipelined_delete = _refusing(Backend.pipelined_delete)
    pipelined_exists = _refusing(Backend.pipelined_exists)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
