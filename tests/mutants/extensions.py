"""Mutants that are wrong about HELLO, MEXISTS, MSETEX, EXPIRE, TTL and GETDEL."""

from __future__ import annotations

from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import EXTENSIONS, Opcode, Tag
from kvbench.server.dispatch import Dispatcher, RefusedRequest

from .parts import Lacking, Plain, breaks, invalid, is_refusal, ok

# --- HELLO ---------------------------------------------------------------------------------------


class _Greeting(Dispatcher):
    """HELLO answers something else."""

    def greeting(self, version: int) -> bytes:
        return requests.hello_payload(1, list(EXTENSIONS))

    def _hello(self, payload: bytes) -> bytes:
        version, _ = requests.parse_hello(payload)
        return ok(self.greeting(version))


@breaks("HELLO-001")
class VersionZero(_Greeting):
    """HELLO answers version 0."""

    def greeting(self, version: int) -> bytes:
        return requests.hello_payload(0, list(EXTENSIONS))


@breaks("HELLO-001", "STATUS-002")
class HelloMiscounts(_Greeting):
    """HELLO counts one capability too many."""

    def greeting(self, version: int) -> bytes:
        names = super().greeting(version)
        return names[:3] + bytes([names[3] + 1]) + names[4:]


@breaks("HELLO-001", "STATUS-002")
class HelloNotInUtf8(_Greeting):
    """HELLO announces a name that is not UTF-8."""

    def greeting(self, version: int) -> bytes:
        names = super().greeting(version)
        return names[:3] + bytes([names[3] + 1]) + names[4:] + b"\0\1\xff"


@breaks("HELLO-002")
class HelloEchoes(_Greeting):
    """HELLO answers the version that the client speaks."""

    def greeting(self, version: int) -> bytes:
        return requests.hello_payload(version, list(EXTENSIONS))


@breaks("HELLO-002")
class OneVersionOnly(_Greeting):
    """HELLO with another version is refused."""

    def greeting(self, version: int) -> bytes:
        if version != 1:
            raise RefusedRequest("another version")
        return super().greeting(version)


@breaks("HELLO-003")
class KnownCapabilitiesOnly(Dispatcher):
    """HELLO refuses capabilities that it does not know."""

    def _hello(self, payload: bytes) -> bytes:
        _, names = requests.parse_hello(payload)
        if not set(names) <= set(EXTENSIONS):
            raise RefusedRequest("no such capability")
        return super()._hello(payload)


@breaks("HELLO-004")
class HelloFirst(Plain):
    """Refuses everything before a HELLO."""

    is_met = False

    def reply(self, opcode: int, payload: bytes) -> bytes:
        self.is_met = self.is_met or opcode == Opcode.HELLO
        return super().reply(opcode, payload) if self.is_met else invalid("say HELLO first")


@breaks("HELLO-004")
class HelloOnce(Plain):
    """Refuses a second HELLO."""

    is_met = False

    def reply(self, opcode: int, payload: bytes) -> bytes:
        was_met, self.is_met = self.is_met, self.is_met or opcode == Opcode.HELLO
        if was_met and opcode == Opcode.HELLO:
            return invalid("we have met")
        return super().reply(opcode, payload)


@breaks("HELLO-005", "EXT-001")
class ShoutedNames(_Greeting):
    """HELLO announces its extensions in capitals."""

    def greeting(self, version: int) -> bytes:
        return requests.hello_payload(1, [name.upper() for name in EXTENSIONS])


@breaks("HELLO-006")
class HelloTakesAnything(Dispatcher):
    """HELLO does not look at its payload."""

    def _hello(self, payload: bytes) -> bytes:
        return super()._hello(requests.hello_payload(1, []))


@breaks("EXT-002", "TTLOP-002")
class AnnouncesTtlInVain(Lacking):
    """Announces TTL and lacks it."""

    lacks = (Opcode.TTL,)


# --- MEXISTS -------------------------------------------------------------------------------------


@breaks("MEXISTS-001")
class FlagsBackwards(Dispatcher):
    """MEXISTS answers in the opposite order."""

    def _mexists(self, payload: bytes) -> bytes:
        flags = self._engine.mexists(self._parse_keys(payload))
        return responses.flags_response(flags[::-1])


@breaks("MEXISTS-001", "STATUS-002")
class FlagsWithoutCount(Dispatcher):
    """MEXISTS answers flags without a count before them."""

    def _mexists(self, payload: bytes) -> bytes:
        return ok(super()._mexists(payload)[7:])


@breaks("MEXISTS-002")
class NullIsNotThere(Dispatcher):
    """MEXISTS answers 0 for a key that holds Null."""

    def _mexists(self, payload: bytes) -> bytes:
        found = self._engine.mget(self._parse_keys(payload))
        return responses.flags_response([value not in (None, b"\0") for value in found])


@breaks("MEXISTS-003")
class FlagsOnce(Dispatcher):
    """MEXISTS answers a key that is asked for twice once."""

    def _mexists(self, payload: bytes) -> bytes:
        keys = list(dict.fromkeys(self._parse_keys(payload)))
        return responses.flags_response(self._engine.mexists(keys))


# --- MSETEX --------------------------------------------------------------------------------------


@breaks("MSETEX-001")
class OneTtlForAll(Dispatcher):
    """MSETEX gives every entry the TTL of the first."""

    def _msetex(self, payload: bytes) -> bytes:
        entries = requests.parse_msetex(payload)
        first_ms = entries[0][2] if entries else 0
        self._engine.mset_each([(key, value, first_ms) for key, value, _ in entries])
        return ok()


@breaks("MSETEX-001")
class ZeroKeepsTtl(Dispatcher):
    """MSETEX with a TTL of 0 keeps the one that was there."""

    def _msetex(self, payload: bytes) -> bytes:
        entries = requests.parse_msetex(payload)
        left = {key: self._engine.ttl(key) or 0 for key, _, ttl_ms in entries if not ttl_ms}
        reply = super()._msetex(payload)
        for key, left_ms in left.items():
            if left_ms > 0:
                self._engine.expire(key, left_ms)
        return reply


@breaks("MSETEX-002")
class FirstEntryStays(Dispatcher):
    """MSETEX that holds a key twice stores the first entry."""

    def _msetex(self, payload: bytes) -> bytes:
        self._engine.mset_each(requests.parse_msetex(payload)[::-1])
        return ok()


@breaks("MSETEX-002")
class TtlOfTheFirstEntry(Dispatcher):
    """MSETEX that holds a key twice stores the last value with the first TTL."""

    def _msetex(self, payload: bytes) -> bytes:
        entries = requests.parse_msetex(payload)
        ttls = {key: ttl_ms for key, _, ttl_ms in entries[::-1]}
        self._engine.mset_each([(key, value, ttls[key]) for key, value, _ in entries])
        return ok()


@breaks("MSETEX-003", "STATUS-006")
class HalfAnMsetex(Dispatcher):
    """MSETEX stores the entries before a bad one, and refuses."""

    def _msetex(self, payload: bytes) -> bytes:
        try:
            return super()._msetex(payload)
        except ProtocolError:
            end = 4 + int.from_bytes(payload[2:4], "big")
            if len(payload) > end:
                self._engine.set(payload[4:end], b"\0")
            raise


# --- EXPIRE and TTL ------------------------------------------------------------------------------


@breaks("EXPIRE-001")
class ExpireForgets(Dispatcher):
    """EXPIRE answers 1 and changes nothing."""

    def _expire(self, payload: bytes) -> bytes:
        key, _ = requests.parse_expire(payload)
        return responses.flag_response(self._engine.exists(key))


@breaks("EXPIRE-001")
class ExpireOnlyOnce(Dispatcher):
    """EXPIRE leaves a TTL that is there."""

    def _expire(self, payload: bytes) -> bytes:
        key, ttl_ms = requests.parse_expire(payload)
        if ttl_ms and (self._engine.ttl(key) or 0) > 0:
            return ok(b"\1")
        return super()._expire(payload)


@breaks("EXPIRE-002")
class ExpireCreates(Dispatcher):
    """EXPIRE of an absent key stores a Null."""

    def _expire(self, payload: bytes) -> bytes:
        key, ttl_ms = requests.parse_expire(payload)
        return responses.flag_response(not self._engine.setnx(key, b"\0", ttl_ms))


@breaks("EXPIRE-002")
class ExpireOfNothingIsNull(Dispatcher):
    """EXPIRE of an absent key answers NULL."""

    def _expire(self, payload: bytes) -> bytes:
        reply = super()._expire(payload)
        return responses.NULL_RESPONSE if reply == responses.FALSE_RESPONSE else reply


@breaks("EXPIRE-003")
class ExpireZeroDeletes(Dispatcher):
    """EXPIRE with a TTL of 0 removes the key."""

    def _expire(self, payload: bytes) -> bytes:
        key, ttl_ms = requests.parse_expire(payload)
        if ttl_ms == 0:
            return responses.flag_response(self._engine.delete(key))
        return super()._expire(payload)


@breaks("EXPIRE-003")
class ExpireZeroForgets(Dispatcher):
    """EXPIRE with a TTL of 0 leaves the TTL."""

    def _expire(self, payload: bytes) -> bytes:
        key, ttl_ms = requests.parse_expire(payload)
        if ttl_ms == 0:
            return responses.flag_response(self._engine.exists(key))
        return super()._expire(payload)


class _Telling(Dispatcher):
    """TTL answers something else."""

    def left(self, left_ms: int) -> int:
        return left_ms

    def _ttl(self, payload: bytes) -> bytes:
        reply = super()._ttl(payload)
        if is_refusal(reply) or len(reply) != 13:
            return reply
        return responses.i64_response(self.left(int.from_bytes(reply[5:], "big", signed=True)))


@breaks("TTLOP-001")
class SecondsLeft(_Telling):
    """TTL answers seconds."""

    def left(self, left_ms: int) -> int:
        return left_ms // 1000 if left_ms > 0 else left_ms


@breaks("TTLOP-001")
class MoreThanGiven(_Telling):
    """TTL answers a second more than is left."""

    def left(self, left_ms: int) -> int:
        return left_ms + 1000 if left_ms > 0 else left_ms


@breaks("TTLOP-002")
class NoneIsZero(_Telling):
    """TTL of a key without a TTL answers 0."""

    def left(self, left_ms: int) -> int:
        return max(0, left_ms)


@breaks("TTLOP-003")
class AbsentIsMinusTwo(Dispatcher):
    """TTL of an absent key answers -2."""

    def _ttl(self, payload: bytes) -> bytes:
        reply = super()._ttl(payload)
        return responses.i64_response(-2) if reply == responses.NULL_RESPONSE else reply


@breaks("TTLOP-004")
class LookingRenews(Dispatcher):
    """TTL removes the TTL that it has answered."""

    def _ttl(self, payload: bytes) -> bytes:
        reply = super()._ttl(payload)
        self._engine.expire(payload, 0)
        return reply


@breaks("TTLOP-004")
class LookingTouches(Dispatcher):
    """TTL removes a key that has no TTL."""

    def _ttl(self, payload: bytes) -> bytes:
        reply = super()._ttl(payload)
        if reply == responses.i64_response(-1):
            self._engine.delete(payload)
        return reply


# --- GETDEL --------------------------------------------------------------------------------------


@breaks("GETDEL-001")
class OnlyGets(Dispatcher):
    """GETDEL answers the value and leaves the key."""

    def _getdel(self, payload: bytes) -> bytes:
        return self._get(payload)


@breaks("GETDEL-001", "STATUS-002")
class OnlyDeletes(Dispatcher):
    """GETDEL removes the key and answers what DEL does."""

    def _getdel(self, payload: bytes) -> bytes:
        return self._del(payload)


@breaks("GETDEL-001")
class LeavesInts(Dispatcher):
    """GETDEL answers an Int and leaves its key."""

    def _getdel(self, payload: bytes) -> bytes:
        reply = self._get(payload)
        return reply if reply[5:6] == bytes([Tag.INT]) else super()._getdel(payload)


@breaks("GETDEL-002")
class AbsentIsNullValue(Dispatcher):
    """GETDEL of an absent key answers OK with Null."""

    def _getdel(self, payload: bytes) -> bytes:
        reply = super()._getdel(payload)
        return ok(b"\0") if reply == responses.NULL_RESPONSE else reply


@breaks("GETDEL-002")
class LeavesNull(Dispatcher):
    """GETDEL stores Null in the place of what it removes, and of nothing."""

    def _getdel(self, payload: bytes) -> bytes:
        reply = super()._getdel(payload)
        if reply == responses.NULL_RESPONSE:
            self._engine.set(payload, b"\0")
        return reply


@breaks("GETDEL-003")
class NullValueIsAbsent(Dispatcher):
    """GETDEL of a stored Null answers NULL."""

    def _getdel(self, payload: bytes) -> bytes:
        reply = super()._getdel(payload)
        return responses.NULL_RESPONSE if reply == ok(b"\0") else reply
