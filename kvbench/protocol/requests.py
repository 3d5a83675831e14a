"""Requests: encoding by a client and parsing by a server, side by side for each layout.

``*_request`` functions return a whole frame, ready to send. ``parse_*`` functions take a frame's
payload and accept it only if its last byte is the last byte of the layout (FRAME-004). Parsed keys
and values are the received bytes: a server stores them unchanged (values with their tag).

An invalid argument (a key too long, a value of an unknown type) raises TypeError or ValueError with
the key's name; invalid bytes raise ProtocolError. Compiled by mypyc if there is a C compiler.
"""

import struct
from typing import Final

from kvbench.errors import ProtocolError
from kvbench.model import KEY_BYTES_MAX
from kvbench.protocol.check import skip_value
from kvbench.protocol.encode import encode_value
from kvbench.protocol.frames import frame
from kvbench.protocol.layout import ALL_STEPS, check_utf8, read_u16
from kvbench.protocol.opcodes import BATCH_KEYS_MAX, TTL_MS_MAX, Opcode
from kvbench.protocol.parsers import (
    EntriesParser,
    KeysParser,
    PairsParser,
    check_end,
    check_key,
    take_key,
    take_owner,
    take_ttl,
)

_pack_u16: Final = struct.Struct(">H").pack
_pack_u64: Final = struct.Struct(">Q").pack
_pack_i64: Final = struct.Struct(">q").pack
_unpack_i64: Final = struct.Struct(">q").unpack_from
_KEY_LENGTHS: Final = [_pack_u16(size) for size in range(KEY_BYTES_MAX + 1)]
_KEY_BYTES_MAX: Final = 256
_TTL_MS_MAX: Final = 3_155_760_000_000
# Literals are C constants in the compiled loops.
assert (_KEY_BYTES_MAX, _TTL_MS_MAX) == (KEY_BYTES_MAX, TTL_MS_MAX)


# --- Encoding: the client's side -------------------------------------------------------------


def encode_key(prefix: bytes, key: str) -> bytes:
    """An encoded key, after the namespace's prefix (with its colon).

    Raises:
        TypeError: ``key`` is not a ``str``.
        ValueError: ``key`` is empty, contains a lone surrogate, or is longer than 256 bytes with
            its prefix.
    """
    if not isinstance(key, str):
        raise TypeError(f"a key must be a str, not {type(key).__name__}: {key!r}")
    try:
        name = prefix + key.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"key {key!r} is not valid Unicode: it holds a lone surrogate") from None
    if len(name) > _KEY_BYTES_MAX:
        with_prefix = " with its namespace" if prefix else ""
        raise ValueError(
            f"key {key[:40]!r} has {len(name)} bytes{with_prefix}, more than {KEY_BYTES_MAX}"
        )
    if not key:
        raise ValueError("a key cannot be empty")
    return name


def empty_request(opcode: int) -> bytes:
    """PING, INFO: only the opcode."""
    return frame(opcode, b"")


def key_request(opcode: int, prefix: bytes, key: str) -> bytes:
    """GET, DEL, EXISTS, TTL: the key is the whole payload."""
    return frame(opcode, encode_key(prefix, key))


def keys_request(opcode: int, prefix: bytes, keys: list[str]) -> bytes:
    """MGET, MDEL, MEXISTS: a count, then the keys."""
    parts: list[bytes] = [_batch_count(len(keys))]
    for key in keys:
        name = encode_key(prefix, key)
        parts.append(_KEY_LENGTHS[len(name)])
        parts.append(name)
    return frame(opcode, b"".join(parts))


def set_request(opcode: int, prefix: bytes, key: str, value: object, ttl_ms: int) -> bytes:
    """SET, SETNX: key, TTL in ms (0 = none), value."""
    head = _sized_key(prefix, key) + _ttl_field(ttl_ms)
    return frame(opcode, head + _encode_named(key, value))


def counter_request(opcode: int, prefix: bytes, key: str, delta: object) -> bytes:
    """INCR, DECR: key and an i64: an ``int``, not a ``bool``."""
    # Typed as int, a compiled argument would no longer show that it was a bool.
    if isinstance(delta, bool) or not isinstance(delta, int):
        raise TypeError(f"delta of key {key!r} must be an int, not {type(delta).__name__}")
    if not -0x8000_0000_0000_0000 <= delta <= 0x7FFF_FFFF_FFFF_FFFF:
        raise ValueError(f"delta of key {key!r} must fit in 64 bits with a sign")
    change: bytes = _pack_i64(delta)
    return frame(opcode, _sized_key(prefix, key) + change)


def cas_request(prefix: bytes, key: str, expected: object, new: object, ttl_ms: int) -> bytes:
    """CAS: key, TTL in ms (0 = keep), expected value, new value."""
    head = _sized_key(prefix, key) + _ttl_field(ttl_ms)
    return frame(Opcode.CAS, head + _encode_named(key, expected) + _encode_named(key, new))


def lock_request(opcode: int, prefix: bytes, key: str, owner: str, ttl_ms: int) -> bytes:
    """LOCK, EXTEND: key, owner, TTL in ms (at least 1)."""
    return frame(opcode, _sized_key(prefix, key) + _sized_owner(owner) + _ttl_field(ttl_ms))


def unlock_request(prefix: bytes, key: str, owner: str) -> bytes:
    """UNLOCK: key and owner."""
    return frame(Opcode.UNLOCK, _sized_key(prefix, key) + _sized_owner(owner))


def mset_request(prefix: bytes, pairs: list[tuple[str, object]], ttl_ms: int) -> bytes:
    """MSET: a count, one TTL in ms for all (0 = none), then keys with values."""
    parts: list[bytes] = [_batch_count(len(pairs)), _ttl_field(ttl_ms)]
    for key, value in pairs:
        name = encode_key(prefix, key)
        parts.append(_KEY_LENGTHS[len(name)])
        parts.append(name)
        parts.append(_encode_named(key, value))
    return frame(Opcode.MSET, b"".join(parts))


def msetex_request(prefix: bytes, entries: list[tuple[str, object, int]]) -> bytes:
    """MSETEX: a count, then key, TTL in ms (0 = none) and value for each entry."""
    parts: list[bytes] = [_batch_count(len(entries))]
    for key, value, ttl_ms in entries:
        parts.append(_sized_key(prefix, key))
        parts.append(_ttl_field(ttl_ms))
        parts.append(_encode_named(key, value))
    return frame(Opcode.MSETEX, b"".join(parts))


def expire_request(prefix: bytes, key: str, ttl_ms: int) -> bytes:
    """EXPIRE: key and TTL in ms (0 removes the TTL)."""
    return frame(Opcode.EXPIRE, _sized_key(prefix, key) + _ttl_field(ttl_ms))


def hello_payload(version: int, capabilities: list[str]) -> bytes:
    """HELLO, in both directions: version, then a counted list of sized ASCII names."""
    parts: list[bytes] = [_pack_u16(version), _pack_u16(len(capabilities))]
    for capability in capabilities:
        name = capability.encode("utf-8")
        parts.append(_pack_u16(len(name)))
        parts.append(name)
    return b"".join(parts)


def _encode_named(key: str, value: object) -> bytes:
    """A value's bytes; errors name its key."""
    try:
        return encode_value(value)
    except UnicodeEncodeError:
        raise ValueError(f"value of key {key!r}: it holds a lone surrogate") from None
    except ValueError as error:
        raise ValueError(f"value of key {key!r}: {error}") from None
    except TypeError as error:
        raise TypeError(f"value of key {key!r}: {error}") from None


def _sized_key(prefix: bytes, key: str) -> bytes:
    name = encode_key(prefix, key)
    return _KEY_LENGTHS[len(name)] + name


def _sized_owner(owner: str) -> bytes:
    if not isinstance(owner, str):
        raise TypeError(f"a lock's owner must be a str, not {type(owner).__name__}")
    try:
        name = owner.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"a lock's owner holds a lone surrogate: {owner!r}") from None
    if not 1 <= len(name) <= 0xFFFF:
        raise ValueError(f"a lock's owner has 1 to 65,535 bytes of UTF-8, not {len(name)}")
    size: bytes = _pack_u16(len(name))
    return size + name


def _batch_count(count: int) -> bytes:
    if count > BATCH_KEYS_MAX:
        raise ValueError(f"one request holds up to {BATCH_KEYS_MAX} keys, not {count}")
    packed: bytes = _pack_u16(count)
    return packed


def _ttl_field(ttl_ms: int) -> bytes:
    if not 0 <= ttl_ms <= _TTL_MS_MAX:
        raise ValueError(f"a TTL has 0 to {TTL_MS_MAX} ms (100 years), not {ttl_ms}")
    packed: bytes = _pack_u64(ttl_ms)
    return packed


# --- Parsing: the server's side --------------------------------------------------------------


def parse_empty(payload: bytes) -> None:
    """PING, INFO."""
    check_end(payload, 0)


def parse_key(payload: bytes) -> bytes:
    """GET, DEL, EXISTS, TTL: the key."""
    check_key(payload)
    return payload


def parse_keys(payload: bytes) -> list[bytes]:
    """MGET, MDEL, MEXISTS: the keys in request order."""
    parser = KeysParser(payload)
    parser.advance(ALL_STEPS)
    return parser.keys


def parse_set(payload: bytes) -> tuple[bytes, int, bytes]:
    """SET, SETNX: key, TTL in ms, value."""
    key, offset = take_key(payload, 0)
    ttl_ms, offset = take_ttl(payload, offset)
    check_end(payload, skip_value(payload, offset))
    return key, ttl_ms, payload[offset:]


def parse_counter(payload: bytes) -> tuple[bytes, int]:
    """INCR, DECR: key and delta."""
    key, offset = take_key(payload, 0)
    check_end(payload, offset + 8)
    delta: int = _unpack_i64(payload, offset)[0]
    return key, delta


def parse_cas(payload: bytes) -> tuple[bytes, int, bytes, bytes]:
    """CAS: key, TTL in ms, expected value, new value."""
    key, offset = take_key(payload, 0)
    ttl_ms, offset = take_ttl(payload, offset)
    middle = skip_value(payload, offset)
    check_end(payload, skip_value(payload, middle))
    return key, ttl_ms, payload[offset:middle], payload[middle:]


def parse_lock(payload: bytes) -> tuple[bytes, bytes, int]:
    """LOCK, EXTEND: key, owner, TTL in ms."""
    key, offset = take_key(payload, 0)
    owner, offset = take_owner(payload, offset)
    ttl_ms, offset = take_ttl(payload, offset)
    check_end(payload, offset)
    if ttl_ms == 0:
        raise ProtocolError("a lock needs a TTL of at least 1 ms")
    return key, owner, ttl_ms


def parse_unlock(payload: bytes) -> tuple[bytes, bytes]:
    """UNLOCK: key and owner."""
    key, offset = take_key(payload, 0)
    owner, offset = take_owner(payload, offset)
    check_end(payload, offset)
    return key, owner


def parse_mset(payload: bytes) -> tuple[int, dict[bytes, bytes]]:
    """MSET: TTL in ms, and values by key; the last pair of a key wins."""
    parser = PairsParser(payload)
    parser.advance(ALL_STEPS)
    return parser.ttl_ms, parser.items


def parse_msetex(payload: bytes) -> list[tuple[bytes, bytes, int]]:
    """MSETEX: key, value and TTL in ms for each entry, in request order."""
    parser = EntriesParser(payload)
    parser.advance(ALL_STEPS)
    return parser.entries


def parse_expire(payload: bytes) -> tuple[bytes, int]:
    """EXPIRE: key and TTL in ms."""
    key, offset = take_key(payload, 0)
    ttl_ms, offset = take_ttl(payload, offset)
    check_end(payload, offset)
    return key, ttl_ms


def parse_hello(payload: bytes) -> tuple[int, list[str]]:
    """HELLO, in both directions: version and capabilities."""
    version = read_u16(payload, 0)
    count = read_u16(payload, 2)
    offset = 4
    capabilities: list[str] = []
    for _ in range(count):
        begin = offset + 2
        offset = begin + read_u16(payload, offset)
        if offset > len(payload):
            raise ProtocolError("truncated: a capability is cut off")
        check_utf8(payload[begin:offset])
        capabilities.append(payload[begin:offset].decode("utf-8"))
    check_end(payload, offset)
    return version, capabilities
