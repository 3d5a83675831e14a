"""Traces: what was sent on the connections of a case, what came, and when; also for people."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.frames import declared_bytes, take_frames
from kvbench.conformance.wire.values import decode_value
from kvbench.errors import ProtocolError
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
        shown = self.payload[:64].hex(" ")
        more = f"... ({len(self.payload)} bytes)" if len(self.payload) > 64 else ""
        return f"{self.status:02x} {name}, payload {shown or 'empty'}{more}"

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


def exchanges(events: Iterable[TraceEvent]) -> tuple[Exchange, ...]:
    """The end of a conversation, decoded."""
    return tuple([_exchange(event) for event in list(events)[-EXCHANGES_MAX:]])


def _exchange(event: TraceEvent) -> Exchange:
    shown = event.data[:HEX_BYTES_MAX].hex(" ")
    decoded = event.note or _describe(event.data, is_request=event.direction == ">")
    if len(event.data) > HEX_BYTES_MAX:
        decoded = f"{decoded} ({len(event.data)} bytes, the first {HEX_BYTES_MAX} shown)"
    return Exchange(round(event.at_ms, 3), event.connection, event.direction, shown, decoded)


def _describe(data: bytes, *, is_request: bool) -> str:
    """The frames in ``data``, each in a few words."""
    stream = bytearray(data)
    parts = [
        _describe_request(code, payload) if is_request else _describe_reply(code, payload)
        for code, payload in take_frames(stream)
    ]
    if declared_bytes(stream) > PAYLOAD_BYTES_MAX:
        parts.append(f"a header that declares {declared_bytes(stream)} bytes")
    elif stream:
        parts.append(f"{len(stream)} bytes of an unfinished frame")
    shown = "; ".join(parts[:8])
    return f"{shown}; ... {len(parts)} in all" if len(parts) > 8 else shown


def _describe_request(code: int, payload: bytes) -> str:
    name = Opcode(code).name if code in list(Opcode) else f"opcode {code:02x}"
    return f"{name} {payload[:60]!r}"


def _describe_reply(code: int, payload: bytes) -> str:
    if code not in list(Status):
        return f"status {code:02x} {payload[:60]!r}"
    name = Status(code).name
    if code == Status.OK and payload:
        try:
            return f"{name} {str(decode_value(payload))[:60]}"
        except ProtocolError:
            return f"{name} {payload[:60]!r}"
    return f"{name} {payload[:80].decode('utf-8', 'replace')}".rstrip()
