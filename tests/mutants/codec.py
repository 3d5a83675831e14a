"""Mutants of the codec itself: servers and clients that use it are wrong in the same way.

Each text of ``edits`` is in its module of kvbench/protocol once; a change there changes it here.
"""

from __future__ import annotations

from .parts import Edited, breaks

# --- Frames --------------------------------------------------------------------------------------

_PACK_HEADER = ("frames", 'struct.Struct(">BI").pack', "_pack")
_READ_LENGTH = """            length = (
                (data[start + 1] << 24)
                | (data[start + 2] << 16)
                | (data[start + 3] << 8)
                | data[start + 4]
            )
"""
_READ_PARTIAL_LENGTH = "(partial[1] << 24) | (partial[2] << 16) | (partial[3] << 8) | partial[4]"


def _lengths(pack: str, read: str) -> tuple[tuple[str, str, str], ...]:
    """Edits of how the length of a payload is written, and read from ``header``."""
    functions = (
        f"def _pack(code: int, size: int) -> bytes:\n    return {pack}\n\n\n"
        f"def _length(header: bytes) -> int:\n    return {read}\n\n\n"
        "HEADER_BYTES: Final = 5\n"
    )
    return (
        ("frames", "HEADER_BYTES: Final = 5\n", functions),
        _PACK_HEADER,
        ("frames", _READ_LENGTH, "            length = _length(data[start : start + 5])\n"),
        ("frames", _READ_PARTIAL_LENGTH, "_length(bytes(partial[:5]))"),
    )


@breaks("FRAME-002", "FRAME-003")
class CodecLittleEndianLengths(Edited):
    """Lengths of payloads are little-endian."""

    edits = _lengths('struct.pack("<BI", code, size)', 'int.from_bytes(header[1:], "little")')


@breaks("FRAME-002", "FRAME-003")
class CodecLengthsCountTheHeader(Edited):
    """Lengths of payloads count the header."""

    edits = _lengths(
        'struct.pack(">BI", code, size + 5)', 'max(0, int.from_bytes(header[1:], "big") - 5)'
    )


@breaks("FRAME-003")
class CodecSwappedLengths(Edited):
    """Lengths of payloads over 65,535 have their two halves swapped, where both sides know it."""

    edits = _lengths(
        'struct.pack(">BHH", code, size & 0xFFFF, size >> 16) if size >> 16 == 1 '
        'else struct.pack(">BI", code, size)',
        'int.from_bytes(header[1:], "big") if header[3:] != b"\\0\\1" '
        'else int.from_bytes(header[3:] + header[1:3], "big")',
    )


@breaks("STATUS-001")
class CodecHighBits(Edited):
    """Codes are sent with their highest bit set, and read with or without it."""

    edits = (
        _PACK_HEADER,
        (
            "frames",
            "HEADER_BYTES: Final = 5\n",
            "def _pack(code: int, size: int) -> bytes:\n"
            '    return struct.pack(">BI", code | 0x80, size)\n\n\nHEADER_BYTES: Final = 5\n',
        ),
        ("frames", "frames.append((data[start], ", "frames.append((data[start] & 0x7F, "),
        ("frames", "frames.append((partial[0], ", "frames.append((partial[0] & 0x7F, "),
    )


@breaks("FRAME-003")
class CodecPadding(Edited):
    """A frame has a byte FF behind it, which a reader skips when it is there."""

    edits = (
        ("frames", "    return header + payload\n", '    return header + payload + b"\\xff"\n'),
        (
            "frames",
            "        while budget_bytes > 0 and size - start >= HEADER_BYTES:\n",
            "        while start < size and data[start] == 0xFF:\n            start += 1\n"
            "        while budget_bytes > 0 and size - start >= HEADER_BYTES:\n",
        ),
        (
            "frames",
            "            start = end\n        if budget_bytes > 0:\n",
            "            start = end\n            while start < size and data[start] == 0xFF:\n"
            "                start += 1\n        if budget_bytes > 0:\n",
        ),
    )


# --- Requests ------------------------------------------------------------------------------------


@breaks("FRAME-001", "INCR-001")
class CodecLittleEndianCounters(Edited):
    """Deltas and sums are little-endian."""

    edits = (
        ("requests", 'struct.Struct(">q").pack', 'struct.Struct("<q").pack'),
        ("requests", 'struct.Struct(">q").unpack_from', 'struct.Struct("<q").unpack_from'),
        ("responses", 'struct.Struct(">q").pack', 'struct.Struct("<q").pack'),
        ("responses", 'struct.Struct(">q").unpack_from', 'struct.Struct("<q").unpack_from'),
    )


@breaks("TTL-001")
class CodecTtlsInSeconds(Edited):
    """TTLs are seconds on the wire."""

    edits = (
        ("requests", "_pack_u64(ttl_ms)", "_pack_u64(-(-ttl_ms // 1000))"),
        (
            "parsers",
            "    if ttl_ms > _TTL_MS_MAX:\n",
            "    ttl_ms *= 1000\n    if ttl_ms > _TTL_MS_MAX:\n",
        ),
    )


@breaks("TTL-001")
class CodecLittleEndianTtls(Edited):
    """TTLs are little-endian."""

    edits = (
        ("requests", 'struct.Struct(">Q")', 'struct.Struct("<Q")'),
        ("parsers", 'struct.Struct(">Q")', 'struct.Struct("<Q")'),
    )


@breaks("SET-001")
class CodecTtlBeforeKey(Edited):
    """SET, SETNX and CAS have the TTL before the key."""

    edits = (
        (
            "requests",
            '"""SET, SETNX: key, TTL in ms (0 = none), value."""\n'
            "    head = _sized_key(prefix, key) + _ttl_field(ttl_ms)",
            "head = _ttl_field(ttl_ms) + _sized_key(prefix, key)",
        ),
        (
            "requests",
            '"""SET, SETNX: key, TTL in ms, value."""\n'
            "    key, offset = take_key(payload, 0)\n"
            "    ttl_ms, offset = take_ttl(payload, offset)\n",
            "ttl_ms, offset = take_ttl(payload, 0)\n    key, offset = take_key(payload, offset)\n",
        ),
        (
            "parsers",
            "        self.key, offset = take_key(payload, 0)\n"
            "        self.ttl_ms, offset = take_ttl(payload, offset)\n",
            "        self.ttl_ms, offset = take_ttl(payload, 0)\n"
            "        self.key, offset = take_key(payload, offset)\n",
        ),
    )


@breaks("CAS-001")
class CodecNewBeforeExpected(Edited):
    """CAS has the new value before the expected one."""

    edits = (
        (
            "requests",
            "_encode_named(key, expected) + _encode_named(key, new)",
            "_encode_named(key, new) + _encode_named(key, expected)",
        ),
        (
            "parsers",
            "            if len(self.values) == self._count:\n                return True\n",
            "            if len(self.values) == self._count:\n"
            "                self.values.reverse()\n                self.checks.reverse()\n"
            "                return True\n",
        ),
        (
            "requests",
            "    return key, ttl_ms, payload[offset:middle], payload[middle:]",
            "    return key, ttl_ms, payload[middle:], payload[offset:middle]",
        ),
    )


@breaks("LOCK-001")
class CodecTtlBeforeOwner(Edited):
    """LOCK and EXTEND have the TTL before the owner."""

    edits = (
        (
            "requests",
            "_sized_key(prefix, key) + _sized_owner(owner) + _ttl_field(ttl_ms)",
            "_sized_key(prefix, key) + _ttl_field(ttl_ms) + _sized_owner(owner)",
        ),
        (
            "requests",
            "    owner, offset = take_owner(payload, offset)\n"
            "    ttl_ms, offset = take_ttl(payload, offset)\n",
            "    ttl_ms, offset = take_ttl(payload, offset)\n"
            "    owner, offset = take_owner(payload, offset)\n",
        ),
    )


@breaks("MSETEX-001")
class CodecTtlsInHalves(Edited):
    """MSETEX has TTLs in halves of a millisecond."""

    edits = (
        (
            "requests",
            "        parts.append(_ttl_field(ttl_ms))",
            "        parts.append(_ttl_field(ttl_ms * 2))",
        ),
        (
            "parsers",
            "                self._ttl_ms, offset = take_ttl(payload, offset)\n",
            "                self._ttl_ms, offset = take_ttl(payload, offset)\n"
            "                self._ttl_ms //= 2\n",
        ),
    )


@breaks("MSET-001")
class CodecTtlBeforeCount(Edited):
    """MSET has the TTL before the count."""

    edits = (
        (
            "requests",
            "[_batch_count(len(pairs)), _ttl_field(ttl_ms)]",
            "[_ttl_field(ttl_ms), _batch_count(len(pairs))]",
        ),
        (
            "parsers",
            "        self._count = read_u16(payload, 0)\n"
            "        self.ttl_ms, self._offset = take_ttl(payload, 2)\n",
            "        self.ttl_ms, _ = take_ttl(payload, 0)\n"
            "        self._count, self._offset = read_u16(payload, 8), 10\n",
        ),
    )


@breaks("KEY-006")
class CodecLowerCaseKeys(Edited):
    """Keys are in lower case on the wire, and made so by who reads them."""

    edits = (
        (
            "requests",
            "        name = prefix + key.encode(",
            "        name = prefix + key.lower().encode(",
        ),
        (
            "requests",
            "    check_key(payload)\n    return payload\n",
            "    return payload.lower()\n",
        ),
        ("parsers", "    return key, end\n", "    return key.lower(), end\n"),
    )


# --- Replies -------------------------------------------------------------------------------------


@breaks("DEL-001", "EXISTS-001")
class CodecTrueIsFf(Edited):
    """A flag that is set is FF."""

    edits = (
        ("responses", 'frame(_OK, b"\\x01")', 'frame(_OK, b"\\xff")'),
        ("responses", 'if payload == b"\\x01":', 'if payload == b"\\xff":'),
    )


@breaks("GET-002")
class CodecNullIsEmptyOk(Edited):
    """NULL is OK without a payload."""

    edits = (("responses", 'frame(0x01, b"")', 'frame(_OK, b"")'),)


@breaks("MGET-002")
class CodecAbsentHasATag(Edited):
    """A value that MGET does not find has the tag FE, which is decoded as Null."""

    edits = (
        ("responses", '_NULL_VALUE: Final = b"\\x00"', '_NULL_VALUE: Final = b"\\xfe"'),
        ("decode", "    if tag == NULL:", "    if tag == NULL or tag == 0xFE:"),
    )


@breaks("MEXISTS-001")
class CodecFlagsBackwards(Edited):
    """The flags of MEXISTS come in the order from the last key to the first."""

    edits = (
        ("responses", "bytes(flags)", "bytes(flags[::-1])"),
        ("responses", "    return flags\n\n", "    return flags[::-1]\n\n"),
    )


@breaks("MDEL-001")
class CodecCountsOfTwoBytes(Edited):
    """MDEL answers a u16."""

    edits = (
        ("responses", "_pack_u32(count)", "_pack_u16(count)"),
        ("responses", "    if len(payload) != 4:", "    if len(payload) != 2:"),
    )


@breaks("HELLO-001")
class CodecLittleEndianVersion(Edited):
    """HELLO writes its version little-endian, and reads it either way."""

    edits = (
        (
            "requests",
            "[_pack_u16(version), ",
            '[struct.pack("<H", version), ',
        ),
        (
            "requests",
            "    version = read_u16(payload, 0)\n",
            "    version = read_u16(payload, 0)\n"
            "    version = version >> 8 if version & 0xFF == 0 else version\n",
        ),
    )


# --- What a value is -----------------------------------------------------------------------------


@breaks("SET-001")
class CodecLittleEndianSizes(Edited):
    """Sizes and counts within values are little-endian."""

    edits = (
        (
            "layout",
            "    return (data[start] << 24) |",
            '    return int.from_bytes(data[start : start + 4], "little")\n    return (0) |',
        ),
        ("encode", 'struct.Struct(">BI")', 'struct.Struct("<BI")'),
    )


@breaks("VALUE-004")
class CodecAnyByteIsTrue(Edited):
    """A Bool is true when its byte is not 0."""

    edits = (
        ("layout", "    if data[start] > 1:\n", "    if data[start] > 255:\n"),
        ("layout", "    return data[start] == 1\n", "    return data[start] != 0\n"),
    )


@breaks("VALUE-007")
class CodecSurrogates(Edited):
    """Text may hold encoded surrogates."""

    edits = (("layout", 'text.decode("utf-8")', 'text.decode("utf-8", "surrogatepass")'),)


@breaks("VALUE-012")
class CodecShallow(Edited):
    """Lists and Maps may be nested 20 levels deep."""

    edits = (("layout", "NESTING_DEPTH_MAX: Final = 256", "NESTING_DEPTH_MAX: Final = 20"),)


# --- When values are equal -----------------------------------------------------------------------

_ONE_EQUALITY = (
    (
        "compare",
        "        if right_check.has_one_form or left[0] != right[0]:\n",
        "        self.is_equal = values_equal(decode_value(left), decode_value(right))\n"
        "        return\n"
        "        if right_check.has_one_form or left[0] != right[0]:\n",
    ),
    (
        "compare",
        "from kvbench.protocol.check import ValueCheck\n",
        "from kvbench.protocol.check import ValueCheck\n"
        "from kvbench.protocol.decode import decode_value\n",
    ),
)
"""The server compares as the Python values of :func:`values_equal` do."""

_TYPES = "        elif type(one) is not type(other):\n"


def _equal_where(condition: str) -> tuple[tuple[str, str, str], ...]:
    """Edits: two values that meet the condition are equal."""
    return (
        *_ONE_EQUALITY,
        ("compare", _TYPES, f"        elif {condition}:\n            continue\n{_TYPES}"),
    )


def _differ_where(condition: str) -> tuple[tuple[str, str, str], ...]:
    """Edits: two values that meet the condition differ."""
    return (
        *_ONE_EQUALITY,
        ("compare", _TYPES, f"        elif {condition}:\n            return False\n{_TYPES}"),
    )


def _both(kind: str) -> str:
    return f"isinstance(one, {kind}) and isinstance(other, {kind})"


@breaks("CAS-005")
class CodecOneIsTrue(Edited):
    """1, 1.0 and true are equal."""

    edits = _equal_where(f"{_both('int | float')} and one == other")


@breaks("CAS-005")
class CodecEmptyTextIsEmptyBytes(Edited):
    """An empty String equals empty Bytes."""

    edits = _equal_where(f"{_both('str | bytes')} and not one and not other")


@breaks("CAS-005")
class CodecZerosAreEqual(Edited):
    """The Int 0 equals the Float 0.0; other numbers of two types differ."""

    edits = _equal_where(f"{_both('int | float')} and not one and not other")


@breaks("CAS-005")
class CodecNullIsFalse(Edited):
    """Null equals false."""

    edits = _equal_where(f"{_both('bool | None')} and not one and not other")


@breaks("CAS-004")
class CodecIntsAreFloats(Edited):
    """Ints are compared as Floats: those beyond 2^53 are rounded."""

    edits = _equal_where("type(one) is int and type(other) is int and float(one) == float(other)")


@breaks("CAS-004")
class CodecRoundedDecimals(Edited):
    """Decimals are compared by their first 28 digits."""

    edits = _equal_where(
        f"{_both('Decimal')} and one.is_finite() and other.is_finite() and +one == +other"
    )


@breaks("CAS-004")
class CodecTrailingSpaces(Edited):
    """Strings are compared without the spaces at their end."""

    edits = _equal_where(f"{_both('str')} and one.rstrip() == other.rstrip()")


@breaks("CAS-007")
class CodecNanIsNan(Edited):
    """A Decimal NaN equals itself."""

    edits = _equal_where(f"{_both('Decimal')} and str(one) == str(other)")


@breaks("CAS-008")
class CodecDecimalsByText(Edited):
    """Decimals are compared as they are written."""

    edits = _differ_where(f"{_both('Decimal')} and str(one) != str(other)")


@breaks("CAS-009")
class CodecZerosHaveSigns(Edited):
    """Floats are compared as they are written: -0.0 differs from 0.0."""

    edits = _differ_where(f"{_both('float')} and str(one) != str(other)")


@breaks("CAS-006")
class CodecMapsHaveAnOrder(Edited):
    """Maps are equal only when their keys come in the same order."""

    edits = (*_ONE_EQUALITY, ("compare", "one.keys() != other.keys()", "[*one] != [*other]"))
