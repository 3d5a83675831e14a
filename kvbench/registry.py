"""Opens a backend by URL, through the entry-point group ``kvbench.backends``.

The group maps a URL scheme to a class. kvbench's adapters are registered like third-party ones: an
entry point in this group is found as soon as its package is installed. Nothing is imported until it
is opened or listed.
"""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from kvbench.backend import AsyncBackend, Backend
from kvbench.blocking import BlockingBackend
from kvbench.declaration import declaration_problem
from kvbench.errors import BackendUnavailableError, UnknownSchemeError, UrlError
from kvbench.redaction import SECRETS, expand, url_problem
from kvbench.suggest import nearest

GROUP = "kvbench.backends"
"""The entry-point group. Part of the public interface: other packages declare it."""

HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/\[\]@\s]+):(\d{1,5})")
"""The address of a server of the wire protocol: host, or an IPv6 address in brackets, and port."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

BackendClass = type[Backend] | type[AsyncBackend]


@dataclass(frozen=True, slots=True)
class Registration:
    """One scheme of the registry.

    Attributes:
        scheme: the part before ``://``.
        backend: the adapter class, None if it could not be imported.
        problem: why it cannot be used on this machine; empty if it can.
        hint: how to fix that.
    """

    scheme: str
    backend: BackendClass | None
    problem: str = ""
    hint: str = ""


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def schemes() -> tuple[str, ...]:
    """Every registered scheme, sorted."""
    return tuple(sorted(_entry_points()))


def scheme_of(url: str) -> str:
    """The scheme of a target's URL, in lower case.

    Raises:
        UsageError: ``url`` has none.
        UnknownSchemeError: no backend is registered for it.
    """
    match = _SCHEME.match(url)
    if match is None:
        near = [f"{name}://" for name in nearest(url, schemes())]
        example = " or ".join(near or ["memory://", "kvb://HOST:PORT"])
        raise UrlError(url, f"no target URL; write SCHEME://..., e.g. {example}")
    scheme = match.group(1).lower()
    if scheme not in _entry_points():
        raise UnknownSchemeError(scheme, known=schemes(), nearest=nearest(scheme, schemes()))
    return scheme


def given_target(text: str) -> str:
    """A target as typed by the user, with its secrets filled in from the environment.

    Raises:
        UrlError: it names an environment variable that is not set.
    """
    try:
        filled = expand(text)
    except KeyError as error:
        raise UrlError(text, f"the environment variable {error.args[0]} is not set") from None
    SECRETS.learn(filled)
    return filled


def target_url(text: str) -> str:
    """The URL of a target: ``host:port`` is a server of the wire protocol."""
    return f"kvb://{text}" if HOST_PORT.fullmatch(text) else text


def look_up(scheme: str) -> Registration:
    """Information about a registered scheme; drivers are checked but not imported."""
    point = _entry_points()[scheme]
    try:
        backend = point.load()
    except Exception as error:  # noqa: BLE001 - a third party's module may raise anything
        dist = point.dist.name if point.dist else point.value
        return Registration(
            scheme, None, f"its adapter cannot be imported: {error}", f"check the package {dist}"
        )
    if problem := declaration_problem(backend):
        return Registration(
            scheme, None, f"its adapter cannot be used: {problem}", f"check {point.value}"
        )
    missing = [name for name in backend.requires if importlib.util.find_spec(name) is None]
    if missing:
        problem = f"needs {', '.join(missing)}, not installed"
        return Registration(scheme, backend, problem, backend.install_hint)
    return Registration(scheme, backend)


def backend_class(url: str) -> BackendClass:
    """The adapter class for a target's URL.

    All code that opens a target calls this. So its secrets are remembered here, and a URL that a
    driver would misread is rejected here.

    Raises:
        UsageError: no scheme, or an unknown one.
        UrlError: a password contains special characters that are not percent-encoded.
        BackendUnavailableError: the adapter or its driver is not installed.
    """
    SECRETS.learn(url)
    registration = look_up(scheme_of(url))
    if registration.problem or registration.backend is None:
        raise BackendUnavailableError(registration.scheme, registration.problem, registration.hint)
    problem = url_problem(url) if registration.backend.is_network else ""
    if problem:
        raise UrlError(url, problem)
    return registration.backend


def open_backend(url: str) -> Backend:
    """Open any target as a synchronous backend; use it in a ``with`` block or close it.

    An asynchronous adapter runs on a separate event loop.

    Raises:
        UsageError: no scheme, an unknown one, or the adapter rejects the URL.
        BackendUnavailableError: the adapter, its driver or its server program is not installed.
        KvConnectionError: the connection failed.
    """
    cls = backend_class(url)
    if issubclass(cls, AsyncBackend):
        return BlockingBackend.over(cls, url)
    return cls.open(url)


async def open_async_backend(url: str) -> AsyncBackend:
    """Open a target whose adapter is asynchronous, on the running loop.

    Raises:
        UsageError: also when the adapter is synchronous: use :func:`open_backend`.
        BackendUnavailableError: see :func:`open_backend`.
        KvConnectionError: see :func:`open_backend`.
    """
    cls = backend_class(url)
    if not issubclass(cls, AsyncBackend):
        raise UrlError(url, "it opens a synchronous backend: use open_backend")
    return await cls.open(url)
