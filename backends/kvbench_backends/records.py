"""Records: a value with its deadline, for stores that know no TTL.

A record is its deadline, eight bytes, then the value. Deadlines are wall-clock nanoseconds since
1970, since they must outlive the process, and big-endian, so that their bytes compare as the
numbers do. A time is eight such bytes, too: :func:`now` makes it, once for a batch.
"""

from __future__ import annotations

import time

from kvbench.clock import NS_PER_MS
from kvbench.model import Value, check_bytes, check_key, ttl_to_ms

_DEADLINE_BYTES = 8

_NEVER = (2**63).to_bytes(_DEADLINE_BYTES, "big")
"""The deadline of a key without TTL: one comparison serves both kinds of record."""

_LONG_AGO = bytes(_DEADLINE_BYTES)


def now() -> bytes:
    """The time as a deadline is written."""
    return time.time_ns().to_bytes(_DEADLINE_BYTES, "big")


def deadline(ttl: float | None) -> bytes:
    """The deadline of a key that is written now; errors as :func:`~kvbench.model.ttl_to_ms`."""
    ttl_ms = ttl_to_ms(ttl)
    if not ttl_ms:
        return _NEVER
    return (time.time_ns() + ttl_ms * NS_PER_MS).to_bytes(_DEADLINE_BYTES, "big")


def row(key: str, value: Value, ttl: float | None) -> tuple[bytes, bytes]:
    """Key and record, checked; the value must be ``bytes``."""
    check_key(key)
    return key.encode(), deadline(ttl) + check_bytes(key, value)


def is_live(record: bytes | None, at: bytes) -> bool:
    """Whether there is a record, and its deadline is after ``at``."""
    return record is not None and record[:_DEADLINE_BYTES] > at


def content(record: bytes | None, at: bytes = _LONG_AGO) -> bytes | None:
    """The value in a record; None when there is none, or its deadline is not after ``at``."""
    if record is None or record[:_DEADLINE_BYTES] <= at:
        return None
    return record[_DEADLINE_BYTES:]


def with_deadline(record: bytes, ends: bytes) -> bytes:
    """The value of a record with another deadline."""
    return ends + record[_DEADLINE_BYTES:]


def with_deadline_of(record: bytes, other: bytes) -> bytes:
    """The value of one record with the deadline of the other."""
    return other[:_DEADLINE_BYTES] + record[_DEADLINE_BYTES:]


def seconds_left(record: bytes | None, at: bytes) -> float | None:
    """What ``Backend.ttl`` answers for a key with this record."""
    if record is None or not is_live(record, at):
        return None
    ends = record[:_DEADLINE_BYTES]
    if ends == _NEVER:
        return -1.0
    return (int.from_bytes(ends, "big") - int.from_bytes(at, "big")) / 1e9
