"""The guard of the backend suite: no call reaches a store that could write a foreign key.

:class:`GuardedBackend` stands before every backend that a case gets. A call that writes passes if
every key in it, read as a careless adapter would read it, begins with the prefix of the case: what
is no text counts as the text that ``str`` makes of it, one text in the place of several keys counts
as each of its characters, and so on. Reading calls may name any key.

Some arguments that a store must refuse can never begin with a prefix: the empty key, what is no
text, one text in the place of several keys. They pass when the store says that it holds nothing
there (:exc:`SetupFailed` when it does), and what appears there afterwards is deleted. Everything
else raises ForeignKeyError, as in :mod:`kvbench.conformance.wire.guard`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import cast

from kvbench.backend import Backend
from kvbench.conformance.findings import SetupFailed
from kvbench.conformance.isolation import ForeignKeyError

NO_LIST = "\ue000"
"""A text to give in the place of several keys: one character, for private use, that is no key."""

NET_TTL_S = 3600.0
"""How long a key is there at most that a killed run has left; no case is about this TTL."""

NO_TEXT = 7_310_458_226_091
"""A number to give in the place of a key; as a text it is none that a live store may well hold."""

_HARMLESS = frozenset(
    {
        "get", "exists", "mget", "mexists", "ttl", "pipelined_get", "pipelined_exists", "close",
        "describe", "batch_kind", "open", "open_on_clock",
    }
)  # fmt: skip
"""Methods that write nothing. All others are guarded, those of the future, too."""


def _first_parameters() -> dict[str, str]:
    """What each method that writes is given first: a key, keys, pairs or entries."""
    return {
        name: list(inspect.signature(method).parameters)[1]
        for name, method in inspect.getmembers(Backend, inspect.isfunction)
        if name[0] != "_" and name not in _HARMLESS
    }


_WRITES = _first_parameters()


class BackendGuard:
    """What the guarded stores of one case share.

    Args:
        prefix: how every key must begin that could be written.

    Attributes:
        called: the methods that the case has used, in the order of their first call; ``set ttl`` is
            one that gave a key a TTL.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen_absent: dict[str, object] = {}
        self.called: dict[str, None] = {}

    def check(self, store: Backend, operation: str, keys: Iterable[object]) -> None:
        """Look at the keys of a call that writes, before it is made.

        Raises:
            ForeignKeyError: one may belong to another user.
            SetupFailed: one that cannot begin with the prefix is there.
        """
        for key in keys:
            if self._is_own(key):
                continue
            if isinstance(key, str) and key not in ("", NO_LIST):
                raise ForeignKeyError(
                    f"{operation} could write the key {key[:40]!r}, which does not begin with "
                    f"{self._prefix!r}"
                )
            if repr(key) not in self._seen_absent:
                _see_absent(store, key)
                self._seen_absent[repr(key)] = key

    def _is_own(self, key: object) -> bool:
        if isinstance(key, str):
            return key.startswith(self._prefix)
        return all(self._prefix in reading for reading in _readings(key))

    def clean(self, store: Backend) -> None:
        """Delete what is there by now under keys that were seen absent before."""
        for key in self._seen_absent.values():
            for reading in (key, *_readings(key)):
                with suppress(Exception):  # It refuses this key: it holds nothing of it either.
                    if store.exists(cast("str", reading)):
                        store.delete(cast("str", reading))


class GuardedBackend:
    """A backend, with a guard before every method that writes.

    Args:
        store: the backend.
        guard: the case's.
    """

    def __init__(self, store: Backend, guard: BackendGuard) -> None:
        self._store = store
        self._guard = guard
        for operation in _WRITES:
            setattr(self, operation, self._guarded(operation))

    def __getattr__(self, name: str) -> object:
        if callable(getattr(Backend, name, None)) and name not in _HARMLESS:
            raise ForeignKeyError(f"the guard does not know whether {name} writes")
        self._guard.called.setdefault(name)
        return getattr(self._store, name)

    def _guarded(self, operation: str) -> Callable[..., object]:
        call = getattr(self._store, operation)
        parameters = list(inspect.signature(getattr(Backend, operation)).parameters)
        ttl_place = parameters.index("ttl") - 2 if "ttl" in parameters else None
        keys_of = _only_key if _WRITES[operation] == "key" else _keys_of_batch

        @functools.wraps(call)
        def guarded(first: object, *rest: object, **named: object) -> object:
            # What can be read only once is read here, and given on as something new of its kind.
            self._guard.called.setdefault(operation)
            given = [*rest[ttl_place : ttl_place + 1]] if ttl_place is not None else []
            if any(one not in (None, NET_TTL_S) for one in (*given, named.get("ttl"))):
                self._guard.called.setdefault(f"{operation} ttl")
            items = list(first) if isinstance(first, Iterator) else None
            keys = keys_of(operation, first if items is None else items)
            self._guard.check(self._store, operation, keys)
            return call(first if items is None else iter(items), *rest, **named)

        return guarded

    def __enter__(self) -> object:
        given: object = self._store.__enter__()
        return self if given is self._store else given

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        # A wrong one swallows exceptions by what it returns, which a case must see.
        leave = cast("Callable[..., bool | None]", self._store.__exit__)
        return leave(kind, error, trace)


def _only_key(operation: str, key: object) -> list[object]:
    return [key]


def _keys_of_batch(operation: str, batch: object) -> list[object]:
    """Every key of a batch that a careless adapter could find in it."""
    if not isinstance(batch, Iterable):
        return []
    if isinstance(batch, str | bytes):
        return [batch, *batch]
    if _WRITES[operation] == "keys" or isinstance(batch, Mapping):
        return list(batch)
    # Pairs or entries; an element that is none may be taken for a key.
    return [one[0] if isinstance(one, tuple | list) and one else one for one in batch]


def _readings(key: object) -> list[str]:
    """The texts that a key may be taken for."""
    if isinstance(key, str):
        return [key]
    if isinstance(key, bytes):
        return [key.decode("utf-8", "replace"), str(key)]
    if isinstance(key, tuple):
        return [str(one) for one in key] + [str(key)]
    return [str(key)]


def _see_absent(store: Backend, key: object) -> None:
    for reading in (key, *_readings(key)):
        try:
            is_there = store.exists(cast("str", reading))
        except Exception:  # noqa: BLE001 - however it refuses such a key, it holds nothing there
            continue
        if is_there:
            raise SetupFailed(f"the key {reading!r} is there, which may belong to another user")
