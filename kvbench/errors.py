"""Every exception that kvbench raises on purpose.

::

    KvbenchError
    ├── UsageError               invalid input (also a ValueError): a URL, an option
    │   ├── UnknownSchemeError   no backend is registered for a URL's scheme
    │   └── UrlError             a target's URL is wrong; shown without its secrets
    ├── BackendUnavailableError  the adapter is known, its driver or server is not installed
    ├── UnsupportedError         the backend does not offer this operation or value type
    ├── ResultsError             a results file is damaged; carries its path and line number
    ├── ProtocolError            bytes that do not follow specs/wire-protocol.md
    └── KvError                  a request to a store failed
        ├── KvConnectionError    no connection, or it broke; calls in flight may have been applied
        ├── KvTimeoutError       no answer in time (also a TimeoutError); may have been applied
        ├── KvRefusedError       the store refused; nothing was applied unless the message says so
        │   └── KvServerError    a server of the wire protocol answered ERROR or INVALID
        ├── KvProtocolError      the server's answer was invalid; connection closed
        ├── KvReentryError       a call inside another call of the same thread; nothing was sent
        ├── PoolTimeoutError     no pooled connection was released in time; nothing was sent
        └── LockLostError        a lock expired before its holder released it

Rules for all of them: data is in attributes, text in ``str()``, and the message says what the user
can do next. Errors of foreign libraries are translated where they enter, so callers need only this
tree.
"""

from __future__ import annotations

from kvbench.redaction import redact_url


class KvbenchError(Exception):
    """Root of the tree: catching it catches everything that kvbench raises on purpose."""


class UsageError(KvbenchError, ValueError):
    """The request is impossible: the message says why and what to do."""


class UnknownSchemeError(UsageError):
    """No backend is registered for the scheme of a target's URL."""

    def __init__(self, scheme: str, *, known: tuple[str, ...], nearest: tuple[str, ...]) -> None:
        self.scheme = scheme
        self.known = known
        self.nearest = nearest
        near = " or ".join([f"{name}://" for name in nearest])
        hint = f"did you mean {near}?" if near else "`kvbench backends` lists them"
        super().__init__(f"unknown scheme {scheme!r}: {hint} (known: {', '.join(known)})")


class UrlError(UsageError):
    """A target's URL is wrong. Neither the message nor ``url`` holds a password."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = redact_url(url)
        self.reason = reason
        super().__init__(f"{self.url!r}: {reason}")


class BackendUnavailableError(KvbenchError):
    """A registered backend cannot be used on this machine until something is installed."""

    def __init__(self, scheme: str, reason: str, hint: str) -> None:
        self.scheme = scheme
        self.reason = reason
        self.hint = hint
        super().__init__(f"{scheme}://: {reason}; {hint}")


class UnsupportedError(KvbenchError):
    """The store does not support this; `kvbench backends` lists its capabilities."""


class ResultsError(KvbenchError):
    """A results file cannot be read. ``line`` counts from 1; 0 means the file as a whole."""

    def __init__(self, path: str, line: int, reason: str) -> None:
        self.path = path
        self.line = line
        self.reason = reason
        place = f"{path}, line {line}" if line else path
        super().__init__(f"{place}: {reason}")


class ProtocolError(KvbenchError):
    """Bytes that violate the wire protocol. Raised by the codec for any invalid input."""


class KvError(KvbenchError):
    """A request to a store failed. The subclass says what is known about the resulting state."""


class KvConnectionError(KvError, ConnectionError):
    """No connection could be made, or it broke: requests in flight may have been applied."""


class KvTimeoutError(KvError, TimeoutError):
    """No answer within the request timeout: the request may have been applied."""


class KvRefusedError(KvError):
    """The store refused a request. Nothing was applied, unless the message says what was."""


class KvServerError(KvRefusedError):
    """A server of the wire protocol refused: ``status`` is ERROR (2) or INVALID (3)."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message or f"the server answered status {status} without a message")


class KvProtocolError(KvError, ProtocolError):
    """The server's answer does not follow the protocol; the connection was closed."""


class KvReentryError(KvError):
    """A client was called inside another call of the same thread.

    Causes are a signal handler, a ``__del__`` or a trace function. Nothing was sent, and the outer
    call continues.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: the client was called inside another call of the same thread, by a "
            "signal handler, a __del__ or a trace function: use a separate client in that code, or "
            "let it set a flag and make the call later"
        )


class PoolTimeoutError(KvError, TimeoutError):
    """No pooled connection was released within the acquire timeout. Nothing was sent."""


class LockLostError(KvError):
    """A lock expired before its holder released it: another owner may have held it."""
