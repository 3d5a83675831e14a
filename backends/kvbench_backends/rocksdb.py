"""``rocksdb://PATH``: a column family in a RocksDB database, a log-structured store in a folder.

What follows ``://`` is the folder: ``rocksdb:///var/cache`` is absolute, ``rocksdb://cache``
relative; it is made when it is absent. The data is in the column family ``kvbench``. A folder with
other data is refused: its application could not open a database with a family that it does not
know. Values are ``bytes``. Durability is RocksDB's default: writes go to a log that is not synced,
so a write survives a crash of the process, and the last ones may be lost when the machine loses
power.

Deadlines stand before the values (:mod:`kvbench_backends.records`). Reads look past expired
records; they are removed when the store is opened, or their key is written.

A database belongs to one process. Within it, backends on one folder share the open database, and
any thread may use them. Writers take turns, so that those that read first (delete, setnx, cas...)
decide on what they have read. A batch is one write, which readers see wholly or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, cast

from kvbench.backend import Backend, ClosedStore
from kvbench.errors import KvConnectionError, KvServerError, UrlError
from kvbench.model import (
    BatchKind,
    Capability,
    Pairs,
    Value,
    check_bytes,
    check_key,
    check_keys,
    pairs_to_dict,
)
from kvbench_backends.folders import check_folder
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

_FAMILY = "kvbench"


class RocksdbBackend(Backend):
    """The column family ``kvbench`` of a RocksDB database."""

    summary = "RocksDB (log not synced), through rocksdict"
    url_example = "rocksdb:///tmp/kvbench-rocksdb"
    requires = ("rocksdict",)
    install_hint = "pip install 'kvbench[rocksdb]'"
    capabilities = frozenset(
        {
            Capability.TTL,
            Capability.TTL_EACH,
            Capability.ATOMIC_BATCH,
            Capability.SETNX,
            Capability.CAS,
            Capability.SHARED,
        }
    )
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {
        "mget": BatchKind.NATIVE,
        "mset": BatchKind.NATIVE,
        # A read and a write of all keys, which the writers' lock makes one.
        "mdel": BatchKind.TRANSACTION,
        "mexists": BatchKind.NATIVE,
        "mset_each": BatchKind.NATIVE,
    }

    def __init__(self, database: _Database) -> None:
        self._database = database
        self._is_open = True

    @classmethod
    def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`; KvConnectionError also when another process has it open.

        UsageError also for a folder with other data.
        """
        folder = url.partition("://")[2]
        if not folder:
            raise UrlError(url, f"name a folder, e.g. {cls.url_example}")
        return cls(_Database.shared(Path(folder)))

    def close(self) -> None:
        """As :meth:`Backend.close`; the database closes with its last backend."""
        if self._is_open:
            self._is_open = False
            self._database.release()
            self._database = cast("_Database", ClosedStore())

    def describe(self) -> Mapping[str, str]:
        """The driver's version, which brings a RocksDB of its own, and the durability."""
        return {
            "product": "RocksDB",
            "version": f"the one in rocksdict {version('rocksdict')}",
            "durability": "log not synced",
        }

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        return content(self._record(key), now())

    def _record(self, key: str) -> bytes | None:
        """The key's record, also an expired one."""
        check_key(key)
        return self._database.read(key.encode())

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""
        name, record = row(key, value, ttl)
        database = self._database
        with database.lock:
            database.put(name, record)

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        return self.mdel([key]) == 1

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        return is_live(self._record(key), now())

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`; one call of the store."""
        found, at = self._records(keys), now()
        return [content(record, at) for record in found]

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`; one write of a WriteBatch."""
        items = pairs_to_dict(pairs)
        self._put_all([row(key, value, ttl) for key, value in items.items()])

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`; one write of a WriteBatch."""
        self._put_all([row(key, value, ttl) for key, value, ttl in entries])

    def _put_all(self, rows: list[tuple[bytes, bytes]]) -> None:
        database = self._database
        with database.lock:
            database.write(puts=rows)

    def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`; one read, then one write of a WriteBatch."""
        check_keys(keys)
        names = list(dict.fromkeys([key.encode() for key in keys]))
        database = self._database
        with database.lock:
            at = now()
            found = zip(names, database.read_all(names), strict=True)
            live = [name for name, record in found if is_live(record, at)]
            database.write(deletes=live)
        return len(live)

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`; one call of the store."""
        found, at = self._records(keys), now()
        return [is_live(record, at) for record in found]

    def _records(self, keys: Sequence[str]) -> list[bytes | None]:
        """The record of each key in their order, also expired ones."""
        check_keys(keys)
        return self._database.read_all([key.encode() for key in keys])

    def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`."""
        check_key(key)
        name, ends = key.encode(), deadline(ttl)
        database = self._database
        with database.lock:
            record = database.read(name)
            if record is None or not is_live(record, now()):
                return False
            database.put(name, with_deadline(record, ends))
            return True

    def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        return seconds_left(self._record(key), now())

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`."""
        name, record = row(key, value, ttl)
        database = self._database
        with database.lock:
            if is_live(database.read(name), now()):
                return False
            database.put(name, record)
            return True

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """As :meth:`Backend.cas`."""
        name, record = row(key, new, ttl)
        wanted = check_bytes(key, expected)
        database = self._database
        with database.lock:
            before = database.read(name)
            if before is None or not is_live(before, now()):
                return None
            if content(before) != wanted:
                return False
            after = record if ttl is not None else with_deadline_of(record, before)
            database.put(name, after)
            return True


class _Database:
    """An open database and its column family, shared by the backends of this process.

    Attributes:
        lock: writers hold it. Readers need not: a read sees each write wholly or not at all.
    """

    _opened: ClassVar[dict[Path, _Database]] = {}
    _opening = threading.Lock()

    def __init__(self, folder: Path) -> None:
        import rocksdict

        self.lock = threading.Lock()
        self._folder = folder
        self._users = 0
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        self._rocksdb = rocksdict.Rdict(str(folder), options)
        if _FAMILY in rocksdict.Rdict.list_cf(str(folder)):
            self._family = self._rocksdb.get_column_family(_FAMILY)
        else:
            family_options = rocksdict.Options(raw_mode=True)
            self._family = self._rocksdb.create_column_family(_FAMILY, family_options)
        self._handle = self._rocksdb.get_column_family_handle(_FAMILY)
        self._remove_expired()

    def _remove_expired(self) -> None:
        at = now()
        rows = cast("Iterable[tuple[bytes, bytes]]", self._family.items())
        self.write(deletes=[name for name, record in rows if not is_live(record, at)])

    @classmethod
    def shared(cls, folder: Path) -> _Database:
        """The database of a folder, opened when it is not yet. Each caller releases it once."""
        folder = folder.resolve()
        with cls._opening:
            database = cls._opened.get(folder)
            if database is None:
                check_folder(folder, lambda: _is_own(folder))
                try:
                    database = cls(folder)
                except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
                    raise KvConnectionError(f"{folder}: {_in_words(error)}") from None
                cls._opened[folder] = database
            database._users += 1
            return database

    def release(self) -> None:
        """One backend less; with the last one the database is closed."""
        with self._opening:
            self._users -= 1
            if self._users == 0:
                del self._opened[self._folder]
                self._family.close()
                self._rocksdb.close()
                # RocksDB unlocks the folder when nothing refers to the database any more.
                del self._handle, self._family, self._rocksdb

    def read(self, name: bytes) -> bytes | None:
        """The record of one key."""
        with _TRANSLATED:
            return self._family.get(name)

    def read_all(self, names: list[bytes]) -> list[bytes | None]:
        """The record of each key, in their order."""
        with _TRANSLATED:
            # Their type for keys is a list of anything that a dict of theirs can hold.
            found = self._family.get(cast("list[str | int | float | bytes | bool]", names))
            return cast("list[bytes | None]", found)

    def put(self, name: bytes, record: bytes) -> None:
        """Write one record."""
        with _TRANSLATED:
            self._family.put(name, record)

    def write(
        self, puts: Iterable[tuple[bytes, bytes]] = (), deletes: Iterable[bytes] = ()
    ) -> None:
        """Write and delete at one instant."""
        import rocksdict

        batch = rocksdict.WriteBatch(raw_mode=True)
        batch.set_default_column_family(self._handle)
        for name, record in puts:
            batch[name] = record
        for name in deletes:
            del batch[name]
        with _TRANSLATED:
            self._rocksdb.write(batch)


def _is_own(folder: Path) -> bool:
    """Whether the database in a folder is one that kvbench made."""
    import rocksdict

    try:
        families = set(rocksdict.Rdict.list_cf(str(folder)))
    except Exception:  # noqa: BLE001 - rocksdict raises nothing narrower: here is no database
        return False
    return families == {"default", _FAMILY}


def _in_words(error: Exception) -> str:
    if "LOCK" in str(error):
        return f"another process has it open, and RocksDB serves one at a time ({error})"
    return str(error)


class _Translation:
    """A reusable context that turns rocksdict's errors, which are bare Exceptions, into ours."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is Exception:
            raise KvServerError(2, f"RocksDB: {error}") from None


_TRANSLATED = _Translation()
