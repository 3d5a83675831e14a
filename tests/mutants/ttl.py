"""Mutants that are wrong about time."""

from __future__ import annotations

from kvbench.engine import Engine
from kvbench.errors import ProtocolError
from kvbench.protocol import requests
from kvbench.protocol.opcodes import TTL_MS_MAX, Opcode
from kvbench.server.dispatch import Dispatcher

from .parts import Forgiving, Timing, breaks, is_refusal, loosely

_YEAR_MS = 31_557_600_000
_HOUR_MS = 3_600_000


@breaks("TTL-001")
class NothingEnds(Timing):
    """Ignores every TTL."""

    def lasting(self, ttl_ms: int) -> int:
        return 0


@breaks("TTL-001")
class TtlInSeconds(Timing):
    """Takes milliseconds for seconds."""

    def lasting(self, ttl_ms: int) -> int:
        return min(ttl_ms * 1000, TTL_MS_MAX)


@breaks("TTL-001")
class EndsLate(Timing):
    """Lets a key live 500 ms longer."""

    def lasting(self, ttl_ms: int) -> int:
        return ttl_ms + 500 if ttl_ms else 0


@breaks("TTL-004")
class EndsEarly(Timing):
    """Ends a key after half its time."""

    def lasting(self, ttl_ms: int) -> int:
        return (ttl_ms + 1) // 2


@breaks("TTL-004")
class WholeSeconds(Timing):
    """Rounds a TTL down to whole seconds; less than one is over at once."""

    def lasting(self, ttl_ms: int) -> int:
        return (ttl_ms // 1000 * 1000 or 1) if ttl_ms else 0


@breaks("TTL-001")
class RoundedUpToSeconds(Timing):
    """Rounds a TTL up to whole seconds."""

    def lasting(self, ttl_ms: int) -> int:
        return -(-ttl_ms // 1000) * 1000


@breaks("TTL-005")
class ZeroEndsAtOnce(Timing):
    """Ends a key with a TTL of 0 after a moment."""

    def lasting(self, ttl_ms: int) -> int:
        return ttl_ms or 20


@breaks("TTL-005")
class EverythingEnds(Dispatcher):
    """Gives a new counter an hour."""

    def _incr(self, payload: bytes) -> bytes:
        key, _ = requests.parse_counter(payload)
        is_new = not self._engine.exists(key)
        reply = super()._incr(payload)
        if is_new:
            self._engine.expire(key, _HOUR_MS)
        return reply


# --- Expired keys --------------------------------------------------------------------------------


class _Unlooked(Engine[bytes, bytes]):
    """Does not look whether keys have expired, for some operations."""

    is_looking = True

    def _without_looking(self, call):
        self.is_looking = False
        try:
            return call()
        finally:
            self.is_looking = True

    def _expire(self, keys):
        if self.is_looking:
            super()._expire(keys)


@breaks("TTL-003")
class CountsTheExpiredInMdel(_Unlooked):
    """MDEL counts keys that have expired."""

    def mdel(self, keys):
        return self._without_looking(lambda: super(_Unlooked, self).mdel(keys))


@breaks("TTL-003")
class TheExpiredBlockSetnx(_Unlooked):
    """SETNX and LOCK find keys that have expired."""

    def setnx(self, key, value, ttl_ms=0):
        return self._without_looking(lambda: super(_Unlooked, self).setnx(key, value, ttl_ms))


@breaks("TTL-003")
class CountersGoOnAfterTheEnd(_Unlooked):
    """INCR and DECR go on from the number of a key that has expired."""

    def update(self, key, decide):
        return self._without_looking(lambda: super(_Unlooked, self).update(key, decide))


@breaks("TTL-003")
class TheExpiredAreRead(_Unlooked):
    """MGET answers values of keys that have expired."""

    def mget(self, keys):
        return self._without_looking(lambda: super(_Unlooked, self).mget(keys))


@breaks("TTL-003")
class TheExpiredExist(_Unlooked):
    """EXISTS and MEXISTS see keys that have expired."""

    def exists(self, key):
        return self._without_looking(lambda: super(_Unlooked, self).exists(key))

    def mexists(self, keys):
        return self._without_looking(lambda: super(_Unlooked, self).mexists(keys))


@breaks("TTL-003")
class TheExpiredAreExtended(_Unlooked):
    """EXPIRE brings a key back that has expired."""

    def expire(self, key, ttl_ms):
        return self._without_looking(lambda: super(_Unlooked, self).expire(key, ttl_ms))


# --- Long ones -----------------------------------------------------------------------------------


@breaks("TTL-006")
class AnyTtl(Forgiving):
    """SET takes any TTL, and keeps the key for good."""

    complaint = "a TTL has up to"

    def _set(self, payload: bytes) -> bytes:
        _, ttl_ms, _ = loosely(payload)
        if ttl_ms <= TTL_MS_MAX:
            return super()._set(payload)
        end = 2 + int.from_bytes(payload[:2], "big")
        return super()._set(payload[:end] + bytes(8) + payload[end + 8 :])


class _Limited(Dispatcher):
    """SET treats long TTLs in another way."""

    def _set(self, payload: bytes) -> bytes:
        end = 2 + int.from_bytes(payload[:2], "big")
        _, ttl_ms, _ = requests.parse_set(payload)
        lasting = self.lasting(ttl_ms).to_bytes(8, "big")
        return super()._set(payload[:end] + lasting + payload[end + 8 :])


@breaks("TTL-007")
class OneYearAtMost(_Limited):
    """SET refuses a TTL of more than a year."""

    def lasting(self, ttl_ms: int) -> int:
        if ttl_ms > _YEAR_MS:
            raise ProtocolError("a TTL has up to a year")
        return ttl_ms


@breaks("TTL-008")
class CutToAYear(_Limited):
    """SET makes a year of a longer TTL."""

    def lasting(self, ttl_ms: int) -> int:
        return min(ttl_ms, _YEAR_MS)


@breaks("TTL-008")
class TtlOf32Bits(_Limited):
    """SET keeps the lower 32 bits of a TTL."""

    def lasting(self, ttl_ms: int) -> int:
        return ttl_ms & 0xFFFF_FFFF


@breaks("TTL-008")
class TooLongIsCut(Dispatcher):
    """SET makes ten years of a TTL beyond 100."""

    def _set(self, payload: bytes) -> bytes:
        end = 2 + int.from_bytes(payload[:2], "big")
        if int.from_bytes(payload[end : end + 8], "big") > TTL_MS_MAX:
            payload = payload[:end] + (10 * _YEAR_MS).to_bytes(8, "big") + payload[end + 8 :]
        return super()._set(payload)


# --- Refusals ------------------------------------------------------------------------------------


@breaks("TTL-010")
class RefusalsDropTtl(Dispatcher):
    """SET that is refused removes the TTL that was there."""

    def _set(self, payload: bytes) -> bytes:
        try:
            return super()._set(payload)
        except ProtocolError:
            self._engine.expire(loosely(payload)[0], 0)
            raise


@breaks("TTL-010")
class RefusedCountersDropTtl(Dispatcher):
    """INCR that is refused removes the TTL that was there."""

    def handle(self, opcode: int, payload: bytes) -> bytes:
        reply = super().handle(opcode, payload)
        if opcode == Opcode.INCR and is_refusal(reply):
            self._engine.expire(loosely(payload)[0], 0)
        return reply
