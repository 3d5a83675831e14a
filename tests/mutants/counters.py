"""Mutants that are wrong about INCR and DECR."""

from __future__ import annotations

from kvbench.engine import Update
from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status, Tag
from kvbench.protocol.values import encode_value
from kvbench.server.dispatch import Dispatcher, RefusedRequest

from .parts import Rewriting, breaks, number, ok

_I64_MAX = 2**63 - 1


def _wrapped(total: int) -> int:
    return (total + 2**63) % 2**64 - 2**63


class _Counting(Dispatcher):
    """INCR and DECR with places to get wrong."""

    def start(self, stored: bytes | None) -> int:
        """The number that a counter goes on from."""
        if stored is None:
            return 0
        if stored[0] != Tag.INT:
            raise RefusedRequest("the value is not an Int")
        return number(stored[1:])

    def total(self, start: int, delta: int) -> int:
        if not -(2**63) <= start + delta <= _I64_MAX:
            raise RefusedRequest("out of range")
        return start + delta

    def kept(self, total: int) -> bytes:
        return encode_value(total)

    def lasting(self, is_there: bool) -> int:
        """The TTL of the counter, in ms; 0 leaves it."""
        return 0

    def _add(self, key: bytes, delta: int) -> bytes:
        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, int]:
            total = self.total(self.start(stored), delta)
            return Update(total, True, self.kept(total), ttl_ms=self.lasting(is_there))

        return responses.i64_response(self._engine.update(key, decide))


# --- INCR ----------------------------------------------------------------------------------------


@breaks("INCR-001", "STATUS-002")
class SumsWithATag(Rewriting):
    """INCR answers its sum as a value, with a tag."""

    def after(self, opcode: int, payload: bytes, reply: bytes) -> bytes:
        if opcode != Opcode.INCR or reply[0] != Status.OK:
            return reply
        return ok(b"\1" + reply[5:])


@breaks("INCR-001")
class IncrAnswersTheOld(_Counting):
    """INCR answers the number before."""

    def _incr(self, payload: bytes) -> bytes:
        key, _ = requests.parse_counter(payload)
        stored = self._engine.get(key)
        super()._incr(payload)
        return responses.i64_response(self.start(stored))


@breaks("INCR-002")
class CountersAsText(_Counting):
    """INCR and DECR store the digits of their sum as a String."""

    def start(self, stored: bytes | None) -> int:
        if stored is not None and stored[0] == Tag.STRING and stored[5:].lstrip(b"-").isdigit():
            return int(stored[5:])
        return super().start(stored)

    def kept(self, total: int) -> bytes:
        return encode_value(str(total))


@breaks("INCR-003", "DECR-002")
class IncrNeedsAKey(_Counting):
    """INCR of an absent key is refused."""

    def start(self, stored: bytes | None) -> int:
        if stored is None:
            raise RefusedRequest("no such key")
        return super().start(stored)


@breaks("INCR-003", "DECR-002")
class CountersFromOne(_Counting):
    """INCR and DECR of an absent key begin with 1."""

    def start(self, stored: bytes | None) -> int:
        return 1 if stored is None else super().start(stored)


@breaks("INCR-003", "DECR-002", "TTL-005")
class CountersForAnHour(_Counting):
    """INCR and DECR of an absent key give it an hour."""

    def lasting(self, is_there: bool) -> int:
        return 0 if is_there else 3_600_000


@breaks("INCR-004", "DECR-003")
class DigitsAreNumbers(_Counting):
    """INCR and DECR go on from a String of digits."""

    def start(self, stored: bytes | None) -> int:
        if stored is not None and stored[0] == Tag.STRING and stored[5:].isdigit():
            return int(stored[5:])
        return super().start(stored)


@breaks("INCR-004", "DECR-003")
class BoolsAreNumbers(_Counting):
    """INCR and DECR go on from a Bool."""

    def start(self, stored: bytes | None) -> int:
        if stored is not None and stored[0] == Tag.BOOL:
            return stored[1]
        return super().start(stored)


@breaks("INCR-004", "DECR-003")
class CountersReplace(_Counting):
    """INCR and DECR of what is no Int begin anew."""

    def start(self, stored: bytes | None) -> int:
        return super().start(stored) if stored is not None and stored[0] == Tag.INT else 0


@breaks("INCR-005", "DECR-004")
class CountersWrap(_Counting):
    """INCR and DECR go on from the other end of i64."""

    def total(self, start: int, delta: int) -> int:
        return _wrapped(start + delta)


@breaks("INCR-005", "DECR-004")
class CountersStop(_Counting):
    """INCR and DECR stay at the ends of i64."""

    def total(self, start: int, delta: int) -> int:
        return max(-(2**63), min(_I64_MAX, start + delta))


@breaks("INCR-006", "DECR-005")
class CountersLoseTtl(_Counting):
    """INCR and DECR remove the TTL."""

    def _add(self, key: bytes, delta: int) -> bytes:
        reply = super()._add(key, delta)
        self._engine.expire(key, 0)
        return reply


@breaks("INCR-006", "DECR-005")
class CountersRenewTtl(_Counting):
    """INCR and DECR give the key an hour when it has a TTL."""

    def _add(self, key: bytes, delta: int) -> bytes:
        left_ms = self._engine.ttl(key) or 0
        reply = super()._add(key, delta)
        if left_ms > 0:
            self._engine.expire(key, 3_600_000)
        return reply


@breaks("INCR-007")
class NoNegativeDeltas(Dispatcher):
    """INCR refuses a negative delta."""

    def _incr(self, payload: bytes) -> bytes:
        if requests.parse_counter(payload)[1] < 0:
            raise ProtocolError("a delta cannot be negative")
        return super()._incr(payload)


@breaks("INCR-007")
class NoZeroDelta(Dispatcher):
    """INCR refuses a delta of 0."""

    def _incr(self, payload: bytes) -> bytes:
        if requests.parse_counter(payload)[1] == 0:
            raise ProtocolError("a delta cannot be 0")
        return super()._incr(payload)


# --- DECR ----------------------------------------------------------------------------------------


@breaks("DECR-001", "DECR-002")
class DecrAdds(Dispatcher):
    """DECR adds, as INCR does."""

    def _decr(self, payload: bytes) -> bytes:
        return self._incr(payload)


@breaks("DECR-001")
class DecrForgets(Dispatcher):
    """DECR answers the number, and stores nothing."""

    def _decr(self, payload: bytes) -> bytes:
        key, delta = requests.parse_counter(payload)
        stored = self._engine.get(key)
        if stored is None or stored[0] != Tag.INT:
            return super()._decr(payload)
        return responses.i64_response(_wrapped(number(stored[1:]) - delta))


@breaks("DECR-002")
class DecrStoresDelta(Dispatcher):
    """DECR of an absent key stores delta itself."""

    def _decr(self, payload: bytes) -> bytes:
        key, delta = requests.parse_counter(payload)
        return super()._decr(payload) if self._engine.exists(key) else self._add(key, delta)


@breaks("DECR-004")
class DecrNegates(Dispatcher):
    """DECR refuses a delta whose negative does not fit, whatever the sum."""

    def _decr(self, payload: bytes) -> bytes:
        if requests.parse_counter(payload)[1] == -(2**63):
            raise RefusedRequest("-delta is out of range")
        return super()._decr(payload)


@breaks("DECR-004")
class DecrLeavesZero(Dispatcher):
    """DECR of an absent key that is refused leaves a 0 there."""

    def _decr(self, payload: bytes) -> bytes:
        self._engine.setnx(requests.parse_counter(payload)[0], encode_value(0))
        return super()._decr(payload)
