"""Mutants that are wrong only when several connections are at work."""

from __future__ import annotations

import asyncio

from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode
from kvbench.protocol.values import encode_value

from .parts import Yielding, breaks, number, ok


async def _others() -> None:
    """Let other connections in."""
    for _ in range(3):
        await asyncio.sleep(0)


@breaks("INCR-008", "ATOMIC-001")
class LosesIncrements(Yielding):
    """INCR reads, lets others in, and writes."""

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != Opcode.INCR or len(payload) < 10:
            return await super().reply(opcode, payload)
        stored = self.engine.get(payload[2:-8])
        await _others()
        key, delta = requests.parse_counter(payload)
        total = (number(stored[1:]) if stored is not None else 0) + delta
        if stored is None or stored[0] != 1 or total not in range(-(2**63), 2**63):
            return await super().reply(opcode, payload)
        self.engine.update(key, lambda *_: _Write(encode_value(total)))
        return responses.i64_response(total)


class _Write:
    """A decision to write, as Engine.update takes it."""

    remove = False
    write = True
    ttl_ms = 0
    result = None

    def __init__(self, value: bytes) -> None:
        self.value = value


@breaks("CAS-012")
class SeveralSwap(Yielding):
    """CAS compares, lets others in, and stores."""

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        reply = await super().reply(opcode, payload) if opcode != Opcode.CAS else b""
        if reply:
            return reply
        key = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
        before = self.engine.get(key)
        reply = self._dispatcher.handle(opcode, payload)
        if reply != responses.TRUE_RESPONSE or before is None:
            return reply
        after = self.engine.get(key)
        self.engine.update(key, lambda *_: _Write(before))
        await _others()
        if after is not None:
            self.engine.update(key, lambda *_: _Write(after))
        return reply


@breaks("GETDEL-004")
class SeveralTakeIt(Yielding):
    """GETDEL looks, lets others in, and removes."""

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != Opcode.GETDEL:
            return await super().reply(opcode, payload)
        answer = await super().reply(Opcode.GET, payload)
        await _others()
        self.engine.delete(payload)
        return answer


@breaks("SETNX-004")
class SeveralAreFirst(Yielding):
    """SETNX looks, lets others in, and stores."""

    opcode = Opcode.SETNX

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != self.opcode:
            return await super().reply(opcode, payload)
        key = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
        was_there = self.engine.exists(key)
        await _others()
        if not was_there and len(payload) > len(key) + 2:
            self.engine.delete(key)
        return await super().reply(opcode, payload)


@breaks("LOCK-008")
class SeveralLock(SeveralAreFirst):
    """LOCK looks, lets others in, and locks."""

    opcode = Opcode.LOCK


@breaks("BATCH-005")
class MsetKeyByKey(Yielding):
    """MSET stores its first half, lets others in, and stores the rest."""

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != Opcode.MSET:
            return await super().reply(opcode, payload)
        try:
            ttl_ms, items = requests.parse_mset(payload)
        except Exception:  # noqa: BLE001 - the dispatcher will say what is wrong with it
            return await super().reply(opcode, payload)
        pairs = list(items.items())
        self.engine.mset(dict(pairs[: len(pairs) // 2]), ttl_ms)
        await _others()
        self.engine.mset(dict(pairs[len(pairs) // 2 :]), ttl_ms)
        return ok()


@breaks("BATCH-005")
class MgetKeyByKey(Yielding):
    """MGET reads its first half, lets others in, and reads the rest."""

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != Opcode.MGET:
            return await super().reply(opcode, payload)
        try:
            keys = requests.parse_keys(payload)
        except Exception:  # noqa: BLE001 - the dispatcher will say what is wrong with it
            return await super().reply(opcode, payload)
        first = self.engine.mget(keys[: len(keys) // 2])
        await _others()
        return responses.values_response([*first, *self.engine.mget(keys[len(keys) // 2 :])])


@breaks("BATCH-005")
class MdelKeyByKey(Yielding):
    """MDEL removes its first half, lets others in, and removes the rest."""

    async def reply(self, opcode: int, payload: bytes) -> bytes:
        if opcode != Opcode.MDEL:
            return await super().reply(opcode, payload)
        try:
            keys = list(dict.fromkeys(requests.parse_keys(payload)))
        except Exception:  # noqa: BLE001 - the dispatcher will say what is wrong with it
            return await super().reply(opcode, payload)
        removed = self.engine.mdel(keys[: len(keys) // 2])
        await _others()
        return responses.count_response(removed + self.engine.mdel(keys[len(keys) // 2 :]))
