"""Requests that are answered in steps, so that nobody waits for the whole of a large one.

A job is a generator that yields None after each bounded step, and in the end the response. (It does
not return it: a return value needs an allocation, when the store has been changed already.) While
it waits,
other connections are served and the store may change under it: so a job changes the store at one
instant, in its last step, and what it decided before on what it saw is checked there again
(:class:`Swap`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from kvbench.engine import Update
from kvbench.protocol import responses
from kvbench.protocol.values import ValueCheck, ValueComparison
from kvbench.server.refusals import STORING, refusal
from kvbench.server.reserve import reserve

LARGE_BYTES = 16 * 1024
"""A request with a larger payload is answered in steps, if it has any. Parsing so much takes under
two milliseconds in pure Python."""

STEP = 1000
"""Small values walked in one step: about a millisecond in pure Python, 0.02 ms compiled."""

Steps = Generator[bytes | None, None, None]
"""A request on its way: yields None between two steps, then the response."""


class _Walker(Protocol):
    def advance(self, steps: int) -> bool: ...


def in_steps(walker: _Walker) -> Generator[None, None, None]:
    """Drive a parser or a comparison to its end, a step at a time."""
    while not walker.advance(STEP):
        yield


def finish(steps: Steps) -> bytes:
    """All steps at once; the response."""
    while (response := next(steps)) is None:
        pass
    return response


class Job:
    """One request on its way.

    Args:
        opcode: the request's.
        steps: what is to do.
    """

    __slots__ = ("_opcode", "_steps")

    def __init__(self, opcode: int, steps: Steps) -> None:
        self._opcode = opcode
        self._steps = steps

    def advance(self) -> bytes | None:
        """Do the next step; the response after the last one. Never raises."""
        try:
            if reserve.is_spent and self._opcode in STORING:
                reserve.withhold()
            return next(self._steps)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other requests go on.
            return refusal(self._opcode, error)


class Swap:
    """What a CAS decides, over as many calls of ``engine.update`` as its comparison needs.

    The comparison goes on with the value that it began with, even when another client has replaced
    that one: if they differ, the CAS took effect when it saw the value. If they are equal, the
    value must still be there; else the comparison begins anew with what is there now.

    Args:
        expected: the value that must be there.
        expected_check: the check that went over it.
        new: the value to store.
        ttl_ms: its TTL; 0 keeps the one that the key has.
    """

    __slots__ = ("_comparison", "_expected", "_expected_check", "_new", "_seen", "_ttl_ms")

    def __init__(
        self, expected: bytes, expected_check: ValueCheck, new: bytes, ttl_ms: int
    ) -> None:
        self._expected = expected
        self._expected_check = expected_check
        self._new = new
        self._ttl_ms = ttl_ms
        self._seen: bytes | None = None
        self._comparison: ValueComparison | None = None

    def decide(self, is_there: bool, stored: bytes | None) -> Update[bytes, bytes | None]:
        """For ``engine.update``: the result is the response, or None as long as there is none."""
        if not is_there or stored is None:
            return Update(result=responses.NULL_RESPONSE)
        if self._comparison is None:
            self._seen = stored
            self._comparison = ValueComparison(stored, self._expected, self._expected_check)
        if not self._comparison.advance(STEP):
            return Update(result=None)
        if not self._comparison.is_equal:
            return Update(result=responses.FALSE_RESPONSE)
        if stored is not self._seen:
            self._comparison = None
            return Update(result=None)
        return Update(
            result=responses.TRUE_RESPONSE, write=True, value=self._new, ttl_ms=self._ttl_ms
        )
