"""The clauses and test vectors of the specs, as programs read them.

``specs/`` is data for people and for other languages; this module is its door for Python. It finds
the directory in a checkout or, installed, as the data-only package ``kvbench_specs``, and decodes
its files strictly: an unknown field or a wrong type is an error that names the place. The classes
below are the format: ``specs/vectors/schema.json`` is made from them.

Bytes in a vector are hex with spaces for the reader, or a list of hex and repeats where that would
be long. Every key in a vector begins with :data:`KEY_TOKEN`; a player that needs keys of its own
replaces the token by as many other characters in the bytes of all frames
(:meth:`VectorStep.request`), and no length changes.
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

from kvbench.errors import KvbenchError
from kvbench.model import Value

KEY_TOKEN = "kvbench-check:vec0000000"
"""How every key of every vector begins: 24 ASCII characters, so that 24 others can stand there.

On a server that somebody else uses, the first of them say whose keys these are.
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
    """What all records share: immutable, and strict about what they are read from."""


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
"""Bytes as a vector writes them. :func:`unhex` reads them."""


class Payload(_Record, frozen=True):
    """What a reply's payload is like, where its bytes are not given: all that is named holds.

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
        """Why ``payload`` is not like this; empty when it is."""
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
        status: what is allowed. Where there are several, the first is what a server SHOULD answer.
        payload: exact bytes, or what they are like.
    """

    status: list[StatusName]
    payload: Bytes | Payload = ""

    def mismatch(self, status: int, payload: bytes) -> str:
        """Why a response is not the expected one; empty when it is."""
        if status not in [STATUSES[name] for name in self.status]:
            return f"status {status:02x}, expected {' or '.join(self.status)}"
        if isinstance(self.payload, Payload):
            return self.payload.mismatch(payload)
        expected = unhex(self.payload)
        return "" if payload == expected else f"payload {payload.hex()}, expected {expected.hex()}"


class VectorStep(_Record, frozen=True):
    """One move of a vector: wait, send bytes, read the replies, in this order.

    Attributes:
        note: what it does, for people.
        send: bytes to send; one frame, several, or something broken.
        expect: the responses, in order. They are read before the next step.
        pieces: send in pieces of so many bytes; 0 sends all at once.
        connection: which connection sends. A connection is opened by its first use.
        finish: close the sending side afterwards.
        closed: the server closes this connection after the expected responses.
        wait_ms: time that passes first.
    """

    note: str = ""
    send: Bytes = ""
    expect: list[ExpectedReply] = []
    pieces: int = 0
    connection: str = "a"
    finish: bool = False
    closed: bool = False
    wait_ms: int = 0

    def request(self, token: str = KEY_TOKEN) -> bytes:
        """The bytes to send, with ``token`` (as long as KEY_TOKEN) where the keys begin."""
        return unhex(self.send).replace(KEY_TOKEN.encode(), token.encode())


class Vector(_Record, frozen=True):
    """A conversation that shows one thing.

    Attributes:
        id: permanent, unique over all files.
        clauses: what it checks.
        keys: every key that it touches. A player deletes them before and after.
        needs: operations outside the core that it uses, and other capabilities.
    """

    id: VectorId
    clauses: list[ClauseId]
    description: str
    steps: list[VectorStep]
    keys: list[str] = []
    needs: list[str] = []


class TypedValue(_Record, frozen=True):
    """A value in JSON without the limits of JSON's own types.

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
        """The same value as Python has it."""
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
        decode_only: an encoder writes this value in another way.
    """

    id: VectorId
    clauses: list[ClauseId]
    description: str
    bytes: Bytes
    value: TypedValue
    decode_only: bool = False


class InvalidValue(_Record, frozen=True):
    """Bytes that are no value, and why."""

    id: VectorId
    clauses: list[ClauseId]
    reason: str
    bytes: Bytes


class TtlConversion(_Record, frozen=True):
    """A client's TTL in seconds (a number, ``nan`` or ``inf``), and its ``ttl_ms``.

    None: the client refuses it.
    """

    clauses: list[ClauseId]
    seconds: float | Literal["nan", "inf", "-inf"]
    ttl_ms: int | None


class AddressExample(_Record, frozen=True):
    """An address as a client is given it, and what it means."""

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
    """A file of ``specs/`` is missing or not what it should be."""


def unhex(data: Bytes) -> bytes:
    """The bytes that a vector writes as hex."""
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
    """Where the specs are: beside the package in a checkout, a package of data when installed.

    Raises:
        SpecsError: in neither place.
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
    """The JSON Schema of a file of vectors, as ``vectors/schema.json`` holds it."""
    schema: dict[str, object] = msgspec.json.schema(VectorFile)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "kvbench wire protocol test vectors, version 1",
        **schema,
    }


def vectors() -> tuple[Vector, ...]:
    """The conversations of all areas: what a server is checked with."""
    return tuple([vector for file in vector_files() for vector in file.vectors])


def _decode(path: Path, kind: type[_T]) -> _T:
    decode = msgspec.toml.decode if path.suffix == ".toml" else msgspec.json.decode
    try:
        return decode(path.read_bytes(), type=kind)
    except (OSError, ValueError) as error:
        raise SpecsError(f"{path}: {error}") from None
