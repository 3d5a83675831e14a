"""memcached's text protocol: the commands of the adapter as bytes, and their replies.

As in backends/kvbench_backends/memcached.py: single keys are read by meta get (``mg KEY v``), many
by ``get KEY KEY...``; of all other operations a batch is many commands in one flush.

Source: doc/protocol.txt of memcached 1.6.
"""

from __future__ import annotations

import re

from typing_extensions import override

from kvbench.errors import ProtocolError, UsageError
from kvbench.load.calls import Call, Op
from kvbench.load.wire.prepared import Expected, Prepared
from kvbench.load.wire.replies import Dialect, ExpectedPool, Replies, portions

META, GET, EXISTS, SET, DELETE, VERSION = "meta", "get", "exists", "set", "delete", "version"

KEY_BYTES_MAX = 250
RELATIVE_S_MAX = 30 * 86_400
"""memcached reads larger expiry times as dates."""

_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f]")

_ENDS = {
    (META, b"EN"): (0, 1),
    (EXISTS, b"HD"): (1, 0),
    (EXISTS, b"EN"): (0, 1),
    (SET, b"STORED"): (0, 0),
    (DELETE, b"DELETED"): (1, 0),
    (DELETE, b"NOT_FOUND"): (0, 1),
    (VERSION, b"VERSION"): (0, 0),
}
"""Replies of one line by their first word: hits and misses."""

_OUT_OF_STEP = (b"ERROR", b"CLIENT_ERROR")
"""After these memcached may read the rest of a command as another one."""


class MemcachedReplies(Replies):
    """Reads memcached's text and meta replies."""

    @override
    def begin(self, expected: Expected) -> None:
        super().begin(expected)
        self._found = 0
        """Values of the current ``get`` so far."""

    @override
    def _scan(self, data: bytes | bytearray, bodies: list[tuple[int, int]] | None) -> None:
        kind = self.expected.kind
        value, size_field = (b"VALUE", 3) if kind == GET else (b"VA", 1)
        while self._left:
            end = data.find(b"\r\n", self._at)
            if end < 0:
                return
            words = bytes(data[self._at : end]).split()
            first = words[0] if words else b""
            if first == value and kind in (GET, META) and len(words) > size_field:
                after = self._end_of_body(data, end + 2, int(words[size_field]))
                if not after:
                    return
                if bodies is not None:
                    bodies.append((end + 2, after - 2))
                self._at = after
                self.hits += 1
                if kind == GET:
                    self._found += 1
                else:
                    self._left -= 1
            else:
                self._at = end + 2
                self._end_reply(first, b" ".join(words))
                if self.must_close:
                    self._at = len(data)

    def _end_reply(self, first: bytes, line: bytes) -> None:
        """Count a line that ends a reply."""
        kind, keys = self.expected.kind, self.expected.keys_per_request
        if kind == GET and first == b"END":
            if self._found > keys:
                raise ProtocolError(f"{self._found} values answer a request for {keys} keys")
            self.misses += keys - self._found
        elif (kind, first) in _ENDS:
            hits, misses = _ENDS[kind, first]
            self.hits += hits
            self.misses += misses
        elif first in _OUT_OF_STEP:
            for _ in range(self._left):
                self._fail(first.decode(), line)
            self.must_close = True
            self._left = 1
        elif first in (b"SERVER_ERROR", b"NOT_STORED", b"NS"):
            self.hits -= self._found
            self._fail(first.decode(), line)
        else:
            raise ProtocolError(f"reply {first[:40]!r} does not fit the request")
        self._found = 0
        self._left -= 1


class MemcachedDialect(Dialect):
    """A memcached server.

    Args:
        ttl_ms: TTL of each value that is stored, rounded up to whole seconds plus one, as the
            server's clock goes in steps; 0 for none.

    Raises:
        UsageError: the TTL is longer than 30 days, which memcached reads as a date.
    """

    def __init__(self, *, ttl_ms: int = 0) -> None:
        self._expiry_s = -(-ttl_ms // 1000) + 1 if ttl_ms else 0
        if self._expiry_s > RELATIVE_S_MAX:
            raise UsageError("a TTL of a load run on memcached is at most 30 days")
        self._pool = ExpectedPool()

    @override
    def greeting(self) -> Prepared:
        return Prepared(b"version\r\n", Expected(VERSION, 1, 0))

    @override
    def replies(self) -> Replies:
        return MemcachedReplies()

    @override
    def prepare(self, call: Call, batch_size: int) -> Prepared:
        names = list(map(encode_key, call.keys))
        if call.op is not Op.READ_MODIFY_WRITE:
            return self._step(call.op, names, call.values, batch_size, None)
        second = self._step(Op.SET, names, call.values, batch_size, None)
        return self._step(Op.GET, names, call.values, batch_size, second)

    def _step(
        self,
        op: Op,
        names: list[bytes],
        values: list[bytes],
        batch_size: int,
        then: Prepared | None,
    ) -> Prepared:
        kind, keys_per_request = str(op), 1
        if op is Op.GET and batch_size > 1:
            keys_per_request = batch_size
            parts = [
                b"get %b\r\n" % b" ".join(names[portion]) for portion in portions(names, batch_size)
            ]
        elif op is Op.GET:
            kind, parts = META, [b"mg %b v\r\n" % name for name in names]
        elif op is Op.SET:
            parts = [
                b"set %b 0 %d %d\r\n%b\r\n" % (name, self._expiry_s, len(value), value)
                for name, value in zip(names, values, strict=True)
            ]
        elif op is Op.DELETE:
            parts = [b"delete %b\r\n" % name for name in names]
        else:
            parts = [b"mg %b\r\n" % name for name in names]
        expected = self._pool.get(kind, len(parts), keys_per_request, then is not None)
        return Prepared(b"".join(parts), expected, then)


def encode_key(key: str) -> bytes:
    """A key as memcached takes it.

    Raises:
        ValueError: it is empty, over 250 bytes, or holds a space or a control character.
    """
    name = key.encode()
    if not 1 <= len(name) <= KEY_BYTES_MAX or _FORBIDDEN.search(name):
        raise ValueError(
            f"key {key[:40]!r}: memcached takes 1 to {KEY_BYTES_MAX} bytes without spaces and "
            "control characters"
        )
    return name
