"""A conversation for people: each exchange with its time, its bytes and what they mean."""

from __future__ import annotations

from collections.abc import Iterable

from kvbench.conformance.conversation import Moment
from kvbench.errors import ProtocolError
from kvbench.protocol.frames import FrameReader
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import decode_value
from kvbench.verdicts import Exchange

HEX_BYTES_MAX = 256
"""Bytes shown of one exchange: enough for every small message, and a screen stays a screen."""

EXCHANGES_MAX = 40
"""Exchanges kept of one conversation: the last ones, where the failure is."""


def exchanges(moments: Iterable[Moment]) -> tuple[Exchange, ...]:
    """The end of a conversation, decoded."""
    return tuple([_exchange(moment) for moment in list(moments)[-EXCHANGES_MAX:]])


def _exchange(moment: Moment) -> Exchange:
    shown = moment.data[:HEX_BYTES_MAX].hex(" ")
    decoded = moment.note or _describe(moment.data, is_request=moment.direction == ">")
    if len(moment.data) > HEX_BYTES_MAX:
        decoded = f"{decoded} ({len(moment.data)} bytes, the first {HEX_BYTES_MAX} shown)"
    return Exchange(round(moment.at_ms, 3), moment.connection, moment.direction, shown, decoded)


def _describe(data: bytes, *, is_request: bool) -> str:
    """The frames in ``data``, each in a few words."""
    reader = FrameReader()
    parts = [
        _request(code, payload) if is_request else _reply(code, payload)
        for code, payload in reader.feed(data)
    ]
    if reader.oversize_bytes:
        parts.append(f"a header that declares {reader.oversize_bytes} bytes")
    elif reader.buffered_bytes:
        parts.append(f"{reader.buffered_bytes} bytes of an unfinished frame")
    shown = "; ".join(parts[:8])
    return f"{shown}; ... {len(parts)} in all" if len(parts) > 8 else shown


def _request(code: int, payload: bytes) -> str:
    name = Opcode(code).name if code in list(Opcode) else f"opcode {code:02x}"
    return f"{name} {payload[:60]!r}"


def _reply(code: int, payload: bytes) -> str:
    if code not in list(Status):
        return f"status {code:02x} {payload[:60]!r}"
    name = Status(code).name
    if code == Status.OK and payload:
        try:
            return f"{name} {str(decode_value(payload))[:60]}"
        except ProtocolError:
            return f"{name} {payload[:60]!r}"
    return f"{name} {payload[:80].decode('utf-8', 'replace')}".rstrip()
