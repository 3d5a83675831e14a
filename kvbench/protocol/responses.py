"""Responses: encoding by a server and parsing by a client, side by side for each layout.

The server's functions return a whole frame, ready to send. The client's functions take the payload
of an OK response; other statuses are handled elsewhere. Bytes that do not follow the spec raise a
ProtocolError. Compiled by mypyc if there is a C compiler.
"""

import struct
from typing import Final

from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol.decode import ValuesDecoder
from kvbench.protocol.frames import frame, frame_header
from kvbench.protocol.layout import ALL_STEPS, read_u16
from kvbench.protocol.opcodes import Status

_OK: Final = 0x00
assert int(Status.OK) == _OK  # A literal here is a C constant in the compiled code.
_NULL_VALUE: Final = b"\x00"
_pack_u16: Final = struct.Struct(">H").pack
_pack_u32: Final = struct.Struct(">I").pack
_pack_i64: Final = struct.Struct(">q").pack
_unpack_i64: Final = struct.Struct(">q").unpack_from

EMPTY_RESPONSE: Final = frame(_OK, b"")
TRUE_RESPONSE: Final = frame(_OK, b"\x01")
FALSE_RESPONSE: Final = frame(_OK, b"\x00")
NULL_RESPONSE: Final = frame(0x01, b"")
PONG_RESPONSE: Final = frame(_OK, b"PONG")


# --- Encoding: the server's side -------------------------------------------------------------


def ok_response(payload: bytes) -> bytes:
    """OK with any payload: a stored value, INFO's JSON."""
    return frame(_OK, payload)


def message_response(status: int, message: str) -> bytes:
    """ERROR or INVALID with a message for people."""
    return frame(status, message.encode("utf-8", "replace"))


def flag_response(flag: bool) -> bytes:
    """One u8: 1 or 0."""
    return TRUE_RESPONSE if flag else FALSE_RESPONSE


def i64_response(number: int) -> bytes:
    """INCR, DECR, TTL: a raw i64 without a tag."""
    return frame(_OK, _pack_i64(number))


def count_response(count: int) -> bytes:
    """MDEL: a u32."""
    return frame(_OK, _pack_u32(count))


def values_response(values: list[bytes | None]) -> bytes:
    """MGET: a count, then the stored bytes of each value, Null for absent keys."""
    size = 2
    parts: list[bytes] = [b"", _pack_u16(len(values))]
    for value in values:
        item = _NULL_VALUE if value is None else value
        size += len(item)
        parts.append(item)
    # With the header as one of the parts, the reply is copied once.
    parts[0] = frame_header(_OK, size)
    return b"".join(parts)


def flags_response(flags: list[bool]) -> bytes:
    """MEXISTS: a count, then a u8 for each key."""
    count: bytes = _pack_u16(len(flags))
    return frame(_OK, count + bytes(flags))


# --- Parsing: the client's side --------------------------------------------------------------


def parse_empty_reply(payload: bytes) -> None:
    """SET, MSET, MSETEX."""
    if payload:
        raise ProtocolError(f"an empty payload was due, {len(payload)} bytes came")


def parse_flag(payload: bytes) -> bool:
    """A single u8 of 1 or 0."""
    if payload == b"\x01":
        return True
    if payload == b"\x00":
        return False
    raise ProtocolError(f"a flag of one byte was due, {payload[:16]!r} came")


def parse_i64(payload: bytes) -> int:
    """INCR, DECR, TTL."""
    if len(payload) != 8:
        raise ProtocolError(f"an i64 of 8 bytes was due, {len(payload)} bytes came")
    number: int = _unpack_i64(payload, 0)[0]
    return number


def parse_count(payload: bytes) -> int:
    """MDEL: how many keys were removed."""
    if len(payload) != 4:
        raise ProtocolError(f"a u32 of 4 bytes was due, {len(payload)} bytes came")
    return int.from_bytes(payload, "big")


def parse_values(payload: bytes, count: int) -> list[Value]:
    """MGET: as many values as requested keys, in order."""
    decoder = values_decoder(payload, count)
    decoder.advance(ALL_STEPS)
    return decoded_values(payload, decoder)


def values_decoder(payload: bytes, count: int) -> ValuesDecoder:
    """MGET in steps: the decoder of the values. :func:`decoded_values` returns its result."""
    _check_count(payload, count)
    return ValuesDecoder(payload, 2, count)


def decoded_values(payload: bytes, decoder: ValuesDecoder) -> list[Value]:
    """The values of a finished decoder, if they end where the payload does."""
    if decoder.end != len(payload):
        raise ProtocolError(f"{len(payload) - decoder.end} bytes follow the last value")
    return decoder.values


def parse_flags(payload: bytes, count: int) -> list[bool]:
    """MEXISTS: a flag for each key, in order."""
    _check_count(payload, count)
    if len(payload) != 2 + count:
        raise ProtocolError(f"{count} flags were due, {len(payload) - 2} bytes came")
    flags: list[bool] = []
    for flag in payload[2:]:
        if flag > 1:
            raise ProtocolError(f"a flag is 0 or 1, not {flag}")
        flags.append(flag == 1)
    return flags


def _check_count(payload: bytes, count: int) -> None:
    declared = read_u16(payload, 0)
    if declared != count:
        raise ProtocolError(f"the reply counts {declared}, the request asked for {count}")
