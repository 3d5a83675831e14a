"""The connection of a synchronous client: open, exchange, replace; one call at a time.

Safe for several threads, which take turns, and across a fork: a child leaves the connection to its
parent and opens a new one. A call inside another call of the same thread, for example in a signal
handler, is refused: waiting would deadlock, and reading would take the reply of the outer call.
:mod:`kvbench.protocol.client` has the rules of a connection. A connection that they close, or whose
call was interrupted by Ctrl-C, is dropped. The next call opens a new one. Nothing is sent twice.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeVar

from kvbench.client.address import Address
from kvbench.client.commands import Command
from kvbench.client.decoding import check_reply_bound
from kvbench.client.exchanges import RECV_BYTES, call_each, call_one
from kvbench.client.forks import watch
from kvbench.client.sockets import check_timeouts, no_connection, prepare
from kvbench.duplex import POLLIN, new_poll
from kvbench.errors import (
    KvConnectionError,
    KvError,
    KvReentryError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.protocol.client import CLIENT_CLOSED, ClientProtocol
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX

T = TypeVar("T")
C = TypeVar("C")

_log = logging.getLogger("kvbench.client")


class BlockingClient:
    """One blocking connection, and the state around its calls. Created by :meth:`connect`.

    Attributes:
        address: the server's address.
    """

    def __init__(
        self,
        address: Address,
        connect_timeout: float,
        request_timeout: float,
        max_reply_bytes: int = PAYLOAD_BYTES_MAX,
    ) -> None:
        check_timeouts(connect_timeout=connect_timeout, request_timeout=request_timeout)
        check_reply_bound(max_reply_bytes)
        self.address = address
        self._name = str(address)
        self._prefix = address.prefix
        self._connect_timeout_s = connect_timeout
        self._request_timeout_s = request_timeout
        self._max_reply_bytes = max_reply_bytes
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._poll = new_poll()
        self._protocol = self._new_protocol()
        self._opened_count = 0
        self._is_closed = False
        self._is_in_call = False
        watch(self)

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        connect_timeout: float = 5.0,
        request_timeout: float = 30.0,
        max_reply_bytes: int = PAYLOAD_BYTES_MAX,
    ) -> Self:
        """Connect to a server.

        Args:
            address: ``host:port/namespace``.
            connect_timeout: limit for opening a connection, seconds.
            request_timeout: limit for a request, including decoding of its reply, seconds.
            max_reply_bytes: largest accepted reply; :mod:`kvbench.client.decoding` has its cost.

        Raises:
            UsageError: the address, a timeout or the reply limit is invalid.
            KvConnectionError: the connection failed.
        """
        client = cls(Address.parse(address), connect_timeout, request_timeout, max_reply_bytes)
        client._open()
        return client

    def close(self) -> None:
        """Close; a call in another thread fails. May be called twice.

        Later calls raise KvConnectionError.
        """
        self._is_closed = True
        stream = self._socket
        if stream is not None:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)  # Wakes a thread that waits for its reply.
        with self._lock:
            self._drop()

    @property
    def namespace(self) -> str | None:
        """The namespace, None without one."""
        return self.address.namespace or None

    @property
    def is_connected(self) -> bool:
        """Whether the connection was usable after the last call."""
        return self._socket is not None

    @property
    def reconnects(self) -> int:
        """How often a broken connection was replaced."""
        return max(0, self._opened_count - 1)

    def _open(self) -> socket.socket:
        if self._is_closed:
            raise self._closed()
        lock = self._lock
        place = (self.address.host, self.address.port)
        try:
            opened = socket.create_connection(place, timeout=self._connect_timeout_s)
            try:
                prepare(opened)
            except BaseException:
                opened.close()
                raise
        except (OSError, UnicodeError) as error:
            raise no_connection(self._name, error, self._connect_timeout_s) from None
        if self._is_closed or self._lock is not lock:  # A signal handler closed it, or forked.
            opened.close()
            raise self._closed() if self._is_closed else self._left_to_parent()
        opened.settimeout(self._request_timeout_s)
        poll = new_poll()
        poll.register(opened, POLLIN)
        self._socket, self._protocol, self._poll = opened, self._new_protocol(), poll
        self._opened_count += 1
        if self._opened_count > 1:
            _log.warning("reconnected to %s", self._name)
        return opened

    def _new_protocol(self) -> ClientProtocol[None]:
        return ClientProtocol(self._name, self._request_timeout_s, self._max_reply_bytes)

    def _drop(self) -> None:
        stale, self._socket = self._socket, None
        if stale is not None:
            stale.close()

    def _closed(self) -> KvConnectionError:
        return KvConnectionError(f"{self._name}: the client is closed: connect a new one")

    def _leave_to_parent(self) -> None:
        """In a forked child: replies would mix with the parent's on the same connection."""
        self._lock = threading.RLock()  # The old one may be held by a thread of the parent.
        self._is_in_call = False
        self._drop()

    def _call(self, command: Command[T]) -> T:
        return self._converse(call_one, command)

    def _call_all(self, parts: list[Command[T]]) -> list[T]:
        """Each request separately, in order: the parts of a split batch."""
        return [self._converse(call_one, part) for part in parts]

    def _call_each(self, parts: list[Command[T]]) -> list[T]:
        """All requests in one flush; the results in their order."""
        return self._converse(call_each, parts) if parts else []

    def _converse(self, talk: Callable[[socket.socket, ClientProtocol[None], C], T], what: C) -> T:
        """Send and receive for one call; other threads wait, the same thread is refused.

        A signal handler can run between any two lines. Before the mark is set, its call is a
        complete one: nothing of the outer call was sent yet. While it is set, its call is refused.
        """
        with self._lock:
            if self._is_in_call:
                raise KvReentryError(self._name)
            try:
                self._is_in_call = True
                stream = self._usable()
                try:
                    return talk(stream, self._protocol, what)
                except (KvServerError, KvTimeoutError):
                    raise  # The whole response was read: the connection stays usable.
                except OSError as error:
                    failure = self._failure(stream, error)
                    self._drop()
                    raise failure from None
                except BaseException:
                    self._drop()
                    raise
            finally:
                self._is_in_call = False

    def _failure(self, stream: socket.socket, error: OSError) -> KvError:
        """Why the connection of a call is no longer usable."""
        if self._is_closed:
            return KvConnectionError(f"{self._name}: {CLIENT_CLOSED}")
        if self._socket is not stream:
            return self._left_to_parent()
        protocol = self._protocol
        if isinstance(error, TimeoutError):
            return protocol.overdue_error(protocol.expire(math.inf)[0])
        protocol.lose(error.strerror or str(error))
        return protocol.error()

    def _left_to_parent(self) -> KvConnectionError:
        return KvConnectionError(
            f"{self._name}: the process was forked during this call: the parent continues it, "
            "this child can make a new call"
        )

    def _usable(self) -> socket.socket:
        """The connection; opened again if there is none or the server closed it."""
        stream = self._socket
        if stream is not None and self._poll.poll(0):
            self._hear_unasked(stream)
            stream = None
        return stream or self._open()

    def _hear_unasked(self, stream: socket.socket) -> None:
        """Data arrived although nothing is in flight: close the connection."""
        try:
            data = stream.recv(RECV_BYTES)
        except OSError:
            data = b""
        finally:
            self._drop()
        self._protocol.receive(data)
        if data:
            _log.warning("%s", self._protocol.end_reason)
