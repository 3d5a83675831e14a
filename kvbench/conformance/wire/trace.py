"""Traces: what was sent on the connections of a case, what came, and when; also for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, cast

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.describe import describe_payload, describe_reply, describe_request
from kvbench.conformance.wire.frames import HEADER_BYTES, declared_bytes, take_frames
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Opcode, Status
from kvbench.specs import STATUSES, ExpectedReply, Payload, StatusName
from kvbench.verdicts import Exchange


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """Something that happened on a connection.

    Attributes:
        at_ms: milliseconds since the case began.
        connection: its name, ``a`` being the first.
        direction: ``>`` sent, ``<`` received, ``!`` something else, which ``note`` names.
        data: the bytes.
        note: what happened.
        pieces: they were sent in pieces of so many bytes; 0 for all at once.
    """

    at_ms: float
    connection: str
    direction: str
    data: bytes = b""
    note: str = ""
    pieces: int = 0

    @property
    def is_end(self) -> bool:
        """Whether the target has closed the connection."""
        return self.note.startswith(("closed by the target", "sending failed"))


class Trace:
    """All that happened on the connections of a case, in order.

    Attributes:
        events: in order.
    """

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []
        self._began = time.monotonic()

    def now_ms(self) -> float:
        """Milliseconds since the case began."""
        return (time.monotonic() - self._began) * 1000

    def data(self, connection: str, direction: str, data: bytes, pieces: int = 0) -> None:
        """Record bytes that were sent or received."""
        self.events.append(TraceEvent(self.now_ms(), connection, direction, data, pieces=pieces))

    def note(self, connection: str, note: str) -> None:
        """Record something else, such as a close."""
        self.events.append(TraceEvent(self.now_ms(), connection, "!", note=note))

    @property
    def has_end(self) -> bool:
        """Whether the target has closed a connection."""
        return any(one.is_end for one in self.events)

    def clear(self) -> None:
        """Forget what happened: a case of many rounds shows the last one."""
        self.events.clear()


@dataclass(frozen=True, slots=True)
class WireReply:
    """A response as it came."""

    status: int
    payload: bytes

    def __str__(self) -> str:
        name = Status(self.status).name if self.status in list(Status) else "no such status"
        if self.is_refusal:
            return f"{self.status:02x} {describe_reply(self.status, self.payload, None)}"
        shown = self.payload[:64].hex(" ")
        more = f"… ({len(self.payload):,} bytes)" if len(self.payload) > 64 else ""
        meaning = describe_payload(self.payload) if self.payload else ""
        meaning = f" ({meaning})" if meaning else ""
        return f"{self.status:02x} {name}, payload {shown or 'empty'}{more}{meaning}"

    @property
    def is_refusal(self) -> bool:
        """Whether the request was refused: ERROR or INVALID."""
        return self.status in (Status.ERROR, Status.INVALID)

    def expect(self, status: int, payload: bytes | None = None) -> Self:
        """Fail the case unless this is the reply that the clause asks for; returns it."""
        if self.status != status or (payload is not None and self.payload != payload):
            wanted = str(WireReply(status, payload)) if payload is not None else f"{status:02x}"
            raise CaseFailed(wanted, str(self), wanted=_expected((status,), payload))
        return self

    def expect_refusal(self) -> Self:
        """Fail the case unless this is ERROR or INVALID; returns it."""
        if not self.is_refusal:
            refusal = _expected((Status.INVALID, Status.ERROR), None)
            raise CaseFailed("a refusal: ERROR or INVALID", str(self), wanted=refusal)
        return self


def _expected(statuses: tuple[int, ...], payload: bytes | None) -> ExpectedReply:
    """An expected reply in the words of the vectors; a payload of None may be anything."""
    names = [name for name, code in STATUSES.items() if code in statuses]
    return ExpectedReply(
        cast(list[StatusName], names), Payload() if payload is None else payload.hex()
    )


# --- As text --------------------------------------------------------------------------------------

HEX_BYTES_MAX = 256
"""Bytes shown of one exchange: enough for every small message, and a screen stays a screen."""

EXCHANGES_MAX = 40
"""Exchanges kept of one conversation: the last ones, where the failure is."""

WHOLE_BYTES_MAX = 1 << 20
"""Of one exchange in a repro file, which shows the whole: of a larger one the beginning."""

_FRAMES_MAX = 8
"""Described of one exchange."""


def exchanges(
    events: Sequence[TraceEvent], *, since: int = 0, is_whole: bool = False
) -> tuple[Exchange, ...]:
    """A conversation, decoded: its end, or the whole of it.

    Args:
        events: all that happened, so that each reply is read as that of its request.
        since: leave out so many at the start.
        is_whole: with all exchanges, and their bytes up to :data:`WHOLE_BYTES_MAX`.
    """
    reader = _Reader()
    decoded = [reader.describe(event) for event in events]
    first = since if is_whole else max(since, len(events) - EXCHANGES_MAX)
    bytes_max = WHOLE_BYTES_MAX if is_whole else HEX_BYTES_MAX
    pairs = zip(events[first:], decoded[first:], strict=True)
    return tuple([_exchange(event, text, bytes_max) for event, text in pairs])


def _exchange(event: TraceEvent, decoded: str, bytes_max: int) -> Exchange:
    if len(event.data) > bytes_max:
        decoded = f"{decoded} ({len(event.data):,} bytes, the first {bytes_max:,} as hex)"
    shown = event.data[:bytes_max].hex(" ")
    return Exchange(round(event.at_ms, 3), event.connection, event.direction, shown, decoded)


class _Reader:
    """Reads both directions of every connection, frame by frame, however they came in pieces."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, str], bytearray] = {}
        self._asked: dict[str, list[Opcode | None]] = {}

    def describe(self, event: TraceEvent) -> str:
        """An event in a few words."""
        if event.note:
            return event.note
        stream = self._streams.setdefault((event.connection, event.direction), bytearray())
        stream += event.data
        is_request = event.direction == ">"
        describe = self._request if is_request else self._reply
        parts = [describe(event.connection, *one) for one in take_frames(stream)]
        if stream:
            parts.append(_unfinished(stream))
            if declared_bytes(stream) > PAYLOAD_BYTES_MAX:
                stream.clear()  # Refused for its header alone: the next request may begin here.
                if is_request:
                    self._asked.setdefault(event.connection, []).append(None)
        shown = "; ".join(parts[:_FRAMES_MAX])
        return f"{shown}; … {len(parts)} in all" if len(parts) > _FRAMES_MAX else shown

    def _request(self, connection: str, code: int, payload: bytes) -> str:
        opcode = Opcode(code) if code in list(Opcode) else None
        self._asked.setdefault(connection, []).append(opcode)
        return describe_request(code, payload)

    def _reply(self, connection: str, code: int, payload: bytes) -> str:
        asked = self._asked.get(connection)
        return describe_reply(code, payload, asked.pop(0) if asked else None)


def _unfinished(stream: bytes | bytearray) -> str:
    if len(stream) < HEADER_BYTES:
        return f"{len(stream)} bytes of a header"
    came, declared = len(stream) - HEADER_BYTES, declared_bytes(stream)
    return f"a frame 0x{stream[0]:02x} that declares {declared:,} bytes, {came:,} of them so far"
