"""Mutants that are wrong about MGET, MSET and MDEL."""

from __future__ import annotations

from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode
from kvbench.protocol.values import skip_value
from kvbench.server.dispatch import Dispatcher

from .parts import Rewriting, breaks, ok


@breaks("BATCH-001", "MSET-001", "MDEL-001")
class NoEmptyBatches(Rewriting):
    """Refuses a batch of no keys."""

    def handle(self, opcode: int, payload: bytes) -> bytes:
        is_batch = opcode in (Opcode.MGET, Opcode.MSET, Opcode.MDEL)
        if is_batch and payload[:2] == b"\0\0":
            return responses.message_response(3, "an empty batch")
        return super().handle(opcode, payload)


@breaks("BATCH-002")
class BatchesOfAThousand(Dispatcher):
    """Refuses batches of more than 1000 keys."""

    most = 1000

    def _parse_keys(self, payload: bytes) -> list[bytes]:
        keys = super()._parse_keys(payload)
        if len(keys) > self.most:
            raise ProtocolError(f"a batch has up to {self.most} keys")
        return keys


@breaks("BATCH-002")
class CountsWithASign(BatchesOfAThousand):
    """Refuses batches of more than 32,767 keys."""

    most = 32_767


@breaks("BATCH-003", "STATUS-006", "TTL-010")
class HalfABatch(Dispatcher):
    """MSET stores the pairs before a bad one, and refuses."""

    def _mset(self, payload: bytes) -> bytes:
        try:
            return super()._mset(payload)
        except ProtocolError:
            offset = 10
            for _ in range(int.from_bytes(payload[:2], "big")):
                end = offset + 2 + int.from_bytes(payload[offset : offset + 2], "big")
                requests.parse_key(payload[offset + 2 : end])
                after = skip_value(payload, end)
                self._engine.set(payload[offset + 2 : end], payload[end:after])
                offset = after
            raise


@breaks("BATCH-003", "BATCH-004", "FRAME-004")
class BadPairsAreSkipped(Dispatcher):
    """MSET leaves out what is bad, and answers OK."""

    def _mset(self, payload: bytes) -> bytes:
        try:
            return super()._mset(payload)
        except ProtocolError:
            return ok()


@breaks("BATCH-003", "STATUS-006")
class HalfADeletion(Dispatcher):
    """MDEL removes the keys before a bad one, and refuses."""

    def _mdel(self, payload: bytes) -> bytes:
        try:
            return super()._mdel(payload)
        except ProtocolError:
            self._remove_until_a_bad_one(payload)
            raise

    def _remove_until_a_bad_one(self, payload: bytes) -> None:
        offset = 2
        for _ in range(int.from_bytes(payload[:2], "big")):
            end = offset + 2 + int.from_bytes(payload[offset : offset + 2], "big")
            if not offset + 2 < end <= len(payload):
                break
            self._engine.delete(payload[offset + 2 : end])
            offset = end


@breaks("BATCH-004", "FRAME-004")
class CountsAreIgnored(Dispatcher):
    """MGET and MDEL take as many keys as there are, whatever the count says."""

    def _parse_keys(self, payload: bytes) -> list[bytes]:
        keys = []
        offset = 2
        while offset < len(payload):
            end = offset + 2 + int.from_bytes(payload[offset : offset + 2], "big")
            keys.append(requests.parse_key(payload[offset + 2 : end]))
            offset = end
        return keys


# --- MGET ----------------------------------------------------------------------------------------


@breaks("MGET-001")
class SortedAnswers(Dispatcher):
    """MGET answers in the order of sorted keys."""

    def _mget(self, payload: bytes) -> bytes:
        keys = sorted(self._parse_keys(payload))
        return responses.values_response(self._engine.mget(keys))


@breaks("MGET-001", "STATUS-002")
class AnswersWithoutCount(Rewriting):
    """MGET answers values without a count before them."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        return ok(reply[7:]) if opcode == Opcode.MGET and reply[0] == 0 else reply


@breaks("MGET-002", "STATUS-002")
class AbsentKeysAreLeftOut(Dispatcher):
    """MGET answers only for the keys that are there."""

    def _mget(self, payload: bytes) -> bytes:
        found = self._engine.mget(self._parse_keys(payload))
        return responses.values_response([value for value in found if value is not None])


@breaks("MGET-002")
class NullWhenOneIsAbsent(Dispatcher):
    """MGET answers NULL when a key is absent."""

    def _mget(self, payload: bytes) -> bytes:
        found = self._engine.mget(self._parse_keys(payload))
        return responses.NULL_RESPONSE if None in found else responses.values_response(found)


@breaks("MGET-003")
class AnswersOnce(Dispatcher):
    """MGET answers a key that is asked for twice once."""

    def _mget(self, payload: bytes) -> bytes:
        keys = list(dict.fromkeys(self._parse_keys(payload)))
        return responses.values_response(self._engine.mget(keys))


@breaks("MGET-003")
class NullTheSecondTime(Dispatcher):
    """MGET answers Null where a key comes again."""

    def _mget(self, payload: bytes) -> bytes:
        keys = self._parse_keys(payload)
        found = self._engine.mget(keys)
        again = [keys.index(key) != place for place, key in enumerate(keys[:1000])]
        again += [True] * (len(keys) - len(again))
        pairs = zip(found, again, strict=True)
        return responses.values_response([None if twice else value for value, twice in pairs])


@breaks("MGET-004")
class MgetCreates(Dispatcher):
    """MGET stores a Null under each absent key."""

    def _mget(self, payload: bytes) -> bytes:
        reply = super()._mget(payload)
        for key in dict.fromkeys(self._parse_keys(payload)):
            self._engine.setnx(key, b"\0")
        return reply


@breaks("MGET-004")
class MgetRenews(Dispatcher):
    """MGET removes the TTLs of its keys."""

    def _mget(self, payload: bytes) -> bytes:
        reply = super()._mget(payload)
        for key in dict.fromkeys(self._parse_keys(payload)):
            self._engine.expire(key, 0)
        return reply


# --- MSET ----------------------------------------------------------------------------------------


@breaks("MSET-001")
class LastPairIsLost(Dispatcher):
    """MSET stores all pairs but the last."""

    def _mset(self, payload: bytes) -> bytes:
        ttl_ms, items = requests.parse_mset(payload)
        if len(items) > 1:
            items.popitem()
        self._engine.mset(items, ttl_ms)
        return ok()


@breaks("MSET-001", "MSET-002")
class MsetOnlyAdds(Dispatcher):
    """MSET leaves keys as they are that are there."""

    def _mset(self, payload: bytes) -> bytes:
        ttl_ms, items = requests.parse_mset(payload)
        for key, value in items.items():
            self._engine.setnx(key, value, ttl_ms)
        return ok()


@breaks("MSET-001", "STATUS-002")
class MsetCounts(Rewriting):
    """MSET answers how many keys it has set."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if opcode != Opcode.MSET or reply[0] != 0:
            return reply
        return ok(payload[:2])


@breaks("MSET-002")
class TtlOfTheFirst(Dispatcher):
    """MSET gives its TTL to its first key only."""

    def _mset(self, payload: bytes) -> bytes:
        reply = super()._mset(payload)
        _, items = requests.parse_mset(payload)
        for key in list(items)[1:]:
            self._engine.expire(key, 0)
        return reply


@breaks("MSET-002")
class MsetKeepsTtl(Dispatcher):
    """MSET without a TTL keeps those that were there."""

    def _mset(self, payload: bytes) -> bytes:
        ttl_ms, items = requests.parse_mset(payload)
        left = {key: self._engine.ttl(key) or 0 for key in items}
        reply = super()._mset(payload)
        for key, left_ms in left.items():
            if not ttl_ms and left_ms > 0:
                self._engine.expire(key, left_ms)
        return reply


@breaks("MSET-003")
class FirstValueStays(Dispatcher):
    """MSET that holds a key twice stores its first value."""

    def _mset(self, payload: bytes) -> bytes:
        ttl_ms, _ = requests.parse_mset(payload)
        items: dict[bytes, bytes] = {}
        offset = 10
        for _ in range(int.from_bytes(payload[:2], "big")):
            end = offset + 2 + int.from_bytes(payload[offset : offset + 2], "big")
            after = skip_value(payload, end)
            items.setdefault(payload[offset + 2 : end], payload[end:after])
            offset = after
        self._engine.mset(items, ttl_ms)
        return ok()


@breaks("MSET-003")
class NoKeysTwiceInMset(Dispatcher):
    """MSET refuses a batch that holds a key twice."""

    def _mset(self, payload: bytes) -> bytes:
        _, items = requests.parse_mset(payload)
        if len(items) < int.from_bytes(payload[:2], "big"):
            raise ProtocolError("a key comes twice")
        return super()._mset(payload)


# --- MDEL ----------------------------------------------------------------------------------------


@breaks("MDEL-001")
class OneIsLeft(Dispatcher):
    """MDEL counts all of its keys, and leaves the last one."""

    def _mdel(self, payload: bytes) -> bytes:
        keys = self._parse_keys(payload)
        there = sum(map(self._engine.exists, dict.fromkeys(keys)))
        self._engine.mdel([key for key in keys if key != keys[-1]])
        return responses.count_response(there)


@breaks("MDEL-002")
class AbsentKeysCount(Dispatcher):
    """MDEL counts keys that are absent."""

    def _mdel(self, payload: bytes) -> bytes:
        keys = self._parse_keys(payload)
        self._engine.mdel(keys)
        return responses.count_response(len(set(keys)))


@breaks("MDEL-003")
class TwiceCountsTwice(Dispatcher):
    """MDEL counts a key that it holds twice as often as it comes."""

    def _mdel(self, payload: bytes) -> bytes:
        keys = self._parse_keys(payload)
        there = {key for key in dict.fromkeys(keys) if self._engine.exists(key)}
        self._engine.mdel(keys)
        return responses.count_response(sum([key in there for key in keys]))
