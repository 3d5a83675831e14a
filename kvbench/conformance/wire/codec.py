"""Actions over the wire: the bytes of a request, and what a reply means."""

from __future__ import annotations

import math
from typing import cast

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.oracle import Action, Answer, Result
from kvbench.conformance.wire.trace import WireReply
from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.protocol.values import decode_value

TTL_UNIT_MS = 1_000_000
"""Recorded TTLs are rounded up to a multiple of this, almost 17 minutes: what a model where time
stands still can be compared with, as long as TTLs are multiples of it."""


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
