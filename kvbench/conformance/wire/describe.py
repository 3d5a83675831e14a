"""Frames in words, for people: the fields of a request, and what a reply says to it.

A frame that does not follow its layout is described as far as it does, with what is wrong behind
it. Long texts and batches are cut, and say so.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from kvbench.conformance.wire.values import decode_value, read_number, read_text, read_value
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol.opcodes import Opcode, ReplyLayout, RequestLayout, Status

TEXT_CHARS_MAX = 60
"""Of one key, value or message: enough to know it again."""

ENTRIES_MAX = 4
"""Of a batch."""

_DECODED_BYTES_MAX = 1 << 16
"""A larger payload is named by its size alone: decoding it would take longer than reading it."""


class _Field(NamedTuple):
    """A field of a payload: in words, and its value where it is one."""

    text: str
    values: tuple[Value, ...] = ()


_Fields = Iterator[_Field]
"""One after the other; ends with a ProtocolError where one is malformed."""

_Reading = Generator[_Field, None, int]
"""Fields, and in the end the offset behind them."""


def describe_request(code: int, payload: bytes) -> str:
    """A request: its operation and fields."""
    if code not in list(Opcode):
        return f"opcode 0x{code:02x}, which has no meaning{_bytes(payload)}"
    opcode = Opcode(code)
    if len(payload) > _DECODED_BYTES_MAX and opcode.request is not RequestLayout.KEY:
        return f"{opcode.name} of {len(payload):,} bytes"
    return _joined(opcode.name, _request_fields(opcode, payload))


def describe_reply(code: int, payload: bytes, opcode: Opcode | None) -> str:
    """A reply to an operation; None where it is unknown to which."""
    if code not in list(Status):
        return f"status 0x{code:02x}, which has no meaning{_bytes(payload)}"
    status = Status(code)
    if status in (Status.ERROR, Status.INVALID):
        return f"{status.name} {_text(payload)}"
    if status is not Status.OK:
        return f"{status.name}{_bytes(payload)}"
    if opcode is None:
        return f"OK{_bytes(payload)}"
    if len(payload) > _DECODED_BYTES_MAX:
        return f"OK, {len(payload):,} bytes"
    return _joined("OK", _reply_fields(opcode, payload), f" as a reply of {opcode.name}")


def describe_payload(payload: bytes) -> str:
    """What a payload of an OK reply may be, when the request is not known; empty for no guess."""
    try:
        return describe_value(decode_value(payload[: _DECODED_BYTES_MAX + 1]))
    except ProtocolError:
        pass
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return ""
    return _shown(repr(text)) if text.isprintable() and text else ""


def describe_value(value: Value) -> str:
    """A value with its type, as the spec names it."""
    return f"{type_of(value)} {_shown(repr(value))}" if value is not None else "Null"


def type_of(value: Value) -> str:
    """The spec's name for the type of a value."""
    names = {"NoneType": "Null", "str": "String", "dict": "Map"}
    name = type(value).__name__
    return names.get(name, name.capitalize())


def types_of_request(opcode: Opcode, payload: bytes) -> set[str]:
    """The types of the values in a request, and of what they hold, as far as it can be read."""
    types: set[str] = set()
    if len(payload) <= _DECODED_BYTES_MAX:
        with suppress(ProtocolError):
            for field in _request_fields(opcode, payload):
                types |= _types_in(field.values)
    return types


def _types_in(values: Iterable[Value]) -> set[str]:
    types: set[str] = set()
    for value in values:
        types.add(type_of(value))
        if isinstance(value, dict | list):
            types |= _types_in(value.values() if isinstance(value, dict) else value)
    return types


def _joined(name: str, fields: _Fields, where: str = "") -> str:
    parts: list[str] = []
    try:
        for field in fields:
            parts.append(field.text)
    except ProtocolError as error:
        parts.append(f"malformed{where}: {error}")
    return f"{name} {', '.join(parts)}".rstrip()


def _request_fields(opcode: Opcode, payload: bytes) -> _Fields:
    if opcode.request is RequestLayout.KEY:
        yield _Field(f"key {_text(payload)}")
        return
    if opcode.request in (RequestLayout.KEYS, RequestLayout.PAIRS, RequestLayout.ENTRIES):
        at = yield from _batch(opcode.request, payload)
    elif opcode.request is RequestLayout.HELLO:
        at = yield from _hello(payload)
    else:
        at = yield from _single(opcode.request, payload)
    if at < len(payload):
        raise ProtocolError(f"{len(payload) - at} bytes follow")


def _single(layout: RequestLayout, payload: bytes) -> _Reading:
    at = 0
    for word in [] if layout is RequestLayout.EMPTY else layout.value.split(", "):
        match word:
            case "key" | "owner":
                text, at = read_text(payload, at)
                yield _Field(f"{word} {_shown(repr(text))}")
            case "TTL":
                ttl_ms, at = read_number(payload, at, 8)
                yield _Field(_ttl(ttl_ms))
            case "i64":
                delta, at = read_number(payload, at, 8)
                yield _Field(f"delta {delta - (1 << 64) if delta >> 63 else delta}")
            case _:
                value, at = read_value(payload, at)
                name = word.removesuffix(" value")
                yield _Field(f"{name} {describe_value(value)}", (value,))
    return at


def _batch(layout: RequestLayout, payload: bytes) -> _Reading:
    count, at = read_number(payload, 0, 2)
    yield _Field(f"{count} {'key' if count == 1 else 'keys'}")
    if layout is RequestLayout.PAIRS:
        ttl_ms, at = read_number(payload, at, 8)
        yield _Field(_ttl(ttl_ms))
    for number in range(count):
        key, at = read_text(payload, at)
        entry = _shown(repr(key))
        values: tuple[Value, ...] = ()
        if layout is RequestLayout.ENTRIES:
            ttl_ms, at = read_number(payload, at, 8)
            entry += f" {_ttl(ttl_ms)}"
        if layout is not RequestLayout.KEYS:
            value, at = read_value(payload, at)
            entry, values = f"{entry} = {describe_value(value)}", (value,)
        if number < ENTRIES_MAX:
            yield _Field(entry, values)
    if count > ENTRIES_MAX:
        yield _Field(f"and {count - ENTRIES_MAX} more")
    return at


def _hello(payload: bytes) -> _Reading:
    version, at = read_number(payload, 0, 2)
    yield _Field(f"version {version}")
    count, at = read_number(payload, at, 2)
    for _ in range(count):
        name, at = read_text(payload, at)
        yield _Field(_shown(name))
    return at


def _reply_fields(opcode: Opcode, payload: bytes) -> _Fields:
    match opcode.reply:
        case ReplyLayout.TEXT:
            yield _Field(_text(payload))
            return
        case ReplyLayout.HELLO:
            at = yield from _hello(payload)
        case ReplyLayout.VALUES | ReplyLayout.FLAGS:
            at = yield from _several(opcode.reply, payload)
        case ReplyLayout.VALUE:
            value, at = read_value(payload, 0)
            yield _Field(describe_value(value))
        case ReplyLayout.EMPTY:
            at = 0
        case layout:
            size = {ReplyLayout.INTEGER: 8, ReplyLayout.COUNT: 4}.get(layout, 1)
            number, at = read_number(payload, 0, size)
            is_negative = layout is ReplyLayout.INTEGER and number >> 63
            yield _Field(str(number - (1 << 64) if is_negative else number))
    if at < len(payload):
        raise ProtocolError(f"{len(payload) - at} bytes follow")


def _several(layout: ReplyLayout, payload: bytes) -> _Reading:
    count, at = read_number(payload, 0, 2)
    yield _Field(f"{count} of them")
    for number in range(count):
        if layout is ReplyLayout.FLAGS:
            flag, at = read_number(payload, at, 1)
            shown = str(flag)
        else:
            value, at = read_value(payload, at)
            shown = describe_value(value)
        if number < ENTRIES_MAX:
            yield _Field(shown)
    if count > ENTRIES_MAX:
        yield _Field(f"and {count - ENTRIES_MAX} more")
    return at


def _ttl(ttl_ms: int) -> str:
    return f"TTL {ttl_ms} ms" if ttl_ms else "no TTL"


def _text(content: bytes) -> str:
    return _shown(repr(content.decode("utf-8", "backslashreplace")))


def _bytes(payload: bytes) -> str:
    return f", {len(payload):,} bytes of payload" if payload else ""


def _shown(text: str) -> str:
    if len(text) <= TEXT_CHARS_MAX:
        return text
    return f"{text[:TEXT_CHARS_MAX]}… ({len(text):,} characters)"
