"""Plays the vectors of ``specs/vectors`` over real connections: most of the wire suite is data.

A vector is played for its MUST clauses, for its other clauses, and for those of the other clauses
that are about the choice itself (:data:`PREFERENCES`). Any reply that the spec allows will do:
either refusal where two are allowed, and a value in another encoding where it is the same value (a
server may decode and encode anew). Only for a preference must the reply be the preferred one, byte
for byte.

A vector can come from a foreign file. It is checked before the first byte is sent: its
numbers must be such that playing ends (:func:`check_numbers`), and its keys must begin with the
prefix (:func:`check_keys`): those that it lists are deleted, and what it sends passes the guard.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.isolation import ForeignKeyError
from kvbench.conformance.wire.codec import values_of
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.guard import StreamGuard
from kvbench.conformance.wire.trace import WireReply
from kvbench.conformance.wire.values import same_value
from kvbench.errors import UsageError
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX, Status
from kvbench.specs import (
    KEY_TOKEN,
    STATUSES,
    Bytes,
    ExpectedReply,
    Payload,
    Repeat,
    Vector,
    VectorStep,
    unhex,
)


def play(context: WireContext, vector: Vector, *, is_strict: bool) -> None:
    """Play one vector under the context's own key prefix.

    Raises:
        CaseFailed: a reply is not what the vector expects; the step is named.
    """
    token = context.prefix
    context.own([key.replace(KEY_TOKEN, token).encode() for key in vector.keys])
    connections: dict[str, WireConnection] = {}
    for step in vector.steps:
        if step.wait_ms:
            time.sleep(step.wait_ms / 1000)
        if step.connection not in connections:
            connections[step.connection] = context.connect()
        connection = connections[step.connection]
        try:
            _take(connection, step, token, is_strict=is_strict)
        except CaseFailed as error:
            place = f"in {vector.id}, {step.note!r}: " if step.note else f"in {vector.id}: "
            raise CaseFailed(place + error.expected, error.actual, wanted=error.wanted) from None


def _take(connection: WireConnection, step: VectorStep, token: str, *, is_strict: bool) -> None:
    if step.send:
        connection.send(step.request(token), step.pieces)
    if step.finish:
        connection.finish()
    for expected in step.expect:
        compare(expected, connection.read(), is_strict=is_strict)
    if step.closed:
        connection.expect_closed()


def compare(expected: ExpectedReply, reply: WireReply, *, is_strict: bool) -> None:
    """Hold a reply against what a vector expects.

    Raises:
        CaseFailed: it is another.
    """
    names = expected.status[:1] if is_strict else expected.status
    if reply.status not in [STATUSES[name] for name in names]:
        raise CaseFailed(" or ".join(names), str(reply), wanted=expected)
    problem = expected.mismatch(reply.status, reply.payload)
    if problem and (is_strict or not _means_the_same(expected, reply)):
        wanted = (
            str(WireReply(reply.status, unhex(expected.payload)))
            if isinstance(expected.payload, str | list)
            else f"{' or '.join(names)} as the vector describes it"
        )
        raise CaseFailed(wanted, f"{reply} ({problem})" if len(problem) < 120 else str(reply))


def _means_the_same(expected: ExpectedReply, reply: WireReply) -> bool:
    """Whether the payload holds the expected values in another encoding of theirs."""
    if reply.status != Status.OK or not isinstance(expected.payload, str | list):
        return False
    left, right = values_of(unhex(expected.payload)), values_of(reply.payload)
    return (
        left is not None
        and right is not None
        and len(left) == len(right)
        and all(same_value(a, b) for a, b in zip(left, right, strict=True))
    )


# --- Vectors from a foreign file ----------------------------------------------------------------

STEPS_MAX = 2000
"""A conversation that is longer is nothing to read or to send around: it is no file, either."""

WAIT_MS_MAX = 60_000
"""Of one step. The longest wait of a vector is under 2 s."""

STEP_BYTES_MAX = 2 * PAYLOAD_BYTES_MAX
"""Sent by one step, or expected by it: more than what any server takes as one request."""

PIECES_MAX = 100_000
"""Sent by one step."""


def check_numbers(vector: Vector) -> None:
    """Look at how long and how large a vector is, and whether its bytes are hex.

    Raises:
        ValueError: a number is beyond its limit, or bytes are no hex.
    """
    if len(vector.steps) > STEPS_MAX:
        raise ValueError(f"{vector.id} has {len(vector.steps)} steps, more than {STEPS_MAX}")
    for number, step in enumerate(vector.steps, 1):
        try:
            _check_step(step)
        except ValueError as error:
            raise ValueError(f"step {number} of {vector.id}: {error}") from None


def check_keys(vector: Vector) -> None:
    """Look at whose keys a vector touches.

    Raises:
        UsageError: a key that it lists, or that it could write, is not under the prefix which a
            player replaces by its own.
    """
    for key in vector.keys:
        if not key.startswith(KEY_TOKEN):
            raise UsageError(
                f"{vector.id} would delete the key {key[:40]!r}, which does not begin with "
                f"{KEY_TOKEN!r}; to play it all the same, pass --allow-any-key"
            )
    guards: dict[str, StreamGuard] = {}
    for number, step in enumerate(vector.steps, 1):
        guard = guards.setdefault(step.connection, StreamGuard(KEY_TOKEN))
        try:
            guard.check(step.request(), step.pieces)
        except ForeignKeyError as error:
            raise UsageError(
                f"step {number} of {vector.id}: {error}; to play it all the same, pass "
                "--allow-any-key"
            ) from None


def _check_step(step: VectorStep) -> None:
    if not 0 <= step.wait_ms <= WAIT_MS_MAX:
        raise ValueError(f"wait_ms is 0 to {WAIT_MS_MAX}, not {step.wait_ms}")
    sent = _size(step.send)
    _check_size(sent)
    if step.pieces < 0 or (step.pieces and sent / step.pieces > PIECES_MAX):
        raise ValueError(f"pieces of {step.pieces} bytes are too many for {sent} bytes")
    expected = [one.payload for one in step.expect if not isinstance(one.payload, Payload)]
    _check_size(sum(map(_size, expected)))
    patterns = [one.payload for one in step.expect if isinstance(one.payload, Payload)]
    hexes = [text for one in patterns for text in (one.starts, *one.contains)]
    for content in (step.send, *expected, *hexes):
        unhex(content)


def _size(content: Bytes) -> int:
    """How many bytes there will be, before there are any."""
    parts: Iterable[str | Repeat] = [content] if isinstance(content, str) else content
    size = 0
    for part in parts:
        if isinstance(part, Repeat) and part.times < 0:
            raise ValueError(f"times is at least 0, not {part.times}")
        size += len(part.repeat) // 2 * part.times if isinstance(part, Repeat) else len(part) // 2
    return size


def _check_size(size: int) -> None:
    if size > STEP_BYTES_MAX:
        raise ValueError(f"{size} bytes are more than {STEP_BYTES_MAX} of one step")
