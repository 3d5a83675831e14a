"""SimpleBackend: a base class for adapters of stores of bytes, with four required methods.

A subclass opens its store (``__init__``) and implements three methods: read a value, write a value,
remove a key. This class does the rest of the contract: it checks keys and values, rejects TTLs,
rejects calls after close, translates the driver's errors into kvbench's, and implements batches as
loops, declared as loops.

A store with native batches overrides ``read_values``, ``write_values`` or ``remove_keys``, and
names the operation's kind in ``batch_kinds``. This class declares no capability. A store that can
do more overrides the method of :class:`~kvbench.backend.Backend`, uses
:meth:`SimpleBackend.store_call` in it, and declares the capability.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, ParamSpec, Self, TypeVar

from typing_extensions import override

from kvbench.backend import Backend
from kvbench.errors import KvConnectionError, KvRefusedError, UnsupportedError, UrlError
from kvbench.model import (
    BatchKind,
    Pairs,
    Value,
    check_bytes,
    check_key,
    check_keys,
    pairs_to_dict,
    ttl_to_ms,
)
from kvbench.redaction import redact_url

_P = ParamSpec("_P")
_T = TypeVar("_T")


_HOOKS = {"mget": "read_values", "mset": "write_values", "mdel": "remove_keys"}
"""The method to override for a native batch operation."""


class SimpleBackend(Backend):
    """A synchronous store of bytes without TTLs."""

    store_errors: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """The driver's exceptions when the store fails; any other one is a bug of the adapter."""

    _is_closed = False

    def __init_subclass__(cls) -> None:
        """Reject a class that declares batches as native but implements them as loops."""
        super().__init_subclass__()
        for operation, hook in _HOOKS.items():
            kind = cls.batch_kind(operation)
            names = (operation, hook)
            inherits = all(getattr(cls, one) is getattr(SimpleBackend, one) for one in names)
            if inherits and kind != BatchKind.EMULATED:
                raise TypeError(f"{cls.__name__} declares {operation} as {kind}: define {hook}")

    @abstractmethod
    def __init__(self, place: str) -> None:
        """Open the store at ``place``: the part of the URL after ``://``."""

    @abstractmethod
    def read_value(self, key: str) -> bytes | None:
        """The value of a key, None when it is absent."""

    @abstractmethod
    def write_value(self, key: str, value: bytes) -> None:
        """Store a value; replaces an existing one."""

    @abstractmethod
    def remove_key(self, key: str) -> bool:
        """Remove a key; returns whether it existed."""

    def read_values(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys in order, None for absent ones; a loop."""
        return [self.read_value(key) for key in keys]

    def write_values(self, values: Mapping[str, bytes]) -> None:
        """Store a value for each key; a loop."""
        for key, value in values.items():
            self.write_value(key, value)

    def remove_keys(self, keys: Sequence[str]) -> int:
        """Remove distinct keys; returns how many existed; a loop."""
        return sum([self.remove_key(key) for key in keys])

    def close_store(self) -> None:
        """Close what ``__init__`` opened; called once. By default, nothing."""

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the store named by ``url``.

        Raises:
            UrlError: the URL has no place, or has one, and :attr:`url_example` differs.
            KvConnectionError: the store cannot be opened.
        """
        place = url.partition("://")[2]
        if bool(place) != bool(cls.url_example.partition("://")[2]):
            raise UrlError(url, f"write a URL like {cls.url_example}")
        try:
            return cls(place)
        except cls.store_errors as error:
            raise KvConnectionError(f"{redact_url(url)}: {error}") from error

    @override
    def close(self) -> None:
        if not self._is_closed:
            try:
                self.store_call(self.close_store)
            finally:
                self._is_closed = True

    def describe(self) -> Mapping[str, str]:
        """The summary as the product's name."""
        return {"product": self.summary}

    @override
    def get(self, key: str) -> Value:
        check_key(key)
        return self.store_call(self.read_value, key)

    @override
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """UnsupportedError for a TTL, and nothing is stored."""
        self.store_call(self.write_value, key, self._storable(key, value, ttl))

    @override
    def delete(self, key: str) -> bool:
        check_key(key)
        return self.store_call(self.remove_key, key)

    @override
    def exists(self, key: str) -> bool:
        return self.get(key) is not None

    @override
    def mget(self, keys: Sequence[str]) -> list[Value]:
        check_keys(keys)
        return list(self.store_call(self.read_values, keys))

    @override
    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        self.mset_each([(key, value, ttl) for key, value in pairs_to_dict(pairs).items()])

    @override
    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """For entries without a TTL; all or none are taken."""
        values = {key: self._storable(key, value, ttl) for key, value, ttl in entries}
        self.store_call(self.write_values, values)

    @override
    def mdel(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        return self.store_call(self.remove_keys, list(dict.fromkeys(keys)))

    def _storable(self, key: str, value: Value, ttl: float | None) -> bytes:
        """The value, when all three can be stored."""
        check_key(key)
        data = check_bytes(key, value)
        if ttl_to_ms(ttl):
            raise UnsupportedError(f"{type(self).__name__} does not support ttl")
        return data

    def store_call(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What ``call`` returns, a method that uses the store.

        Raises:
            KvConnectionError: this backend is closed; nothing was called.
            KvRefusedError: ``call`` raised one of :attr:`store_errors`.
        """
        if self._is_closed:
            raise KvConnectionError("this backend is closed: open it again")
        try:
            return call(*args, **kwargs)
        except self.store_errors as error:
            raise KvRefusedError(f"{self.summary}: {error}") from error
