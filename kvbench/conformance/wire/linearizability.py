"""Is there an order of these operations that explains every answer?

A history of concurrent operations is linearizable (Herlihy & Wing, "Linearizability: a correctness
condition for concurrent objects", 1990) when each operation can be put at one instant between its
call and its return so that a sequential store, met in that order, gives the same answers. The
search is Wing & Gong's ("Testing and verifying concurrent objects", 1993): try as next each
operation that was called before every other one left has returned. Two things keep it short:

- Partitions. Operations that share no key, not even through others, cannot constrain each other;
  a batch connects its keys. Each partition is searched alone.
- Memory (Lowe, "Testing for linearizability", 2017). A set of operations that leads to a state is
  searched once, whatever the order that led there.

The problem is NP-complete, so the search is bounded in steps and time, and may end as "unknown".

An operation without an answer has its return at infinity, and may have happened or not. A violation
comes with a counterexample that is made small without being made false: an operation is left out
only if the rest cannot be explained whether that operation happened or not. Those that wrote what
the rest has read stay for the reader's sake.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from kvbench.clock import Clock, SystemClock
from kvbench.conformance.wire.oracle import Action, Answer, Entry, Result, State, apply, same_result
from kvbench.model import Value


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a history.

    Attributes:
        process: who asked; one asks again only after an answer.
        call_ns: when, on a clock that all processes share, at the latest before the request left.
        return_ns: when the answer was there, at the earliest; infinite when none came.
        action: what was asked.
        result: what came; UNKNOWN when nothing did, or it does not tell.
    """

    process: str
    call_ns: float
    return_ns: float
    action: Action
    result: Result

    @property
    def is_complete(self) -> bool:
        """Whether it was answered, so that it must have happened."""
        return self.return_ns < math.inf

    @property
    def is_effectless(self) -> bool:
        """Whether its answer says that it changed nothing: it constrains others, never helps."""
        if self.action.name in ("get", "exists", "mget", "mexists", "ttl"):
            return True
        return self.result in (Answer.REFUSED, Answer.ABSENT) or (
            self.result == 0 and self.action.name not in ("incr", "decr")
        )


class HistoryVerdict(StrEnum):
    """What can be said about a history."""

    OK = "ok"
    """It is linearizable."""
    VIOLATED = "violated"
    """No order explains it."""
    UNKNOWN = "unknown"
    """The bound was reached first."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a search may cost: whichever is used up first ends it."""

    steps_max: int = 200_000
    """Pairs of operations and state that are looked at. A short history takes a few hundred."""
    seconds_max: float = 2.0


@dataclass(frozen=True, slots=True)
class HistoryCheck:
    """A judgement and, for a violation, its counterexample.

    Attributes:
        judgement: the verdict on the history.
        operations: no order explains these, by their calls. Empty unless violated.
        left_out: how many more there were on the same keys, which would not help.
    """

    judgement: HistoryVerdict
    operations: tuple[Operation, ...] = ()
    left_out: int = 0


def check(
    history: Sequence[Operation], bound: Bound | None = None, clock: Clock | None = None
) -> HistoryCheck:
    """Judge a history that began on absent keys.

    Args:
        history: in any order. Under one key the values must differ by ``==`` when they differ.
        bound: for each partition, and again for making its counterexample small.
        clock: of the bound.
    """
    bound = bound or Bound()
    clock = clock or SystemClock()
    is_known = True
    for part in partitions(history):
        judgement = _search(part, _Meter(bound, clock))
        if judgement is HistoryVerdict.VIOLATED:
            kept = _with_sources(_minimise(part, _Meter(bound, clock)), part)
            return HistoryCheck(judgement, tuple(kept), len(part) - len(kept))
        is_known = is_known and judgement is HistoryVerdict.OK
    return HistoryCheck(HistoryVerdict.OK if is_known else HistoryVerdict.UNKNOWN)


def partitions(history: Iterable[Operation]) -> list[list[Operation]]:
    """The history cut by connected sets of keys, each part in the order of its calls."""
    parts: list[tuple[set[str], list[Operation]]] = []
    for operation in history:
        keys = set(operation.action.keys)
        members = [operation]
        apart = []
        for other_keys, others in parts:
            if keys & other_keys:
                keys |= other_keys
                members += others
            else:
                apart.append((other_keys, others))
        parts = [*apart, (keys, members)]
    return [sorted(members, key=lambda one: one.call_ns) for _, members in parts]


def per_key(history: Iterable[Operation]) -> list[Operation]:
    """The history with each batch taken apart into an operation for each key, at the same time.

    What is left of the promise when batches are not atomic: each key for itself.
    """
    parts: list[Operation] = []
    for operation in history:
        name = _SINGLE.get(operation.action.name)
        if name is None:
            parts.append(operation)
            continue
        for place, key in enumerate(operation.action.keys):
            values = operation.action.values[place : place + 1]
            result = _part_of(operation.result, place, name)
            parts.append(replace(operation, action=Action(name, (key,), values), result=result))
    return parts


_SINGLE = {"mget": "get", "mset": "set", "msetex": "set", "mdel": "del", "mexists": "exists"}


def _part_of(result: Result, place: int, name: str) -> Result:
    """What a batch's answer says about one of its keys; a number of deleted keys says nothing."""
    if isinstance(result, tuple):
        value = result[place]
        return Answer.ABSENT if name == "get" and value is None else value
    return Answer.UNKNOWN if name == "del" else result


class _Meter:
    """Counts what a search has used of its bound."""

    def __init__(self, bound: Bound, clock: Clock) -> None:
        self._steps_left = bound.steps_max
        self._clock = clock
        self._end_ns = clock.now_ns() + bound.seconds_max * 1e9

    def step(self) -> bool:
        """Take one step; False when the bound is reached."""
        self._steps_left -= 1
        if self._steps_left % 256 == 0 and self._clock.now_ns() > self._end_ns:
            self._steps_left = -1
        return self._steps_left >= 0


_Node = tuple[int, frozenset[tuple[str, Entry]]]


def _search(
    operations: Sequence[Operation], meter: _Meter, perhaps: frozenset[Operation] = frozenset()
) -> HistoryVerdict:
    """Look for an order of the operations, which are sorted by their calls.

    A node is the set of operations that are in the order so far, a bit for each, and the state
    that they lead to. Those in ``perhaps`` may be missing from the order.
    """
    sure = [one.is_complete and one not in perhaps for one in operations]
    complete = sum([1 << place for place, is_sure in enumerate(sure) if is_sure])
    stack: list[tuple[int, State]] = [(0, {})]
    seen: set[_Node] = set()
    while stack:
        ordered, state = stack.pop()
        if ordered & complete == complete:
            return HistoryVerdict.OK
        if not meter.step():
            return HistoryVerdict.UNKNOWN
        for place in reversed(_next(operations, sure, ordered)):
            operation = operations[place]
            effect = apply(state, operation.action)
            if operation.is_complete and not same_result(effect.result, operation.result):
                continue
            node = (ordered | 1 << place, frozenset(effect.state.items()))
            if node not in seen:
                seen.add(node)
                stack.append((node[0], effect.state))
    return HistoryVerdict.VIOLATED


def _next(operations: Sequence[Operation], sure: Sequence[bool], ordered: int) -> list[int]:
    """Which operations can come next: those called before any other one left has returned.

    One that returned before the latest in the order was called comes too late. It is one that may
    be missing, and is.
    """
    found = []
    last_call_ns = operations[ordered.bit_length() - 1].call_ns if ordered else -math.inf
    first_return_ns = math.inf
    for place, operation in enumerate(operations):
        if operation.call_ns > first_return_ns:
            break
        if not ordered >> place & 1 and operation.return_ns >= last_call_ns:
            found.append(place)
            if sure[place]:
                first_return_ns = min(first_return_ns, operation.return_ns)
    return found


def _minimise(operations: list[Operation], meter: _Meter) -> list[Operation]:
    """A small part of a violated history that is violated for the same reason.

    First the end is cut off: what is linearizable is so up to every instant. Then operations are
    left out, many at once at first (Zeller's delta debugging). One that may have changed something
    stays in the search as one that may have happened, as it was answered. What the meter no longer
    lets the search find out stays as it is.
    """
    kept = operations
    for end_ns in sorted([one.return_ns for one in operations if one.is_complete]):
        begun = [_until(one, end_ns) for one in operations if one.call_ns <= end_ns]
        begun = [one for one in begun if one.is_complete or not one.is_effectless]
        if _search(begun, meter) is HistoryVerdict.VIOLATED:
            kept = begun
            break
    everything = kept
    perhaps: frozenset[Operation] = frozenset()
    size = max(1, len(kept) // 2)
    while True:
        start = 0
        while start < len(kept):
            rest = kept[:start] + kept[start + size :]
            unsure = perhaps | {one for one in kept[start : start + size] if not one.is_effectless}
            some = [one for one in everything if one in unsure or one in rest]
            if _search(some, meter, unsure) is HistoryVerdict.VIOLATED:
                kept, perhaps = rest, unsure
            else:
                start += size
        if size == 1:
            return kept
        size //= 2


def _with_sources(kept: list[Operation], part: list[Operation]) -> list[Operation]:
    """What is kept, and who wrote what it read: for people, who will ask that first."""
    seen: set[Value] = set()
    for one in kept:
        seen.update(one.result if isinstance(one.result, tuple) else [_value(one.result)])
    known = {(one.process, one.call_ns) for one in kept}
    sources = [
        one
        for one in part
        if (one.process, one.call_ns) not in known
        and one.action.name not in ("incr", "decr", "unlock", "extend")
        and not one.is_effectless
        and seen.intersection(one.action.values)
    ]
    return sorted(kept + sources, key=lambda one: one.call_ns)


def _value(result: Result) -> Value:
    return None if isinstance(result, Answer | tuple) else result


def _until(operation: Operation, end_ns: float) -> Operation:
    """The operation as it was known at an instant."""
    if operation.return_ns <= end_ns:
        return operation
    return replace(operation, return_ns=math.inf, result=Answer.UNKNOWN)
