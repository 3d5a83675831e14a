"""kvbench's wire protocol: requests by the project's codec, and replies read only as far as needed.

Values are ``bytes`` with their tag; they are not decoded, since the driver measures the server and
not a client. The namespace of the URL is a prefix of each key.
"""

from __future__ import annotations

import struct

from typing_extensions import override

from kvbench.errors import ProtocolError
from kvbench.load.calls import Call, Op
from kvbench.load.wire.prepared import Expected, Prepared
from kvbench.load.wire.replies import Dialect, ExpectedPool, Replies, portions
from kvbench.protocol.check import skip_value
from kvbench.protocol.frames import HEADER_BYTES
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Opcode, ReplyLayout, Status, Tag
from kvbench.protocol.requests import (
    empty_request,
    key_request,
    keys_request,
    mset_request,
    set_request,
)

_unpack_header = struct.Struct(">BI").unpack_from
_unpack_u32 = struct.Struct(">I").unpack_from
_FAILURES = {Status.ERROR, Status.INVALID}

_SINGLE = {
    Op.GET: Opcode.GET,
    Op.SET: Opcode.SET,
    Op.DELETE: Opcode.DEL,
    Op.EXISTS: Opcode.EXISTS,
}
_BATCH = {
    Op.GET: Opcode.MGET,
    Op.SET: Opcode.MSET,
    Op.DELETE: Opcode.MDEL,
    Op.EXISTS: Opcode.MEXISTS,
}


class KvbReplies(Replies):
    """Reads the frames of responses."""

    @override
    def _scan(self, data: bytes | bytearray, bodies: list[tuple[int, int]] | None) -> None:
        kind = self.expected.kind
        while self._left:
            start = self._at + HEADER_BYTES
            if start > len(data):
                return
            status, size = _unpack_header(data, self._at)
            end = start + size
            if size > PAYLOAD_BYTES_MAX:
                raise ProtocolError(f"a payload of {size} bytes")
            if end > len(data):
                self._needed = end
                return
            if status == Status.OK:
                self._count(data, start, end, bodies)
            elif status == Status.NULL and kind == ReplyLayout.VALUE.name and not size:
                self.misses += 1
            elif status in _FAILURES:
                self._fail(Status(status).name, data[start:end])
            else:
                raise ProtocolError(f"status {status} does not fit the request")
            self._at = end
            self._left -= 1

    def _count(
        self, data: bytes | bytearray, start: int, end: int, bodies: list[tuple[int, int]] | None
    ) -> None:
        """Count the keys in the payload of an OK response."""
        kind, keys, size = self.expected.kind, self.expected.keys_per_request, end - start
        if kind == ReplyLayout.VALUE.name and size:
            self.hits += 1
            if bodies is not None:
                bodies.append((start, end))
        elif kind == ReplyLayout.VALUES.name:
            self._count_values(data, start, end, bodies)
        elif kind == ReplyLayout.FLAG.name and size == 1:
            self._count_flags(data[start:end], 1)
        elif kind == ReplyLayout.FLAGS.name and data[start : start + 2] == keys.to_bytes(2, "big"):
            self._count_flags(data[start + 2 : end], keys)
        elif kind == ReplyLayout.COUNT.name and size == 4 and _unpack_u32(data, start)[0] <= keys:
            found = _unpack_u32(data, start)[0]
            self.hits += found
            self.misses += keys - found
        elif not (kind == ReplyLayout.EMPTY.name and not size) and kind != ReplyLayout.TEXT.name:
            raise ProtocolError(f"a payload of {size} bytes does not fit the request")

    def _count_flags(self, flags: bytes | bytearray, keys: int) -> None:
        found = flags.count(1)
        if len(flags) != keys or found + flags.count(0) != keys:
            raise ProtocolError(f"{len(flags)} flags answer a request for {keys} keys")
        self.hits += found
        self.misses += keys - found

    def _count_values(
        self, data: bytes | bytearray, start: int, end: int, bodies: list[tuple[int, int]] | None
    ) -> None:
        keys, at = self.expected.keys_per_request, start + 2
        if data[start:at] != keys.to_bytes(2, "big"):
            raise ProtocolError(f"the reply counts other values than {keys}")
        for _ in range(keys):
            tag = data[at] if at < end else -1
            if tag == Tag.BYTES and at + 5 <= end:
                after = at + 5 + _unpack_u32(data, at + 1)[0]
                self.hits += 1
                if bodies is not None and after <= end:
                    bodies.append((at + 5, after))
                at = after
            elif tag == Tag.NULL:
                self.misses += 1
                at += 1
            else:
                at += skip_value(bytes(data[at:end]), 0)
                self.hits += 1
            if at > end:
                break
        if at != end:
            raise ProtocolError("the values do not end where the payload does")


class KvbDialect(Dialect):
    """A server of the wire protocol.

    Args:
        prefix: of each key: the namespace with its colon, or empty.
        ttl_ms: TTL of each value that is stored; 0 for none.
    """

    def __init__(self, *, prefix: bytes = b"", ttl_ms: int = 0) -> None:
        self._prefix = prefix
        self._ttl_ms = ttl_ms
        self._pool = ExpectedPool()

    @override
    def greeting(self) -> Prepared:
        return Prepared(empty_request(Opcode.PING), Expected(ReplyLayout.TEXT.name, 1, 0))

    @override
    def replies(self) -> Replies:
        return KvbReplies()

    @override
    def prepare(self, call: Call, batch_size: int) -> Prepared:
        if call.op is not Op.READ_MODIFY_WRITE:
            return self._step(call.op, call, batch_size, None)
        return self._step(Op.GET, call, batch_size, self._step(Op.SET, call, batch_size, None))

    def _step(self, op: Op, call: Call, batch_size: int, then: Prepared | None) -> Prepared:
        parts = []
        opcode = (_BATCH if batch_size > 1 else _SINGLE)[op]
        for portion in portions(call.keys, batch_size):
            keys = call.keys[portion]
            if op is Op.SET:
                pairs: list[tuple[str, object]] = [*zip(keys, call.values[portion], strict=True)]
                if batch_size > 1:
                    parts.append(mset_request(self._prefix, pairs, self._ttl_ms))
                else:
                    parts.append(set_request(opcode, self._prefix, *pairs[0], self._ttl_ms))
            elif batch_size > 1:
                parts.append(keys_request(opcode, self._prefix, keys))
            else:
                parts.append(key_request(opcode, self._prefix, keys[0]))
        expected = self._pool.get(opcode.reply.name, len(parts), batch_size, then is not None)
        return Prepared(b"".join(parts), expected, then)
