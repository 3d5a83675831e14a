"""A real server that is as sloppy as the guard assumes, and destructive in it.

What the reference server refuses it acts on all the same, in every reading that comes to mind:
trailing bytes are ignored, lengths are clamped, any bytes are a key, opcodes without a meaning
delete, and half a request is acted on when the connection ends.
"""

from __future__ import annotations

from kvbench.protocol import responses
from kvbench.protocol.opcodes import Opcode
from kvbench.protocol.values import encode_value
from tests.conformance.broken_servers import ThreadedDispatcher

READING = {Opcode.GET, Opcode.EXISTS, Opcode.TTL, Opcode.MGET, Opcode.MEXISTS}
WITHOUT_KEYS = {Opcode.PING, Opcode.INFO, Opcode.HELLO}
BATCHES = {Opcode.MDEL, Opcode.MSET, Opcode.MSETEX}
DELETING = {Opcode.DEL, Opcode.MDEL, Opcode.UNLOCK}


class Sloppy(ThreadedDispatcher):
    """Refuses what the reference server refuses, and acts on it secretly.

    Attributes:
        touched: every key that was written or deleted, by well-formed requests, too.
    """

    def __init__(self):
        super().__init__()
        self.touched: set[bytes] = set()

    def handle(self, opcode, payload):
        reply = super().handle(opcode, payload)
        if opcode in WITHOUT_KEYS:
            return reply
        if opcode in READING:
            stored = self._engine.get(payload) if opcode == Opcode.GET else None
            return reply if stored is None else responses.ok_response(stored)
        if reply[0] in (2, 3):
            self.act(opcode, payload)
            return self.answer_after(reply)
        self.touched.update(keys_named(opcode, payload))
        return reply

    def answer_after(self, refusal: bytes) -> bytes:
        return refusal

    def ended(self, rest: bytes) -> None:
        if len(rest) >= 5:
            with self.lock:
                self.act(rest[0], rest[5:])

    def act(self, opcode: int, payload: bytes) -> None:
        if opcode in READING | WITHOUT_KEYS:
            return
        for key in keys_named(opcode, payload):
            self.touched.add(key)
            if opcode in DELETING or opcode not in list(Opcode):
                self._engine.delete(key)
            elif opcode == Opcode.EXPIRE:
                self._engine.expire(key, 1)
            else:
                self._engine.set(key, encode_value("damage"))


class Tolerant(Sloppy):
    """Says OK to what it acts on."""

    def answer_after(self, refusal):
        return responses.EMPTY_RESPONSE


def keys_named(opcode: int, payload: bytes) -> set[bytes]:
    """The keys of a request in every reading; it knows nothing of the guard."""
    if opcode in BATCHES:
        return set(batch_keys(opcode, payload))
    sized = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
    if opcode == Opcode.DEL:
        return {payload, payload[:256]}
    if opcode not in list(Opcode):
        # One private command takes a key, another one a length and a key.
        return {payload, payload[:256], sized}
    return {sized, sized[:256]}


def batch_keys(opcode: int, payload: bytes):
    place = 10 if opcode == Opcode.MSET else 2
    while place < len(payload):
        end = place + 2 + int.from_bytes(payload[place : place + 2], "big")
        yield payload[place + 2 : end]
        place = end + (8 if opcode == Opcode.MSETEX else 0)
        if opcode != Opcode.MDEL:
            tag = payload[place : place + 1]
            if tag not in (b"\x00", b"\x01", b"\x08"):
                return  # Longer values end the batch here.
            place += {b"\x00": 1, b"\x01": 9, b"\x08": 2}[tag]


def fill(dispatcher: ThreadedDispatcher, keys: list[bytes]) -> None:
    """Store foreign keys, every second one with a TTL."""
    for number, key in enumerate(keys):
        ttl_ms = 10_000_000 + number if number % 2 else 0
        dispatcher._engine.set(key, encode_value(number), ttl_ms)


def contents(dispatcher: ThreadedDispatcher) -> dict[bytes, tuple[bytes, int | None]]:
    """All entries with their deadlines."""
    engine = dispatcher._engine
    return {key: (value, engine._deadlines.get(key)) for key, value in engine._data.items()}
