"""SimpleBackend: an adapter in four methods, for a store that holds bytes under names.

A subclass says how its store is opened (``__init__``) and does three things with it: read a value,
write a value, remove a key. Everything else that the contract asks for is here: keys and values
are checked before the store sees them, a TTL is refused rather than forgotten, a closed backend
refuses every call, the driver's errors become kvbench's, and batches are loops that are declared
as loops.

It declares no capability. A store that can do more overrides the method of
:class:`~kvbench.backend.Backend`, uses :meth:`SimpleBackend.store_call` in it, and declares it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, ParamSpec, Self, TypeVar

from kvbench.backend import Backend
from kvbench.errors import KvConnectionError, KvServerError, UnsupportedError, UrlError
from kvbench.model import Value, check_bytes, check_key, ttl_to_ms
from kvbench.redaction import redact_url

_P = ParamSpec("_P")
_T = TypeVar("_T")


class SimpleBackend(Backend):
    """A synchronous store of bytes without TTLs."""

    store_errors: ClassVar[tuple[type[Exception], ...]] = (OSError,)
    """What the driver raises when the store fails; anything else is a fault of the adapter."""

    _is_closed = False

    @abstractmethod
    def __init__(self, place: str) -> None:
        """Open the store at ``place``: what stands after ``://`` in the URL."""

    @abstractmethod
    def read_value(self, key: str) -> bytes | None:
        """The value of a key, None when it is absent."""

    @abstractmethod
    def write_value(self, key: str, value: bytes) -> None:
        """Store a value; replaces what was there."""

    @abstractmethod
    def remove_key(self, key: str) -> bool:
        """Remove a key; returns whether it was there."""

    def close_store(self) -> None:
        """Let go of what ``__init__`` opened; called once. Without an override: nothing."""

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the store that ``url`` names.

        Raises:
            UrlError: the URL names no place, or one, and :attr:`url_example` is otherwise.
            KvConnectionError: the store cannot be opened.
        """
        place = url.partition("://")[2]
        if bool(place) != bool(cls.url_example.partition("://")[2]):
            raise UrlError(url, f"write a URL like {cls.url_example}")
        try:
            return cls(place)
        except cls.store_errors as error:
            raise KvConnectionError(f"{redact_url(url)}: {error}") from error

    def close(self) -> None:
        """As :meth:`Backend.close`."""
        if not self._is_closed:
            try:
                self.store_call(self.close_store)
            finally:
                self._is_closed = True

    def describe(self) -> Mapping[str, str]:
        """The summary as the product's name."""
        return {"product": self.summary}

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        check_key(key)
        return self.store_call(self.read_value, key)

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`; UnsupportedError for a TTL, and nothing is stored."""
        check_key(key)
        data = check_bytes(key, value)
        if ttl_to_ms(ttl):
            raise UnsupportedError(f"{type(self).__name__} does not support ttl")
        self.store_call(self.write_value, key, data)

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        check_key(key)
        return self.store_call(self.remove_key, key)

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`: whether there is a value to read."""
        return self.get(key) is not None

    def store_call(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What ``call`` returns, a method that uses the store.

        Raises:
            KvConnectionError: this backend is closed; nothing was called.
            KvServerError: ``call`` raised one of :attr:`store_errors`.
        """
        if self._is_closed:
            raise KvConnectionError("this backend is closed: open it again")
        try:
            return call(*args, **kwargs)
        except self.store_errors as error:
            raise KvServerError(2, f"{self.summary}: {error}") from error
