"""Servers that lack exactly one thing: a type of value, or an operation.

What they lack they refuse, as a server does that has never heard of it, and they announce only what
they have. Everything else is right, so everything else that a case accuses them of is a false
accusation: they are the yardstick of the suite's precision.
"""

from __future__ import annotations

from decimal import Decimal

from kvbench.conformance.wire.values import read_value
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol import requests
from kvbench.protocol.opcodes import EXTENSIONS, Opcode

from .parts import MUTANTS, Lacking, Mutant, Part, Rewriting, invalid, ok

TYPES: dict[str, type] = {
    "Null": type(None),
    "Int": int,
    "Float": float,
    "Decimal": Decimal,
    "String": str,
    "Bytes": bytes,
    "List": list,
    "Map": dict,
    "Bool": bool,
}

_AT_LEAST = 8
"""Bytes of a TTL, which stands before the values of SET, SETNX and CAS."""


class _Untyped(Rewriting):
    """Refuses requests that bring a value of one type, at any level."""

    lacks: type = object

    def handle(self, opcode: int, payload: bytes) -> bytes:
        if any(self._holds(value) for value in _values(opcode, payload)):
            return invalid("unknown value tag")
        return super().handle(opcode, payload)

    def _holds(self, value: Value) -> bool:
        if type(value) is self.lacks:
            return True
        items = value.values() if isinstance(value, dict) else value
        return isinstance(items, list | type({}.values())) and any(map(self._holds, items))


def _values(opcode: int, payload: bytes) -> list[Value]:
    """The values that a request brings; none where it is malformed."""
    try:
        match opcode:
            case Opcode.SET | Opcode.SETNX | Opcode.CAS:
                at = 2 + int.from_bytes(payload[:2], "big") + _AT_LEAST
                found = []
                while at < len(payload):
                    value, at = read_value(payload, at)
                    found.append(value)
                return found
            case Opcode.MSET:
                pairs = requests.parse_mset(payload)[1].values()
                return [read_value(data, 0)[0] for data in pairs]
            case Opcode.MSETEX:
                return [read_value(entry[1], 0)[0] for entry in requests.parse_msetex(payload)]
    except ProtocolError:
        pass
    return []


class WithoutOperations(Lacking):
    """Announces the extensions that it has."""

    def _hello(self, payload: bytes) -> bytes:
        requests.parse_hello(payload)
        lacked = [opcode.word for opcode in self.lacks]
        names = [name for name in EXTENSIONS if name not in lacked]
        return ok(requests.hello_payload(1, names))


def _without_type(name: str, lacked: type) -> Part:
    doc = f"Has no {name}: refuses every request that brings one."
    return type(f"Without{name}", (_Untyped,), {"lacks": lacked, "__doc__": doc, **_HERE})


def _without_operation(opcode: Opcode) -> Part:
    doc = f"Has no {opcode.name}."
    name = f"Without{opcode.name.capitalize()}"
    return type(name, (WithoutOperations,), {"lacks": (opcode,), "__doc__": doc, **_HERE})


_HERE = {"__module__": __name__}


def _what_breaks(opcode: Opcode) -> tuple[str, ...]:
    """An operation of the core must be there, one of the family should; an extension may."""
    if opcode.is_core:
        return ("OP-001", *_SEEN_BY[opcode])
    return ("OP-002",) if opcode <= Opcode.MDEL else ()


_SEEN_BY = {
    Opcode.GET: ("GET-001",),
    Opcode.SET: ("SET-001",),
    Opcode.DEL: ("DEL-001", "DEL-002"),
    Opcode.EXISTS: ("EXISTS-001", "EXISTS-002"),
    Opcode.PING: ("PING-001",),
    Opcode.INFO: ("INFO-001", "INFO-002"),
}
"""What an operation of the core does at all."""

_BROKEN_BY = dict.fromkeys(TYPES, ("VALUE-001",)) | {
    "Int": ("SET-001",),
    "String": ("SET-001",),
}
"""All cases are made of Ints and Strings: without one of the two nothing else can be seen."""

SERVERS: tuple[Mutant, ...] = (
    *[Mutant(_BROKEN_BY[name], _without_type(name, lacked)) for name, lacked in TYPES.items()],
    *[Mutant(_what_breaks(opcode), _without_operation(opcode)) for opcode in Opcode],
)
"""An extension may be lacking: what lacks one breaks nothing, and is no mutant to be killed."""

MUTANTS += [server for server in SERVERS if server.clauses]
