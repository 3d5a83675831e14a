"""The guard: no byte leaves for a target before it is seen that it can touch no foreign key.

Servers that are checked may hold other people's data, and may be wrong in any way. So what is about
to be sent is read here as a faulty server would read it, and every key that such a server could
write under must begin with the prefix of the run:

- A declared length that is too large means "as much as there is": of frames, keys and values.
- Bytes behind a layout are ignored, and a batch goes on to its last byte whatever it counts.
- A frame that is not complete yet is acted on as it is, for the connection may end here.
- A server that reads in pieces may take the next piece for the start of a request.
- Behind a header that declares more than the limit the next request may begin.
- An opcode without a meaning may be a command: its payload is a key, or a length and a key.

Operations that only read may name any key. One key can never begin with the prefix, the empty one;
what could write under it needs a look at the target first (:data:`EMPTY_KEY`). Everything else
raises ForeignKeyError, which ends the case as an error of the suite.

Not covered: servers that compute lengths wrongly (one byte of two, the other byte order), and those
that act on half a request when the network cuts what was sent at once. What such a server takes for
a key is in no relation to what was meant, for any client; it fails the first cases of the suite.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvbench.conformance.isolation import ForeignKeyError
from kvbench.conformance.wire.frames import HEADER_BYTES
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Effect, Opcode, RequestLayout, Tag

EMPTY_KEY = b""
"""The one key that cannot begin with a prefix."""

UNASSIGNED_OPCODES = frozenset({0x00, 0x3F})
"""The one that never gets a meaning, and the last that will (appendix A); no others are sent."""

_READING = frozenset(op for op in Opcode if op.effect in (Effect.NONE, Effect.READS))
_ASSIGNED = frozenset(Opcode)
_BEFORE_KEYS = {RequestLayout.KEYS: 2, RequestLayout.PAIRS: 10, RequestLayout.ENTRIES: 2}
"""Batches: the bytes before their first key. Each entry begins with a sized key."""

_WIDTHS = {Tag.NULL: 0, Tag.INT: 8, Tag.FLOAT: 8, Tag.BOOL: 1}
_LENGTH_BYTES = {Tag.DECIMAL: 2, Tag.STRING: 4, Tag.BYTES: 4}


class StreamGuard:
    """Reads what one connection sends; see the module for the rules.

    Args:
        prefix: how every key must begin that could be written.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._unfinished = b""

    def check(self, data: bytes, pieces: int = 0) -> bool:
        """Look at the next bytes of the stream, before they are sent.

        Args:
            data: the bytes.
            pieces: they will be sent in pieces of so many bytes; 0 for all at once.

        Returns:
            Whether the empty key must be seen absent first.

        Raises:
            ForeignKeyError: they could touch a foreign key. The stream must not go on.
        """
        needs_look = False
        size = pieces or max(1, len(data))
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            readings = [*_cut(self._unfinished + piece)]
            if self._unfinished:
                # A server that forgets what it has read cannot have private commands, too.
                readings += [one for one in _cut(piece) if one[0] in _ASSIGNED]
            for opcode, payload in readings:
                needs_look |= self._needs_look(opcode, payload)
            self._unfinished = _unfinished(self._unfinished + piece)
        return needs_look

    def _needs_look(self, opcode: int, payload: bytes) -> bool:
        needs_look = False
        if opcode not in _ASSIGNED | UNASSIGNED_OPCODES:
            raise ForeignKeyError(f"opcode {opcode:02x} may be a command that only its owner knows")
        for key in _written(opcode, payload):
            if key == EMPTY_KEY:
                needs_look = True
            elif not self._is_own(opcode, key):
                name = Opcode(opcode).name if opcode in _ASSIGNED else "no operation"
                raise ForeignKeyError(
                    f"opcode {opcode:02x} ({name}) could write the key {key[:40]!r}, which does "
                    f"not begin with {self._prefix!r}"
                )
        return needs_look

    def _is_own(self, opcode: int, key: bytes) -> bool:
        # The payload of an opcode without a meaning may be a key, or a length and a key.
        is_twofold = opcode in UNASSIGNED_OPCODES
        return key.startswith(self._prefix) or (is_twofold and key.startswith(self._prefix, 2))


def _cut(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """The requests in a stream, the last one as far as it is there."""
    start, is_behind_limit = 0, False
    while len(stream) - start >= HEADER_BYTES:
        begin = start + HEADER_BYTES
        length = int.from_bytes(stream[start + 1 : begin], "big")
        yield stream[start], stream[begin : begin + length]
        is_refused = length > PAYLOAD_BYTES_MAX and not is_behind_limit
        is_behind_limit |= is_refused
        start = begin if is_refused else begin + length


def _unfinished(stream: bytes) -> bytes:
    """What is left behind the last complete request of a stream."""
    start = 0
    while len(stream) - start >= HEADER_BYTES:
        begin = start + HEADER_BYTES
        end = begin + int.from_bytes(stream[start + 1 : begin], "big")
        if end > len(stream):
            break
        start = end
    return stream[start:]


def _written(opcode: int, payload: bytes) -> Iterator[bytes]:
    """Every key that a faulty server could write for a request."""
    if opcode in _READING:
        return
    request = Opcode(opcode).request if opcode in _ASSIGNED else RequestLayout.KEY
    if request in _BEFORE_KEYS:
        yield from _batch_keys(request, payload)
    elif request is RequestLayout.KEY:
        yield payload
    else:
        yield _sized_key(payload, 0)[0]


def _sized_key(payload: bytes, start: int) -> tuple[bytes, int]:
    """The key whose length is at ``start``, as far as it is there, and where it ends."""
    begin = start + 2
    end = begin + int.from_bytes(payload[start:begin], "big")
    return payload[begin:end], min(end, len(payload))


def _batch_keys(request: RequestLayout, payload: bytes) -> Iterator[bytes]:
    """The keys of a batch up to its last byte, or up to a value that is none."""
    count, place = int.from_bytes(payload[:2], "big"), _BEFORE_KEYS[request]
    while place < len(payload):
        key, place = _sized_key(payload, place)
        yield key
        count -= 1
        if request is RequestLayout.ENTRIES:
            place += 8
        if request is not RequestLayout.KEYS:
            place = _end_of_value(payload, place)
    if count > 0:
        yield EMPTY_KEY  # What a server finds that reads on behind the end.


def _end_of_value(payload: bytes, start: int) -> int:
    """Where a value ends by its tags and lengths, whatever it holds; the end when it is none."""
    size, place = len(payload), start
    # Of each List or Map that is open: the values that are still to come, and whether keys do, too.
    open_ones = [(1, False)]
    while open_ones and place < size:
        count, has_keys = open_ones.pop()
        if not count:
            continue
        open_ones.append((count - 1, has_keys))
        if has_keys:
            place = _sized_key(payload, place)[1]
        tag = payload[place] if place < size else -1
        place += 1
        if tag in _WIDTHS:
            place += _WIDTHS[Tag(tag)]
        elif tag in _LENGTH_BYTES:
            begin = place + _LENGTH_BYTES[Tag(tag)]
            place = begin + int.from_bytes(payload[place:begin], "big")
        elif tag in (Tag.LIST, Tag.MAP):
            open_ones.append((int.from_bytes(payload[place : place + 4], "big"), tag == Tag.MAP))
            place += 4
        else:
            return size
    return min(place, size)
