"""A call as the bytes to send, and what its answer looks like.

A call is encoded once and sent many times. Answers repeat as well: those of one workload mostly
have the same headers and lengths, and differ only in the bytes of values. So the first answer of a
length is parsed step by step, which yields its **shape**: the bytes that make up its structure, and
the lengths of the values between them. A later answer of that length is compared with the shape in
one call of C (:meth:`struct.Struct.unpack`). If all of the structure is the same, then every step
of a parser would be the same: the comparison is a whole parse, not a guess. If not, the parser
takes over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

SHAPES_MAX = 64
"""Shapes kept for a kind of call. More lengths than that mean values of many sizes."""


class Shape:
    """The structure of an answer without an error.

    Args:
        data: the whole answer to a call.
        bodies: beginning and end of each value in it, in order.
        hits: keys that it found.
        misses: keys that it did not find.

    Attributes:
        unpack: takes an answer of this length apart, at the beginning of a buffer; its result
            equals ``literals`` if the answer has this structure.
        literals: all bytes of ``data`` outside of values.
        calls: how many calls were answered so; the driver counts.
    """

    __slots__ = ("calls", "hits", "literals", "misses", "unpack")

    def __init__(self, data: bytes, bodies: list[tuple[int, int]], hits: int, misses: int) -> None:
        fields, at = [">"], 0
        for start, end in bodies:
            fields.append(f"{start - at}s{end - start}x")
            at = end
        fields.append(f"{len(data) - at}s")
        self.unpack: Callable[[bytes | bytearray], tuple[bytes, ...]]
        self.unpack = struct.Struct("".join(fields)).unpack_from
        self.literals = self.unpack(data)
        self.hits = hits
        self.misses = misses
        self.calls = 0


@dataclass(slots=True, frozen=True)
class Expected:
    """What the answers to calls of one kind have in common; all calls of a kind share one.

    Attributes:
        kind: what a reply holds, in the words of the protocol's module.
        requests: replies to come.
        keys_per_request: keys that each of them is about.
        is_first_step: whether a second step follows: it is then that the call and its keys count.
        shapes: by length in bytes: answers that were seen.
    """

    kind: str
    requests: int
    keys_per_request: int
    is_first_step: bool = False
    shapes: dict[int, Shape] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Prepared:
    """A call, or one of its two steps, ready to send.

    Attributes:
        data: the requests, for one flush.
        expected: what its answer is.
        then: the second step of read-modify-write, to be sent when this one is answered.
    """

    data: bytes
    expected: Expected
    then: Prepared | None = None
