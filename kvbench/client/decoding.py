"""Large replies, decoded in bounded steps: a server cannot block a client beyond its timeout.

The cost of a reply depends on its content. Measured for the largest reply accepted by default,
64 MiB (processor time and memory, compiled codec):

=============  =======  ========
one text       0.2 s    0.25 GiB
nulls          1.2 s    0.6 GiB
empty lists    6 s      1.0 GiB
Decimals       9 s      2.0 GiB
=============  =======  ========

``max_reply_bytes`` bounds both: set it lower for servers that are not trusted.

A reply is decoded after all of it was received, so the connection stays usable if decoding fails.
Between two steps the deadline of the request is checked, and the event loop runs after
:data:`TURN_S`. Some work in Python cannot be split and takes longer: copying 64 MiB (0.05 s),
freeing millions of values (0.15 s), decoding one text of 64 MiB (0.2 s), and garbage collection,
which visits each live list (0.3 s for five million).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, TypeVar, cast

from kvbench.client.commands import Command
from kvbench.client.replies import Steps
from kvbench.errors import KvTimeoutError, UsageError

T = TypeVar("T")

AT_ONCE_BYTES: Final = 32_768
"""Replies up to this size are decoded in one step: a few milliseconds for the smallest values."""

TURN_S: Final = 0.005
"""Longest use of the event loop before others run, plus one step of up to 4 ms."""

_REPLY_BYTES_LEAST: Final = 1024
_REPLY_BYTES_MOST: Final = 0xFFFF_FFFF
"""The length of a frame is a u32."""


def check_reply_bound(max_reply_bytes: int) -> None:
    """Check the limit for replies.

    Raises:
        UsageError: it is not 1 KiB to 4 GiB less a byte.
    """
    is_number = isinstance(max_reply_bytes, int)
    if not is_number or not _REPLY_BYTES_LEAST <= max_reply_bytes <= _REPLY_BYTES_MOST:
        raise UsageError(
            f"max_reply_bytes is 1 KiB to 4 GiB less a byte ({_REPLY_BYTES_LEAST} to "
            f"{_REPLY_BYTES_MOST}), not {max_reply_bytes!r}"
        )


def decode(command: Command[T], response: tuple[int, bytes], deadline: float) -> T:
    """Decode a response, until ``deadline`` on the monotonic clock.

    Raises:
            KvTimeoutError: decoding took too long. The connection is still usable.
        KvServerError, KvProtocolError: see :meth:`Command.result`.
    """
    status, payload = response
    if len(payload) <= AT_ONCE_BYTES:
        return command.result(status, payload)
    steps = command.result_in_steps(status, payload)
    while True:
        is_done, result = _advanced(steps)
        if is_done:
            return cast(T, result)
        if time.monotonic() > deadline:
            raise _overdue(payload)


async def decode_in_turns(command: Command[T], response: tuple[int, bytes], deadline: float) -> T:
    """Like :func:`decode`, on the clock of the running loop, which runs others in between."""
    status, payload = response
    steps = command.result_in_steps(status, payload)
    now = asyncio.get_running_loop().time
    turn_end = now() + TURN_S
    while True:
        is_done, result = _advanced(steps)
        if is_done:
            return cast(T, result)
        if now() < turn_end:
            continue
        if now() > deadline:
            raise _overdue(payload)
        await asyncio.sleep(0)
        turn_end = now() + TURN_S


def _advanced(steps: Steps[T]) -> tuple[bool, T | None]:
    """Run one step; returns whether it was the last, and then the result."""
    try:
        next(steps)
    except StopIteration as done:
        return True, cast(T, done.value)
    return False, None


def _overdue(payload: bytes) -> KvTimeoutError:
    return KvTimeoutError(
        f"the request was answered, but its reply of {len(payload)} bytes was not decoded within "
        "the request_timeout: ask for less at once, or give it longer"
    )
