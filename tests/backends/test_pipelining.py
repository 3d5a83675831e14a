"""An adapter that declares pipelining sends all requests before it reads a reply, as a relay sees.

Between adapter and server stands a relay that holds back every reply until all requests of a call
have passed it. A call that waits for a reply before its last request never gets there.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

import kvbench
from kvbench.backend import Backend
from kvbench.model import Capability
from kvbench.registry import backend_class, schemes

NEED = pytest.mark.skipif(
    shutil.which("memcached") is None, reason="no memcached on the PATH: apt-get install memcached"
)
SCHEMES = ["kvb", "kvb+async", "valkey", pytest.param("memcached", marks=NEED)]
KEYS = [f"key:{number}" for number in range(100)]
PATIENCE_S = 2.0


class Relay:
    """Passes bytes between one client and one server, and can hold back the server's.

    Attributes:
        asked_bytes: how many bytes of requests have come since :meth:`hold`.
        gave_up: whether replies were let through before the requests were complete.
    """

    def __init__(self, port: int) -> None:
        self._server = socket.create_connection(("127.0.0.1", port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self.asked_bytes, self._needed_bytes, self.gave_up = 0, 0, False
        self._client: socket.socket | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self, needed_bytes: int) -> None:
        """Hold replies back until so many bytes of requests have come."""
        with self._changed:
            self.asked_bytes, self._needed_bytes, self.gave_up = 0, needed_bytes, False

    def close(self) -> None:
        for stream in (self._client, self._server, self._listener):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)
                stream.close()

    def _accept(self) -> None:
        while True:
            try:
                self._client, _ = self._listener.accept()
            except OSError:
                return
            # pymemcache's adapter looks who answers, with a connection that it closes again.
            first = self._client.recv(1 << 16)
            if first:
                break
            self._client.close()
        threading.Thread(target=self._pass_replies, daemon=True).start()
        self._pass_requests(first)

    def _pass_requests(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            while data:
                with self._changed:
                    self.asked_bytes += len(data)
                    self._changed.notify_all()
                self._server.sendall(data)
                data = self._client.recv(1 << 16)

    def _pass_replies(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 16):
                with self._changed:
                    complete = self._changed.wait_for(
                        lambda: self.asked_bytes >= self._needed_bytes, PATIENCE_S
                    )
                    if not complete:
                        self.gave_up, self._needed_bytes = True, 0
                self._client.sendall(data)


@pytest.fixture
def relayed(request: pytest.FixtureRequest) -> Iterator[tuple[Backend, Relay]]:
    scheme = request.param
    with kvbench.open_backend(f"{scheme}://") as private:
        relay = Relay(urlsplit(private.private_url).port)
        try:
            with kvbench.open_backend(f"{scheme}://127.0.0.1:{relay.port}") as store:
                yield store, relay
        finally:
            relay.close()


def test_every_adapter_that_declares_it_is_looked_at():
    adapters = {scheme: backend_class(f"{scheme}://") for scheme in schemes()}
    declaring = {
        name for name, one in adapters.items() if Capability.PIPELINING in one.capabilities
    }
    assert declaring == {"kvb", "kvb+async", "valkey", "redis", "rediss", "memcached"}


@pytest.mark.parametrize("relayed", SCHEMES, indirect=True)
def test_all_requests_leave_before_a_reply_is_read(relayed):
    store, relay = relayed
    items = {key: key.encode() for key in KEYS}
    for call, answer in (
        (lambda: store.pipelined_set(items), None),
        (lambda: store.pipelined_get(KEYS), list(items.values())),
        (lambda: store.pipelined_exists(KEYS), [True] * 100),
        (lambda: store.pipelined_delete(KEYS), [True] * 100),
    ):
        store.pipelined_set(items)
        relay.hold(0)
        assert call() == answer
        size = relay.asked_bytes  # So many bytes are its requests.
        store.pipelined_set(items)
        relay.hold(size)
        assert call() == answer
        assert not relay.gave_up and relay.asked_bytes == size


@pytest.mark.parametrize("relayed", ["kvb"], indirect=True)
def test_the_relay_notices_a_loop_of_single_calls(relayed):
    store, relay = relayed
    relay.hold(0)
    assert [store.get(key) for key in KEYS] == [None] * 100
    size = relay.asked_bytes
    relay.hold(size)
    assert [store.get(key) for key in KEYS] == [None] * 100
    assert relay.gave_up
