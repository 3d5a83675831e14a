"""``rocksdb://PATH``: a column family in a RocksDB database, a log-structured store in a folder.

What follows ``://`` is the folder: ``rocksdb:///var/cache`` is absolute, ``rocksdb://cache``
relative; it is made when it is absent. The data is in the column family ``kvbench``. A folder with
other data is refused: its application could not open a database with a family that it does not
know. Values are ``bytes``. Durability is RocksDB's default: writes go to a log that is not synced,
so a write survives a crash of the process, and the last ones may be lost when the machine loses
power.

A database belongs to one process. Within it, backends on one folder share the open database, and
any thread may use them. Writers take turns, so that those that read first (delete, setnx, cas...)
decide on what they have read. A batch is one write, which readers see wholly or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar, TypeVar, cast

from kvbench.errors import KvConnectionError, KvRefusedError
from kvbench.model import BatchKind
from kvbench_backends.folders import check_folder
from kvbench_backends.foreign_errors import Table, Translation
from kvbench_backends.record_store import RecordBackend, RecordStore, SharedStores, Writer
from kvbench_backends.records import is_live, now

_FAMILY = "kvbench"

_T = TypeVar("_T")


class _Database:
    """An open database and its column family.

    Writers hold the lock. Readers need not: a read sees each write wholly or not at all. So it is
    the :class:`Writer`, too, of the code that holds the lock: each of its calls is one write.
    """

    def __init__(self, folder: Path) -> None:
        import rocksdict

        self._lock = threading.Lock()
        options = rocksdict.Options(raw_mode=True)
        options.create_if_missing(True)
        self._rocksdb = rocksdict.Rdict(str(folder), options)
        if _FAMILY in rocksdict.Rdict.list_cf(str(folder)):
            self._family = self._rocksdb.get_column_family(_FAMILY)
        else:
            family_options = rocksdict.Options(raw_mode=True)
            self._family = self._rocksdb.create_column_family(_FAMILY, family_options)
        self._handle = self._rocksdb.get_column_family_handle(_FAMILY)
        at = now()
        rows = cast("Iterable[tuple[bytes, bytes]]", self._family.items())
        self._write(deletes=[name for name, record in rows if not is_live(record, at)])

    def close(self) -> None:
        self._family.close()
        self._rocksdb.close()
        # RocksDB unlocks the folder when nothing refers to the database any more.
        del self._handle, self._family, self._rocksdb

    def get(self, name: bytes) -> bytes | None:
        with _TRANSLATED:
            return self._family.get(name)

    def get_all(self, names: list[bytes]) -> list[bytes | None]:
        with _TRANSLATED:
            # Their type for keys is a list of anything that a dict of theirs can hold.
            found = self._family.get(cast("list[str | int | float | bytes | bool]", names))
            return cast("list[bytes | None]", found)

    def write(self, change: Callable[[Writer], _T]) -> _T:
        with self._lock:
            return change(self)

    def put(self, name: bytes, record: bytes) -> None:
        with _TRANSLATED:
            self._family.put(name, record)

    def put_all(self, rows: list[tuple[bytes, bytes]]) -> None:
        self._write(puts=rows)

    def remove(self, names: list[bytes]) -> list[bytes | None]:
        distinct = list(dict.fromkeys(names))
        found = self.get_all(distinct)
        self._write(deletes=[n for n, record in zip(distinct, found, strict=True) if record])
        return found

    def _write(
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


def _open(folder: Path) -> RecordStore:
    check_folder(folder, lambda: _is_own(folder))
    try:
        return _Database(folder)
    except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
        raise KvConnectionError(f"{folder}: {_in_words(error)}") from None


class RocksdbBackend(RecordBackend):
    """The column family ``kvbench`` of a RocksDB database."""

    summary = "RocksDB (log not synced), through rocksdict"
    url_example = "rocksdb:///tmp/kvbench-rocksdb"
    requires = ("rocksdict",)
    install_hint = "pip install 'kvbench[rocksdb]'"
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {
        "mget": BatchKind.NATIVE,
        "mset": BatchKind.NATIVE,
        # A read and a write of all keys, which the writers' lock makes one.
        "mdel": BatchKind.TRANSACTION,
        "mexists": BatchKind.NATIVE,
        "mset_each": BatchKind.NATIVE,
    }
    stores = SharedStores(_open)

    def describe(self) -> Mapping[str, str]:
        """The driver's version (RocksDB is compiled into it) and the durability."""
        return {
            "product": "RocksDB",
            "version": f"the one in rocksdict {version('rocksdict')}",
            "durability": "log not synced",
        }


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


def _errors() -> Table:
    # rocksdict raises bare Exceptions; one of a separate class is a mistake in a program.
    return {Exception: lambda error: _refused(error) if type(error) is Exception else None}


def _refused(error: Exception) -> KvRefusedError:
    return KvRefusedError(f"RocksDB: {error}")


_TRANSLATED = Translation(_errors)
