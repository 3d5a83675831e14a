"""Concurrent histories: drawn, recorded over several connections, and shown as text.

:func:`plan` draws what several processes ask, :func:`record` has them ask it, and :func:`timeline`
shows it: one line for each operation, its bar from call to return. The bars are drawn to order, not
to scale: calls and returns are spread evenly, so that what overlaps can be seen however short it
was. The times in front of them are real.

A recorded history is what :mod:`kvbench.conformance.wire.linearizability` judges. Calls are stamped
before the first byte leaves and returns when the reply was read, so an operation never seems
shorter than it was: what is called a violation is one.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.linearizability import Operation
from kvbench.conformance.wire.oracle import Action, Answer, shown
from kvbench.protocol.opcodes import Opcode, RequestLayout

PROCESSES_MAX = 8
"""In one history or race. Two find most faults; eight find those of queues and pools."""

_BARRIER_TIMEOUT_S = 10.0
"""For threads to start: a machine that needs longer cannot tell anything about concurrency."""


def plan(rng: random.Random, names: Sequence[str], keys: tuple[str, ...]) -> list[list[Action]]:
    """What each of two to eight processes asks: random operations, writing no number twice.

    Args:
        rng: the same numbers give the same plan.
        names: of operations; one that comes twice is twice as likely.
        keys: at least one; a batch takes two or more of them where there are.
    """
    count = rng.choice((2, 3, 4, 4, 4, 6, PROCESSES_MAX))
    length = rng.randint(6, 10) if count <= 4 else 5
    written = [0]
    return [
        [_random_action(rng, names, keys, written) for _ in range(length)] for _ in range(count)
    ]


def _random_action(
    rng: random.Random, names: Sequence[str], keys: tuple[str, ...], written: list[int]
) -> Action:
    """One operation; ``written`` has the numbers so far, and gets what this one writes."""

    def fresh() -> int:
        # Steps of a hundred: what counters add never meets what others write.
        written.append(written[-1] + 100)
        return written[-1]

    name = rng.choice(names)
    some = tuple(rng.sample(keys, rng.randint(min(2, len(keys)), len(keys))))
    key = some[:1]
    match Opcode[name.upper()].request:
        case RequestLayout.KEYS:
            return Action(name, some)
        case RequestLayout.PAIRS:
            return Action(name, some, tuple([fresh() for _ in some]))
        case RequestLayout.ENTRIES:
            return Action(name, some, tuple([fresh() for _ in some]), ttls_ms=(0,) * len(some))
        case RequestLayout.KEY_TTL_VALUE:
            return Action(name, key, (fresh(),))
        case RequestLayout.KEY_DELTA:
            return Action(name, key, (rng.randint(1, 3),))
        case RequestLayout.KEY_TTL_VALUES:
            return Action(name, key, (rng.choice(written), fresh()))
        case RequestLayout.KEY_OWNER:
            return Action(name, key, (rng.choice("ab"),))
        case RequestLayout.KEY_OWNER_TTL:
            return Action(name, key, (rng.choice("ab"),), 3_600_000)
        case _:
            return Action(name, key)


def record(
    connections: Sequence[WireConnection], plans: Sequence[Sequence[Action]], prefix: str
) -> list[Operation]:
    """Carry out plans at the same time, each on its own connection and in its own thread.

    A connection that gets no answer stops there: its operation returns at infinity.

    Args:
        connections: at least as many as plans.
        plans: what each asks, one action after the other.
        prefix: of the keys on the wire; the history has them without it.

    Raises:
        CaseFailed: a reply is none that its operation can have.
    """
    start = threading.Barrier(len(plans))

    def carry_out(connection: WireConnection, plan: Sequence[Action]) -> list[Operation]:
        frames = [encode(action, prefix) for action in plan]
        start.wait(_BARRIER_TIMEOUT_S)
        found: list[Operation] = []
        for action, request in zip(plan, frames, strict=True):
            call_ns = time.monotonic_ns()
            try:
                reply = connection.exchange(request)
            except CaseFailed:
                lost = Operation(connection.name, call_ns, math.inf, action, Answer.UNKNOWN)
                return [*found, lost]
            return_ns = time.monotonic_ns()
            result = decode(action, reply)
            found.append(Operation(connection.name, call_ns, return_ns, action, result))
        return found

    with ThreadPoolExecutor(len(plans)) as threads:
        pairs = zip(connections, plans, strict=False)
        running = [threads.submit(carry_out, *pair) for pair in pairs]
        return [operation for one in running for operation in one.result()]


# --- As text --------------------------------------------------------------------------------------

WIDTH = 100
"""Columns: what a terminal and a bug tracker show without wrapping."""

_LABEL = 50
_BAR = WIDTH - _LABEL - 15


def timeline(operations: Sequence[Operation], left_out: int = 0) -> str:
    """The history in lines of at most :data:`WIDTH` columns, by the times of the calls.

    Args:
        operations: at least one.
        left_out: operations that are not shown; a line says so.
    """
    ordered = sorted(operations, key=lambda one: one.call_ns)
    began_ns = ordered[0].call_ns
    instants = sorted(
        {time for one in ordered for time in (one.call_ns, one.return_ns) if time < math.inf}
    )
    place = {
        time: index * (_BAR - 1) // max(1, len(instants) - 1) for index, time in enumerate(instants)
    }
    lines = [f"{'µs':>9}  {'by':<3}{'operation -> answer'}"]
    for one in ordered:
        at_us = (one.call_ns - began_ns) / 1000
        label = f"{one.action} -> {shown(one.result) if one.is_complete else 'no answer'}"
        if len(label) > _LABEL - 1:
            label = f"{label[: _LABEL - 4]}..."
        start = place[one.call_ns]
        bar = "-" * (_BAR - start - 1) + ">"
        if one.is_complete:
            bar = "-" * (place[one.return_ns] - start) + "|"
        line = f"{at_us:9.0f}  {one.process:<3}{label:<{_LABEL}} {' ' * start}|{bar[1:]}"
        lines.append(line.rstrip())
    if left_out:
        lines.append(f"{left_out} more on these keys, which would not explain it, are left out")
    return "\n".join(lines)
