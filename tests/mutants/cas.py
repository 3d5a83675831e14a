"""Mutants that are wrong about CAS."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from kvbench.engine import Update
from kvbench.model import Value
from kvbench.protocol import requests, responses
from kvbench.protocol.values import decode_value, encode_value, values_equal
from kvbench.server.dispatch import Dispatcher, RefusedRequest

from .parts import breaks


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


def _equal_in_python(left: Value, right: Value) -> bool:
    try:
        return left == right
    except InvalidOperation:  # A signalling NaN equals nothing, as any other.
        return False


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
        raise RefusedRequest("another value")


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


@breaks("CAS-004", "CAS-006", "CAS-007", "CAS-008", "CAS-009", "VALUE-011")
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
        return _equal_in_python(stored, wanted)


@breaks("CAS-005")
class CasLooseInside(_Comparing):
    """CAS compares the items of Lists without their types."""

    def equal(self, stored: Value, wanted: Value) -> bool:
        is_list = isinstance(stored, list) and isinstance(wanted, list)
        return _equal_in_python(stored, wanted) if is_list else super().equal(stored, wanted)


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
