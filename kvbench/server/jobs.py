"""Requests answered in steps, so that a large one does not block other clients.

A job is a generator that yields None after each bounded step, and finally the response. (It does
not return it: a return value needs an allocation after the store has been changed.) Between steps,
other connections are served and the store may change. So a job changes the store once, in its last
step, and checks there again what it decided earlier (:class:`Swap`).
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
"""Larger payloads are processed in steps, if the opcode has any. Parsing this much takes under two
milliseconds in pure Python."""

STEP = 1000
"""Small values processed in one step: about 1 ms in pure Python, 0.02 ms compiled."""

Steps = Generator[bytes | None, None, None]
"""A request in progress: yields None between two steps, then the response."""


class _Walker(Protocol):
    def advance(self, steps: int) -> bool: ...


def in_steps(walker: _Walker) -> Generator[None, None, None]:
    """Run a parser or a comparison to its end, one step at a time."""
    while not walker.advance(STEP):
        yield


def finish(steps: Steps) -> bytes:
    """Run all steps at once; returns the response."""
    while (response := next(steps)) is None:
        pass
    return response


class Job:
    """One request in progress.

    Args:
        opcode: the request's.
        steps: the generator to run.
    """

    __slots__ = ("_opcode", "_steps")

    def __init__(self, opcode: int, steps: Steps) -> None:
        self._opcode = opcode
        self._steps = steps

    def advance(self) -> bytes | None:
        """Do the next step; returns the response after the last one. Never raises."""
        try:
            if reserve.is_spent and self._opcode in STORING:
                reserve.withhold()
            return next(self._steps)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other requests go on.
            return refusal(self._opcode, error)


class Swap:
    """The decision of a CAS, over as many calls of ``engine.update`` as its comparison needs.

    The comparison continues with the value that it started with, even if another client has
    replaced that value. If they differ, the CAS takes effect at the time it read the value. If they
    are equal, the value must still be stored; otherwise the comparison restarts with the new value.

    Args:
        expected: the value that must be stored.
        expected_check: the completed check of ``expected``.
        new: the value to store.
        ttl_ms: its TTL; 0 keeps the current TTL.
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
        """For ``engine.update``: the result is the response, or None if there is none yet."""
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
