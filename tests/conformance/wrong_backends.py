"""Backends in this process that are wrong on purpose, each in one way, with the clause it breaks.

Every one is the in-memory backend with one method spoiled. :data:`WRONG` has them by clause. Some
that are right, and plain, stand among them.
"""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from kvbench_backends.memory import MemoryBackend

from kvbench.backend import Backend
from kvbench.engine import Update
from kvbench.errors import KvbenchError, KvError, KvRefusedError, UnsupportedError
from kvbench.model import (
    I64_MAX,
    I64_MIN,
    TTL_SECONDS_MAX,
    Capability,
    check_bytes,
    check_delta,
    check_key,
    check_keys,
    check_owner,
    lock_ttl_to_ms,
    pair_list,
    pairs_to_dict,
    ttl_to_ms,
)

WRONG: list[tuple[str, type[Backend]]] = []


def breaks(*clauses: str):
    """Enter a wrong backend under each clause that it breaks."""

    def enter(cls: type[Backend]) -> type[Backend]:
        WRONG.extend([(clause, cls) for clause in clauses])
        return cls

    return enter


# --- Keys ---------------------------------------------------------------------------------------


class Renaming(MemoryBackend):
    """Stores under another key than the one that was given."""

    def rename(self, key):
        return key

    def renamed(self, keys):
        if isinstance(keys, str | bytes):
            raise TypeError("keys are a list")
        return [self.rename(key) for key in keys]

    def get(self, key):
        return super().get(self.rename(key))

    def set(self, key, value, ttl=None):
        super().set(self.rename(key), value, ttl)

    def delete(self, key):
        return super().delete(self.rename(key))

    def exists(self, key):
        return super().exists(self.rename(key))

    def mget(self, keys):
        return super().mget(self.renamed(keys))

    def mset(self, pairs, ttl=None):
        super().mset(
            [(self.rename(key), value) for key, value in pairs_to_dict(pairs).items()], ttl
        )

    def mdel(self, keys):
        return super().mdel(self.renamed(keys))

    def mexists(self, keys):
        return super().mexists(self.renamed(keys))


@breaks("BKEY-003")
class ShortensKeys(Renaming):
    def rename(self, key):
        is_text = isinstance(key, str) and not re.search("[\ud800-\udfff]", key)
        return key.encode()[:256].decode(errors="ignore") if is_text else key


@breaks("BKEY-006")
class FoldsKeys(Renaming):
    def rename(self, key):
        return key.lower() if isinstance(key, str) else key


@breaks("BKEY-006", "BKEY-007")
class EndsKeysAtNul(Renaming):
    def rename(self, key):
        return key.split("\0")[0] if isinstance(key, str) else key


@breaks("BKEY-001")
class CountsCharacters(Renaming):
    def rename(self, key):
        if isinstance(key, str) and len(key.encode("utf-8", "replace")) > 250:
            raise ValueError("too long")
        return key


@breaks("BKEY-002", "BKEY-003", "BKEY-004")
class BadKeysAreMisses(MemoryBackend):
    def get(self, key):
        try:
            return super().get(key)
        except ValueError:
            return None


@breaks("BKEY-005")
class OtherKeysAreMisses(MemoryBackend):
    def get(self, key):
        try:
            return super().get(key)
        except TypeError:
            return None


@breaks("BERR-001")
class ForgetsAfterARefusal(MemoryBackend):
    def delete(self, key):
        try:
            return super().delete(key)
        except (TypeError, ValueError):
            self._engine.mdel(list(self._engine._data))
            raise


@breaks("BKEY-008")
class TakesTextForKeys(MemoryBackend):
    def mget(self, keys):
        return super().mget(list(keys))


@breaks("BKEY-009", "BBATCH-003")
class HalfAppliedMset(MemoryBackend):
    def mset(self, pairs, ttl=None):
        good = []
        for key, value in pairs_to_dict(pairs).items():
            try:
                check_key(key)
                self._own(key, value)
            except (TypeError, ValueError):
                super().mset(good, ttl)
                raise
            good.append((key, value))
        super().mset(good, ttl)


@breaks("BKEY-010")
class DeletesByPrefix(MemoryBackend):
    def mdel(self, keys):
        removed = super().mdel(keys)
        for key in keys:
            removed += sum(
                super().delete(one) for one in list(self._engine._data) if one.startswith(key)
            )
        return removed


# --- Values -------------------------------------------------------------------------------------


class Spoiling(MemoryBackend):
    """Keeps another value than the one that was given."""

    def spoil(self, value):
        return value

    def _own(self, key, value):
        self._holds_containers = True
        return self.spoil(super()._own(key, value))

    def mset(self, pairs, ttl=None):
        items = pairs_to_dict(pairs)
        check_keys(items.keys())
        owned = {key: self._own(key, value) for key, value in items.items()}
        self._engine.mset(owned, ttl_to_ms(ttl))


@breaks("BVAL-001")
class TrimsBytes(Spoiling):
    def spoil(self, value):
        return value.strip() if isinstance(value, bytes) else value


@breaks("BVAL-002", "BSET-002")
class CutsValues(Spoiling):
    def spoil(self, value):
        return value[:65_536] if isinstance(value, bytes) else value


@breaks("BVAL-003")
class TakesBytearrays(MemoryBackend):
    def set(self, key, value, ttl=None):
        super().set(key, bytes(value) if isinstance(value, bytearray) else value, ttl)


@breaks("BVAL-004")
class NamesNoKey(MemoryBackend):
    def mset(self, pairs, ttl=None):
        try:
            super().mset(pairs, ttl)
        except (TypeError, ValueError) as error:
            raise type(error)("some value is wrong") from None


@breaks("BVAL-005")
class BoolsAreInts(Spoiling):
    def spoil(self, value):
        return int(value) if isinstance(value, bool) else value


@breaks("BVAL-005", "BVAL-012")
class NestedBytesAreText(Spoiling):
    def spoil(self, value):
        if isinstance(value, list):
            return [item.decode("latin-1") if isinstance(item, bytes) else item for item in value]
        return value


@breaks("BVAL-006")
class IntsAreDoubles(Spoiling):
    def spoil(self, value):
        return int(float(value)) if type(value) is int and abs(value) < 2**62 else value


@breaks("BVAL-007")
class WrapsInts(MemoryBackend):
    def set(self, key, value, ttl=None):
        if type(value) is int:
            value = (value + 2**63) % 2**64 - 2**63
        super().set(key, value, ttl)


@breaks("BVAL-008")
class ForgetsTheSignOfZero(Spoiling):
    def spoil(self, value):
        return [self.spoil(one) for one in value] if isinstance(value, list) else value or value

    def _own(self, key, value):
        kept = super()._own(key, value)
        if type(kept) is list:
            return [abs(one) if type(one) is float and one == 0 else one for one in kept]
        return kept


@breaks("BVAL-009")
class DecimalsAreNormalised(Spoiling):
    def spoil(self, value):
        return value.normalize() if isinstance(value, Decimal) and value.is_finite() else value


@breaks("BVAL-013")
class KeepsTuples(MemoryBackend):
    def set(self, key, value, ttl=None):
        super().set(key, value, ttl)
        if isinstance(value, tuple):
            self._engine.set(key, value)


@breaks("BVAL-017")
class SharesWhatIsGiven(MemoryBackend):
    def _own(self, key, value):
        owned = super()._own(key, value)
        return value if isinstance(value, list | dict) else owned


@breaks("BVAL-018")
class SharesWhatIsRead(MemoryBackend):
    def get(self, key):
        super().get(key)
        return self._engine.get(key)


# --- One key, batches ---------------------------------------------------------------------------


@breaks("BSET-003")
class SetKeepsTheTtl(MemoryBackend):
    def set(self, key, value, ttl=None):
        left = self._engine.ttl(key) if isinstance(key, str) else None
        super().set(key, value, left / 1000 if ttl is None and left and left > 0 else ttl)


@breaks("BSET-004")
class RefusesTooLate(MemoryBackend):
    def set(self, key, value, ttl=None):
        super().set(key, value)
        if ttl is not None:
            super().set(key, value, ttl)


@breaks("BDEL-002")
class DeleteIsAlwaysTrue(MemoryBackend):
    def delete(self, key):
        super().delete(key)
        return True


@breaks("BDEL-001")
class DeleteAnswersACount(MemoryBackend):
    def delete(self, key):
        return int(super().delete(key))


@breaks("BEXISTS-002", "BDEL-001")
class NoneIsAbsence(MemoryBackend):
    def exists(self, key):
        return self.get(key) is not None

    def delete(self, key):
        was_there = self.exists(key)
        super().delete(key)
        return was_there and self.get(key) is not None


@breaks("BGET-003")
class GetRenews(MemoryBackend):
    def get(self, key):
        value = super().get(key)
        if self._engine.ttl(key) not in (None, -1):
            self._engine.expire(key, 10**9)
        return value


@breaks("BEXISTS-003")
class ReadingRenews(MemoryBackend):
    def exists(self, key):
        if super().exists(key) and self._engine.ttl(key) != -1:
            self._engine.expire(key, 10**9)
        return super().exists(key)


@breaks("BMGET-001")
class MgetInTheStoresOrder(MemoryBackend):
    def mget(self, keys):
        return super().mget(sorted(keys))


@breaks("BMGET-002")
class MgetDropsMissing(MemoryBackend):
    def mget(self, keys):
        return [value for value in super().mget(keys) if value is not None]


@breaks("BMGET-003")
class MgetAnswersOnce(MemoryBackend):
    def mget(self, keys):
        return super().mget(list(dict.fromkeys(keys)))


@breaks("BMSET-002")
class ReadsPairsTwice(MemoryBackend):
    def mset(self, pairs, ttl=None):
        for _ in pairs:
            pass
        super().mset(pairs, ttl)


@breaks("BMSET-003")
class FirstPairWins(MemoryBackend):
    def mset(self, pairs, ttl=None):
        super().mset(pairs_to_dict(reversed(list(dict(pairs).items()))), ttl)
        if not isinstance(pairs, Mapping):
            super().mset(reversed(list(pairs)), ttl)


@breaks("BMSET-004")
class MsetForgetsTheTtl(MemoryBackend):
    def mset(self, pairs, ttl=None):
        super().mset(pairs)


@breaks("BEACH-002", "BEACH-001")
class OneTtlForAll(MemoryBackend):
    def mset_each(self, entries):
        entries = list(entries)
        super().mset({key: value for key, value, _ in entries}, max(e[2] or 1 for e in entries))


@breaks("BMDEL-002", "BBATCH-002")
class MdelCountsRequests(MemoryBackend):
    def mdel(self, keys):
        super().mdel(keys)
        return len(set(keys)) if len(keys) < 100_000 else 65_535


@breaks("BMDEL-003")
class MdelCountsRepeats(MemoryBackend):
    def mdel(self, keys):
        count = sum(super().mexists(keys))
        super().mdel(keys)
        return count


@breaks("BMEXISTS-003")
class MexistsByMget(MemoryBackend):
    def mexists(self, keys):
        return [value is not None for value in self.mget(keys)]


@breaks("BBATCH-002")
class LosesTheEndOfLargeBatches(MemoryBackend):
    def mset(self, pairs, ttl=None):
        super().mset(dict(itertools.islice(pairs_to_dict(pairs).items(), 65_535)), ttl)


@breaks("BBATCH-004")
class EmptiesItsArguments(MemoryBackend):
    def mset(self, pairs, ttl=None):
        super().mset(pairs, ttl)
        if isinstance(pairs, dict):
            pairs.clear()


@breaks("BATOM-001")
class MsetInSteps(MemoryBackend):
    def mset(self, pairs, ttl=None):
        items = list(pairs_to_dict(pairs).items())
        for start in range(0, len(items), 8):
            super().mset(items[start : start + 8], ttl)
            time.sleep(0)


@breaks("BATOM-002")
class MdelInSteps(MemoryBackend):
    def mdel(self, keys):
        check_keys(keys)
        return sum([self.delete(key) for key in dict.fromkeys(keys)])


# --- TTLs ---------------------------------------------------------------------------------------


@breaks("BTTL-001", "BTTL-010")
class IgnoresTtls(MemoryBackend):
    def set(self, key, value, ttl=None):
        super().set(key, value, None if ttl is None else ttl * 1e6 if 0 < ttl < 100 else ttl)


@breaks("BTTL-002")
class TakesSecondsForMilliseconds(MemoryBackend):
    def set(self, key, value, ttl=None):
        super().set(key, value, None if ttl is None else ttl / 1000)


@breaks("BTTL-003")
class WholeSecondsOnly(MemoryBackend):
    def set(self, key, value, ttl=None):
        is_long = isinstance(ttl, float) and math.isfinite(ttl) and ttl >= 1
        super().set(key, value, int(ttl) if is_long else ttl)


@breaks("BTTL-004")
class NoTickNoTtl(MemoryBackend):
    def set(self, key, value, ttl=None):
        is_short = type(ttl) is float and 0 < ttl < self.ttl_resolution_s
        super().set(key, value, None if is_short else ttl)


@breaks("BTTL-006", "BTTL-007")
class TakesAnyTtl(MemoryBackend):
    def expire(self, key, ttl):
        try:
            return super().expire(key, ttl)
        except (TypeError, ValueError):
            return self.exists(key)


@breaks("BTTL-008")
class MonthsAreDates(MemoryBackend):
    def set(self, key, value, ttl=None):
        super().set(key, value, 0.001 if ttl is not None and 2_592_000 < ttl < 3e8 else ttl)


@breaks("BTTL-009")
class ShortensLongTtls(MemoryBackend):
    def set(self, key, value, ttl=None):
        is_finite = isinstance(ttl, float) and 0 < ttl < math.inf
        super().set(key, value, min(ttl, TTL_SECONDS_MAX) if is_finite else ttl)


@breaks("BTTL-010")
class CountsTheExpired(MemoryBackend):
    def __init__(self, clock=None):
        super().__init__(clock)
        self._ever = set()

    def set(self, key, value, ttl=None):
        super().set(key, value, ttl)
        self._ever.discard(key)
        if ttl is not None:
            self._ever.add(key)

    def delete(self, key):
        is_removed = super().delete(key)
        self._ever.discard(key)
        return is_removed

    def mdel(self, keys):
        expired = {key for key in keys if key in self._ever and not self.exists(key)}
        count = super().mdel(keys)
        self._ever.difference_update(keys)
        return count + len(expired)


@breaks("BTTL-011")
class AnswersWholeSeconds(MemoryBackend):
    def ttl(self, key):
        left = super().ttl(key)
        return left if left is None or left == -1 else int(left)


@breaks("BTTL-013")
class AbsentHasNoTtl(MemoryBackend):
    def ttl(self, key):
        left = super().ttl(key)
        return -1 if left is None else left


@breaks("BTTL-016")
class ExpireStores(MemoryBackend):
    def expire(self, key, ttl):
        return super().expire(key, ttl) or bool(self.setnx(key, b"", ttl) and False)


@breaks("BTTL-017")
class ExpireKeepsTheTtl(MemoryBackend):
    def expire(self, key, ttl):
        return self.exists(key) if ttl is None else super().expire(key, ttl)


@breaks("BTTL-018")
class TicksNever(MemoryBackend):
    ttl_resolution_s = 0.0


# --- Pipelined calls ----------------------------------------------------------------------------


class Pipelines(MemoryBackend):
    """Right: single calls in a row answer as a pipeline must."""

    capabilities = MemoryBackend.capabilities | {Capability.PIPELINING}

    def pipelined_get(self, keys):
        check_keys(keys)
        return [self.get(key) for key in keys]

    def pipelined_set(self, pairs, ttl=None):
        checked = self._checked([(key, value, ttl) for key, value in pair_list(pairs)])
        for key, value, _ in checked:
            self.set(key, value, ttl)

    def pipelined_delete(self, keys):
        check_keys(keys)
        return [self.delete(key) for key in keys]

    def pipelined_exists(self, keys):
        check_keys(keys)
        return [self.exists(key) for key in keys]


@breaks("BPIPE-001", "BPIPE-007")
class PipelinesAnswerOnce(Pipelines):
    def pipelined_get(self, keys):
        return super().pipelined_get(list(dict.fromkeys(keys)))


@breaks("BPIPE-002")
class PipelinesSetTheFirst(Pipelines):
    def pipelined_set(self, pairs, ttl=None):
        super().pipelined_set(reversed(pair_list(pairs)), ttl)


@breaks("BPIPE-003")
class PipelinesDeleteAsBatches(Pipelines):
    def pipelined_delete(self, keys):
        there = self.mexists(keys)
        self.mdel(keys)
        return there


@breaks("BPIPE-004")
class PipelinesCountExisting(Pipelines):
    def pipelined_exists(self, keys):
        return sum(super().pipelined_exists(keys))


@breaks("BPIPE-005")
class PipelinesForgetTheTtl(Pipelines):
    def pipelined_set(self, pairs, ttl=None):
        super().pipelined_set(pairs)


@breaks("BPIPE-006")
class PipelinesEndAtTenThousand(Pipelines):
    def pipelined_get(self, keys):
        return super().pipelined_get(keys[:10_000])


@breaks("BPIPE-008")
class PipelinesRefuseTooLate(Pipelines):
    def pipelined_set(self, pairs, ttl=None):
        for key, value in pairs.items() if isinstance(pairs, dict) else pairs:
            self.set(key, value, ttl)

    def pipelined_delete(self, keys):
        return [self.delete(key) for key in keys]


@breaks("BDECL-002")
class DeclaresPipelines(MemoryBackend):
    capabilities = MemoryBackend.capabilities | {Capability.PIPELINING}


# --- setnx, counters, cas, locks ----------------------------------------------------------------


@breaks("BNX-002", "BNX-004")
class SetnxOverwrites(MemoryBackend):
    def setnx(self, key, value, ttl=None):
        was_there = self.exists(key)
        self.set(key, value, ttl)
        return not was_there


@breaks("BNX-003", "BNX-006")
class SetnxByGet(MemoryBackend):
    def setnx(self, key, value, ttl=None):
        ttl_to_ms(ttl)
        if self.get(key) is not None:
            return False
        time.sleep(0)
        self.set(key, value, ttl)
        return True


@breaks("BGD-001")
class GetdelLeaves(MemoryBackend):
    def getdel(self, key):
        return self.get(key)


@breaks("BGD-002", "BGD-003")
class GetdelGivesEmpty(MemoryBackend):
    def getdel(self, key):
        return super().getdel(key) if self.exists(key) else b""


@breaks("BGD-004")
class GetdelInTwoSteps(MemoryBackend):
    def getdel(self, key):
        value = self.get(key)
        time.sleep(0)
        self.delete(key)
        return value


@breaks("BCNT-005")
class CountersWrap(MemoryBackend):
    def _add(self, key, delta):
        try:
            return super()._add(key, delta)
        except KvRefusedError:
            total = (super()._add(key, 0) + delta + 2**63) % 2**64 - 2**63
            self.set(key, total)
            return total


@breaks("BCNT-007", "BCNT-012")
class IncrBySet(MemoryBackend):
    def _add(self, key, delta):
        held = self.get(key) if self.exists(key) else 0
        if type(held) is not int or not I64_MIN <= held + delta <= I64_MAX:
            return super()._add(key, delta)
        time.sleep(0)
        self.set(key, held + delta)
        return held + delta


@breaks("BCNT-010")
class CountsBools(MemoryBackend):
    def incr(self, key, delta=1):
        value = super().get(key)
        if isinstance(value, bool):
            super().set(key, int(value))
        return super().incr(key, delta)


@breaks("BCAS-004")
class CasByEquality(MemoryBackend):
    def are_equal(self, held, expected):
        return held == expected

    def cas(self, key, expected, new, ttl=None):
        check_key(key)
        wanted, owned, ttl_ms = self._own(key, expected), self._own(key, new), ttl_to_ms(ttl)

        def swap(present, value):
            if not present or not self.are_equal(value, wanted):
                return Update(False if present else None)
            return Update(True, write=True, value=owned, ttl_ms=ttl_ms)

        return self._engine.update(key, swap)


@breaks("BCAS-005", "BCAS-006", "BCAS-007")
class CasByText(CasByEquality):
    def are_equal(self, held, expected):
        return repr(held) == repr(expected)


@breaks("BCAS-003")
class CasOfAbsentIsFalse(MemoryBackend):
    def cas(self, key, expected, new, ttl=None):
        return bool(super().cas(key, expected, new, ttl))


@breaks("BCAS-009")
class CasRemovesTheTtl(MemoryBackend):
    def cas(self, key, expected, new, ttl=None):
        swapped = super().cas(key, expected, new, ttl)
        if swapped and ttl is None:
            self.expire(key, None)
        return swapped


@breaks("BLOCK-003")
class ReentrantLocks(MemoryBackend):
    def lock(self, key, owner, ttl):
        return super().lock(key, owner, ttl) or self.get(key) == owner


@breaks("BLOCK-004", "BLOCK-008")
class LocksForever(MemoryBackend):
    def lock(self, key, owner, ttl):
        return super().lock(key, owner, ttl * 1e6 if ttl and 0 < ttl < 1 else ttl)

    def extend_lock(self, key, owner, ttl):
        return super().extend_lock(key, owner, ttl) and super().expire(key, 10**6)


@breaks("BLOCK-007", "BLOCK-010")
class AnybodyUnlocks(MemoryBackend):
    def unlock(self, key, owner):
        check_owner(owner)
        return self.delete(key)

    def extend_lock(self, key, owner, ttl):
        check_owner(owner)
        lock_ttl_to_ms(ttl)
        return self.expire(key, ttl)


# --- Errors, declarations, life cycle -----------------------------------------------------------


@breaks("BERR-002")
class ClosedIsEmpty(MemoryBackend):
    def close(self):
        self._engine = type(self)()._engine


@breaks("BERR-003")
class ForeignErrors(MemoryBackend):
    def get(self, key):
        try:
            return super().get(key)
        except KvError as error:
            raise RuntimeError("no such engine") from error


@breaks("BERR-004")
class TellsValues(MemoryBackend):
    def incr(self, key, delta=1):
        try:
            return super().incr(key, delta)
        except KvRefusedError as error:
            raise KvRefusedError(f"{self.get(key)!r} is no integer") from error


@breaks("BDECL-001")
class DeclaresWords(MemoryBackend):
    capabilities = MemoryBackend.capabilities | {"speed"}


@breaks("BDECL-002")
class LacksWhatItDeclares(MemoryBackend):
    def cas(self, key, expected, new, ttl=None):
        raise UnsupportedError("cas comes with the next version")


@breaks("BDECL-003")
class IgnoresWhatItLacks(MemoryBackend):
    capabilities = frozenset({Capability.TYPED_VALUES})

    def set(self, key, value, ttl=None):
        super().set(key, value)


@breaks("BDECL-004")
class KindsAreWords(MemoryBackend):
    @classmethod
    def batch_kind(cls, operation):
        return "quick"


@breaks("BDECL-005")
class LoopsAreNative(MemoryBackend):
    mexists = Backend.mexists


@breaks("BDECL-006")
class FactsAreNumbers(MemoryBackend):
    def describe(self):
        return {"product": "memory", "keys": 5}


@breaks("BDECL-008")
class OtherParameters(MemoryBackend):
    def set(self, name, value, seconds=None):
        super().set(name, value, seconds)


@breaks("BDECL-010", "BDECL-003")
class EachWithoutTtl(MemoryBackend):
    capabilities = MemoryBackend.capabilities - {Capability.TTL}


@breaks("BLIFE-001")
class ClosesOnce(MemoryBackend):
    is_open = True

    def close(self):
        if not self.is_open:
            raise KvbenchError("closed already")
        self.is_open = False


@breaks("BLIFE-002")
class SwallowsExceptions(MemoryBackend):
    def __exit__(self, kind, error, trace):
        self.close()
        return True


@breaks("BLIFE-002")
class StaysOpenAfterWith(MemoryBackend):
    def __exit__(self, kind, error, trace):
        return None


@breaks("BLIFE-003", "BLIFE-004")
class SharesNothing(MemoryBackend):
    capabilities = frozenset(Capability) - {Capability.PIPELINING}


_everywhere = {}


@breaks("BLIFE-005")
class ClosesForAll(MemoryBackend):
    is_open = True

    def close(self):
        _everywhere["closed"] = True
        super().close()

    def set(self, key, value, ttl=None):
        _everywhere.pop("closed", None)
        super().set(key, value, ttl)

    def get(self, key):
        if _everywhere.pop("closed", False):
            raise KvError("the store was closed")
        return super().get(key)


@breaks("BLIFE-008")
class Tombstones(MemoryBackend):
    """A key that mdel removed cannot be stored by setnx until it is stored otherwise."""

    def __init__(self, clock=None):
        super().__init__(clock)
        self._dead = set()

    def mdel(self, keys):
        self._dead.update([key for key in keys if self.exists(key)])
        return super().mdel(keys)

    def setnx(self, key, value, ttl=None):
        return key not in self._dead and super().setnx(key, value, ttl)

    def set(self, key, value, ttl=None):
        super().set(key, value, ttl)
        self._dead.discard(key)


class Inherits(MemoryBackend):
    """Right: its batches are the loops that every adapter inherits, and declared as such."""

    capabilities = MemoryBackend.capabilities - {Capability.ATOMIC_BATCH}
    batch_kinds: ClassVar = {}
    mget = Backend.mget
    mset = Backend.mset
    mset_each = Backend.mset_each
    mdel = Backend.mdel
    mexists = Backend.mexists


class HoldsBytes(Inherits):
    """Right: the least that an adapter can be."""

    capabilities = frozenset()

    def set(self, key, value, ttl=None):
        if ttl is not None:
            raise UnsupportedError("keys do not expire here")
        super().set(key, check_bytes(key, value))


for _name in (
    "expire",
    "ttl",
    "setnx",
    "getdel",
    "incr",
    "decr",
    "cas",
    "lock",
    "unlock",
    "extend_lock",
):
    setattr(HoldsBytes, _name, getattr(Backend, _name))


class CountsInDigits(HoldsBytes):
    """Right: a store of bytes whose counters are decimal digits."""

    capabilities = frozenset({Capability.COUNTERS})

    def incr(self, key, delta=1):
        check_delta(key, delta)
        return self._count(key, delta)

    def decr(self, key, delta=1):
        check_delta(key, delta)
        return self._count(key, -delta)

    def _count(self, key, delta):
        check_key(key)

        def add(present, value):
            digits = value if present else b"0"
            total = self.number(digits) + delta
            if not I64_MIN <= total <= I64_MAX:
                raise KvRefusedError("the result does not fit in 64 bits")
            return Update(total, write=True, value=self.digits(total))

        return self._engine.update(key, add)

    def number(self, digits):
        is_integer = re.fullmatch(rb"0|-?[1-9][0-9]*", digits)
        if not is_integer or not I64_MIN <= int(digits) <= I64_MAX:
            raise KvRefusedError("the value is no integer")
        return int(digits)

    def digits(self, number):
        return b"%d" % number


@breaks("BCNT-013")
class CountsInBinary(CountsInDigits):
    def number(self, digits):
        return 0 if digits == b"0" else int.from_bytes(digits, "big", signed=True)

    def digits(self, number):
        return number.to_bytes(8, "big", signed=True)


@breaks("BCNT-013")
class CountsAnyDigits(CountsInDigits):
    def number(self, digits):
        try:
            return int(digits)
        except ValueError:
            raise KvRefusedError("the value is no integer") from None
