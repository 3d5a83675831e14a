"""A target's address, and its URL through a proxy.

A target is ``host:port``, or the URL of a backend that is reached over TCP. A URL without a host
starts a private server when it is opened, so there is nothing yet to put a proxy in front of.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from kvbench.errors import UrlError
from kvbench.redaction import url_problem
from kvbench.registry import HOST_PORT, look_up, scheme_of

_NETLOC = re.compile(r"(?<=://)[^/?#]*")


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, the brackets of an IPv6 address removed.

    Raises:
        UrlError: it is not of that form.
    """
    match = HOST_PORT.fullmatch(text)
    if match is None:
        raise UrlError(text, "no address; write HOST:PORT, such as 127.0.0.1:6379")
    port = int(match[2])
    if not 1 <= port <= 65_535:
        raise UrlError(text, f"port {port} is not 1 to 65535")
    return match[1].strip("[]"), port


def format_address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target_address(target: str) -> str:
    """The ``host:port`` of a target: an address, or the URL of a server.

    Raises:
        UsageError: it is neither, or the URL names no host, or no port where its scheme has no
            default port.
    """
    if "://" not in target:
        return format_address(*parse_address(target))
    scheme = scheme_of(target)
    backend = look_up(scheme).backend
    if backend is None or not backend.is_network:
        raise UrlError(target, "it is not reached over TCP: name a server, such as HOST:PORT")
    try:
        parts = urlsplit(target)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UrlError(target, url_problem(target) or str(error)) from None
    if not host:
        example = backend.url_example or f"{scheme}://HOST:PORT"
        raise UrlError(target, f"it names no server that runs: start one, and write {example}")
    port = port or backend.default_port
    if port is None:
        raise UrlError(target, "it names no port, and its scheme has no default port")
    return format_address(host, port)


def through(target: str, address: str) -> str:
    """The target with another host and port; user, password, path and query stay.

    Args:
        target: a URL, or ``host:port``.
        address: ``host:port`` of the proxy, IPv6 in brackets.
    """

    def elsewhere(netloc: re.Match[str]) -> str:
        user, at, _ = netloc[0].rpartition("@")
        return f"{user}{at}{address}"

    return _NETLOC.sub(elsewhere, target, count=1) if "://" in target else address
