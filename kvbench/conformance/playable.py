"""Whether a conversation from a file may be played: a file can come from anybody.

Two things are looked at before the first byte is sent. Its numbers must be such that playing ends
(:func:`check_numbers`), and its keys must be its own (:func:`check_keys`): those that it lists are
deleted, and what it sends passes the guard of the suite (:mod:`kvbench.conformance.guard`).
"""

from __future__ import annotations

from collections.abc import Iterable

from kvbench import specs
from kvbench.conformance.guard import ForeignKeyError, StreamGuard
from kvbench.errors import UsageError
from kvbench.protocol.opcodes import PAYLOAD_BYTES_MAX
from kvbench.specs import KEY_TOKEN, Bytes, Payload, Repeat, Step, Vector

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


def _check_step(step: Step) -> None:
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
        specs.unhex(content)


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
