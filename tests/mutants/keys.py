"""Mutants that are wrong about keys."""

from __future__ import annotations

import unicodedata

from kvbench.errors import ProtocolError
from kvbench.protocol import requests
from kvbench.server.dispatch import Dispatcher

from .parts import Forgiving, Naming, breaks, loosely, ok


@breaks("KEY-001")
class KeysOf250Bytes(Naming):
    """Refuses keys of more than 250 bytes."""

    def name(self, key: bytes) -> bytes:
        if len(key) > 250:
            raise ProtocolError("a key has up to 250 bytes")
        return key


@breaks("KEY-001")
class KeysOf255Bytes(Naming):
    """Refuses keys of 256 bytes: one off."""

    def name(self, key: bytes) -> bytes:
        if len(key) > 255:
            raise ProtocolError("a key has up to 255 bytes")
        return key


@breaks("KEY-001")
class NoKeysOfOneByte(Dispatcher):
    """GET refuses keys of a single byte."""

    def _get(self, payload: bytes) -> bytes:
        if len(payload) == 1:
            raise ProtocolError("a key has at least 2 bytes")
        return super()._get(payload)


@breaks("KEY-002")
class EmptyKeys(Forgiving):
    """SET accepts an empty key."""

    complaint = "bytes, not 0"


@breaks("KEY-002")
class EmptyKeysInGet(Dispatcher):
    """GET of an empty key answers NULL."""

    def _get(self, payload: bytes) -> bytes:
        return super()._get(payload or b"\0")


@breaks("KEY-003")
class LongKeysAreCut(Dispatcher):
    """SET stores what has a longer key under its first 256 bytes."""

    def _set(self, payload: bytes) -> bytes:
        key, ttl_ms, value = loosely(payload)
        if len(key) <= 256:
            return super()._set(payload)
        self._engine.set(key[:256], value, ttl_ms)
        return ok()


@breaks("KEY-003", "KEY-005")
class KeysAreCounted(Forgiving):
    """SET counts the characters of a key, not its bytes."""

    complaint = "a key has 1 to 256"

    def _set(self, payload: bytes) -> bytes:
        key, _, _ = loosely(payload)
        is_long = len(key.decode("utf-8", "replace")) > 256
        return Dispatcher._set(self, payload) if is_long else super()._set(payload)


@breaks("KEY-004")
class KeysOfAnyBytes(Dispatcher):
    """GET takes any bytes as a key."""

    def _get(self, payload: bytes) -> bytes:
        try:
            return super()._get(payload)
        except ProtocolError:
            if 0 < len(payload) <= 256:
                return super()._get(b"\0")
            raise


@breaks("KEY-004")
class KeysWithSurrogates(Dispatcher):
    """GET takes encoded surrogates in a key."""

    def _get(self, payload: bytes) -> bytes:
        try:
            text = payload.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return super()._get(payload)
        return super()._get(text.encode("utf-8", "replace"))


@breaks("KEY-004")
class OverlongKeys(Dispatcher):
    """GET takes ASCII characters in two bytes."""

    def _get(self, payload: bytes) -> bytes:
        for byte in range(0x80):
            overlong = bytes([0xC0 | byte >> 6, 0x80 | byte & 0x3F])
            payload = payload.replace(overlong, bytes([byte]))
        return super()._get(payload)


@breaks("KEY-006")
class KeysWithoutCase(Naming):
    """Keeps keys in small letters."""

    def name(self, key: bytes) -> bytes:
        return key.lower()


@breaks("KEY-006")
class KeysAreTrimmed(Naming):
    """Drops blanks around a key."""

    def name(self, key: bytes) -> bytes:
        return key.strip(b" ") or key


@breaks("KEY-006")
class KeysAreNormalised(Naming):
    """Keeps keys in Unicode's composed form."""

    def name(self, key: bytes) -> bytes:
        return unicodedata.normalize("NFC", key.decode()).encode()


@breaks("KEY-006")
class KeysEndAtNul(Naming):
    """Takes U+0000 for the end of a key."""

    def name(self, key: bytes) -> bytes:
        return key.split(b"\0")[0] or key


@breaks("KEY-007")
class NoControlCharacters(Naming):
    """Refuses keys with control characters and blanks."""

    def name(self, key: bytes) -> bytes:
        if any(byte <= 0x20 for byte in key):
            raise ProtocolError("a key cannot hold blanks or control characters")
        return key


@breaks("KEY-007")
class BasicPlaneOnly(Naming):
    """Refuses keys with characters of four bytes."""

    def name(self, key: bytes) -> bytes:
        if any(byte >= 0xF0 for byte in key):
            raise ProtocolError("a key cannot hold characters of four bytes")
        return key


@breaks("KEY-008")
class BatchesApart(Naming):
    """Keeps what batches store apart from everything else."""

    def names(self, keys):
        return [b"\0" + key for key in keys]

    def mset(self, items, ttl_ms=0):
        super(Naming, self).mset({b"\0" + key: value for key, value in items.items()}, ttl_ms)


@breaks("DEL-001")
class SizedKeysApart(Dispatcher):
    """DEL does not find what was stored under a key with its length before it."""

    def _del(self, payload: bytes) -> bytes:
        return super()._del(requests.parse_key(payload)[:-1] + b"~")
