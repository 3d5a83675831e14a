"""Numbers of the wire protocol: opcodes, statuses, value tags and limits.

The tables of specs/wire-protocol.md as enums. Codes 0x01-0x10 belong to the protocol family and
keep its meaning. 0x11-0x17 belong to later members of the family and are never assigned here.
kvbench's extensions start at 0x40 and are announced by HELLO.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final, Self

PROTOCOL_VERSION: Final = 1
"""The version sent in HELLO."""

DEFAULT_PORT: Final = 16380
"""The default port of the family."""

BATCH_KEYS_MAX: Final = 65_535
"""Keys in one batch request: the count is a u16. Clients split longer batches (BATCH-006)."""

PAYLOAD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Default limit for a payload, of server and clients (LIMIT-001)."""

TTL_MS_MAX: Final = 3_155_760_000_000
"""Longest TTL: 100 years of 365.25 days. It keeps deadlines inside i64 nanoseconds (TTL-006)."""


class RequestLayout(Enum):
    """The layout of a request's payload: its fields in order."""

    EMPTY = "nothing"
    KEY = "the key is the whole payload"
    KEYS = "count, keys"
    KEY_TTL = "key, TTL"
    KEY_DELTA = "key, i64"
    KEY_TTL_VALUE = "key, TTL, value"
    KEY_TTL_VALUES = "key, TTL, expected value, new value"
    KEY_OWNER = "key, owner"
    KEY_OWNER_TTL = "key, owner, TTL"
    PAIRS = "count, TTL, keys with values"
    ENTRIES = "count, keys with TTL and value"
    HELLO = "version, capabilities"


class ReplyLayout(Enum):
    """The content of an OK response."""

    EMPTY = "nothing"
    VALUE = "a value"
    VALUES = "count, values"
    FLAG = "u8"
    FLAGS = "count, u8 for each"
    INTEGER = "i64"
    COUNT = "u32"
    TEXT = "text"
    HELLO = "version, capabilities"


class Effect(Enum):
    """The effect of a request on its keys."""

    NONE = "it names none"
    READS = "changes nothing"
    STORES = "may allocate memory permanently"
    CHANGES = "removes keys, or moves their deadline"


class Opcode(IntEnum):
    """First byte of a request. This is the one table of operations; all other code reads it.

    Attributes:
        request: the layout of its payload.
        reply: the content of an OK response.
        effect: its effect on its keys.
        null: whether NULL is a valid response, for an absent key.
        is_core: whether every server has it; the others are capabilities with the same name.
    """

    request: RequestLayout
    reply: ReplyLayout
    effect: Effect
    null: bool
    is_core: bool

    def __new__(
        cls,
        code: int,
        request: RequestLayout = RequestLayout.EMPTY,
        reply: ReplyLayout = ReplyLayout.EMPTY,
        effect: Effect = Effect.NONE,
        null: bool = False,
        is_core: bool = False,
    ) -> Self:
        """A member: the number on the wire, with its row of the table."""
        opcode = int.__new__(cls, code)
        opcode._value_ = code
        opcode.request, opcode.reply, opcode.effect = request, reply, effect
        opcode.null, opcode.is_core = null, is_core
        return opcode

    GET = 0x01, RequestLayout.KEY, ReplyLayout.VALUE, Effect.READS, True, True
    SET = 0x02, RequestLayout.KEY_TTL_VALUE, ReplyLayout.EMPTY, Effect.STORES, False, True
    DEL = 0x03, RequestLayout.KEY, ReplyLayout.FLAG, Effect.CHANGES, False, True
    EXISTS = 0x04, RequestLayout.KEY, ReplyLayout.FLAG, Effect.READS, False, True
    INCR = 0x05, RequestLayout.KEY_DELTA, ReplyLayout.INTEGER, Effect.STORES
    DECR = 0x06, RequestLayout.KEY_DELTA, ReplyLayout.INTEGER, Effect.STORES
    CAS = 0x07, RequestLayout.KEY_TTL_VALUES, ReplyLayout.FLAG, Effect.STORES, True
    PING = 0x08, RequestLayout.EMPTY, ReplyLayout.TEXT, Effect.NONE, False, True
    INFO = 0x09, RequestLayout.EMPTY, ReplyLayout.TEXT, Effect.NONE, False, True
    SETNX = 0x0A, RequestLayout.KEY_TTL_VALUE, ReplyLayout.FLAG, Effect.STORES
    LOCK = 0x0B, RequestLayout.KEY_OWNER_TTL, ReplyLayout.FLAG, Effect.STORES
    UNLOCK = 0x0C, RequestLayout.KEY_OWNER, ReplyLayout.FLAG, Effect.CHANGES
    EXTEND = 0x0D, RequestLayout.KEY_OWNER_TTL, ReplyLayout.FLAG, Effect.CHANGES
    MGET = 0x0E, RequestLayout.KEYS, ReplyLayout.VALUES, Effect.READS
    MSET = 0x0F, RequestLayout.PAIRS, ReplyLayout.EMPTY, Effect.STORES
    MDEL = 0x10, RequestLayout.KEYS, ReplyLayout.COUNT, Effect.CHANGES
    HELLO = 0x40, RequestLayout.HELLO, ReplyLayout.HELLO, Effect.NONE
    MEXISTS = 0x42, RequestLayout.KEYS, ReplyLayout.FLAGS, Effect.READS
    MSETEX = 0x43, RequestLayout.ENTRIES, ReplyLayout.EMPTY, Effect.STORES
    EXPIRE = 0x44, RequestLayout.KEY_TTL, ReplyLayout.FLAG, Effect.CHANGES
    TTL = 0x45, RequestLayout.KEY, ReplyLayout.INTEGER, Effect.READS, True
    GETDEL = 0x46, RequestLayout.KEY, ReplyLayout.VALUE, Effect.CHANGES, True

    @property
    def word(self) -> str:
        """Its name in lower case: also that of its capability and its method, if any."""
        return self.name.lower()

    @property
    def is_batch(self) -> bool:
        """Whether it takes many keys."""
        return self.request in (RequestLayout.KEYS, RequestLayout.PAIRS, RequestLayout.ENTRIES)


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


EXTENSIONS: Final = (
    *[opcode.word for opcode in Opcode if opcode > Opcode.HELLO],
    "atomic-batch",
)
"""Announced by HELLO: the extension opcodes that this implementation supports, and BATCH-005."""
