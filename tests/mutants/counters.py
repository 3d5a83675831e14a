"""Mutants that are wrong about INCR, DECR and CAS."""

from __future__ import annotations

from decimal import Decimal

from kvbench.engine import Update
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status, Tag
from kvbench.protocol.values import decode_value, encode_value, values_equal
from kvbench.server.dispatch import Dispatcher, Refused

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
            raise Refused("the value is not an Int")
        return number(stored[1:])

    def total(self, start: int, delta: int) -> int:
        if not -(2**63) <= start + delta <= _I64_MAX:
            raise Refused("out of range")
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


@breaks("INCR-003")
class IncrNeedsAKey(_Counting):
    """INCR of an absent key is refused."""

    def start(self, stored: bytes | None) -> int:
        if stored is None:
            raise Refused("no such key")
        return super().start(stored)


@breaks("INCR-003", "DECR-002")
class CountersFromOne(_Counting):
    """INCR and DECR of an absent key begin with 1."""

    def start(self, stored: bytes | None) -> int:
        return 1 if stored is None else super().start(stored)


@breaks("INCR-003", "TTL-005")
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
            raise Refused("-delta is out of range")
        return super()._decr(payload)


@breaks("DECR-004")
class DecrLeavesZero(Dispatcher):
    """DECR of an absent key that is refused leaves a 0 there."""

    def _decr(self, payload: bytes) -> bytes:
        self._engine.setnx(requests.parse_counter(payload)[0], encode_value(0))
        return super()._decr(payload)


# --- CAS -----------------------------------------------------------------------------------------


class _Comparing(Dispatcher):
    """CAS with places to get wrong."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        return values_equal(stored, wanted)

    def absent(self, wanted: bytes) -> Update[bytes, bool | None]:
        return Update(None)

    def swap(self, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(True, True, new, ttl_ms=ttl_ms)

    def differs(self, stored: bytes, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(False)

    def _cas(self, payload: bytes) -> bytes:
        key, ttl_ms, wanted, new = requests.parse_cas(payload)

        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, bool | None]:
            if not is_there or stored is None:
                return self.absent(wanted)
            if not self.equal(decode_value(stored), decode_value(wanted)):
                return self.differs(stored, new, ttl_ms)
            return self.swap(new, ttl_ms)

        swapped = self._engine.update(key, decide)
        return responses.NULL_RESPONSE if swapped is None else responses.flag_response(swapped)


@breaks("CAS-001")
class CasForgets(_Comparing):
    """CAS answers 1 and stores nothing."""

    def swap(self, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(True)


@breaks("CAS-001")
class CasAnswersZero(_Comparing):
    """CAS swaps and answers 0."""

    def swap(self, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(False, True, new, ttl_ms=ttl_ms)


@breaks("CAS-002")
class CasStoresAnyway(_Comparing):
    """CAS that does not match answers 0, and stores."""

    def differs(self, stored: bytes, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(False, True, new, ttl_ms=ttl_ms)


@breaks("CAS-002")
class CasRenewsAnyway(_Comparing):
    """CAS that does not match gives the key its TTL."""

    def differs(self, stored: bytes, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(False, True, stored, ttl_ms=ttl_ms)


@breaks("CAS-002")
class CasRefuses(_Comparing):
    """CAS that does not match is refused."""

    def differs(self, stored: bytes, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        raise Refused("another value")


@breaks("CAS-003")
class CasOfNothingIsZero(_Comparing):
    """CAS of an absent key answers 0."""

    def absent(self, wanted: bytes) -> Update[bytes, bool | None]:
        return Update(False)


@breaks("CAS-003")
class CasMakesNull(_Comparing):
    """CAS of an absent key stores when the expected value is Null."""

    def _cas(self, payload: bytes) -> bytes:
        key, _, wanted, _ = requests.parse_cas(payload)
        if wanted == b"\0":
            self._engine.setnx(key, b"\0")
        return super()._cas(payload)


@breaks("CAS-004", "CAS-006", "CAS-008", "CAS-009", "VALUE-011")
class CasComparesBytes(Dispatcher):
    """CAS compares values as they were encoded."""

    def _cas(self, payload: bytes) -> bytes:
        key, ttl_ms, wanted, new = requests.parse_cas(payload)

        def decide(is_there: bool, stored: bytes | None) -> Update[bytes, bool | None]:
            if not is_there:
                return Update(None)
            if stored != wanted:
                return Update(False)
            return Update(True, True, new, ttl_ms=ttl_ms)

        swapped = self._engine.update(key, decide)
        return responses.NULL_RESPONSE if swapped is None else responses.flag_response(swapped)


@breaks("CAS-004")
class CasComparesPrefixes(_Comparing):
    """CAS takes a String for equal to one that begins with it."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, str) and isinstance(wanted, str):
            return stored.casefold() == wanted.casefold()
        return super().equal(stored, wanted)


@breaks("CAS-005")
class CasAsPythonHasIt(_Comparing):
    """CAS takes 1, 1.0 and true for one value."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        return stored == wanted


@breaks("CAS-005", "CAS-013")
class CasLooseInside(_Comparing):
    """CAS compares the items of Lists without their types."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        is_list = isinstance(stored, list) and isinstance(wanted, list)
        return stored == wanted if is_list else super().equal(stored, wanted)


@breaks("CAS-006")
class MapsInOrder(_Comparing):
    """CAS compares Maps in their order."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, dict) and isinstance(wanted, dict) and list(stored) != list(wanted):
            return False
        return super().equal(stored, wanted)


@breaks("CAS-007")
class NanIsNan(_Comparing):
    """CAS takes values for equal that were encoded alike, NaN included."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        return encode_value(stored) == encode_value(wanted) or super().equal(stored, wanted)


@breaks("CAS-007")
class NanIsNanInside(_Comparing):
    """CAS takes Lists for equal that were encoded alike, NaN included."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, list):
            return encode_value(stored) == encode_value(wanted) or super().equal(stored, wanted)
        return super().equal(stored, wanted)


@breaks("CAS-008")
class DecimalsAsText(_Comparing):
    """CAS compares Decimals by their digits."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, Decimal) and isinstance(wanted, Decimal):
            return str(stored) == str(wanted) and not stored.is_nan()
        return super().equal(stored, wanted)


@breaks("CAS-009")
class ZerosDiffer(_Comparing):
    """CAS compares Floats by their bits."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, float) and isinstance(wanted, float):
            return encode_value(stored) == encode_value(wanted) and stored == stored
        return super().equal(stored, wanted)


@breaks("CAS-010")
class CasForgetsTtl(_Comparing):
    """CAS that swaps ignores its TTL."""

    def swap(self, new: bytes, ttl_ms: int) -> Update[bytes, bool | None]:
        return Update(True, True, new)


@breaks("CAS-011")
class CasDropsTtl(_Comparing):
    """CAS that swaps without a TTL removes the one that was there."""

    def _cas(self, payload: bytes) -> bytes:
        key, ttl_ms, _, _ = requests.parse_cas(payload)
        reply = super()._cas(payload)
        if reply == responses.TRUE_RESPONSE and not ttl_ms:
            self._engine.expire(key, 0)
        return reply


@breaks("CAS-013")
class ListsAsBags(_Comparing):
    """CAS compares Lists without their order."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, list) and isinstance(wanted, list):
            stored, wanted = sorted(stored, key=repr), sorted(wanted, key=repr)
        return super().equal(stored, wanted)


@breaks("CAS-013")
class ListsByTheirBeginning(_Comparing):
    """CAS compares Lists as far as the shorter one goes."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        if isinstance(stored, list) and isinstance(wanted, list):
            size = min(len(stored), len(wanted))
            stored, wanted = stored[:size], wanted[:size]
        return super().equal(stored, wanted)
