"""Rules and the operations through which they can be broken: a table, and requests for its cells.

A rule about keys, values or TTLs holds in each operation that takes one, alone and in batches of
every size. :func:`cells` says which combinations there are: it follows from the layouts of the
requests (:class:`~kvbench.protocol.opcodes.RequestLayout`). The cases in ``cases/everywhere.py``
play every cell of their rule, so no operation is left out by hand.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from kvbench.conformance.wire.frames import frame
from kvbench.protocol.opcodes import Opcode, RequestLayout

BATCH_SIZES = (1, 2, 500)
"""One key, several, and so many that a server may work on them in pieces."""

_BATCHES = (RequestLayout.KEYS, RequestLayout.PAIRS, RequestLayout.ENTRIES)
_WITH_VALUES = (
    RequestLayout.KEY_TTL_VALUE, RequestLayout.KEY_TTL_VALUES, RequestLayout.PAIRS,
    RequestLayout.ENTRIES,
)  # fmt: skip
_WITH_TTLS = (*_WITH_VALUES, RequestLayout.KEY_TTL, RequestLayout.KEY_OWNER_TTL)
_WITHOUT_KEYS = (RequestLayout.EMPTY, RequestLayout.HELLO)

LONG_TTL_MS = 3_600_000
"""Outlives the case."""

ONE = struct.pack(">Bq", 1, 1)
"""The Int 1, encoded."""


class Subject(Enum):
    """What a rule is about, and so which operations can reach it."""

    KEY = "keys"
    VALUE = "values"
    TTL = "TTLs"
    BATCH = "batches"


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to reach a rule.

    Attributes:
        opcode: the operation.
        keys: how many the request has: 1 for an operation on one key; of a batch, one of
            :data:`BATCH_SIZES`.
        place: of the key that the rule is applied to.
    """

    opcode: Opcode
    keys: int
    place: int

    @property
    def is_batch(self) -> bool:
        """Whether the operation takes several keys."""
        return self.opcode.request in _BATCHES

    def __str__(self) -> str:
        where = f" of {self.keys}, place {self.place}" if self.is_batch else ""
        return f"{self.opcode.name}{where}"


def reaches(opcode: Opcode, subject: Subject) -> bool:
    """Whether the operation takes what a rule of that subject is about."""
    layouts = {
        Subject.KEY: [one for one in RequestLayout if one not in _WITHOUT_KEYS],
        Subject.VALUE: _WITH_VALUES,
        Subject.TTL: _WITH_TTLS,
        Subject.BATCH: _BATCHES,
    }
    return opcode.request in layouts[subject]


def cells(subject: Subject, operations: Iterable[str]) -> list[Cell]:
    """Every way in which these operations can reach a rule; a batch first, inside and last."""
    found: list[Cell] = []
    for opcode in Opcode:
        if opcode.word not in operations or not reaches(opcode, subject):
            continue
        sizes = BATCH_SIZES if opcode.request in _BATCHES else (1,)
        for size in sizes:
            places = sorted({0, size // 2, size - 1})
            found += [Cell(opcode, size, place) for place in places]
    return found


@dataclass(frozen=True, slots=True)
class Parts:
    """What a request is made of: for a batch, the keys and the parts of each.

    Attributes:
        keys: one, or those of a batch.
        values: for each key, encoded.
        ttls_ms: for each key; the first counts where a request has one TTL.
        owner: of a lock.
    """

    keys: Sequence[bytes]
    values: Sequence[bytes]
    ttls_ms: Sequence[int]
    owner: bytes = b"owner"


def request(cell: Cell, prefix: str, **special: bytes | int) -> bytes:
    """The frame of a cell's operation, with plain parts but for what is special at its place.

    Args:
        cell: operation, size and place.
        prefix: how every key begins.
        special: ``key``, ``value`` or ``ttl_ms`` at the cell's place. The single TTL of a batch
            is that of its place.
    """
    keys = [f"{prefix}:{number:05d}".encode() for number in range(cell.keys)]
    values: list[bytes] = [ONE] * cell.keys
    ttls_ms = [LONG_TTL_MS] * cell.keys
    if (key := special.get("key")) is not None:
        assert isinstance(key, bytes)
        keys[cell.place] = key
    if (value := special.get("value")) is not None:
        assert isinstance(value, bytes)
        values[cell.place] = value
    if (ttl_ms := special.get("ttl_ms")) is not None:
        assert isinstance(ttl_ms, int)
        ttls_ms[cell.place] = ttl_ms
        if cell.opcode.request is RequestLayout.PAIRS:
            ttls_ms[0] = ttl_ms
    return compose(cell.opcode, Parts(keys, values, ttls_ms))


def compose(opcode: Opcode, parts: Parts) -> bytes:
    """A frame of raw parts, which need not be right."""
    names = [struct.pack(">H", len(key)) + key for key in parts.keys]
    ttls = [struct.pack(">Q", ttl_ms) for ttl_ms in parts.ttls_ms]
    owner = struct.pack(">H", len(parts.owner)) + parts.owner
    count = struct.pack(">H", len(names))
    columns = zip(names, ttls, parts.values, strict=True)
    match opcode.request:
        case RequestLayout.KEY:
            pieces = [parts.keys[0]]
        case RequestLayout.KEYS:
            pieces = [count, *names]
        case RequestLayout.KEY_TTL:
            pieces = [names[0], ttls[0]]
        case RequestLayout.KEY_DELTA:
            pieces = [names[0], struct.pack(">q", 1)]
        case RequestLayout.KEY_TTL_VALUE:
            pieces = [names[0], ttls[0], parts.values[0]]
        case RequestLayout.KEY_TTL_VALUES:
            pieces = [names[0], ttls[0], ONE, parts.values[0]]
        case RequestLayout.KEY_OWNER:
            pieces = [names[0], owner]
        case RequestLayout.KEY_OWNER_TTL:
            pieces = [names[0], owner, ttls[0]]
        case RequestLayout.PAIRS:
            pieces = [count, ttls[0], *[name + value for name, _, value in columns]]
        case RequestLayout.ENTRIES:
            pieces = [count, *[name + ttl + value for name, ttl, value in columns]]
        case _:
            raise ValueError(f"{opcode.name} has no keys")
    return frame(opcode, b"".join(pieces))
