"""What a synchronous client does at its connection: open, talk, replace; one call at a time.

Safe from several threads, which take turns, and across a fork: a child leaves the connection to its
parent and opens its own. A call in the middle of another one of the same thread, as a signal
handler can make it, is refused: waiting would never end, and reading would take the reply of the
outer call. A connection on which a request was cut off (timeout, Ctrl-C, a broken stream) is closed
rather than read on, for its next bytes would be another request's reply (CLIENT-009); so is one on
which anything came that nobody asked for. The next call opens a new one. Nothing is sent twice.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeVar

from kvbench.client.address import Address
from kvbench.client.commands import Command
from kvbench.client.decoding import check_reply_bound, decode, decode_each
from kvbench.client.exchanges import RECV_BYTES, exchange_many, exchange_one
from kvbench.client.forks import watch
from kvbench.client.replies import message_of
from kvbench.client.sockets import check_timeouts, no_connection, prepare
from kvbench.duplex import POLLIN, new_poll
from kvbench.errors import (
    KvConnectionError,
    KvProtocolError,
    KvReentryError,
    KvServerError,
    KvTimeoutError,
)
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Status

T = TypeVar("T")

_log = logging.getLogger("kvbench.client")


class BlockingClient:
    """One blocking connection, with what goes on around each call on it. Made by :meth:`connect`.

    Attributes:
        address: where it is connected to.
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
        self._reader = FrameReader(max_reply_bytes)
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
            connect_timeout: seconds that opening a connection may take.
            request_timeout: seconds that a request may take, with the decoding of its reply.
            max_reply_bytes: largest reply that is accepted; :mod:`kvbench.client.decoding` says
                what it costs at most.

        Raises:
            UsageError: the address is none, a timeout is not above 0, or the bound makes no sense.
            KvConnectionError: the connection failed.
        """
        client = cls(Address.parse(address), connect_timeout, request_timeout, max_reply_bytes)
        client._open()
        return client

    def close(self) -> None:
        """Close; a call in another thread fails. Closing twice is fine; later calls raise.

        What they raise is a KvConnectionError.
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
        """The namespace that it works in, None without one."""
        return self.address.namespace or None

    @property
    def is_connected(self) -> bool:
        """Whether the last call left a usable connection."""
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
        self._socket, self._reader, self._poll = opened, FrameReader(self._max_reply_bytes), poll
        self._opened_count += 1
        if self._opened_count > 1:
            _log.warning("reconnected to %s", self._name)
        return opened

    def _drop(self) -> None:
        stale, self._socket = self._socket, None
        if stale is not None:
            stale.close()

    def _closed(self) -> KvConnectionError:
        return KvConnectionError(f"{self._name}: the client is closed: connect a new one")

    def _leave_to_parent(self) -> None:
        """In a forked child: its replies would mix with the parent's on the same connection."""
        self._lock = threading.RLock()  # The old one may be held by a thread that is not here.
        self._is_in_call = False
        self._drop()

    def _call(self, command: Command[T]) -> T:
        def talk(stream: socket.socket) -> T:
            timeout_s = self._request_timeout_s
            deadline = time.monotonic() + timeout_s
            response = exchange_one(stream, self._reader, command.request, timeout_s)
            return decode(command, response, deadline)

        return self._converse(talk)

    def _call_each(self, parts: list[Command[T]]) -> list[T]:
        """All requests in one flush; the results in their order."""
        if not parts:
            return []

        def talk(stream: socket.socket) -> list[T]:
            timeout_s = self._request_timeout_s
            deadline = time.monotonic() + timeout_s
            requests = [part.request for part in parts]
            responses = exchange_many(stream, self._reader, requests, timeout_s)
            return decode_each(parts, responses, deadline)

        return self._converse(talk)

    def _converse(self, talk: Callable[[socket.socket], T]) -> T:
        """Send and receive for one call; other threads wait, the same one is refused.

        A signal handler can run between any two lines. Before the mark is set, its call is a whole
        one of its own, for nothing of ours was sent yet. While it is set, its call is refused.
        """
        with self._lock:
            if self._is_in_call:
                raise KvReentryError(self._name)
            try:
                self._is_in_call = True
                return self._answer(talk)
            finally:
                self._is_in_call = False

    def _answer(self, talk: Callable[[socket.socket], T]) -> T:
        stream = self._usable()
        try:
            return talk(stream)
        except (KvServerError, KvTimeoutError):
            raise  # The whole answer has come: the connection is as good as before.
        except KvProtocolError as error:
            self._drop()
            raise KvProtocolError(f"{self._name}: {error}; connection closed") from None
        except TimeoutError:
            self._drop()
            raise KvTimeoutError(
                f"{self._name}: no answer within {self._request_timeout_s:g} s; "
                "the request may have been applied"
            ) from None
        except OSError as error:
            raise self._broken(stream, error) from None
        except BaseException:
            self._drop()
            raise

    def _broken(self, stream: socket.socket, error: OSError) -> KvConnectionError:
        """The connection that a call was using is gone: say why, and forget it."""
        if self._is_closed:
            reason = "the client was closed"
        elif self._socket is not stream:
            return self._left_to_parent()
        else:
            reason = error.strerror or str(error)
        self._drop()
        return KvConnectionError(
            f"{self._name}: the connection broke ({reason}); the request may have been applied"
        )

    def _left_to_parent(self) -> KvConnectionError:
        return KvConnectionError(
            f"{self._name}: the process was forked in the middle of this call: its parent goes on "
            "with it, this child can call anew"
        )

    def _usable(self) -> socket.socket:
        """The connection, opened anew when there is none or the server ended it meanwhile."""
        stream = self._socket
        if stream is not None and self._poll.poll(0):
            self._refuse_unasked(stream)
            stream = None
        return stream or self._open()

    def _refuse_unasked(self, stream: socket.socket) -> None:
        """Nothing is due, yet something came: the end, the server's last word, or nonsense."""
        try:
            data = stream.recv(RECV_BYTES)
        except OSError:
            data = b""
        finally:
            self._drop()
        frames = self._reader.feed(data)
        if frames and frames[0][0] == Status.ERROR:
            raise KvServerError(frames[0][0], message_of(frames[0][1]))
        if data:
            _log.warning("%s: more responses came than were due; connection closed", self._name)

    def _call_all(self, parts: list[Command[T]]) -> list[T]:
        return [self._call(part) for part in parts]
