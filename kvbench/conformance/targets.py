"""Targets of the suite: from what the user typed to something that cases can work with.

``host:port`` is a wire target and nothing else: a server in any language. ``kvb://...`` is both, a
wire target and a backend; any other URL is a backend. Without a host, ``kvb://`` starts a private
server, and both suites look at the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kvbench.backend import Backend
from kvbench.clock import ManualClock
from kvbench.conformance.case import Suite
from kvbench.conformance.profile import Profile
from kvbench.conformance.suites import BACKEND, SUITES, WIRE, suites_of
from kvbench.conformance.target import Target
from kvbench.conformance.wire.connection import REPLY_TIMEOUT_S
from kvbench.conformance.wire.presence import STARTED_S, Absence, why_absent
from kvbench.errors import KvbenchError, KvConnectionError, UnsupportedError, UrlError, UsageError
from kvbench.foreign_text import target_name
from kvbench.local_server import OWN_SERVER, LocalServer
from kvbench.protocol.opcodes import DEFAULT_PORT
from kvbench.redaction import url_problem
from kvbench.registry import HOST_PORT, backend_class, open_backend, scheme_of

_WIRE_SCHEMES = ("kvb", "kvb+async")


def target_suites(text: str) -> tuple[Suite, ...]:
    """The suites for what the user named, before anything is opened.

    Raises:
        UsageError: neither an address nor the URL of a registered backend.
    """
    if HOST_PORT.fullmatch(text):
        return (WIRE,)
    if "://" not in text:
        raise UrlError(text, "neither host:port nor a URL such as memory:// or kvb://")
    return SUITES if scheme_of(text) in _WIRE_SCHEMES else (BACKEND,)


def check_suites(text: str, suites: frozenset[Suite]) -> tuple[Suite, ...]:
    """Those of ``suites`` that can look at what the user named.

    Raises:
        UsageError: none of them can, or nothing can.
    """
    possible = target_suites(text)
    if not suites & set(possible):
        raise UrlError(text, _no_suite(text, possible[0]))
    return tuple([suite for suite in possible if suite in suites])


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``kvb://host:port/...``.

    Raises:
        UsageError: it is neither.
    """
    match = HOST_PORT.fullmatch(text)
    if match is not None:
        return _address(match.group(1), match.group(2))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise UrlError(text, url_problem(text) or str(error)) from None
    if parts.username is not None:
        raise UrlError(text, "it takes no user and no password: write kvb://HOST:PORT")
    if parts.scheme not in _WIRE_SCHEMES or not host:
        raise UrlError(text, "no address of a server; write HOST:PORT")
    return host, port


def expect_server(text: str, restart: Callable[[], None] | None = None) -> None:
    """See that a server of the wire protocol is where the user says; fine for other targets.

    Args:
        text: what the user named.
        restart: starts the server where none listens.

    Raises:
        KvConnectionError: the connection failed, or the peer is silent or speaks another protocol.
    """
    if WIRE not in target_suites(text) or not _names_host(text):
        return
    address = parse_address(text)
    absent = why_absent(address, REPLY_TIMEOUT_S)
    if absent is not None and absent.how is Absence.UNREACHABLE and restart is not None:
        restart()
        absent = why_absent(address, REPLY_TIMEOUT_S, STARTED_S)
    if absent is not None:
        raise KvConnectionError(str(absent))


def open_target(
    text: str,
    suites: frozenset[Suite] = frozenset(SUITES),
    restart: Callable[[], None] | None = None,
) -> Target:
    """Open what the user named, as far as ``suites`` need it.

    Args:
        text: what the user named.
        suites: which of them are to look at it.
        restart: starts the server where none listens, and after it was lost.

    Raises:
        UsageError: neither an address nor the URL of a registered backend, or none of ``suites``
            can look at it.
        KvConnectionError: the connection failed, or another protocol answered.
        BackendUnavailableError: a driver or server program is not installed.
    """
    possible = check_suites(text, suites)
    target = Target(target_name(text), url="" if HOST_PORT.fullmatch(text) else text)
    target.restart = restart
    try:
        if WIRE in target_suites(text):
            expect_server(text, restart)
            _find_server(target, text)
        if BACKEND in possible:
            _open_store(target)
    except BaseException as error:
        target.close()
        if isinstance(error, KvbenchError) or not isinstance(error, Exception):
            raise
        # An adapter of a third party may raise anything.
        raise KvConnectionError(f"{target.name}: {type(error).__name__}: {error}") from error
    return target


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a target can do, and how that is known.

    Attributes:
        capabilities: by suite, in the suite's words.
        facts: for people: where the capabilities come from, what is doubtful, what INFO tells.
    """

    capabilities: Mapping[Suite, frozenset[str]]
    facts: dict[str, str] = field(default_factory=dict)


def discover(
    target: Target, profile: Profile, suites: frozenset[Suite] = frozenset(SUITES)
) -> Discovery:
    """The capabilities of an opened target, for those of ``suites`` that can look at it."""
    capabilities: dict[Suite, frozenset[str]] = {}
    facts: dict[str, str] = {}
    for suite in [one for one in suites_of(target) if one in suites]:
        declared = profile.declared(suite)
        found, seen = suite.discover(target)
        facts |= seen
        capabilities[suite] = found
        if declared is not None:
            unlisted = frozenset() if declared & suite.unlisted else suite.unlisted
            capabilities[suite] = declared | (found & unlisted)
            facts[f"{suite} capabilities"] = "declared by the profile"
    return Discovery(capabilities, facts)


def _names_host(text: str) -> bool:
    return bool(HOST_PORT.fullmatch(text) or urlsplit(text).hostname)


def _find_server(target: Target, text: str) -> None:
    """Where the server listens; a private one is started when no host is named."""
    if _names_host(text):
        target.address = parse_address(text)
        return
    backend_class(text)
    target.server = LocalServer(OWN_SERVER)
    listening = target.server.wait_for_line("listening on").split()[-1]
    target.address = parse_address(listening)
    target.url = f"{scheme_of(text)}://{listening}{urlsplit(text).path}"


def _open_store(target: Target) -> None:
    """Open the backend: on a clock that cases can move, where the store allows that."""
    cls = backend_class(target.url)
    if issubclass(cls, Backend):
        clock = ManualClock()
        try:
            target.store = cls.open_on_clock(target.url, clock)
            target.clock = clock
            return
        except UnsupportedError:
            pass  # The store has its own clock: cases wait.
    target.store = open_backend(target.url)


def _no_suite(text: str, possible: Suite) -> str:
    if possible is WIRE:
        return (
            "an address, which only the wire suite looks at; "
            f"for the backend suite write kvb://{text}"
        )
    return (
        "a backend, which only the backend suite looks at; "
        "the wire suite takes HOST:PORT or kvb://HOST:PORT"
    )


def _address(host: str, port: str) -> tuple[str, int]:
    if not 1 <= int(port) <= 65_535:
        raise UsageError(f"port {port} is not 1 to 65535")
    return host.strip("[]"), int(port)
