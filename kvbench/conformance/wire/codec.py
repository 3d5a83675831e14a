"""Actions over the wire: the bytes of a request, and what a reply means."""

from __future__ import annotations

import math
from typing import cast

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.wire.oracle import Action, Answer, Result
from kvbench.conformance.wire.trace import WireReply
from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, ReplyLayout, RequestLayout, Status
from kvbench.protocol.values import decode_value

TTL_UNIT_MS = 1_000_000
"""Recorded TTLs are rounded up to a multiple of this, almost 17 minutes: what a model where time
stands still can be compared with, as long as TTLs are multiples of it."""


def encode(action: Action, prefix: str = "") -> bytes:
    """The frame of an action; its keys begin with ``prefix`` on the wire."""
    namespace = prefix.encode()
    key = action.keys[0] if action.keys else ""
    opcode = Opcode[action.name.upper()]
    match opcode.request:
        case RequestLayout.KEY:
            return requests.key_request(opcode, namespace, key)
        case RequestLayout.KEY_TTL_VALUE:
            return requests.set_request(opcode, namespace, key, action.values[0], action.ttl_ms)
        case RequestLayout.KEY_DELTA:
            return requests.counter_request(opcode, namespace, key, cast(int, action.values[0]))
        case RequestLayout.KEY_TTL_VALUES:
            expected, new = action.values
            return requests.cas_request(namespace, key, expected, new, action.ttl_ms)
        case RequestLayout.KEY_OWNER_TTL:
            owner = cast(str, action.values[0])
            return requests.lock_request(opcode, namespace, key, owner, action.ttl_ms)
        case RequestLayout.KEY_OWNER:
            return requests.unlock_request(namespace, key, cast(str, action.values[0]))
        case RequestLayout.KEY_TTL:
            return requests.expire_request(namespace, key, action.ttl_ms)
        case RequestLayout.PAIRS:
            pairs: list[tuple[str, object]] = [*zip(action.keys, action.values, strict=True)]
            return requests.mset_request(namespace, pairs, action.ttl_ms)
        case RequestLayout.ENTRIES:
            columns = zip(action.keys, action.values, action.ttls_ms, strict=True)
            return requests.msetex_request(namespace, [*columns])
        case RequestLayout.KEYS:
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
    opcode = Opcode[action.name.upper()]
    match opcode.reply:
        case ReplyLayout.VALUE:
            return decode_value(payload)
        case ReplyLayout.EMPTY:
            responses.parse_empty_reply(payload)
            return Answer.OK
        case ReplyLayout.INTEGER:
            number = responses.parse_i64(payload)
            if opcode is Opcode.TTL and number > 0:
                return math.ceil(number / TTL_UNIT_MS) * TTL_UNIT_MS
            return number
        case ReplyLayout.VALUES:
            return tuple(responses.parse_values(payload, count))
        case ReplyLayout.FLAGS:
            return tuple([int(flag) for flag in responses.parse_flags(payload, count)])
        case ReplyLayout.COUNT:
            return responses.parse_count(payload)
        case _:
            return int(responses.parse_flag(payload))
