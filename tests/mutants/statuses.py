"""Mutants with wrong statuses and messages, and the operations that touch no key."""

from __future__ import annotations

import json
import sys

from kvbench.errors import ProtocolError
from kvbench.protocol import requests
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.dispatch import Dispatcher

from .parts import Plain, Rewriting, breaks, is_refusal, loosely, ok


@breaks("STATUS-001")
class StatusFive(Rewriting):
    """Answers an unknown opcode with a status outside the table."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return frame(5, reply[5:]) if opcode == 0 else reply


@breaks("STATUS-003")
class NullWithAReason(Rewriting):
    """GET says in a NULL's payload that there is no such key."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        is_null = opcode == Opcode.GET and reply[0] == Status.NULL
        return frame(Status.NULL, b"no such key") if is_null else reply


@breaks("STATUS-004")
class MessagesInLatin1(Rewriting):
    """Writes its messages in another encoding than UTF-8."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return frame(reply[0], "ungültig".encode("latin-1")) if is_refusal(reply) else reply


@breaks("STATUS-005")
class EmptyMessages(Rewriting):
    """Says nothing about what was wrong."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return frame(reply[0], b"") if is_refusal(reply) else reply


@breaks("STATUS-006", "SET-004")
class RefusesAndStores(Dispatcher):
    """SET of what is malformed is refused, and stores a Null."""

    def _set(self, payload: bytes) -> bytes:
        try:
            return super()._set(payload)
        except ProtocolError:
            self._engine.set(loosely(payload)[0], b"\0")
            raise


@breaks("SET-004", "STATUS-006")
class RefusesAndRemoves(Dispatcher):
    """SET of what is malformed is refused, and what was there is gone."""

    def _set(self, payload: bytes) -> bytes:
        self._engine.delete(loosely(payload)[0])
        return super()._set(payload)


@breaks("STATUS-007", "CAS-002")
class CasFailed(Rewriting):
    """A CAS that does not match is answered CAS_FAILED."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        is_mismatch = opcode == Opcode.CAS and reply == ok(b"\0")
        return frame(Status.CAS_FAILED, b"") if is_mismatch else reply


@breaks("ERR-001", "ERR-002")
class EverythingIsAnError(Rewriting):
    """Knows no INVALID, only ERROR."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return frame(Status.ERROR, reply[5:]) if is_refusal(reply) else reply


@breaks("ERR-003")
class DiesOfBadText(Rewriting):
    """The server ends when text is not UTF-8."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if is_refusal(reply) and b"not UTF-8" in reply:
            sys.exit()
        return reply


@breaks("VALUE-013")
class DiesOfDeepNesting(Rewriting):
    """The server ends when a value is nested too deep."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if is_refusal(reply) and b"nested deeper" in reply:
            sys.exit()
        return reply


# --- Operations ----------------------------------------------------------------------------------


@breaks("OP-003")
class UnknownIsFine(Rewriting):
    """Answers OK to an opcode that it does not know."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return ok() if is_refusal(reply) and b"unknown opcode" in reply else reply


@breaks("OP-003")
class ClosesAtTheUnknown(Plain):
    """Closes the connection on an opcode that it does not know."""

    def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode == 0:
            self._transport.close()
        return super().reply(opcode, payload)


@breaks("PING-001")
class SmallPong(Rewriting):
    """PING answers in small letters."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return ok(b"pong") if reply == ok(b"PONG") else reply


@breaks("PING-002")
class EchoingPing(Dispatcher):
    """PING answers with the payload, when there is one."""

    def _ping(self, payload: bytes) -> bytes:
        return ok(payload or b"PONG")


class _Info(Dispatcher):
    """INFO answers with other fields."""

    def fields(self, fields: dict[str, object]) -> object:
        return fields

    def _info(self, payload: bytes) -> bytes:
        requests.parse_empty(payload)
        fields = self.fields(self.stats.info(entries=len(self._engine)))
        return ok(json.dumps(fields).encode())


@breaks("INFO-001")
class InfoInAList(_Info):
    """INFO answers a JSON list."""

    def fields(self, fields: dict[str, object]) -> object:
        return [fields]


@breaks("INFO-001")
class InfoInLines(Dispatcher):
    """INFO answers lines of text."""

    def _info(self, payload: bytes) -> bytes:
        requests.parse_empty(payload)
        return ok(f"entries:{len(self._engine)}\r\n".encode())


@breaks("INFO-002")
class InfoOfKeys(_Info):
    """INFO calls its number of entries keys."""

    def fields(self, fields: dict[str, object]) -> object:
        return {"keys": fields.pop("entries"), **fields}


@breaks("INFO-002")
class EntriesAsText(_Info):
    """INFO's entries are a JSON string."""

    def fields(self, fields: dict[str, object]) -> object:
        return {**fields, "entries": str(fields["entries"])}


@breaks("INFO-002")
class EntriesAreReads(_Info):
    """INFO's entries are the number of GETs that came."""

    def fields(self, fields: dict[str, object]) -> object:
        return {**fields, "entries": self.stats.requests[Opcode.GET]}


@breaks("INFO-003")
class InfoWithAPayload(Dispatcher):
    """INFO takes any payload."""

    def _info(self, payload: bytes) -> bytes:
        return super()._info(b"")


@breaks("INFO-004")
class CountsTheExpired(_Info):
    """INFO counts keys that have expired."""

    def fields(self, fields: dict[str, object]) -> object:
        return {**fields, "entries": len(self._engine._data)}
