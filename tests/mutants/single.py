"""Mutants that are wrong about GET, SET, DEL, EXISTS and SETNX."""

from __future__ import annotations

from kvbench.engine import Engine
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.dispatch import Dispatcher, RefusedRequest

from .parts import Rewriting, breaks, ok

_NULL = b"\0"


# --- GET -----------------------------------------------------------------------------------------


@breaks("GET-001")
class AByteTooMany(Dispatcher):
    """GET answers a byte more than the value has."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        return ok(reply[5:] + b"\0") if reply[0] == Status.OK else reply


@breaks("GET-001")
class AByteTooFew(Dispatcher):
    """GET answers a byte less than the value has."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        return ok(reply[5:-1]) if reply[0] == Status.OK else reply


@breaks("GET-002")
class AbsentIsNull(Dispatcher):
    """GET of an absent key answers OK with Null."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        return ok(_NULL) if reply[0] == Status.NULL else reply


@breaks("GET-002")
class AbsentIsAnError(Dispatcher):
    """GET of an absent key is refused."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        if reply[0] == Status.NULL:
            raise RefusedRequest("no such key")
        return reply


@breaks("GET-003")
class NullIsAbsent(Dispatcher):
    """GET of a key that holds Null answers NULL."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        return responses.NULL_RESPONSE if reply == ok(_NULL) else reply


@breaks("GET-004")
class GetRemoves(Dispatcher):
    """GET removes what it reads, when that has a TTL."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        if (self._engine.ttl(payload) or 0) > 0:
            self._engine.delete(payload)
        return reply


@breaks("GET-004")
class GetRenews(Dispatcher):
    """GET gives a key with a TTL an hour."""

    def _get(self, payload: bytes) -> bytes:
        reply = super()._get(payload)
        if (self._engine.ttl(payload) or 0) > 0:
            self._engine.expire(payload, 3_600_000)
        return reply


# --- SET -----------------------------------------------------------------------------------------


@breaks("SET-001")
class SetForgets(Dispatcher):
    """SET answers OK and stores nothing."""

    def _set(self, payload: bytes) -> bytes:
        requests.parse_set(payload)
        return ok()


@breaks("SET-001")
class SetAnswersOne(Rewriting):
    """SET answers 1, as SETNX does."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return ok(b"\1") if opcode == Opcode.SET and reply[0] == Status.OK else reply


@breaks("SET-002")
class TypesStay(Dispatcher):
    """SET refuses a value of another type than the one that is there."""

    def _set(self, payload: bytes) -> bytes:
        key, _, value = requests.parse_set(payload)
        stored = self._engine.get(key)
        if stored is not None and stored[0] != value[0]:
            raise RefusedRequest("the key holds a value of another type")
        return super()._set(payload)


@breaks("SET-003")
class SetKeepsTtl(Dispatcher):
    """SET without a TTL keeps the one that was there."""

    def _set(self, payload: bytes) -> bytes:
        key, ttl_ms, _ = requests.parse_set(payload)
        left_ms = self._engine.ttl(key) or 0
        reply = super()._set(payload)
        if not ttl_ms and left_ms > 0:
            self._engine.expire(key, left_ms)
        return reply


@breaks("SET-003")
class FirstTtlStays(Dispatcher):
    """SET with a TTL keeps the one that was there."""

    def _set(self, payload: bytes) -> bytes:
        key, ttl_ms, _ = requests.parse_set(payload)
        left_ms = self._engine.ttl(key) or 0
        reply = super()._set(payload)
        if ttl_ms and left_ms > 0:
            self._engine.expire(key, left_ms)
        return reply


# --- DEL and EXISTS ------------------------------------------------------------------------------


@breaks("DEL-001")
class DelForgets(Dispatcher):
    """DEL answers 1 and removes nothing."""

    def _del(self, payload: bytes) -> bytes:
        return self._exists(payload)


@breaks("DEL-001")
class DelAnswersNothing(Rewriting):
    """DEL answers OK with an empty payload."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return ok() if opcode == Opcode.DEL and reply[0] == Status.OK else reply


@breaks("DEL-002")
class DelAlwaysOne(Rewriting):
    """DEL of an absent key answers 1."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return ok(b"\1") if opcode == Opcode.DEL and reply[0] == Status.OK else reply


@breaks("DEL-002")
class DelOfNothingIsNull(Rewriting):
    """DEL of an absent key answers NULL."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return responses.NULL_RESPONSE if opcode == Opcode.DEL and reply[-1] == 0 else reply


@breaks("DEL-003")
class TtlOutlivesDel(Engine[bytes, bytes]):
    """A key that is stored again has the TTL that it had before DEL."""

    left: dict[bytes, int]

    def __init__(self) -> None:
        super().__init__()
        self.left = {}

    def delete(self, key):
        left_ms = self.ttl(key) or 0
        if left_ms > 0:
            self.left[key] = left_ms
        return super().delete(key)

    def set(self, key, value, ttl_ms=0):
        super().set(key, value, ttl_ms or self.left.pop(key, 0))


@breaks("EXISTS-001")
class AllExists(Dispatcher):
    """EXISTS always answers 1."""

    def _exists(self, payload: bytes) -> bytes:
        super()._exists(payload)
        return ok(b"\1")


@breaks("EXISTS-002")
class NullDoesNotExist(Dispatcher):
    """EXISTS of a key that holds Null answers 0."""

    def _exists(self, payload: bytes) -> bytes:
        reply = super()._exists(payload)
        return ok(b"\0") if self._engine.get(payload) == _NULL else reply


@breaks("EXISTS-003")
class ExistsCreates(Dispatcher):
    """EXISTS of an absent key stores a Null."""

    def _exists(self, payload: bytes) -> bytes:
        reply = super()._exists(payload)
        self._engine.setnx(payload, _NULL)
        return reply


@breaks("EXISTS-003")
class ExistsDropsTtl(Dispatcher):
    """EXISTS removes the key's TTL."""

    def _exists(self, payload: bytes) -> bytes:
        reply = super()._exists(payload)
        self._engine.expire(payload, 0)
        return reply


# --- SETNX ---------------------------------------------------------------------------------------


@breaks("SETNX-001")
class SetnxWithoutTtl(Dispatcher):
    """SETNX forgets the TTL."""

    def _setnx(self, payload: bytes) -> bytes:
        key, _, value = requests.parse_set(payload)
        return responses.flag_response(self._engine.setnx(key, value))


@breaks("SETNX-001")
class SetnxForgets(Dispatcher):
    """SETNX of an absent key answers 1 and stores nothing."""

    def _setnx(self, payload: bytes) -> bytes:
        key, _, _ = requests.parse_set(payload)
        return responses.flag_response(not self._engine.exists(key))


@breaks("SETNX-002")
class SetnxOverwrites(Dispatcher):
    """SETNX of a key that is there stores its value, and answers 0."""

    def _setnx(self, payload: bytes) -> bytes:
        reply = super()._setnx(payload)
        self._set(payload)
        return reply


@breaks("SETNX-002")
class SetnxRenews(Dispatcher):
    """SETNX of a key that is there gives it the TTL."""

    def _setnx(self, payload: bytes) -> bytes:
        key, ttl_ms, _ = requests.parse_set(payload)
        reply = super()._setnx(payload)
        self._engine.expire(key, ttl_ms)
        return reply


@breaks("SETNX-003")
class SetnxOverNull(Dispatcher):
    """SETNX takes a key that holds Null for absent."""

    def _setnx(self, payload: bytes) -> bytes:
        key, _, _ = requests.parse_set(payload)
        if self._engine.get(key) == _NULL:
            self._engine.delete(key)
        return super()._setnx(payload)
