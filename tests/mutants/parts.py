"""What mutants are made of: the registry, and parts of the server with places to get wrong.

A mutant is a class marked with :func:`breaks`; its docstring says what it does. What it derives
from says which part of the server it replaces: the dispatcher, the engine, a connection, what
cuts the stream into frames, or the codec. Mutants use private names of these parts.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from kvbench.engine import Engine
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.connection import ServerConnection
from kvbench.server.dispatch import Dispatcher


class Reader:
    """Cuts a stream into frames, as FrameReader does: small enough to be got wrong."""

    def __init__(self, payload_bytes_max: int) -> None:
        self.payload_bytes_max = payload_bytes_max
        self.oversize_bytes = 0
        self.frames_taken = 0
        self.has_more = False
        self.data = b""
        self.pushed = b""

    @property
    def buffered_bytes(self) -> int:
        return len(self.data)

    @property
    def is_in_frame(self) -> bool:
        return bool(self.data)

    def push(self, data: bytes) -> None:
        self.pushed += data
        self.has_more = True

    def take(self, budget_bytes: int) -> list[tuple[int, bytes]]:
        data, self.pushed, self.has_more = self.pushed, b"", False
        return self.feed(data)

    def length(self, header: bytes) -> int:
        return int.from_bytes(header[1:5], "big")

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self.data += data
        frames = []
        while len(self.data) >= 5 and not self.oversize_bytes:
            length = self.length(self.data[:5])
            if length > self.payload_bytes_max:
                self.oversize_bytes = length
            elif len(self.data) < 5 + length:
                break
            else:
                frames.append((self.data[0], self.data[5 : 5 + length]))
                self.data = self.data[5 + length :]
        return frames


class Edited:
    """The server as it is, with the codec edited.

    Attributes:
        edits: module of kvbench.protocol, a text that is in it once, and what replaces it.
    """

    edits: tuple[tuple[str, str, str], ...] = ()


Part = type[Dispatcher] | type[Engine] | type[ServerConnection] | type[Reader] | type[Edited]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong server.

    Attributes:
        clauses: what it breaks; a case of each must fail.
        part: the class that replaces a part of the server.
    """

    clauses: tuple[str, ...]
    part: Part

    @property
    def area(self) -> str:
        return self.part.__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])"
        return re.sub(words, "-", self.part.__name__).lower()

    @property
    def doc(self) -> str:
        return " ".join((self.part.__doc__ or "").split())

    def __str__(self) -> str:
        return self.name


MUTANTS: list[Mutant] = []


def breaks(*clauses: str) -> Callable[[Part], Part]:
    """Mark a part as a mutant that breaks ``clauses``."""

    def register(part: Part) -> Part:
        MUTANTS.append(Mutant(clauses, part))
        return part

    return register


# --- Messages ------------------------------------------------------------------------------------


def ok(payload: bytes = b"") -> bytes:
    return responses.ok_response(payload)


def invalid(message: str) -> bytes:
    return responses.message_response(Status.INVALID, message)


def is_refusal(reply: bytes) -> bool:
    return reply[0] in (Status.ERROR, Status.INVALID)


def number(data: bytes) -> int:
    """A signed big-endian integer."""
    return int.from_bytes(data, "big", signed=True)


def loosely(payload: bytes) -> tuple[bytes, int, bytes]:
    """Key, TTL and the rest of a SET, whatever they hold."""
    end = 2 + int.from_bytes(payload[:2], "big")
    return payload[2:end], int.from_bytes(payload[end : end + 8], "big"), payload[end + 8 :]


def depth(value: Value) -> int:
    """Levels of Lists and Maps."""
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


# --- Dispatchers ---------------------------------------------------------------------------------


class Rewriting(Dispatcher):
    """Changes requests before they are handled, and replies after."""

    def before(self, opcode: int, payload: bytes) -> bytes:
        return payload

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return reply

    def handle(self, opcode: int, payload: bytes) -> bytes:
        return self.after(opcode, payload, super().handle(opcode, self.before(opcode, payload)))


class Lacking(Dispatcher):
    """Lacks operations."""

    lacks: tuple[Opcode, ...] = ()

    def handle(self, opcode: int, payload: bytes) -> bytes:
        if opcode in self.lacks:
            return invalid("unknown opcode")
        return super().handle(opcode, payload)


class Forgiving(Dispatcher):
    """SET stores what it should refuse, where the complaint about it is this one."""

    complaint = ""

    def forgives(self, value: bytes) -> bool:
        return True

    def _set(self, payload: bytes) -> bytes:
        try:
            return super()._set(payload)
        except ProtocolError as error:
            key, ttl_ms, value = loosely(payload)
            if self.complaint not in str(error) or not self.forgives(value):
                raise
            self._engine.set(key, value, ttl_ms)
            return ok()


class Keeping(Dispatcher):
    """SET keeps a value in another way than it came."""

    def keep(self, value: bytes) -> bytes:
        return value

    def _set(self, payload: bytes) -> bytes:
        key, ttl_ms, value = requests.parse_set(payload)
        self._note_size(payload)
        self._engine.set(key, self.keep(value), ttl_ms)
        return ok()


# --- Engines -------------------------------------------------------------------------------------


class Naming(Engine[bytes, bytes]):
    """Keeps entries under other names, or refuses a key."""

    def name(self, key: bytes) -> bytes:
        return key

    def names(self, keys: Collection[bytes]) -> list[bytes]:
        return [self.name(key) for key in keys]

    def get(self, key):
        return super().get(self.name(key))

    def set(self, key, value, ttl_ms=0):
        super().set(self.name(key), value, ttl_ms)

    def setnx(self, key, value, ttl_ms=0):
        return super().setnx(self.name(key), value, ttl_ms)

    def delete(self, key):
        return super().delete(self.name(key))

    def exists(self, key):
        return super().exists(self.name(key))

    def expire(self, key, ttl_ms):
        return super().expire(self.name(key), ttl_ms)

    def ttl(self, key):
        return super().ttl(self.name(key))

    def update(self, key, decide):
        return super().update(self.name(key), decide)

    def mget(self, keys):
        return super().mget(self.names(keys))

    def mset(self, items, ttl_ms=0):
        super().mset({self.name(key): value for key, value in items.items()}, ttl_ms)

    def mset_each(self, entries):
        super().mset_each([(self.name(key), value, ttl_ms) for key, value, ttl_ms in entries])

    def mdel(self, keys):
        return super().mdel(self.names(keys))

    def mexists(self, keys):
        return super().mexists(self.names(keys))


class Timing(Engine[bytes, bytes]):
    """Gives keys other TTLs than were asked for."""

    def lasting(self, ttl_ms: int) -> int:
        return ttl_ms

    def set(self, key, value, ttl_ms=0):
        super().set(key, value, self.lasting(ttl_ms))

    def setnx(self, key, value, ttl_ms=0):
        return super().setnx(key, value, self.lasting(ttl_ms))

    def mset(self, items, ttl_ms=0):
        super().mset(items, self.lasting(ttl_ms))


# --- Connections ---------------------------------------------------------------------------------


class Whole(ServerConnection):
    """Gives all that came to :meth:`answer`, outside of the server's turns."""

    def data_received(self, data: bytes) -> None:
        if not self._is_ending:
            self._waiting += self._reader.feed(data)
            self.answer()

    def answer(self) -> None:
        raise NotImplementedError


class Plain(Whole):
    """Answers one request after the other, as it comes."""

    def answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for reply in self.replies(waiting):
            self._transport.write(reply)
        if self._reader.oversize_bytes and self._linger is None:
            self._refuse_oversize()

    def replies(self, waiting: Sequence[tuple[int, bytes]]) -> list[bytes]:
        return [self.reply(opcode, payload) for opcode, payload in waiting]

    def reply(self, opcode: int, payload: bytes) -> bytes:
        return self._dispatcher.handle(opcode, payload)


class Yielding(Whole):
    """Answers in a task, and lets other connections in while it is at it."""

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.queue: list[tuple[int, bytes]] = []
        self.task: asyncio.Task[None] | None = None
        self.is_over = False

    @property
    def engine(self) -> Engine[bytes, bytes]:
        return self._dispatcher._engine

    def answer(self) -> None:
        self.queue += self._waiting
        self._waiting = []
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self.work())

    async def work(self) -> None:
        while self.queue:
            self._transport.write(await self.reply(*self.queue.pop(0)))
        if self._reader.oversize_bytes and self._linger is None:
            self._refuse_oversize()
        elif self.is_over:
            self._transport.close()

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        return self._dispatcher.handle(opcode, payload)

    def pause_writing(self) -> None:
        pass  # The server's turns would have to go on for it to read again.

    def resume_writing(self) -> None:
        pass

    def eof_received(self) -> bool:
        self.is_over = True
        return self.task is not None and not self.task.done()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()
        super().connection_lost(exc)
