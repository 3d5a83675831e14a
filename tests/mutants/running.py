"""A mutant as a server on a free port of the loopback, in a thread with its own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from kvbench.engine import Engine
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX
from kvbench.server.config import ServerConfig
from kvbench.server.connection import ServerConnection
from kvbench.server.dispatch import Dispatcher
from kvbench.server.stats import Stats
from kvbench.server.turns import Turns

from .parts import Part, Reader

START_TIMEOUT_S = 10.0


@contextlib.contextmanager
def running(part: Part | None = None) -> Iterator[tuple[str, int]]:
    """Serve with one part replaced, or with none; gives host and port."""
    server = _Server(part)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert server.is_ready.wait(START_TIMEOUT_S), "the server did not start"
        yield server.address
    finally:
        server.stop()
        thread.join(START_TIMEOUT_S)
        assert not thread.is_alive(), "the server did not stop"


class _Server:
    """What KvServer is to the real parts, without housekeeping."""

    def __init__(self, part: Part | None) -> None:
        self.is_ready = threading.Event()
        self.address = ("127.0.0.1", 0)
        self._part = part
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over: asyncio.Event | None = None

    def run(self) -> None:
        # A mutant that raises SystemExit dies of it, as a process would.
        with contextlib.suppress(SystemExit):
            asyncio.run(self._serve())

    def stop(self) -> None:
        if self._loop is not None and self._over is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._over.set)

    def _class(self, kind: type) -> type:
        is_replaced = self._part is not None and issubclass(self._part, kind)
        return self._part if is_replaced else kind

    def _dispatcher_class(self) -> type[Dispatcher]:
        found = self._class(Dispatcher)
        if self._part is None:
            return found

        class Whole(found):
            """A mutant changes how a request is handled as a whole: none is answered in steps."""

            def begin(self, opcode: int, payload: bytes) -> bytes:
                return self.handle(opcode, payload)

        return Whole

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        dispatcher = self._dispatcher_class()(
            self._class(Engine)(), Stats(), reply_bytes_max=PAYLOAD_BYTES_MAX
        )
        config = ServerConfig(port=0)
        turns = Turns()
        live: set[ServerConnection] = set()

        def connection() -> ServerConnection:
            fresh = self._class(ServerConnection)(dispatcher, config, live, lambda: False, turns)
            if self._part is not None and issubclass(self._part, Reader):
                fresh._reader = self._part(config.max_payload_bytes)
            return fresh

        listener = await loop.create_server(connection, *self.address)
        self.address = listener.sockets[0].getsockname()[:2]
        self._loop, self._over = loop, asyncio.Event()
        self.is_ready.set()
        try:
            await self._over.wait()
        finally:
            listener.close()
            while live:
                for one in list(live):
                    one.abort()
                await asyncio.sleep(0)
