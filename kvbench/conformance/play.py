"""Plays the vectors of ``specs/vectors`` over real connections: most of the wire suite is data.

A vector is played for its MUST clauses, for its other clauses, and for those of the other clauses
that are about the choice itself (:data:`PREFERENCES`). Any reply that the spec allows will do:
either refusal where two are allowed, and a value in another encoding where it is the same value (a
server may decode and encode anew). Only for a preference must the reply be the preferred one, byte
for byte.
"""

from __future__ import annotations

import time

from kvbench.conformance.case import WIRE_BASE, Case, CaseFailed, Suite
from kvbench.conformance.conversation import WireReply
from kvbench.conformance.sameness import same_value
from kvbench.conformance.wire import WireConnection, WireContext
from kvbench.errors import ProtocolError
from kvbench.model import Value
from kvbench.protocol.opcodes import Status
from kvbench.protocol.responses import parse_values
from kvbench.protocol.values import decode_value
from kvbench.specs import KEY_TOKEN, STATUSES, Clause, Reply, Step, Vector, unhex

PREFERENCES = frozenset({"ERR-001", "ERR-002", "VALUE-017"})
"""Clauses that say which of several allowed replies is the better one."""


def vector_cases(vector: Vector, ledger: dict[str, Clause]) -> list[Case]:
    """The cases that a vector is: for its MUST clauses, its other ones, and its preferences."""
    kinds: dict[str, list[str]] = {"vector": [], "optional": [], "preferred": []}
    for clause in vector.clauses:
        is_optional = ledger[clause].level != "MUST"
        kind = "preferred" if clause in PREFERENCES else "optional" if is_optional else "vector"
        kinds[kind].append(clause)
    return [
        _case(vector, f"wire.{kind}.{vector.id}", clauses, is_strict=kind == "preferred")
        for kind, clauses in kinds.items()
        if clauses
    ]


def _case(vector: Vector, name: str, clauses: list[str], *, is_strict: bool) -> Case:
    return Case(
        name=name,
        suite=Suite.WIRE,
        clauses=tuple(clauses),
        run=lambda context: play(context, vector, is_strict=is_strict),
        needs=frozenset(vector.needs),
        # What touches no key stands on nothing: a server without a right GET can have a right PING.
        after=tuple([one for one in WIRE_BASE if vector.keys and one not in vector.clauses]),
        doc=vector.description,
    )


def play(context: WireContext, vector: Vector, *, is_strict: bool) -> None:
    """Play one vector under the context's own key prefix.

    Raises:
        CaseFailed: a reply is not what the vector expects; the step is named.
    """
    token = context.prefix
    context.own([key.replace(KEY_TOKEN, token).encode() for key in vector.keys])
    connections: dict[str, WireConnection] = {}
    for step in vector.steps:
        if step.wait_ms:
            time.sleep(step.wait_ms / 1000)
        if step.connection not in connections:
            connections[step.connection] = context.connect()
        connection = connections[step.connection]
        try:
            _take(connection, step, token, is_strict=is_strict)
        except CaseFailed as error:
            place = f"in {vector.id}, {step.note!r}: " if step.note else f"in {vector.id}: "
            raise CaseFailed(place + error.expected, error.actual, wanted=error.wanted) from None


def _take(connection: WireConnection, step: Step, token: str, *, is_strict: bool) -> None:
    if step.send:
        connection.send(step.request(token), step.pieces)
    if step.finish:
        connection.finish()
    for expected in step.expect:
        compare(expected, connection.read(), is_strict=is_strict)
    if step.closed:
        connection.expect_closed()


def compare(expected: Reply, reply: WireReply, *, is_strict: bool) -> None:
    """Hold a reply against what a vector expects.

    Raises:
        CaseFailed: it is another.
    """
    names = expected.status[:1] if is_strict else expected.status
    if reply.status not in [STATUSES[name] for name in names]:
        raise CaseFailed(" or ".join(names), str(reply), wanted=expected)
    problem = expected.mismatch(reply.status, reply.payload)
    if problem and (is_strict or not _means_the_same(expected, reply)):
        wanted = (
            str(WireReply(reply.status, unhex(expected.payload)))
            if isinstance(expected.payload, str | list)
            else f"{' or '.join(names)} as the vector describes it"
        )
        raise CaseFailed(wanted, f"{reply} ({problem})" if len(problem) < 120 else str(reply))


def _means_the_same(expected: Reply, reply: WireReply) -> bool:
    """Whether the payload holds the expected values in another encoding of theirs."""
    if reply.status != Status.OK or not isinstance(expected.payload, str | list):
        return False
    left, right = _values(unhex(expected.payload)), _values(reply.payload)
    return (
        left is not None
        and right is not None
        and len(left) == len(right)
        and all(same_value(a, b) for a, b in zip(left, right, strict=True))
    )


def _values(payload: bytes) -> list[Value] | None:
    """The values of a GET's or an MGET's reply; None when the payload is neither."""
    try:
        return [decode_value(payload)]
    except ProtocolError:
        pass
    try:
        return parse_values(payload, int.from_bytes(payload[:2], "big"))
    except ProtocolError:
        return None
