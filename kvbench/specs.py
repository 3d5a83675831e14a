"""The clauses and test vectors of the specs as Python objects.

``specs/`` is data for people and for other languages; this module reads it. It finds the directory
in a checkout or, installed, as the data-only package ``kvbench_specs``. It decodes strictly: an
unknown field or a wrong type is an error with its position. The classes below define the format:
``specs/vectors/schema.json`` is made from them.

Bytes in a vector are hex with spaces, or a list of hex and repeats if that would be long. Every key
in a vector begins with :data:`KEY_TOKEN`; a player that needs isolated keys replaces the token by
as many other characters in the bytes of all frames (:meth:`VectorStep.request`), so no length
changes.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

import msgspec

from kvbench.decoding import with_clean_descriptions
from kvbench.errors import KvbenchError
from kvbench.model import Value

KEY_TOKEN = "kvbench-check:vec0000000"
"""The beginning of every key of every vector: 24 ASCII characters, replaced by 24 others.

On a shared server, the first of them identify the owner of the keys.
"""

STATUSES: Mapping[str, int] = {"OK": 0, "NULL": 1, "ERROR": 2, "INVALID": 3}
"""The statuses that a vector can expect."""

# Aliases, not msgspec.Meta with a pattern: with Meta in a recursive type, one interpreter in four
# crashes when it exits (msgspec issue 717). The tests check the patterns instead.
Hex: TypeAlias = str
"""Lower-case hex, with spaces between bytes."""
ClauseId: TypeAlias = str
"""Such as ``GET-001``."""
VectorId: TypeAlias = str
"""Such as ``get-absent``."""
StatusName = Literal["OK", "NULL", "ERROR", "INVALID"]

_T = TypeVar("_T")


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all records: immutable, and strict when decoded."""


class Clause(_Record, frozen=True):
    """One requirement of a document; the fields are explained in ``clauses.toml``."""

    id: ClauseId
    level: Literal["MUST", "SHOULD", "MAY"]
    section: str
    text: str
    party: Literal["server", "client", "backend"]
    since: str
    needs: tuple[str, ...] = ()
    untestable: str = ""


class Repeat(_Record, frozen=True):
    """The bytes ``repeat``, ``times`` times over."""

    repeat: Hex
    times: int


Bytes = Hex | list[Hex | Repeat]
"""Bytes in a vector. :func:`unhex` reads them."""


class Payload(_Record, frozen=True):
    """Properties of a reply's payload, if its bytes are not given: all of them must hold.

    Attributes:
        text: it is UTF-8, of any length.
        json_members: it is a JSON object with these members.
        i64: it is an i64 from the first number to the second.
        starts: it starts with these bytes.
        contains: it contains each of these.
    """

    text: bool = False
    json_members: list[str] = []
    i64: tuple[int, int] | None = None
    starts: Hex = ""
    contains: list[Hex] = []

    def mismatch(self, payload: bytes) -> str:
        """Why ``payload`` does not match; empty if it does."""
        try:
            text = payload.decode("utf-8") if self.text or self.json_members else ""
            members = json.loads(text) if self.json_members else {}
        except (ValueError, RecursionError) as error:
            return f"payload is no {'JSON' if self.json_members else 'UTF-8'}: {error}"
        if not isinstance(members, dict):
            return "payload is no JSON object"
        missing = [name for name in self.json_members if name not in members]
        if missing:
            return f"payload lacks the members {missing}"
        if self.i64 is not None:
            number = struct.unpack(">q", payload)[0] if len(payload) == 8 else None
            if number is None or not self.i64[0] <= number <= self.i64[1]:
                return f"payload {payload.hex()} is no i64 from {self.i64[0]} to {self.i64[1]}"
        if not payload.startswith(unhex(self.starts)):
            return f"payload {payload[:32].hex()} does not start with {self.starts}"
        absent = [part for part in self.contains if unhex(part) not in payload]
        return f"payload lacks the bytes {absent}" if absent else ""


class ExpectedReply(_Record, frozen=True):
    """One expected response.

    Attributes:
        status: allowed statuses. If there are several, a server SHOULD answer with the first.
        payload: exact bytes, or their properties.
    """

    status: list[StatusName]
    payload: Bytes | Payload = ""

    def mismatch(self, status: int, payload: bytes) -> str:
        """Why a response is not the expected one; empty if it is."""
        if status not in [STATUSES[name] for name in self.status]:
            return f"status {status:02x}, expected {' or '.join(self.status)}"
        if isinstance(self.payload, Payload):
            return self.payload.mismatch(payload)
        expected = unhex(self.payload)
        return "" if payload == expected else f"payload {payload.hex()}, expected {expected.hex()}"


class VectorStep(_Record, frozen=True):
    """One step of a vector: wait, send bytes, read the replies, in this order.

    A step that goes wrong leaves those behind it unjudged: all where it has no part, else the rest
    of its part and the steps that have none.

    Attributes:
        note: what it does, for people.
        clauses: what a deviation is evidence of. A step without any only leads to others: when it
            goes wrong, nothing is known of their clauses.
        part: steps with the same name belong together, and do not depend on other parts.
        needs: capabilities without which it is left out, besides those of the vector.
        send: bytes to send; one frame, several, or something broken.
        expect: the responses, in order. They are read before the next step.
        pieces: send in pieces of this many bytes; 0 sends all at once.
        connection: the sending connection. It is opened when it is first used.
        finish: close the sending side afterwards.
        closed: the server closes this connection after the expected responses.
        wait_ms: wait this long first.
    """

    note: str = ""
    clauses: list[ClauseId] = []
    part: str = ""
    needs: list[str] = []
    send: Bytes = ""
    expect: list[ExpectedReply] = []
    pieces: int = 0
    connection: str = "a"
    finish: bool = False
    closed: bool = False
    wait_ms: int = 0

    def request(self, token: str = KEY_TOKEN) -> bytes:
        """The bytes to send, with ``token`` (as long as KEY_TOKEN) at the beginning of the keys."""
        return unhex(self.send).replace(KEY_TOKEN.encode(), token.encode())


class Vector(_Record, frozen=True):
    """A conversation that tests one thing.

    Attributes:
        id: permanent, unique over all files.
        clauses: the clauses that it checks.
        keys: every key that it uses. A player deletes them before and after.
        needs: non-core operations and other capabilities that it uses.
    """

    id: VectorId
    clauses: list[ClauseId]
    description: str
    steps: list[VectorStep]
    keys: list[str] = []
    needs: list[str] = []


class TypedValue(_Record, frozen=True):
    """A value in JSON that is not limited to JSON's types.

    Attributes:
        type: the tag's name in lower case.
        text: digits of an int, text of a decimal or string.
        hex: content of bytes, the eight bytes of a float.
        truth: of a bool.
        items: of a list.
        entries: of a map.
    """

    type: Literal["null", "int", "float", "decimal", "string", "bytes", "list", "map", "bool"]
    text: str = ""
    hex: Hex = ""
    truth: bool = False
    items: list[TypedValue] = []
    entries: list[tuple[str, TypedValue]] = []

    def to_python(self) -> Value:
        """The same value in Python."""
        content = bytes.fromhex(self.hex)
        match self.type:
            case "null":
                return None
            case "int":
                return int(self.text)
            case "float":
                number: float = struct.unpack(">d", content)[0]
                return number
            case "decimal":
                return Decimal(self.text)
            case "string":
                return self.text
            case "bytes":
                return content
            case "list":
                return [item.to_python() for item in self.items]
            case "map":
                return {key: item.to_python() for key, item in self.entries}
            case "bool":
                return self.truth


class ValueVector(_Record, frozen=True):
    """One value: as bytes, and as typed JSON.

    Attributes:
        decode_only: an encoder writes this value differently.
    """

    id: VectorId
    clauses: list[ClauseId]
    description: str
    bytes: Bytes
    value: TypedValue
    decode_only: bool = False


class InvalidValue(_Record, frozen=True):
    """Bytes that are not a value, and why."""

    id: VectorId
    clauses: list[ClauseId]
    reason: str
    bytes: Bytes


class TtlConversion(_Record, frozen=True):
    """A client's TTL in seconds (a number, ``nan`` or ``inf``), and its ``ttl_ms``.

    None: the client rejects it.
    """

    clauses: list[ClauseId]
    seconds: float | Literal["nan", "inf", "-inf"]
    ttl_ms: int | None


class AddressExample(_Record, frozen=True):
    """An address passed to a client, and its meaning."""

    clauses: list[ClauseId]
    address: str
    host: str
    port: int
    namespace: str


class VectorFile(_Record, frozen=True):
    """A file of ``specs/vectors``; it is named after its area."""

    schema: Literal["kvbench-vectors/1"]
    area: str
    vectors: list[Vector] = []
    values: list[ValueVector] = []
    invalid_values: list[InvalidValue] = []
    ttl_conversions: list[TtlConversion] = []
    addresses: list[AddressExample] = []


class _Ledger(_Record, frozen=True):
    clause: list[Clause]


class SpecsError(KvbenchError):
    """A file of ``specs/`` is missing or invalid."""


def unhex(data: Bytes) -> bytes:
    """The bytes of a vector's hex."""
    if isinstance(data, str):
        return bytes.fromhex(data)
    return b"".join(
        [
            bytes.fromhex(part.repeat) * part.times
            if isinstance(part, Repeat)
            else bytes.fromhex(part)
            for part in data
        ]
    )


@cache
def directory() -> Path:
    """The directory of the specs: next to the package in a checkout, a data package if installed.

    Raises:
        SpecsError: not found.
    """
    checkout = Path(__file__).resolve().parents[1] / "specs"
    if (checkout / "clauses.toml").is_file():
        return checkout
    found = importlib.util.find_spec("kvbench_specs")
    for place in found.submodule_search_locations or () if found is not None else ():
        if (Path(place) / "clauses.toml").is_file():
            return Path(place)
    raise SpecsError("the specs are not installed with kvbench: install it again from a wheel")


@cache
def clauses() -> tuple[Clause, ...]:
    """Every clause: those of the wire protocol, then those of the backend contract, in order."""
    return tuple(_decode(directory() / "clauses.toml", _Ledger).clause)


@cache
def vector_files() -> tuple[VectorFile, ...]:
    """Every file of vectors, by the name of its area."""
    paths = sorted((directory() / "vectors").glob("*.json"))
    return tuple([_decode(path, VectorFile) for path in paths if path.name != "schema.json"])


def vector_schema() -> dict[str, object]:
    """The JSON Schema of a file of vectors, as stored in ``vectors/schema.json``."""
    schema: dict[str, object] = with_clean_descriptions(msgspec.json.schema(VectorFile))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kvbench wire protocol test vectors, version 1",
        **schema,
    }


def vectors() -> tuple[Vector, ...]:
    """The conversations of all areas, for checking a server."""
    return tuple([vector for file in vector_files() for vector in file.vectors])


def _decode(path: Path, kind: type[_T]) -> _T:
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        return decode(path.read_bytes(), type=kind)
    except (OSError, ValueError) as error:
        raise SpecsError(f"{path}: {error}") from None
