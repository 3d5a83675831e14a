"""Actions over the wire: their bytes, what replies mean, and many connections at the same time.

:func:`plan` draws what several processes ask, :func:`record` has them ask it.

A recorded history is what :mod:`kvbench.conformance.linearizability` judges. Calls are stamped
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
from typing import cast

from kvbench.conformance.case import CaseFailed
from kvbench.conformance.conversation import WireReply
from kvbench.conformance.linearizability import Operation
from kvbench.conformance.model import Action, Answer, Result
from kvbench.conformance.wire import WireConnection
from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import decode_value

TTL_UNIT_MS = 1_000_000
"""Recorded TTLs are rounded up to a multiple of this, almost 17 minutes: what a model where time
stands still can be compared with, as long as TTLs are multiples of it."""

PROCESSES_MAX = 8
"""In one history or race. Two find most faults; eight find those of queues and pools."""

_BARRIER_TIMEOUT_S = 10.0
"""For threads to start: a machine that needs longer cannot tell anything about concurrency."""


def encode(action: Action, prefix: str = "") -> bytes:
    """The frame of an action; its keys begin with ``prefix`` on the wire."""
    namespace = prefix.encode()
    key = action.keys[0] if action.keys else ""
    opcode = Opcode[action.name.upper()]
    match opcode:
        case Opcode.GET | Opcode.DEL | Opcode.EXISTS | Opcode.TTL:
            return requests.key_request(opcode, namespace, key)
        case Opcode.SET | Opcode.SETNX:
            return requests.set_request(opcode, namespace, key, action.values[0], action.ttl_ms)
        case Opcode.INCR | Opcode.DECR:
            return requests.counter_request(opcode, namespace, key, cast(int, action.values[0]))
        case Opcode.CAS:
            expected, new = action.values
            return requests.cas_request(namespace, key, expected, new, action.ttl_ms)
        case Opcode.LOCK | Opcode.EXTEND:
            owner = cast(str, action.values[0])
            return requests.lock_request(opcode, namespace, key, owner, action.ttl_ms)
        case Opcode.UNLOCK:
            return requests.unlock_request(namespace, key, cast(str, action.values[0]))
        case Opcode.EXPIRE:
            return requests.expire_request(namespace, key, action.ttl_ms)
        case Opcode.MSET:
            pairs: list[tuple[str, object]] = [*zip(action.keys, action.values, strict=True)]
            return requests.mset_request(namespace, pairs, action.ttl_ms)
        case Opcode.MSETEX:
            columns = zip(action.keys, action.values, action.ttls_ms, strict=True)
            return requests.msetex_request(namespace, [*columns])
        case Opcode.MGET | Opcode.MDEL | Opcode.MEXISTS:
            return requests.keys_request(opcode, namespace, list(action.keys))
        case _:
            raise ValueError(f"{action.name} touches no keys")


def decode(action: Action, reply: WireReply) -> Result:
    """What a reply says.

    Raises:
        CaseFailed: it is none that the operation can have.
    """
    if reply.is_refusal:
        return Answer.REFUSED
    if reply.status == Status.NULL and not reply.payload:
        return Answer.ABSENT
    if reply.status != Status.OK:
        raise CaseFailed(f"an answer to {action}", str(reply))
    try:
        return _decode_ok(action, reply.payload)
    except ProtocolError as error:
        raise CaseFailed(f"the reply of {action.name.upper()}", f"{reply}: {error}") from None


def _decode_ok(action: Action, payload: bytes) -> Result:
    count = len(action.keys)
    match Opcode[action.name.upper()]:
        case Opcode.GET:
            return decode_value(payload)
        case Opcode.SET | Opcode.MSET | Opcode.MSETEX:
            responses.parse_empty_reply(payload)
            return Answer.OK
        case Opcode.INCR | Opcode.DECR:
            return responses.parse_i64(payload)
        case Opcode.TTL:
            left_ms = responses.parse_i64(payload)
            return math.ceil(left_ms / TTL_UNIT_MS) * TTL_UNIT_MS if left_ms > 0 else left_ms
        case Opcode.MGET:
            return tuple(responses.parse_values(payload, count))
        case Opcode.MEXISTS:
            return tuple([int(flag) for flag in responses.parse_flags(payload, count)])
        case Opcode.MDEL:
            return responses.parse_count(payload)
        case _:
            return int(responses.parse_flag(payload))


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
    match name:
        case "mget" | "mdel" | "mexists":
            return Action(name, some)
        case "mset":
            return Action(name, some, tuple([fresh() for _ in some]))
        case "msetex":
            return Action(name, some, tuple([fresh() for _ in some]), ttls_ms=(0,) * len(some))
        case "set" | "setnx":
            return Action(name, key, (fresh(),))
        case "incr" | "decr":
            return Action(name, key, (rng.randint(1, 3),))
        case "cas":
            return Action(name, key, (rng.choice(written), fresh()))
        case "lock" | "unlock" | "extend":
            ttl_ms = 0 if name == "unlock" else 3_600_000
            return Action(name, key, (rng.choice("ab"),), ttl_ms)
        case _:
            return Action(name, key)


def record(
    connections: Sequence[WireConnection], plans: Sequence[Sequence[Action]], prefix: str
) -> list[Operation]:
    """Carry out plans at the same time, each on a connection of its own, in a thread of its own.

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
