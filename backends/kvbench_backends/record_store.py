"""Adapters over a store of records in a folder: the common part of LMDB and RocksDB.

Such a store maps bytes to bytes and has some kind of transaction. A record is a value with its
deadline (:mod:`kvbench_backends.records`). Reads ignore expired records; they are removed when the
store is opened, or their key is written.

A folder is opened once in a process: the backends on it share the open store, from any thread, and
the last one closes it. A folder with other data is refused.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeVar, cast

from typing_extensions import override

from kvbench.backend import Backend, ClosedStore
from kvbench.errors import UrlError
from kvbench.model import (
    Capability,
    Pairs,
    Value,
    check_bytes,
    check_key,
    check_keys,
    pairs_to_dict,
)
from kvbench_backends.records import (
    content,
    deadline,
    is_live,
    now,
    row,
    seconds_left,
    with_deadline,
    with_deadline_of,
)

T = TypeVar("T")


class Writer(Protocol):
    """A transaction that writes: what is done with it happens at one instant."""

    def get(self, name: bytes) -> bytes | None:
        """The record of a key, also an expired one."""

    def put(self, name: bytes, record: bytes) -> None:
        """Write a record."""

    def put_all(self, rows: list[tuple[bytes, bytes]]) -> None:
        """Write records; the last one of a key stays."""

    def remove(self, names: list[bytes]) -> list[bytes | None]:
        """Remove keys; the record of each that was there, at most once, and None for others."""


class RecordStore(Protocol):
    """The open store of a folder."""

    def get(self, name: bytes) -> bytes | None:
        """The record of a key, also an expired one."""

    def get_all(self, names: list[bytes]) -> list[bytes | None]:
        """The record of each key in their order, from one state of the store."""

    def write(self, change: Callable[[Writer], T]) -> T:
        """What ``change`` returns, once what it did is written. It may be called again."""

    def close(self) -> None:
        """Close it."""


class SharedStores:
    """The open stores of this process, by folder."""

    def __init__(self, open_store: Callable[[Path], RecordStore]) -> None:
        self._open_store = open_store
        self._opened: dict[Path, tuple[RecordStore, int]] = {}
        self._lock = threading.Lock()

    def acquire(self, folder: Path) -> RecordStore:
        """The store of a folder, opened when it is not yet. Each caller releases it once."""
        with self._lock:
            store, users = self._opened.get(folder) or (self._open_store(folder), 0)
            self._opened[folder] = store, users + 1
            return store

    def release(self, folder: Path) -> None:
        """One backend less; with the last one the store is closed."""
        with self._lock:
            store, users = self._opened.pop(folder)
            if users > 1:
                self._opened[folder] = store, users - 1
            else:
                store.close()


class RecordBackend(Backend):
    """A backend over a :class:`RecordStore`. A subclass says which, and describes it."""

    capabilities = frozenset(Capability) - {
        Capability.TYPED_VALUES,
        Capability.COUNTERS,
        Capability.LOCKS,
        Capability.PIPELINING,
    }
    stores: ClassVar[SharedStores]
    """The open stores of this kind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._store = self.stores.acquire(self._folder)
        self._is_open = True

    @classmethod
    @override
    def open(cls, url: str) -> Self:
        """UsageError also for a folder with other data."""
        folder = url.partition("://")[2]
        if not folder:
            raise UrlError(url, f"name a folder, e.g. {cls.url_example}")
        return cls(Path(folder))

    @override
    def close(self) -> None:
        """The store closes with its last backend."""
        if self._is_open:
            self._is_open = False
            self.stores.release(self._folder)
            self._store = cast("RecordStore", ClosedStore())

    @abstractmethod
    @override
    def describe(self) -> Mapping[str, str]: ...

    @override
    def get(self, key: str) -> Value:
        return content(self._record(key), now())

    def _record(self, key: str) -> bytes | None:
        """The key's record, also an expired one."""
        check_key(key)
        return self._store.get(key.encode())

    @override
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        name, record = row(key, value, ttl)
        self._store.write(lambda writer: writer.put(name, record))

    @override
    def delete(self, key: str) -> bool:
        return self.mdel([key]) == 1

    @override
    def exists(self, key: str) -> bool:
        return is_live(self._record(key), now())

    @override
    def mget(self, keys: Sequence[str]) -> list[Value]:
        found, at = self._records(keys), now()
        return [content(record, at) for record in found]

    @override
    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        rows = [row(key, value, ttl) for key, value in pairs_to_dict(pairs).items()]
        self._store.write(lambda writer: writer.put_all(rows))

    @override
    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        rows = [row(key, value, ttl) for key, value, ttl in entries]
        self._store.write(lambda writer: writer.put_all(rows))

    @override
    def mdel(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        names = [key.encode() for key in keys]
        removed, at = self._store.write(lambda writer: writer.remove(names)), now()
        return sum([is_live(record, at) for record in removed])

    @override
    def mexists(self, keys: Sequence[str]) -> list[bool]:
        found, at = self._records(keys), now()
        return [is_live(record, at) for record in found]

    def _records(self, keys: Sequence[str]) -> list[bytes | None]:
        """The record of each key in their order, also expired ones."""
        check_keys(keys)
        return self._store.get_all([key.encode() for key in keys])

    @override
    def expire(self, key: str, ttl: float | None) -> bool:
        check_key(key)
        name, ends = key.encode(), deadline(ttl)

        def change(writer: Writer) -> bool:
            record = writer.get(name)
            if record is None or not is_live(record, now()):
                return False
            writer.put(name, with_deadline(record, ends))
            return True

        return self._store.write(change)

    @override
    def ttl(self, key: str) -> float | None:
        return seconds_left(self._record(key), now())

    @override
    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        name, record = row(key, value, ttl)

        def store(writer: Writer) -> bool:
            if is_live(writer.get(name), now()):
                return False
            writer.put(name, record)
            return True

        return self._store.write(store)

    @override
    def getdel(self, key: str) -> Value:
        check_key(key)
        names = [key.encode()]
        [removed] = self._store.write(lambda writer: writer.remove(names))
        return content(removed, now())

    @override
    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        name, record = row(key, new, ttl)
        wanted = check_bytes(key, expected)

        def swap(writer: Writer) -> bool | None:
            before = writer.get(name)
            if before is None or not is_live(before, now()):
                return None
            if content(before) != wanted:
                return False
            writer.put(name, record if ttl is not None else with_deadline_of(record, before))
            return True

        return self._store.write(swap)
