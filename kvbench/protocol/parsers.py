"""Parsing of requests in steps, and their shared fields.

A request may have 64 MiB: to avoid blocking, run one of these parsers in small steps.
``requests.parse_*`` runs them to the end. Each accepts a payload only if its last byte is the last
byte of the layout (FRAME-004), which is known when it has finished: do not use its results before.
Compiled by mypyc if there is a C compiler.
"""

import struct
from typing import Final

from kvbench.errors import ProtocolError
from kvbench.model import KEY_BYTES_MAX
from kvbench.protocol.check import ValueCheck, skip_short_value
from kvbench.protocol.layout import BYTES_PER_STEP, TEXT_PIECE_BYTES, check_utf8, read_u16
from kvbench.protocol.opcodes import TTL_MS_MAX

_unpack_u64: Final = struct.Struct(">Q").unpack_from
_KEY_BYTES_MAX: Final = 256
_TTL_MS_MAX: Final = 3_155_760_000_000
# Literals are C constants in the compiled loops.
assert (_KEY_BYTES_MAX, _TTL_MS_MAX) == (KEY_BYTES_MAX, TTL_MS_MAX)


class KeysParser:
    """MGET, MDEL, MEXISTS: a count, then the keys.

    Attributes:
        keys: in request order; complete once :meth:`advance` has returned True.

    Raises:
        ProtocolError: the payload does not follow the layout; also raised by :meth:`advance`.
    """

    def __init__(self, payload: bytes) -> None:
        self.keys: list[bytes] = []
        self._payload = payload
        self._count = read_u16(payload, 0)
        self._offset = 2
        # Without the count, whose bytes are not text.
        self._is_ascii = len(payload) <= TEXT_PIECE_BYTES and payload[2:].isascii()

    def advance(self, steps: int) -> bool:
        """Parse up to ``steps`` more keys; returns whether all is done."""
        payload = self._payload
        size = len(payload)
        keys = self.keys
        offset = self._offset
        is_ascii = self._is_ascii
        for _ in range(min(steps, self._count - len(keys))):
            begin = offset + 2
            if begin > size:
                raise ProtocolError(f"truncated: {self._count} keys declared, {len(keys)} there")
            length = (payload[offset] << 8) | payload[offset + 1]
            offset = begin + length
            if offset > size or length == 0 or length > _KEY_BYTES_MAX:
                refuse_key(length, size - begin)
            key = payload[begin:offset]
            if not is_ascii:
                check_utf8(key)
            keys.append(key)
        self._offset = offset
        if len(keys) < self._count:
            return False
        check_end(payload, offset)
        return True


class ValuesParser:
    """SET, SETNX, CAS: key, TTL, then a fixed number of values.

    Attributes:
        key: the key.
        ttl_ms: the TTL.
        values: in bytes; complete once :meth:`advance` has returned True.
        checks: the completed check of each of them.

    Raises:
        ProtocolError: the payload does not follow the layout; also raised by :meth:`advance`.
    """

    def __init__(self, payload: bytes, count: int) -> None:
        self.key, offset = take_key(payload, 0)
        self.ttl_ms, offset = take_ttl(payload, offset)
        self.values: list[bytes] = []
        self.checks: list[ValueCheck] = [ValueCheck(payload, offset)]
        self._payload = payload
        self._begin = offset
        self._count = count

    def advance(self, steps: int) -> bool:
        """Continue for about ``steps`` small values; returns whether all is done."""
        check = self.checks[-1]
        while check.advance(steps):
            if len(self.checks) == self._count:
                check_end(self._payload, check.end)
            self.values.append(self._payload[self._begin : check.end])
            if len(self.values) == self._count:
                return True
            self._begin = check.end
            check = ValueCheck(self._payload, self._begin)
            self.checks.append(check)
        return False


class PairsParser:
    """MSET: a count, a TTL, then keys with values.

    Attributes:
        ttl_ms: the TTL of all pairs.
        items: values by key; the last pair of a key wins; complete once :meth:`advance` has
            returned True.

    Raises:
        ProtocolError: the payload does not follow the layout; also raised by :meth:`advance`.
    """

    def __init__(self, payload: bytes) -> None:
        self.items: dict[bytes, bytes] = {}
        self._count = read_u16(payload, 0)
        self.ttl_ms, self._offset = take_ttl(payload, 2)
        self._payload = payload
        self._left = self._count
        # Without count and TTL, whose bytes are not text.
        self._is_ascii = len(payload) <= TEXT_PIECE_BYTES and payload[10:].isascii()
        self._key = b""
        self._check = ValueCheck(payload, 0)
        self._in_value = False

    def advance(self, steps: int) -> bool:
        """Continue for about ``steps`` small pairs; returns whether all is done."""
        payload = self._payload
        size = len(payload)
        items = self.items
        offset = self._offset
        left = self._left
        is_ascii = self._is_ascii
        key = self._key
        check = self._check
        while steps > 0:
            if not self._in_value:
                if left == 0:
                    break
                begin = offset + 2
                if begin > size:
                    raise ProtocolError(
                        f"truncated: {self._count} pairs declared, the data ends before"
                    )
                length = (payload[offset] << 8) | payload[offset + 1]
                offset = begin + length
                if offset > size or length == 0 or length > _KEY_BYTES_MAX:
                    refuse_key(length, size - begin)
                key = payload[begin:offset]
                if not is_ascii:
                    check_utf8(key)
                end = skip_short_value(payload, offset)
                if end == 0:
                    check.restart(offset)
                    self._in_value = True
                    continue
            else:
                if not check.advance(steps):
                    break
                end = check.end
                self._in_value = False
            items[key] = payload[offset:end]
            steps -= 1 + (end - offset) // BYTES_PER_STEP
            offset = end
            left -= 1
        self._offset = offset
        self._left = left
        self._key = key
        if left > 0:
            return False
        check_end(payload, offset)
        return True


class EntriesParser:
    """MSETEX: a count, then key, TTL and value for each entry.

    Attributes:
        entries: key, value and TTL in request order; complete once :meth:`advance` is True.

    Raises:
        ProtocolError: the payload does not follow the layout; also raised by :meth:`advance`.
    """

    def __init__(self, payload: bytes) -> None:
        self.entries: list[tuple[bytes, bytes, int]] = []
        self._count = read_u16(payload, 0)
        self._payload = payload
        self._offset = 2
        self._key = b""
        self._ttl_ms = 0
        self._check = ValueCheck(payload, 0)
        self._in_value = False

    def advance(self, steps: int) -> bool:
        """Continue for about ``steps`` small entries; returns whether all is done."""
        payload = self._payload
        offset = self._offset
        check = self._check
        while steps > 0:
            if not self._in_value:
                if len(self.entries) == self._count:
                    break
                self._key, offset = take_key(payload, offset)
                self._ttl_ms, offset = take_ttl(payload, offset)
                end = skip_short_value(payload, offset)
                if end == 0:
                    check.restart(offset)
                    self._in_value = True
                    continue
            else:
                if not check.advance(steps):
                    break
                end = check.end
                self._in_value = False
            self.entries.append((self._key, payload[offset:end], self._ttl_ms))
            steps -= 1 + (end - offset) // BYTES_PER_STEP
            offset = end
        self._offset = offset
        if len(self.entries) < self._count:
            return False
        check_end(payload, offset)
        return True


# --- Fields ----------------------------------------------------------------------------------


def take_key(payload: bytes, start: int) -> tuple[bytes, int]:
    """The sized key at ``start``, and the offset after it."""
    length = read_u16(payload, start)
    end = start + 2 + length
    if end > len(payload):
        refuse_key(length, len(payload) - start - 2)
    key = payload[start + 2 : end]
    check_key(key)
    return key, end


def take_owner(payload: bytes, start: int) -> tuple[bytes, int]:
    """The sized owner of a lock at ``start``, and the offset after it."""
    end = start + 2 + read_u16(payload, start)
    if end > len(payload):
        raise ProtocolError("truncated: the owner is cut off")
    owner = payload[start + 2 : end]
    if not owner:
        raise ProtocolError("a lock's owner cannot be empty")
    check_utf8(owner)
    return owner, end


def take_ttl(payload: bytes, start: int) -> tuple[int, int]:
    """The TTL in ms at ``start``, and the offset after it."""
    if start + 8 > len(payload):
        raise ProtocolError("truncated: a TTL is cut off")
    ttl_ms: int = _unpack_u64(payload, start)[0]
    if ttl_ms > _TTL_MS_MAX:
        raise ProtocolError(f"a TTL has up to {TTL_MS_MAX} ms (100 years), not {ttl_ms}")
    return ttl_ms, start + 8


def check_key(key: bytes) -> None:
    """ProtocolError unless ``key`` is 1 to 256 bytes of UTF-8."""
    if not 1 <= len(key) <= _KEY_BYTES_MAX:
        refuse_key(len(key), len(key))
    check_utf8(key)


def refuse_key(length: int, available: int) -> None:
    """Raise ProtocolError for a key of ``length`` bytes if only ``available`` are left."""
    if 1 <= length <= _KEY_BYTES_MAX:
        raise ProtocolError(f"truncated: a key of {length} bytes declared, {available} there")
    raise ProtocolError(f"a key has 1 to {KEY_BYTES_MAX} bytes, not {length}")


def check_end(payload: bytes, end: int) -> None:
    """ProtocolError unless the payload ends at ``end``."""
    if len(payload) > end:
        raise ProtocolError(f"{len(payload) - end} bytes follow the end of the message")
    if len(payload) < end:
        raise ProtocolError(f"truncated: {end - len(payload)} bytes are missing")
