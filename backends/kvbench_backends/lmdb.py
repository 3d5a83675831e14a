"""``lmdb://PATH``: a named database in an LMDB environment, a memory-mapped B+tree in a folder.

What follows ``://`` is the folder: ``lmdb:///var/cache`` is absolute, ``lmdb://cache`` relative; it
is made when it is absent. The data is in the database ``kvbench``. A folder with other data is
refused: the name of that database would appear among the application's own keys. Values are
``bytes``. Durability is LMDB's default: each commit waits for the disk, and a batch is one commit.

Deadlines stand before the values (:mod:`kvbench_backends.records`). Reads look past expired
records; they are removed when the store is opened, or their key is written.

The map starts small and doubles when a transaction does not fit, which then runs anew. LMDB allows
one environment a process: backends on one folder share it, and any thread may use them. A writer
waits for other processes' writers, without a limit: LMDB knows none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, TypeVar, cast

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

if TYPE_CHECKING:
    import lmdb

MAP_BYTES_START = 2**24
"""Size of a new map. Small, since growing costs a run of one transaction and happens rarely."""

_DATABASE = b"kvbench"

_Transaction: TypeAlias = "lmdb.Transaction[bytes]"
_T = TypeVar("_T")


class LmdbBackend(Backend):
    """The database ``kvbench`` of an LMDB environment."""

    summary = "LMDB (each commit synced), through py-lmdb"
    url_example = "lmdb:///tmp/kvbench-lmdb"
    requires = ("lmdb",)
    install_hint = "pip install 'kvbench[lmdb]'"
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
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = dict.fromkeys(
        ("mget", "mset", "mdel", "mexists", "mset_each"), BatchKind.TRANSACTION
    )

    def __init__(self, environment: _Environment) -> None:
        self._environment = environment
        self._is_open = True

    @classmethod
    def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`; UsageError also for a folder with other data."""
        folder = url.partition("://")[2]
        if not folder:
            raise UrlError(url, f"name a folder, e.g. {cls.url_example}")
        return cls(_Environment.shared(Path(folder)))

    def close(self) -> None:
        """As :meth:`Backend.close`; the environment closes with its last backend."""
        if self._is_open:
            self._is_open = False
            self._environment.release()
            self._environment = cast("_Environment", ClosedStore())

    def describe(self) -> Mapping[str, str]:
        """LMDB's version and durability, and the driver's version."""
        import lmdb

        return {
            "product": "LMDB",
            "version": ".".join(map(str, lmdb.version())),
            "durability": "each commit synced",
            "client": f"py-lmdb {lmdb.__version__}",
        }

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        return content(self._record(key), now())

    def _record(self, key: str) -> bytes | None:
        """The key's record, also an expired one."""
        check_key(key)
        name = key.encode()
        return self._environment.read(lambda transaction: transaction.get(name))

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`; one transaction."""
        name, record = row(key, value, ttl)
        self._environment.write(lambda transaction: transaction.put(name, record))

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`; one transaction."""
        return self.mdel([key]) == 1

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        return is_live(self._record(key), now())

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`; one read transaction."""
        found, at = self._records(keys), now()
        return [content(record, at) for record in found]

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`; one transaction."""
        items = pairs_to_dict(pairs)
        self._put_all([row(key, value, ttl) for key, value in items.items()])

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`; one transaction."""
        self._put_all([row(key, value, ttl) for key, value, ttl in entries])

    def _put_all(self, rows: list[tuple[bytes, bytes]]) -> None:
        def put(transaction: _Transaction) -> None:
            with transaction.cursor() as cursor:
                cursor.putmulti(rows)

        self._environment.write(put)

    def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`; one transaction."""
        check_keys(keys)
        names = [key.encode() for key in keys]

        def remove(transaction: _Transaction) -> int:
            at = now()
            return sum([is_live(transaction.pop(name), at) for name in names])

        return self._environment.write(remove)

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`; one read transaction."""
        found, at = self._records(keys), now()
        return [is_live(record, at) for record in found]

    def _records(self, keys: Sequence[str]) -> list[bytes | None]:
        """The record of each key in their order, also expired ones."""
        check_keys(keys)
        names = [key.encode() for key in keys]

        def look(transaction: _Transaction) -> dict[bytes, bytes]:
            with transaction.cursor() as cursor:
                return dict(cursor.getmulti(names))

        return list(map(self._environment.read(look).get, names))

    def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`; one transaction."""
        check_key(key)
        name, ends = key.encode(), deadline(ttl)

        def change(transaction: _Transaction) -> bool:
            record = transaction.get(name)
            if record is None or not is_live(record, now()):
                return False
            return transaction.put(name, with_deadline(record, ends))

        return self._environment.write(change)

    def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        return seconds_left(self._record(key), now())

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`; one transaction."""
        name, record = row(key, value, ttl)

        def store(transaction: _Transaction) -> bool:
            return not is_live(transaction.get(name), now()) and transaction.put(name, record)

        return self._environment.write(store)

    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """As :meth:`Backend.cas`; one transaction."""
        name, record = row(key, new, ttl)
        wanted = check_bytes(key, expected)

        def swap(transaction: _Transaction) -> bool | None:
            before = transaction.get(name)
            if before is None or not is_live(before, now()):
                return None
            if content(before) != wanted:
                return False
            after = record if ttl is not None else with_deadline_of(record, before)
            return transaction.put(name, after)

        return self._environment.write(swap)


class _Environment:
    """An open environment and its database, shared by the backends of this process.

    One transaction at a time: the map may grow only while there is none.
    """

    _opened: ClassVar[dict[Path, _Environment]] = {}
    _opening = threading.Lock()

    def __init__(self, folder: Path) -> None:
        import lmdb

        self._folder = folder
        self._users = 0
        self._lock = threading.Lock()
        self._full, self._resized = lmdb.MapFullError, lmdb.MapResizedError
        self._lmdb = lmdb.open(str(folder), map_size=MAP_BYTES_START, max_dbs=1)
        try:
            self._lmdb.reader_check()  # Readers of processes that died would keep old pages alive.
            self._database = self._lmdb.open_db(_DATABASE)
            self.write(_remove_expired)
        except BaseException:
            self._lmdb.close()
            raise

    @classmethod
    def shared(cls, folder: Path) -> _Environment:
        """The environment of a folder, opened when it is not yet. Each caller releases it once."""
        import lmdb

        folder = folder.resolve()
        with cls._opening:
            environment = cls._opened.get(folder)
            if environment is None:
                try:
                    check_folder(folder, lambda: _is_own(folder))
                    environment = cls(folder)
                except (lmdb.Error, OSError, KvServerError) as error:
                    raise KvConnectionError(f"{folder}: {error}") from None
                cls._opened[folder] = environment
            environment._users += 1
            return environment

    def release(self) -> None:
        """One backend less; with the last one the environment is closed."""
        with self._opening:
            self._users -= 1
            if self._users == 0:
                del self._opened[self._folder]
                self._lmdb.close()

    def read(self, look: Callable[[_Transaction], _T]) -> _T:
        """What ``look`` returns, from a read transaction."""
        with self._lock, _TRANSLATED, self._begin(write=False) as transaction:
            return look(transaction)

    def write(self, change: Callable[[_Transaction], _T]) -> _T:
        """What ``change`` returns, from a committed transaction.

        It is called again, in a new transaction, each time that the map had to grow.
        """
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


def _is_own(folder: Path) -> bool:
    """Whether the environment in a folder holds our database and nothing else."""
    import lmdb

    if not (folder / "data.mdb").exists():
        # Another process may be making one at this moment: its lock file comes first.
        return [path.name for path in folder.iterdir()] == ["lock.mdb"]
    # Where there is no lock file nobody has it open, and a reader need not make one.
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


class _Translation:
    """A reusable context that turns py-lmdb's errors into ours."""

    def __enter__(self) -> None:
        """Nothing to set up."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            return
        import lmdb

        if isinstance(error, lmdb.Error):
            raise KvServerError(2, f"LMDB: {error}") from None


_TRANSLATED = _Translation()
