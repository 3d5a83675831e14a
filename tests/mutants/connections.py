"""Mutants that are wrong about connections: order, ends, neighbours, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.server.connection import ServerConnection

from .parts import Plain, Reader, Rewriting, breaks, invalid, is_refusal

SOON_MS = 60_000
"""No case waits so long for a key to expire."""

POLL_S = 0.01
"""How soon a client that is held up is looked at again."""


# --- One request, one response, in order ---------------------------------------------------------


@breaks("CONN-001")
class Greets(ServerConnection):
    """Says hello to whoever connects."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.write(responses.PONG_RESPONSE)


@breaks("CONN-002")
class RefusesTwice(Rewriting):
    """Sends every refusal twice."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return reply + reply if is_refusal(reply) else reply


@breaks("CONN-002", "EXISTS-001")
class SilentAboutAbsentKeys(Rewriting):
    """Does not answer EXISTS of an absent key."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return b"" if opcode == Opcode.EXISTS and reply[-1] == 0 else reply


@breaks("CONN-003")
class ClosesAfterARefusal(Plain):
    """Refuses, and closes the connection."""

    def reply(self, opcode: int, payload: bytes) -> bytes:
        reply = super().reply(opcode, payload)
        if is_refusal(reply):
            asyncio.get_running_loop().call_soon(self._transport.close)
        return reply


@breaks("PIPE-001", "FRAME-006")
class NoPipelining(Plain):
    """Is busy while it answers: refuses what came together with another request."""

    def replies(self, waiting: Sequence[tuple[int, bytes]]) -> list[bytes]:
        busy = responses.message_response(Status.ERROR, "busy")
        return [self.reply(*one) if place == 0 else busy for place, one in enumerate(waiting)]


@breaks("PIPE-002")
class SwappedResponses(Plain):
    """Swaps the responses of two requests that came together."""

    def replies(self, waiting: Sequence[tuple[int, bytes]]) -> list[bytes]:
        replies = super().replies(waiting)
        replies[0:2] = replies[0:2][::-1]
        return replies


@breaks("PIPE-003")
class ReadsOvertakeWrites(Plain):
    """Of requests that came together, those that only read go first; answers in order."""

    reading = (Opcode.GET, Opcode.EXISTS, Opcode.MGET)

    def replies(self, waiting: Sequence[tuple[int, bytes]]) -> list[bytes]:
        order = sorted(range(len(waiting)), key=lambda at: waiting[at][0] not in self.reading)
        replies = {at: self.reply(*waiting[at]) for at in order}
        return [replies[at] for at in range(len(waiting))]


@breaks("PIPE-004")
class RefusalsSpread(Plain):
    """After a refusal, refuses all that came with it."""

    def replies(self, waiting: Sequence[tuple[int, bytes]]) -> list[bytes]:
        replies: list[bytes] = []
        for opcode, payload in waiting:
            is_spoilt = bool(replies) and is_refusal(replies[-1])
            replies.append(replies[-1] if is_spoilt else self.reply(opcode, payload))
        return replies


# --- Ends ----------------------------------------------------------------------------------------


@breaks("CONN-005")
class ForgetsAtTheEnd(Plain):
    """Drops what it has not answered when the client closes its side."""

    def answer(self) -> None:
        asyncio.get_running_loop().call_later(0.005, super().answer)

    def eof_received(self) -> bool:
        self._waiting = []
        return False


@breaks("CONN-005")
class HangsUpAtTheEnd(Plain):
    """Closes at once when the client closes its side, whatever is still to be sent."""

    def pause_writing(self) -> None:
        """Reads on, and so sees the end before all is sent."""

    def eof_received(self) -> bool:
        self._transport.abort()
        return False


@breaks("CONN-005")
class NeverHangsUp(ServerConnection):
    """Answers all, and leaves the connection open when the client closes its side."""

    def eof_received(self) -> bool:
        return True


@breaks("CONN-006")
class AppliesWhatIsCutOff(ServerConnection):
    """Fills up and applies what a connection ends in the middle of."""

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self._reader = Reader(self._config.max_payload_bytes)

    def eof_received(self) -> bool:
        held = self._reader.data
        if len(held) > 5:
            missing = 5 + self._reader.length(held[:5]) - len(held)
            self._dispatcher.handle(held[0], held[5:] + b"x" * missing)
        return super().eof_received()


@breaks("CONN-011")
class ForgetsValuesOfTheGone(Plain):
    """Removes what a client has set when its connection ends."""

    opcode = Opcode.SET

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.keys: list[bytes] = []

    def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode == self.opcode:
            self.keys.append(payload[2 : 2 + int.from_bytes(payload[:2], "big")])
        return super().reply(opcode, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._dispatcher._engine.mdel(self.keys)
        super().connection_lost(exc)


@breaks("CONN-011")
class ForgetsLocksOfTheGone(ForgetsValuesOfTheGone):
    """Releases a client's locks when its connection ends."""

    opcode = Opcode.LOCK


# --- Neighbours ----------------------------------------------------------------------------------


@breaks("CONN-004")
class RemembersReads(Plain):
    """Remembers for each connection what GET answered of a key, if that does not expire soon."""

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self.known: dict[bytes, bytes] = {}

    def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != Opcode.GET:
            self.known.clear()
            return super().reply(opcode, payload)
        if payload not in self.known:
            reply = super().reply(opcode, payload)
            left_ms = int.from_bytes(super().reply(Opcode.TTL, payload)[5:], signed=True)
            if 0 < left_ms < SOON_MS:
                return reply
            self.known[payload] = reply
        return self.known[payload]


class _HoldsUp(ServerConnection):
    """Answers the other clients only when the one that holds them up has gone on."""

    holder: ClassVar[_HoldsUp | None] = None

    def data_received(self, data: bytes) -> None:
        if _HoldsUp.holder in (None, self):
            super().data_received(data)
        else:
            asyncio.get_running_loop().call_later(POLL_S, self.data_received, data)

    def hold(self) -> None:
        _HoldsUp.holder = self

    def release(self) -> None:
        if _HoldsUp.holder is self:
            _HoldsUp.holder = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.release()
        super().connection_lost(exc)


@breaks("CONN-007")
class WaitsForReaders(_HoldsUp):
    """Serves no other client while one does not read its replies."""

    def pause_writing(self) -> None:
        super().pause_writing()
        self.hold()

    def resume_writing(self) -> None:
        self.release()
        super().resume_writing()


@breaks("CONN-007")
class WaitsForTheRest(_HoldsUp):
    """Serves no other client while it has half a request."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._reader.buffered_bytes:
            self.hold()
        else:
            self.release()


# --- Limits --------------------------------------------------------------------------------------


@breaks("LIMIT-001")
class ClosesWithoutAWord(ServerConnection):
    """Closes on an oversize request without a refusal."""

    def _refuse_oversize(self) -> None:
        self._is_ending = True
        self._transport.close()


@breaks("LIMIT-001")
class StaysAfterAnOversizeRequest(ServerConnection):
    """Refuses an oversize request and leaves the connection open."""

    def _refuse_oversize(self) -> None:
        self._transport.write(invalid("too large"))


@breaks("LIMIT-001")
class BuffersWhateverIsDeclared(Reader):
    """Has no limit: waits for every payload that a header declares."""

    def __init__(self, payload_bytes_max: int) -> None:
        super().__init__(2**32)


@breaks("LIMIT-002")
class OneMebibyteAtMost(Reader):
    """Has a limit of 1 MiB."""

    def __init__(self, payload_bytes_max: int) -> None:
        super().__init__(2**20)


@breaks("LIMIT-005")
class RefusesOversizeFirst(Plain):
    """Drops the complete requests before an oversize one."""

    def answer(self) -> None:
        if self._reader.oversize_bytes:
            self._waiting = []
        super().answer()


@breaks("LIMIT-006")
class OversizeEndsAll(ServerConnection):
    """Closes every connection because of an oversize request on one."""

    def _refuse_oversize(self) -> None:
        super()._refuse_oversize()
        for other in self._live - {self}:
            other.abort()


@breaks("ATOMIC-001", "CONN-004")
class WritesLater(Plain):
    """Answers SET, and stores when the same connection asks again, or after 20 ms."""

    held = b""

    def store(self) -> None:
        if self.held:
            held, self.held = self.held, b""
            self._dispatcher.handle(Opcode.SET, held)

    def reply(self, opcode: int, payload: bytes) -> bytes:
        self.store()
        if opcode != Opcode.SET or is_refusal(_parsed(payload)):
            return super().reply(opcode, payload)
        self.held = payload
        asyncio.get_running_loop().call_later(0.02, self.store)
        return responses.EMPTY_RESPONSE


def _parsed(payload: bytes) -> bytes:
    """What a SET would be answered, without storing anything."""
    try:
        requests.parse_set(payload)
    except ProtocolError as error:
        return invalid(str(error))
    return responses.EMPTY_RESPONSE
