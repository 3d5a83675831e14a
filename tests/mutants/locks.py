"""Mutants that are wrong about LOCK, UNLOCK and EXTEND."""

from __future__ import annotations

from kvbench.engine import Update
from kvbench.errors import ProtocolError
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Tag
from kvbench.protocol.values import encode_value
from kvbench.server.dispatch import Dispatcher, RefusedRequest

from .parts import breaks, ok


@breaks("LOCK-001", "LOCK-007")
class OwnersAsBytes(Dispatcher):
    """LOCK stores the owner as Bytes."""

    def _lock(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        return responses.flag_response(self._engine.setnx(key, encode_value(owner), ttl_ms))


@breaks("LOCK-001")
class LocksForever(Dispatcher):
    """LOCK ignores its TTL."""

    def _lock(self, payload: bytes) -> bytes:
        reply = super()._lock(payload)
        if reply == responses.TRUE_RESPONSE:
            self._engine.expire(requests.parse_lock(payload)[0], 0)
        return reply


@breaks("LOCK-002")
class LocksTakeOver(Dispatcher):
    """LOCK of a key that holds something else than a String takes it."""

    def _lock(self, payload: bytes) -> bytes:
        key, _, _ = requests.parse_lock(payload)
        stored = self._engine.get(key)
        if stored is not None and stored[0] != Tag.STRING:
            self._engine.delete(key)
        return super()._lock(payload)


@breaks("LOCK-002")
class LocksRenew(Dispatcher):
    """LOCK of a key that is there gives it the TTL."""

    def _lock(self, payload: bytes) -> bytes:
        key, _, ttl_ms = requests.parse_lock(payload)
        self._engine.expire(key, ttl_ms)
        return super()._lock(payload)


@breaks("LOCK-003")
class LocksAreReentrant(Dispatcher):
    """LOCK by the owner that holds the lock answers 1."""

    def _lock(self, payload: bytes) -> bytes:
        key, owner, _ = requests.parse_lock(payload)
        if self._engine.get(key) == encode_value(owner.decode()):
            return ok(b"\1")
        return super()._lock(payload)


class _WithoutTtl(Dispatcher):
    """Takes a TTL of 0 for an hour."""

    def _an_hour(self, payload: bytes) -> bytes:
        if payload[-8:] == bytes(8):
            return payload[:-8] + (3_600_000).to_bytes(8, "big")
        return payload


@breaks("LOCK-004")
class LocksWithoutTtl(_WithoutTtl):
    """LOCK with a TTL of 0 locks."""

    def _lock(self, payload: bytes) -> bytes:
        return super()._lock(self._an_hour(payload))


@breaks("EXTEND-004")
class ExtendsWithoutTtl(_WithoutTtl):
    """EXTEND with a TTL of 0 extends."""

    def _extend(self, payload: bytes) -> bytes:
        return super()._extend(self._an_hour(payload))


@breaks("LOCK-005")
class OwnersOf255Bytes(Dispatcher):
    """LOCK refuses owners of more than 255 bytes."""

    def _lock(self, payload: bytes) -> bytes:
        if len(requests.parse_lock(payload)[1]) > 255:
            raise ProtocolError("an owner has up to 255 bytes")
        return super()._lock(payload)


@breaks("LOCK-005")
class NamelessOwners(Dispatcher):
    """LOCK accepts an empty owner."""

    def _lock(self, payload: bytes) -> bytes:
        try:
            return super()._lock(payload)
        except ProtocolError as error:
            if "cannot be empty" in str(error):
                return ok(b"\1")
            raise


@breaks("LOCK-006")
class OwnersOfAnyBytes(Dispatcher):
    """LOCK accepts an owner that is not UTF-8."""

    def _lock(self, payload: bytes) -> bytes:
        try:
            return super()._lock(payload)
        except ProtocolError as error:
            if "not UTF-8" in str(error):
                return ok(b"\1")
            raise


@breaks("LOCK-007", "LOCK-001")
class HiddenLocks(Dispatcher):
    """Keeps locks apart: GET and EXISTS do not see them."""

    def _lock(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        is_free = self._engine.get(key) is None
        value = encode_value(owner.decode())
        return responses.flag_response(is_free and self._engine.setnx(b"\0" + key, value, ttl_ms))

    def _update_lock(self, key: bytes, owner: bytes, update: Update[bytes, bool]) -> bytes:
        return super()._update_lock(b"\0" + key, owner, update)


# --- UNLOCK and EXTEND ---------------------------------------------------------------------------


@breaks("UNLOCK-001")
class UnlockForgets(Dispatcher):
    """UNLOCK answers 1 and removes nothing."""

    def _unlock(self, payload: bytes) -> bytes:
        key, owner = requests.parse_unlock(payload)
        return self._update_lock(key, owner, Update(True))


@breaks("UNLOCK-002")
class UnlockNeedsALock(Dispatcher):
    """UNLOCK of an absent key is refused."""

    def _unlock(self, payload: bytes) -> bytes:
        if not self._engine.exists(requests.parse_unlock(payload)[0]):
            raise RefusedRequest("no such lock")
        return super()._unlock(payload)


class _Trusting(Dispatcher):
    """Takes owners for each other."""

    def same(self, held: str, owner: str) -> bool:
        return held == owner

    def _as_held(self, key: bytes, owner: bytes) -> bytes:
        stored = self._engine.get(key)
        if stored is None or stored[0] != Tag.STRING:
            return owner
        return stored[5:] if self.same(stored[5:].decode(), owner.decode()) else owner

    def _update_lock(self, key: bytes, owner: bytes, update: Update[bytes, bool]) -> bytes:
        return super()._update_lock(key, self._as_held(key, owner), update)


@breaks("UNLOCK-003", "UNLOCK-004", "EXTEND-003")
class AnyoneReleases(_Trusting):
    """Anyone may release and extend a lock."""

    def same(self, held: str, owner: str) -> bool:
        return True


@breaks("UNLOCK-004")
class OwnersWithoutCase(_Trusting):
    """Owners are compared without case."""

    def same(self, held: str, owner: str) -> bool:
        return held.casefold() == owner.casefold()


@breaks("UNLOCK-004")
class OwnersAreTrimmed(_Trusting):
    """Owners are compared without blanks around them."""

    def same(self, held: str, owner: str) -> bool:
        return held.strip() == owner.strip()


@breaks("UNLOCK-004")
class OwnersByTheirBeginning(_Trusting):
    """Owners are compared as far as the shorter one goes."""

    def same(self, held: str, owner: str) -> bool:
        return held.startswith(owner)


@breaks("UNLOCK-003")
class UnlockIsDel(Dispatcher):
    """UNLOCK removes what is no lock."""

    def _unlock(self, payload: bytes) -> bytes:
        key, _ = requests.parse_unlock(payload)
        stored = self._engine.get(key)
        if stored is not None and stored[0] != Tag.STRING:
            return responses.flag_response(self._engine.delete(key))
        return super()._unlock(payload)


@breaks("UNLOCK-003")
class UnlockAnswersZero(Dispatcher):
    """UNLOCK by another owner answers 0."""

    def _unlock(self, payload: bytes) -> bytes:
        try:
            return super()._unlock(payload)
        except RefusedRequest:
            return ok(b"\0")


@breaks("EXTEND-001")
class ExtendOnlyLengthens(Dispatcher):
    """EXTEND with a shorter TTL than is left changes nothing."""

    def _extend(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        if (self._engine.ttl(key) or 0) > ttl_ms:
            return self._update_lock(key, owner, Update(True))
        return super()._extend(payload)


@breaks("EXTEND-001")
class ExtendForgets(Dispatcher):
    """EXTEND answers 1 and leaves the TTL."""

    def _extend(self, payload: bytes) -> bytes:
        key, owner, _ = requests.parse_lock(payload)
        return self._update_lock(key, owner, Update(True))


@breaks("EXTEND-001")
class ExtendAdds(Dispatcher):
    """EXTEND adds its TTL to what is left."""

    def _extend(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        held = encode_value(owner.decode())
        left_ms = max(0, self._engine.ttl(key) or 0)
        update = Update(True, True, held, ttl_ms=ttl_ms + left_ms)
        return self._update_lock(key, owner, update)


@breaks("EXTEND-002")
class ExtendLocks(Dispatcher):
    """EXTEND of an absent key locks it."""

    def _extend(self, payload: bytes) -> bytes:
        key, _, _ = requests.parse_lock(payload)
        return super()._extend(payload) if self._engine.exists(key) else self._lock(payload)


@breaks("EXTEND-003")
class AnyoneExtends(Dispatcher):
    """EXTEND by another owner is refused, and renews the lock."""

    def _extend(self, payload: bytes) -> bytes:
        key, _, ttl_ms = requests.parse_lock(payload)
        self._engine.expire(key, ttl_ms)
        return super()._extend(payload)


@breaks("EXTEND-003")
class ExtendTakesOver(Dispatcher):
    """EXTEND by another owner takes the lock."""

    def _extend(self, payload: bytes) -> bytes:
        key, owner, ttl_ms = requests.parse_lock(payload)
        if self._engine.exists(key):
            self._engine.set(key, encode_value(owner.decode()), ttl_ms)
        return super()._extend(payload)
