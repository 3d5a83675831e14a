"""A server that relays another one, and can cut, delay or withhold what it answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Relay = Callable[[socket.socket, bytes], None]


def by_bytes(client: socket.socket, data: bytes) -> None:
    """Each byte of an answer is a segment."""
    for at in range(len(data)):
        client.sendall(data[at : at + 1])


@contextmanager
def relaying(port: int, relay: Relay) -> Iterator[int]:
    """The port of a server that passes requests to ``port``, and its answers to ``relay``."""
    listener = socket.create_server(("127.0.0.1", 0))
    sockets = [listener]

    def requests(client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)
        server.close()

    def answers(client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := server.recv(65_536):
                relay(client, data)
        client.close()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                sockets.extend((client, server))
                for one in (requests, answers):
                    threading.Thread(target=one, args=(client, server), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        accepting.join(10)
