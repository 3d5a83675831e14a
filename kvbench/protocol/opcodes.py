"""Numbers of the wire protocol: opcodes, statuses, value tags and limits.

The tables of specs/wire-protocol.md as enums. Codes 0x01-0x10 belong to the family and keep its
meaning; 0x11-0x17 belong to later members of the family and are never assigned here; our own
extensions start at 0x40 and are announced by HELLO.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

PROTOCOL_VERSION: Final = 1
"""The version that HELLO exchanges."""

DEFAULT_PORT: Final = 16380
"""The family's port."""

BATCH_KEYS_MAX: Final = 65_535
"""Keys in one batch request: the count is a u16. Clients split longer batches (BATCH-006)."""

PAYLOAD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest payload that a server or client accepts unless told otherwise (LIMIT-001)."""

TTL_MS_MAX: Final = 3_155_760_000_000
"""Longest TTL: 100 years of 365.25 days. It keeps deadlines inside i64 nanoseconds (TTL-006)."""


class Opcode(IntEnum):
    """First byte of a request."""

    GET = 0x01
    SET = 0x02
    DEL = 0x03
    EXISTS = 0x04
    INCR = 0x05
    DECR = 0x06
    CAS = 0x07
    PING = 0x08
    INFO = 0x09
    SETNX = 0x0A
    LOCK = 0x0B
    UNLOCK = 0x0C
    EXTEND = 0x0D
    MGET = 0x0E
    MSET = 0x0F
    MDEL = 0x10
    HELLO = 0x40
    MEXISTS = 0x42
    MSETEX = 0x43
    EXPIRE = 0x44
    TTL = 0x45


class Status(IntEnum):
    """First byte of a response."""

    OK = 0x00
    NULL = 0x01
    ERROR = 0x02
    """Well-formed, but refused or failed. The payload is a message."""
    INVALID = 0x03
    """Malformed or unknown. The payload is a message."""
    CAS_FAILED = 0x04
    """Reserved by the family; never sent by this server."""


class Tag(IntEnum):
    """First byte of a value."""

    NULL = 0x00
    INT = 0x01
    FLOAT = 0x02
    DECIMAL = 0x03
    STRING = 0x04
    BYTES = 0x05
    LIST = 0x06
    MAP = 0x07
    BOOL = 0x08


EXTENSIONS: Final = ("mexists", "msetex", "expire", "ttl", "atomic-batch")
"""What HELLO announces: the extension opcodes that this implementation answers, and BATCH-005."""
