"""Mutants that cut the stream or its numbers in the wrong places."""

from __future__ import annotations

import re
import struct

from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode
from kvbench.server.dispatch import Dispatcher

from .parts import Reader, Rewriting, breaks, is_refusal


@breaks("FRAME-001")
class LittleEndianCounters(Rewriting):
    """INCR and DECR read, store and answer numbers the other way round."""

    counters = (Opcode.INCR, Opcode.DECR)

    def before(self, opcode: int, payload: bytes) -> bytes:
        return payload[:-8] + payload[-8:][::-1] if opcode in self.counters else payload

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if opcode not in self.counters or is_refusal(reply):
            return reply
        return reply[:-8] + reply[-8:][::-1]


@breaks("FRAME-001", "INCR-001")
class LittleEndianSums(Rewriting):
    """INCR answers its sum the other way round."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if opcode != Opcode.INCR or is_refusal(reply):
            return reply
        return reply[:5] + reply[5:][::-1]


@breaks("FRAME-002")
class LengthsOfTwoBytes(Reader):
    """Looks at the lower two bytes of a payload's length only."""

    def length(self, header: bytes) -> int:
        return super().length(header) & 0xFFFF


@breaks("FRAME-002")
class LengthsThatCountTheHeader(Reader):
    """Takes a length to count the header as well."""

    def length(self, header: bytes) -> int:
        return max(0, super().length(header) - 5)


@breaks("FRAME-002")
class PayloadsOffByOne(Reader):
    """Takes a byte less than a payload has, when it has any."""

    def length(self, header: bytes) -> int:
        return max(0, super().length(header) - 1)


@breaks("FRAME-003")
class ReplyLengthsOfTwoBytes(Rewriting):
    """Declares only the lower two bytes of a reply's length."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return reply[:1] + struct.pack(">I", (len(reply) - 5) & 0xFFFF) + reply[5:]


@breaks("FRAME-003")
class ReplyLengthsOffByOne(Rewriting):
    """Declares a byte less than a reply has, when it has any."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return reply[:1] + struct.pack(">I", max(0, len(reply) - 6)) + reply[5:]


@breaks("FRAME-004", "PING-002", "INFO-003")
class BytesBehindAreIgnored(Dispatcher):
    """Takes a payload that goes on behind its layout as if it did not."""

    def handle(self, opcode: int, payload: bytes) -> bytes:
        reply = super().handle(opcode, payload)
        behind = re.search(rb"(\d+) bytes follow the end", reply[5:]) if is_refusal(reply) else None
        return super().handle(opcode, payload[: -int(behind[1])]) if behind else reply


@breaks("FRAME-004")
class ShortPayloadsAreFilledUp(Dispatcher):
    """Takes zeros for what is missing at the end of a payload."""

    def handle(self, opcode: int, payload: bytes) -> bytes:
        reply = super().handle(opcode, payload)
        if is_refusal(reply) and b"bytes are missing" in reply:
            return super().handle(opcode, payload + bytes(int(reply.split()[1])))
        return reply


@breaks("FRAME-005")
class PiecesAreForgotten(Reader):
    """Takes what a read gives for whole requests, and drops the rest."""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        self.data = b""
        return super().feed(data)


@breaks("FRAME-006", "CONN-002")
class OneRequestASegment(Reader):
    """Sees the first request of a read, and none behind it."""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        return super().feed(data)[:1]


@breaks("FRAME-007")
class ActsOnAlmostAll(Reader):
    """Acts on a request whose last byte has not come yet, and swallows that byte later."""

    owed = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        skipped = min(self.owed, len(data))
        self.owed -= skipped
        frames = super().feed(data[skipped:])
        if len(self.data) > 5 and len(self.data) == 5 + self.length(self.data[:5]) - 1:
            frames.append((self.data[0], self.data[5:] + b"x"))
            self.data, self.owed = b"", 1
        return frames


@breaks("FRAME-008")
class EmptyPayloadsWait(Reader):
    """Takes a frame without a payload for complete when the next byte comes."""

    waiting: tuple[tuple[int, bytes], ...] = ()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        frames = [*self.waiting, *super().feed(data)]
        self.waiting = ()
        if frames and not frames[-1][1] and not self.data:
            self.waiting = (frames.pop(),)
        return frames


@breaks("STATUS-002", "SET-001")
class SetAnswersText(Rewriting):
    """SET answers OK with the text OK behind it."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return frame(0, b"OK") if opcode == Opcode.SET and not is_refusal(reply) else reply


@breaks("STATUS-002", "MDEL-001")
class CountsOfEightBytes(Rewriting):
    """MDEL answers its count as a u64."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if opcode != Opcode.MDEL or is_refusal(reply):
            return reply
        return frame(0, bytes(4) + reply[5:])
