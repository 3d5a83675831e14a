"""``memcached://HOST:PORT``: memcached through pymemcache.

memcached holds bytes, so values are ``bytes``. What it cannot do is refused or declared:

- Keys are at most 250 bytes of UTF-8 without spaces and control characters; the rest of what
  kvbench allows is a ValueError. Values are at most what the server was started with (1 MiB).
- Its clock goes in steps of a second, and a TTL of n steps ends up to a step early. To keep a key
  for at least its TTL, that is rounded up to whole seconds, plus one. TTLs over thirty days would
  be read as dates, so they are sent as dates, by the server's clock.
- There is no transaction: a batch that fails has been applied in part, and the error names what
  was refused. A value that is too large also removes the old value.
- No command changes a value and keeps its TTL: CAS without a TTL reads the remaining TTL and sets
  it again, which is a step more when the clock advanced in between.

``memcached://`` without a host starts a private server, the ``memcached`` on the PATH. It listens
on loopback, refuses to store rather than to evict, and ends with the backend.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, cast
from urllib.parse import urlsplit

from typing_extensions import override

from kvbench import eviction
from kvbench.backend import Backend, ClosedStore
from kvbench.errors import (
    BackendUnavailableError,
    KvConnectionError,
    KvError,
    KvRefusedError,
    UnsupportedError,
    UrlError,
)
from kvbench.local_server import LocalServer
from kvbench.model import (
    BatchKind,
    Capability,
    Pairs,
    Value,
    check_bytes,
    pair_list,
    pairs_to_dict,
)
from kvbench_backends.memcached_text import (
    TRANSLATED,
    check_answers,
    encode_key,
    encode_keys,
    exchange,
    exchange_values,
    expiry_time,
    expiry_time_after,
    set_command,
)

if TYPE_CHECKING:
    import pymemcache

DEFAULT_PORT = 11211
CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
START_TIMEOUT_S = 15.0

PRIVATE_SERVER_MEGABYTES = 1024
"""Memory limit of a private server. A bound, not a reservation."""


class MemcachedBackend(Backend):
    """A memcached server, from version 1.6."""

    summary = "memcached, through pymemcache"
    url_example = "memcached://127.0.0.1:11211"
    is_network = True
    default_port = DEFAULT_PORT
    requires = ("pymemcache",)
    install_hint = "pip install 'kvbench[memcached]'"
    ttl_resolution_s = 1.0
    capabilities = frozenset(
        {
            Capability.TTL,
            Capability.TTL_EACH,
            Capability.SETNX,
            Capability.CAS,
            Capability.PIPELINING,
            Capability.SHARED,
        }
    )
    batch_kinds: ClassVar[Mapping[str, BatchKind]] = {
        "mget": BatchKind.NATIVE,
        "mset": BatchKind.PIPELINED,
        "mdel": BatchKind.PIPELINED,
        "mexists": BatchKind.PIPELINED,
        "mset_each": BatchKind.PIPELINED,
    }

    def __init__(self, client: pymemcache.Client, server: LocalServer | None) -> None:
        self._client = client
        self._server = server
        self._version = ""
        self._eviction: dict[str, str] = {}
        self._is_open = True

    @classmethod
    @override
    def open(cls, url: str) -> Self:
        """UnsupportedError when the server is older than 1.6."""
        host, port = _address(url)
        server = None
        if not host:
            server, port = _start_private_server()
            host = "127.0.0.1"
        client = None
        try:
            client = _connect(host, port)
            backend = cls(client, server)
            backend._read_version()
        except BaseException:
            if client is not None:
                client.close()
            if server is not None:
                server.stop()
            raise
        if server is not None:
            backend.private_url = f"memcached://{host}:{port}"
        return backend

    def _read_version(self) -> None:
        """Ask the server for its version: an unreachable target fails when it is opened."""
        with TRANSLATED:
            self._version = self._client.version().decode(errors="replace")
        numbers = [int(number) for number in re.findall(r"\d+", self._version)[:2]]
        if numbers < [1, 6]:
            raise UnsupportedError(
                f"memcached {self._version} does not report a key's remaining TTL: use 1.6 or newer"
            )
        self._eviction = self._find_eviction()

    def _find_eviction(self) -> dict[str, str]:
        """The fact of a server that evicts keys, as all do that were not started with -M."""
        try:
            with TRANSLATED:
                settings = self._client.stats("settings")
        except KvError:
            settings = {}  # A proxy in front of servers may not know the command.
        if settings.get(b"evictions") == b"off":
            return {}
        return {eviction.FACT: eviction.rule_at("LRU", settings.get(b"maxbytes"))}

    @override
    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._client.close()
            self._client = ClosedStore()
            if self._server is not None:
                self._server.stop()

    def describe(self) -> Mapping[str, str]:
        """The server's version, and the client's."""
        import pymemcache

        client = f"pymemcache {pymemcache.__version__}"
        facts = {"product": "memcached", "version": self._version, "client": client}
        return facts | self._eviction

    @override
    def get(self, key: str) -> Value:
        name = encode_key(key)
        with TRANSLATED:
            return cast("bytes | None", self._client.get(name))

    @override
    def set(self, key: str, value: Value, ttl: float | None = None) -> None:
        """A value too large for the server removes the old one, too."""
        name, data, expiry = (
            encode_key(key),
            check_bytes(key, value),
            expiry_time(self._client, ttl),
        )
        with TRANSLATED:
            self._client.set(name, data, expiry)

    @override
    def delete(self, key: str) -> bool:
        name = encode_key(key)
        with TRANSLATED:
            return bool(self._client.delete(name))

    @override
    def exists(self, key: str) -> bool:
        """Does not fetch the value."""
        return self.mexists([key])[0]

    @override
    def mget(self, keys: Sequence[str]) -> list[Value]:
        names = encode_keys(keys)
        with TRANSLATED:
            return list(map(self._client.get_many(names).get, names))

    @override
    def mset(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Pipelined sets.

        Raises:
            KvRefusedError: some keys were refused; it names them, and the others are stored.
        """
        items, expiry = pairs_to_dict(pairs), expiry_time(self._client, ttl)
        self._store([(key, set_command(key, value, expiry)) for key, value in items.items()])

    @override
    def mset_each(self, entries: Iterable[tuple[str, Value, float | None]]) -> None:
        """Pipelined. Errors as :meth:`mset`."""
        client = self._client
        commands = {
            key: set_command(key, data, expiry_time(client, ttl)) for key, data, ttl in entries
        }
        self._store([*commands.items()])

    def _store(self, commands: list[tuple[str, bytes]]) -> None:
        answers = exchange(self._client, [command for _, command in commands])
        pairs = zip(commands, answers, strict=True)
        refused = [(key, answer) for (key, _), answer in pairs if answer != b"STORED"]
        if refused:
            keys = ", ".join([repr(key) for key, _ in refused[:5]])
            why = refused[0][1].decode(errors="replace")
            counts = f"{len(refused)} of {len(commands)} keys"
            raise KvRefusedError(
                f"memcached refused {counts}, and stored the others: {keys} ({why})"
            )

    @override
    def mdel(self, keys: Sequence[str]) -> int:
        """Pipelined. KvRefusedError: some keys may have been removed."""
        return sum(self._delete_all(list(dict.fromkeys(encode_keys(keys)))))

    @override
    def mexists(self, keys: Sequence[str]) -> list[bool]:
        """Pipelined meta gets, which fetch no values."""
        return self.pipelined_exists(keys)

    @override
    def pipelined_get(self, keys: Sequence[str]) -> list[Value]:
        commands = [b"mg %b v\r\n" % name for name in encode_keys(keys)]
        return cast("list[Value]", exchange_values(self._client, commands))

    @override
    def pipelined_set(self, pairs: Pairs, ttl: float | None = None) -> None:
        """Errors as :meth:`mset`."""
        items, expiry = pair_list(pairs), expiry_time(self._client, ttl)
        self._store([(key, set_command(key, value, expiry)) for key, value in items])

    @override
    def pipelined_delete(self, keys: Sequence[str]) -> list[bool]:
        return self._delete_all(encode_keys(keys))

    def _delete_all(self, names: list[bytes]) -> list[bool]:
        answers = exchange(self._client, [b"delete %b\r\n" % name for name in names])
        check_answers(answers, b"DELETED", b"NOT_FOUND")
        return [answer == b"DELETED" for answer in answers]

    @override
    def pipelined_exists(self, keys: Sequence[str]) -> list[bool]:
        """Meta gets, which fetch no values."""
        answers = exchange(self._client, [b"mg %b\r\n" % name for name in encode_keys(keys)])
        check_answers(answers, b"HD", b"EN")
        return [answer == b"HD" for answer in answers]

    @override
    def expire(self, key: str, ttl: float | None) -> bool:
        name, expiry = encode_key(key), expiry_time(self._client, ttl)
        with TRANSLATED:
            return bool(self._client.touch(name, expiry))

    @override
    def ttl(self, key: str) -> float | None:
        """Whole seconds."""
        left_s = self._left_s(encode_key(key))
        if left_s is None:
            return None
        # The first of these steps began at an unknown time: it counts only if it is the last.
        return -1.0 if left_s == -1 else float(max(left_s - 1, 1))

    def _left_s(self, name: bytes) -> int | None:
        """Steps of the server's clock until the key expires; -1 without a TTL, None if absent."""
        answers = exchange(self._client, [b"mg %b t\r\n" % name])
        check_answers(answers, b"HD", b"EN")
        return None if answers[0] == b"EN" else int(answers[0].removeprefix(b"HD t"))

    @override
    def setnx(self, key: str, value: Value, ttl: float | None = None) -> bool:
        name, data, expiry = (
            encode_key(key),
            check_bytes(key, value),
            expiry_time(self._client, ttl),
        )
        with TRANSLATED:
            return bool(self._client.add(name, data, expiry))

    @override
    def cas(self, key: str, expected: Value, new: Value, ttl: float | None = None) -> bool | None:
        """``gets`` and ``cas``, repeated when another client wrote in between."""
        name, wanted, data = encode_key(key), check_bytes(key, expected), check_bytes(key, new)
        expiry = expiry_time(self._client, ttl)
        while True:
            with TRANSLATED:
                value, token = self._client.gets(name)
            if token is None:
                return None
            if value != wanted:
                return False
            if ttl is None:
                left_s = self._left_s(name)
                if left_s is None:
                    return None
                expiry = expiry_time_after(self._client, left_s) if left_s != -1 else 0
            with TRANSLATED:
                if self._client.cas(name, data, token, expiry):
                    return True


def _address(url: str) -> tuple[str, int]:
    """Host and port; an empty host asks for a private server."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or DEFAULT_PORT
    except ValueError as error:
        raise UrlError(url, str(error)) from None
    if parts.path.strip("/") or parts.query or parts.username or (not host and parts.netloc):
        raise UrlError(url, "write memcached://host:port, or memcached:// for a private one")
    return host, port


def _connect(host: str, port: int) -> pymemcache.Client:
    """A client of the first of the host's addresses that answers: pymemcache would try but one."""
    import pymemcache

    try:
        with socket.create_connection((host, port), CONNECT_TIMEOUT_S) as probe:
            address = probe.getpeername()[0]
    except OSError as error:
        raise KvConnectionError(f"memcached at {host}:{port} cannot be reached: {error}") from None
    return pymemcache.Client(
        (address, port),
        connect_timeout=CONNECT_TIMEOUT_S,
        timeout=REQUEST_TIMEOUT_S,
        no_delay=True,
        default_noreply=False,
    )


def _start_private_server() -> tuple[LocalServer, int]:
    """Start a private memcached; returns it with its port.

    It chooses the port itself, and writes it to a file when it listens.
    """
    program = shutil.which("memcached")
    if program is None:
        raise BackendUnavailableError(
            "memcached",
            "without a host it starts a private memcached, and none is installed",
            "apt-get install memcached, or name a server: memcached://127.0.0.1:11211",
        )
    limits = ["-m", str(PRIVATE_SERVER_MEGABYTES), "-M"]
    as_root = ["-u", "root"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="kvbench-") as folder:
        note = Path(folder, "port")
        environment = ["env", f"MEMCACHED_PORT_FILENAME={note}"]
        listen = ["-l", "127.0.0.1", "-p", "-1", "-U", "0"]
        server = LocalServer([*environment, program, *listen, *limits, *as_root])
        end = time.monotonic() + START_TIMEOUT_S
        while not note.exists():
            if time.monotonic() > end:
                server.stop()
                raise KvConnectionError(f"{program} did not listen within {START_TIMEOUT_S:g} s")
            time.sleep(0.005)
        found = re.search(r"TCP INET: (\d+)", note.read_text())
    if found is None:
        server.stop()
        raise KvConnectionError(f"{program} did not write its port to the file")
    return server, int(found.group(1))
