"""Where the wire driver connects, from a target's URL."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from kvbench.client.address import Address
from kvbench.errors import KvConnectionError, UnsupportedError, UrlError
from kvbench.load.wire.kvb import KvbDialect
from kvbench.load.wire.memcached import MemcachedDialect
from kvbench.load.wire.replies import Dialect
from kvbench.load.wire.resp import RespDialect

REDIS_PORT = 6379
MEMCACHED_PORT = 11211

SCHEMES = ("kvb", "kvb+async", "redis", "valkey", "memcached")
"""What the wire driver can load. All of them are plain TCP."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server.

    Attributes:
        host: a name or an IP address.
        port: TCP port.
        dialect: the protocol that it speaks.
    """

    host: str
    port: int
    dialect: Dialect

    def resolve(self) -> tuple[int, Any]:
        """The family and the address for a socket, looked up once for all connections.

        Raises:
            KvConnectionError: the name is not known.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise KvConnectionError(f"cannot find {self.host!r}: {error}") from None
        return found[0][0], found[0][4]


def endpoint(url: str, *, ttl_ms: int = 0) -> Endpoint:
    """The server that a URL names.

    Args:
        url: with a host; private servers are started by the caller.
        ttl_ms: TTL of the values that will be stored; 0 for none.

    Raises:
        UnsupportedError: the wire driver does not speak the protocol of this scheme.
        UsageError: the URL is wrong, or names no host.
    """
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in SCHEMES:
        known = ", ".join([f"{name}://" for name in SCHEMES])
        raise UnsupportedError(
            f"the wire driver does not load {scheme}://, only {known}; use --driver client"
        )
    if not rest or rest.startswith("/"):
        raise UrlError(url, "the wire driver needs a host, e.g. 127.0.0.1")
    if scheme.startswith("kvb"):
        address = Address.parse(f"kvb://{rest}")
        return Endpoint(
            address.host, address.port, KvbDialect(prefix=address.prefix, ttl_ms=ttl_ms)
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UrlError(url, str(error)) from None
    if not host:
        raise UrlError(url, "the wire driver needs a host, e.g. 127.0.0.1")
    if parts.query or parts.fragment:
        raise UrlError(url, "the wire driver takes no parameters in a URL")
    if scheme == "memcached":
        if parts.path not in ("", "/") or parts.username is not None:
            raise UrlError(url, "write memcached://host:port")
        return Endpoint(host, port or MEMCACHED_PORT, MemcachedDialect(ttl_ms=ttl_ms))
    if not re.fullmatch(r"/?\d{0,9}", parts.path, re.ASCII):
        raise UrlError(url, "the path is the number of a database, e.g. /0")
    dialect = RespDialect(
        user=unquote(parts.username or ""),
        password=None if parts.password is None else unquote(parts.password),
        database=int(parts.path.strip("/") or 0),
        ttl_ms=ttl_ms,
    )
    return Endpoint(host, port or REDIS_PORT, dialect)
