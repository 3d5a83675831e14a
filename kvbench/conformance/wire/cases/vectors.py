"""The vectors of ``specs/vectors`` as cases: most of the wire suite is data.

A vector is played for its MUST clauses, for its other clauses, and for those of the other clauses
that are about the choice between several allowed replies (:data:`PREFERENCES`).
"""

from __future__ import annotations

from kvbench.conformance.case import Case
from kvbench.conformance.wire.frames import take_frames
from kvbench.conformance.wire.grounds import AT_ONCE, MEANS
from kvbench.conformance.wire.suite import WIRE
from kvbench.conformance.wire.vectors import play
from kvbench.protocol.opcodes import Opcode
from kvbench.specs import Clause, Vector, clauses, vectors

SHORT_WAIT_MS = 50
"""A shorter wait lets something arrive, a longer one lets a key expire."""

PREFERENCES = frozenset({"ERR-001", "ERR-002", "VALUE-017"})
"""Clauses that say which of several allowed replies is the better one."""


TIME = ("TTL-001", "TTL-005")
"""What a vector that waits stands on: keys with a TTL end, and those without one do not."""

FINER = {
    "BATCH-002": ("MGET-003", "MSET-003", "MDEL-003"),
    "DECR-004": ("DECR-002",),
    "PIPE-001": ("FRAME-002", "FRAME-003"),
    "LIMIT-005": ("LIMIT-001",),
    "LIMIT-006": ("LIMIT-001",),
    "LIMIT-009": ("LIMIT-001",),
}
"""What else the vectors of a clause are made of."""


def prerequisites(vector: Vector) -> tuple[str, ...]:
    """The clauses without which nothing can be seen of those that a vector is about."""
    operations = _operations(vector)
    # What touches no key stands on nothing: a server without a right GET can have a right PING.
    first = ["CONN-001"]
    if vector.keys or "get" in operations:
        first += WIRE.base
    if any(step.wait_ms > SHORT_WAIT_MS for step in vector.steps):
        first += TIME
    if any(len(step.expect) > 1 for step in vector.steps):
        first += AT_ONCE
    first += [clause for name in operations for clause in MEANS.get(name, ())]
    first += [finer for clause in vector.clauses for finer in FINER.get(clause, ())]
    # What shows one of them itself stands on none of the same kind.
    own = [kind for kind in (AT_ONCE, *MEANS.values()) if set(kind) & set(vector.clauses)]
    shown = {*vector.clauses, *[clause for kind in own for clause in kind]}
    if {"KEY-008", "FRAME-001"} & set(vector.clauses):
        shown.update(*MEANS.values())  # What they forbid is what an operation does all the time.
    return tuple([clause for clause in first if clause not in shown])


def _operations(vector: Vector) -> list[str]:
    """The operations of its whole requests, by name."""
    codes = [code for step in vector.steps for code, _ in take_frames(bytearray(step.request()))]
    return [Opcode(code).word for code in dict.fromkeys(codes) if code in list(Opcode)]


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
        suite=WIRE,
        clauses=tuple(clauses),
        run=lambda context: play(context, vector, clauses, is_strict=is_strict),
        needs=frozenset(vector.needs),
        after=prerequisites(vector),
        doc=vector.description,
    )


def _add_vectors() -> None:
    ledger = {clause.id: clause for clause in clauses()}
    # Sorting is stable: what others stand on comes first, the rest stays in its areas.
    ranks = [
        set(WIRE.base),
        {"FRAME-002", "FRAME-003"},
        {*TIME, *AT_ONCE}.union(*MEANS.values()),
        set().union(*FINER.values()),
    ]
    for vector in sorted(
        vectors(), key=lambda one: [not set(one.clauses) & rank for rank in ranks]
    ):
        for case in vector_cases(vector, ledger):
            WIRE.add(case)


_add_vectors()
