"""Servers for the tests of the clients: real ones of ours, and peers that answer by a script."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading

from kvbench.client import KvClient
from kvbench.protocol.frames import FrameReader, frame
from kvbench.protocol.opcodes import Opcode
from kvbench.protocol.values import encode_value
from kvbench.server.config import ServerConfig
from kvbench.server.tcp import KvServer

DEADLINE_S = 10.0

OK = frame(0, b"")


def value(python_value):
    """The frame of a GET's answer."""
    return frame(0, encode_value(python_value))


async def eventually(condition, what="it never happened"):
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.002)


class Conversation:
    """One accepted connection of a :class:`Peer`."""

    def __init__(self, peer, number, stream):
        self.peer, self.number, self.stream = peer, number, stream
        self._frames = FrameReader()
        self._waiting = []

    def ask(self):
        """The next request, as (opcode, payload); None when the client has closed."""
        while not self._waiting:
            try:
                data = self.stream.recv(1 << 20)
            except ConnectionError:
                return None
            if not data:
                return None
            self.peer.reads.append(len(data))
            self._waiting = self._frames.feed(data)
        request = self._waiting.pop(0)
        self.peer.requests.append((self.number, *request))
        return request

    def send(self, data):
        self.stream.sendall(data)

    def reset(self):
        """End with RST."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.close()

    def wait_for_close(self):
        """Read what still comes until the client has closed."""
        while self.ask() is not None:
            pass
        self.peer.closed.append(self.number)


def answering(answer=OK):
    """A script: the same answer to every request, until the client closes."""

    def script(talk):
        while talk.ask() is not None:
            talk.send(answer)
        talk.peer.closed.append(talk.number)

    return script


def granting(script):
    """A script for a pool: answer its PING, which asks whether the connection is granted."""

    def granted(talk):
        opcode, _ = talk.ask()
        assert opcode == Opcode.PING
        talk.send(frame(0, b"PONG"))
        script(talk)

    return granted


class Peer:
    """A listening socket whose n-th connection runs the n-th script, the last one again and again.

    Attributes:
        requests: (connection, opcode, payload) of every request that came, in order.
        reads: how many bytes each read had.
        closed: connections that were seen to the client's end.
    """

    def __init__(self, *scripts):
        self.scripts = scripts
        self.connections, self.requests, self.reads, self.closed = 0, [], [], []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads, self._streams = [], []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for stream in self._streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), "a script of the peer hangs"

    def _spawn(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            stream.settimeout(DEADLINE_S)
            self._streams.append(stream)
            number = self.connections
            self.connections += 1
            script = self.scripts[min(number, len(self.scripts) - 1)]
            self._spawn(self._run, script, Conversation(self, number, stream))

    def _run(self, script, talk):
        with talk.stream, contextlib.suppress(OSError):
            script(talk)


class Blocking:
    """A KvClient whose methods run to their end on an event loop of its own."""

    def __init__(self, address, **timeouts):
        self._runner = asyncio.Runner()

        async def connect():
            return await KvClient.connect(address, **timeouts)

        try:
            self.inner = self._runner.run(connect())
        except BaseException:
            self._runner.close()
            raise

    @classmethod
    def connect(cls, address, **timeouts):
        return cls(address, **timeouts)

    def __getattr__(self, name):
        found = getattr(self.inner, name)
        if not callable(found):
            return found
        if name == "mget_stream":
            return lambda *args, **kwargs: self._runner.run(gathered(found(*args, **kwargs)))
        return lambda *args, **kwargs: self._runner.run(found(*args, **kwargs))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self.inner.close())
        self._runner.close()


async def gathered(stream):
    return [item async for item in stream]


class ServerThread:
    """A server of ours on a loop in a thread of its own."""

    def __init__(self, port=0, clock=None, **limits):
        self._config = ServerConfig(port=port, **limits)
        self._clock = clock
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with KvServer(self._config, clock=self._clock) as self.server:
            self.address = self.server.address
            self._ready.set()
            await self._end.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Close every connection at once, as a kill would, and listen no more."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self.server.abort)
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(DEADLINE_S)
            assert not self._thread.is_alive()
