"""``lmdb://PATH``: a named database in an LMDB environment, a memory-mapped B+tree in a folder.

What follows ``://`` is the folder: ``lmdb:///var/cache`` is absolute, ``lmdb://cache`` relative; it
is made when it is absent. The data is in the database ``kvbench``. A folder with other data is
refused: the name of that database would appear among the application's own keys. Values are
``bytes``. Durability is LMDB's default: each commit waits for the disk, and a batch is one commit.

The map starts small and doubles when a transaction does not fit, which is repeated. LMDB allows
one environment a process: backends on one folder share it, and any thread may use them. A writer
waits for other processes' writers, without a time limit: LMDB has none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

from kvbench.backend import BATCH_OPERATIONS
from kvbench.errors import KvConnectionError, KvRefusedError
from kvbench.model import BatchKind
from kvbench_backends.folders import check_folder
from kvbench_backends.foreign_errors import Table, Translation
from kvbench_backends.record_store import RecordBackend, RecordStore, SharedStores, Writer
from kvbench_backends.records import is_live, now

if TYPE_CHECKING:
    import lmdb

MAP_BYTES_START = 2**24
"""Size of a new map. Small, since growing costs a run of one transaction and happens rarely."""

_DATABASE = b"kvbench"

_Transaction: TypeAlias = "lmdb.Transaction[bytes]"
_T = TypeVar("_T")


class _Writer:
    """A write transaction of LMDB."""

    def __init__(self, transaction: _Transaction) -> None:
        self._transaction = transaction

    def get(self, name: bytes) -> bytes | None:
        return self._transaction.get(name)

    def put(self, name: bytes, record: bytes) -> None:
        self._transaction.put(name, record)

    def put_all(self, rows: list[tuple[bytes, bytes]]) -> None:
        with self._transaction.cursor() as cursor:
            cursor.putmulti(rows)

    def remove(self, names: list[bytes]) -> list[bytes | None]:
        return list(map(self._transaction.pop, names))


class _Environment:
    """An open environment and its database.

    One transaction at a time: the map may grow only while there is none.
    """

    def __init__(self, folder: Path) -> None:
        import lmdb

        self._lock = threading.Lock()
        self._full, self._resized = lmdb.MapFullError, lmdb.MapResizedError
        self._lmdb = lmdb.open(str(folder), map_size=MAP_BYTES_START, max_dbs=1)
        try:
            self._lmdb.reader_check()  # Readers of processes that died would keep old pages alive.
            self._database = self._lmdb.open_db(_DATABASE)
            self._transact(_remove_expired)
        except BaseException:
            self._lmdb.close()
            raise

    def close(self) -> None:
        self._lmdb.close()

    def get(self, name: bytes) -> bytes | None:
        with self._lock, _TRANSLATED, self._begin(write=False) as transaction:
            return transaction.get(name)

    def get_all(self, names: list[bytes]) -> list[bytes | None]:
        with (
            self._lock,
            _TRANSLATED,
            self._begin(write=False) as transaction,
            transaction.cursor() as cursor,
        ):
            return list(map(dict(cursor.getmulti(names)).get, names))

    def write(self, change: Callable[[Writer], _T]) -> _T:
        """Again each time that the map had to grow."""
        return self._transact(lambda transaction: change(_Writer(transaction)))

    def _transact(self, change: Callable[[_Transaction], _T]) -> _T:
        with self._lock, _TRANSLATED:
            while True:
                try:
                    with self._begin(write=True) as transaction:
                        return change(transaction)
                except self._full:
                    self._lmdb.set_mapsize(2 * self._lmdb.info()["map_size"])

    def _begin(self, *, write: bool) -> _Transaction:
        try:
            return self._lmdb.begin(self._database, write=write)
        except self._resized:
            self._lmdb.set_mapsize(0)  # Another process has grown the map: take its size over.
            return self._lmdb.begin(self._database, write=write)


def _open(folder: Path) -> RecordStore:
    import lmdb

    try:
        check_folder(folder, lambda: _is_own(folder))
        return _Environment(folder)
    except (lmdb.Error, OSError, KvRefusedError) as error:
        raise KvConnectionError(f"{folder}: {error}") from None


class LmdbBackend(RecordBackend):
    """The database ``kvbench`` of an LMDB environment."""

    summary = "LMDB (each commit synced), through py-lmdb"
    url_example = "lmdb:///tmp/kvbench-lmdb"
    requires = ("lmdb",)
    install_hint = "pip install 'kvbench[lmdb]'"
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = dict.fromkeys(
        BATCH_OPERATIONS, BatchKind.TRANSACTION
    )
    stores = SharedStores(_open)

    def describe(self) -> Mapping[str, str]:
        """LMDB's version and durability, and the driver's version."""
        import lmdb

        return {
            "product": "LMDB",
            "version": ".".join(map(str, lmdb.version())),
            "durability": "each commit synced",
            "client": f"py-lmdb {lmdb.__version__}",
        }


def _is_own(folder: Path) -> bool:
    """Whether the environment in a folder holds our database and nothing else."""
    import lmdb

    if not (folder / "data.mdb").exists():
        # Another process may be making one at this moment: it writes the lock file first.
        return [path.name for path in folder.iterdir()] == ["lock.mdb"]
    # Without a lock file no process has it open, and a reader need not make one.
    is_locked = (folder / "lock.mdb").exists()
    environment = lmdb.open(str(folder), readonly=True, create=False, lock=is_locked)
    try:
        with environment.begin() as transaction, transaction.cursor() as cursor:
            return all(name == _DATABASE for name in cursor.iternext(values=False))
    finally:
        environment.close()


def _remove_expired(transaction: _Transaction) -> None:
    at = now()
    with transaction.cursor() as cursor:
        expired = [name for name, record in cursor if not is_live(record, at)]
    for name in expired:
        transaction.delete(name)


def _errors() -> Table:
    import lmdb

    return {lmdb.Error: lambda error: KvRefusedError(f"LMDB: {error}")}


_TRANSLATED = Translation(_errors)
