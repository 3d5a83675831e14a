"""Redis's protocol, RESP2: its commands as bytes, and its replies.

The commands are those of the adapter in backends/kvbench_backends/valkey.py: MGET, MSET and DEL
take many keys, and as EXISTS with several keys only counts, a batch of it is many commands.

Source: Redis serialization protocol specification, https://redis.io/docs/reference/protocol-spec.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from typing_extensions import override

from kvbench.errors import ProtocolError, UnsupportedError
from kvbench.load.calls import Call, Op
from kvbench.load.wire.prepared import Expected, Prepared
from kvbench.load.wire.replies import Dialect, ExpectedPool, Replies, portions

_DOLLAR, _STAR, _COLON, _PLUS, _MINUS = b"$*:+-"

BULK, ARRAY, NUMBER, STATUS = "bulk", "array", "number", "status"
_MARKS = {BULK: _DOLLAR, ARRAY: _STAR, NUMBER: _COLON, STATUS: _PLUS}

_SINGLE = {
    Op.GET: (b"GET", BULK),
    Op.SET: (b"SET", STATUS),
    Op.DELETE: (b"DEL", NUMBER),
    Op.EXISTS: (b"EXISTS", NUMBER),
}
_BATCH = {Op.GET: (b"MGET", ARRAY), Op.SET: (b"MSET", STATUS), Op.DELETE: (b"DEL", NUMBER)}

_ERROR_KIND = re.compile(rb"[A-Z][A-Z_]{0,31}(?![^ ])")


class RespReplies(Replies):
    """Reads RESP2."""

    @override
    def begin(self, expected: Expected) -> None:
        super().begin(expected)
        self._items = 0
        """Items of an array that are still to come."""

    @override
    def _scan(self, data: bytes | bytearray, bodies: list[tuple[int, int]] | None) -> None:
        due = _MARKS.get(self.expected.kind, 0)
        find, at, items, left = data.find, self._at, self._items, self._left
        while left:
            end = find(b"\r\n", at)
            if end < 0:
                break
            mark, after = data[at], end + 2
            if mark == _DOLLAR and (items or due == _DOLLAR):
                size = int(data[at + 1 : end])
                if size == -1:
                    self.misses += 1
                else:
                    after = self._end_of_body(data, end + 2, size)
                    if not after:
                        break
                    self.hits += 1
                    if bodies is not None:
                        bodies.append((end + 2, after - 2))
                items -= 1 if items else 0
            elif mark == _MINUS and not items:
                self._fail(error_kind(data[at + 1 : end]), data[at + 1 : end])
            elif mark != due or items:
                raise ProtocolError(f"reply {bytes(data[at : at + 40])!r} does not fit the request")
            elif mark != _PLUS:
                items = self._take_number(mark, int(data[at + 1 : end]))
            at = after
            left -= 0 if items else 1
        self._at, self._items, self._left = at, items, left

    def _take_number(self, mark: int, number: int) -> int:
        """Count a number of keys, or begin an array; returns how many items of it follow."""
        keys = self.expected.keys_per_request
        if mark == _STAR:
            if number != keys:
                raise ProtocolError(f"an array of {number} answers a request for {keys} keys")
            return number
        if not 0 <= number <= keys:
            raise ProtocolError(f"{number} keys answer a request for {keys}")
        self.hits += number
        self.misses += keys - number
        return 0


class RespDialect(Dialect):
    """A Redis or Valkey server.

    Args:
        user: for the login; empty for the default user.
        password: None for no login.
        database: its number.
        ttl_ms: TTL of each value that is stored; 0 for none.
    """

    def __init__(
        self, *, user: str = "", password: str | None = None, database: int = 0, ttl_ms: int = 0
    ) -> None:
        self._login: list[bytes] = []
        if password is not None:
            self._login = [b"AUTH", *[word.encode() for word in (user, password) if word]]
        self._database = database
        self._ttl = [b"PX", b"%d" % ttl_ms] if ttl_ms else []
        self._pool = ExpectedPool()

    @override
    def greeting(self) -> Prepared:
        commands = [self._login] if self._login else []
        if self._database:
            commands.append([b"SELECT", b"%d" % self._database])
        commands.append([b"PING"])
        data = b"".join(map(command, commands))
        return Prepared(data, Expected(STATUS, len(commands), 0))

    @override
    def replies(self) -> Replies:
        return RespReplies()

    @override
    def prepare(self, call: Call, batch_size: int) -> Prepared:
        names = [key.encode() for key in call.keys]
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
        if op is Op.EXISTS:
            batch_size = 1
        if op is Op.SET and batch_size > 1 and self._ttl:
            raise UnsupportedError(
                "MSET has no TTL: load a Redis with single sets (--batch-size 1), or without a TTL"
            )
        word, kind = (_BATCH if batch_size > 1 else _SINGLE)[op]
        parts = []
        for portion in portions(names, batch_size):
            words = [word]
            if op is Op.SET:
                for name, value in zip(names[portion], values[portion], strict=True):
                    words += (name, value)
                words += self._ttl
            else:
                words += names[portion]
            parts.append(command(words))
        expected = self._pool.get(kind, len(parts), batch_size, then is not None)
        return Prepared(b"".join(parts), expected, then)


def command(words: Sequence[bytes]) -> bytes:
    """A command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def error_kind(line: bytes | bytearray) -> str:
    """The first word of an error, if it is a code: ``OOM``, ``LOADING``; otherwise ``ERR``."""
    match = _ERROR_KIND.match(line)
    return match[0].decode("ascii") if match else "ERR"
