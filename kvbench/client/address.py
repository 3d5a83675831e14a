"""Addresses of servers: ``host``, ``host:port``, ``host:port/namespace``, ``kvb://...`` (ADDR-001).

A namespace is an affair of clients: a server sees longer keys. It may hold ``/``; an empty one is
none.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.errors import UsageError
from kvbench.model import KEY_BYTES_MAX
from kvbench.protocol.opcodes import DEFAULT_PORT

SCHEMES = ("kvb://", "kvb+async://")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and the namespace that a client works in.

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
        """Read an address as a user writes it.

        Raises:
            UsageError: it is none; the message says what to write.
        """
        rest = text
        for scheme in SCHEMES:
            rest = rest.removeprefix(scheme)
        place, _, namespace = rest.partition("/")
        if place.startswith("["):
            host, bracket, port = place[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise _wrong(text, "an IPv6 address is written [::1]:16380")
            port = port.removeprefix(":")
        else:
            host, _, port = place.partition(":")
            if ":" in port:
                raise _wrong(text, "an IPv6 address is written [::1]:16380")
        if not host or "://" in rest or any(letter.isspace() or letter == "@" for letter in place):
            raise _wrong(text, "write host:port/namespace, such as 127.0.0.1:16380/tasks")
        if place.endswith(":") or (port and not (port.isascii() and port.isdigit())):
            raise _wrong(text, f"the port {port!r} is no number")
        if port and not 1 <= int(port) <= 65_535:
            raise _wrong(text, f"the port {port} is not 1 to 65535")
        address = cls(host, int(port) if port else DEFAULT_PORT, namespace)
        if len(address.prefix) >= KEY_BYTES_MAX:
            raise _wrong(text, f"the namespace leaves no room in {KEY_BYTES_MAX} bytes for a key")
        return address

    @property
    def prefix(self) -> bytes:
        """What goes before each key on the wire: ``namespace:``, or nothing."""
        if not self.namespace:
            return b""
        try:
            return f"{self.namespace}:".encode()
        except UnicodeEncodeError:
            raise UsageError(f"namespace {self.namespace!r} is not valid Unicode") from None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (f"/{self.namespace}" if self.namespace else "")


def _wrong(text: str, advice: str) -> UsageError:
    return UsageError(f"{text!r} is no address: {advice}")
