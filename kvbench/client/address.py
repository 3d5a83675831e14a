"""Addresses of servers: ``host``, ``host:port``, ``host:port/namespace``, ``kvb://...`` (ADDR-001).

Only clients know namespaces: a server sees longer keys. A namespace may contain ``/``; an empty one
means none.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.errors import UsageError
from kvbench.model import KEY_BYTES_MAX
from kvbench.protocol.opcodes import DEFAULT_PORT
from kvbench.redaction import redact_url

SCHEMES = ("kvb://", "kvb+async://")

_NOT_IN_A_HOST = frozenset("\\[]")
_NOT_IN_A_PLACE = frozenset("@?#")
_IPV6_ADVICE = "an IPv6 address is written [::1]:16380"


@dataclass(frozen=True, slots=True)
class Address:
    """A server's address, and the client's namespace.

    Attributes:
        host: a name or an IP address, without brackets.
        port: TCP port.
        namespace: empty for none.
    """

    host: str
    port: int = DEFAULT_PORT
    namespace: str = ""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse an address as a user writes it.

        Raises:
            UsageError: it is not an address; the message says what to write.
        """
        if not isinstance(text, str):
            raise _wrong(text, "it must be a str, such as '127.0.0.1:16380/tasks'")
        scheme = next((known for known in SCHEMES if text.lower().startswith(known)), "")
        place, _, namespace = text[len(scheme) :].partition("/")
        if place.endswith(":") and namespace.startswith("/"):
            raise _wrong(text, f"the scheme of this protocol is {SCHEMES[0]}")
        if not _NOT_IN_A_PLACE.isdisjoint(place):
            # What looks like a port or a host here can be a part of a password: do not quote it.
            raise _wrong(text, "there is no user, password or query: write host:port/namespace")
        host, port = _split(text, place)
        if not host or any(c in _NOT_IN_A_HOST or not c.isprintable() or c == " " for c in host):
            raise _wrong(text, "write host:port/namespace, such as 127.0.0.1:16380/tasks")
        address = cls(host, port, namespace)
        if len(address.prefix) >= KEY_BYTES_MAX:
            raise _wrong(text, f"the namespace leaves no room in {KEY_BYTES_MAX} bytes for a key")
        return address

    @property
    def prefix(self) -> bytes:
        """The prefix of each key on the wire: ``namespace:``, or empty."""
        if not self.namespace:
            return b""
        try:
            return f"{self.namespace}:".encode()
        except UnicodeEncodeError:
            raise UsageError(f"namespace {self.namespace!r} is not valid Unicode") from None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f"/{self.namespace}" if self.namespace else "")


def _split(text: str, place: str) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port``, ``[address]`` or ``[address]:port``."""
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise _wrong(text, _IPV6_ADVICE)
        has_port, port = bool(rest), rest[1:]
    else:
        host, colon, port = place.partition(":")
        if ":" in port:
            raise _wrong(text, _IPV6_ADVICE)
        has_port = bool(colon)
    if not has_port:
        return host, DEFAULT_PORT
    if not (port.isascii() and port.isdigit()):
        raise _wrong(text, f"the port {port!r} is not a number; it may be left out: {DEFAULT_PORT}")
    digits = port.lstrip("0")
    if not 1 <= len(digits) <= 5 or int(digits) > 65_535:
        raise _wrong(text, f"the port {port} is not 1 to 65535")
    return host, int(digits)


def _wrong(text: object, advice: str) -> UsageError:
    shown = redact_url(text) if isinstance(text, str) else text
    return UsageError(f"{shown!r} is not an address: {advice}")
