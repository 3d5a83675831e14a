"""The vectors of ``specs/vectors`` as cases: most of the wire suite is data.

A vector is played for its MUST clauses, for its other clauses, and for those of the other clauses
that are about the choice between several allowed replies (:data:`PREFERENCES`).
"""

from __future__ import annotations

from kvbench.conformance.case import Case
from kvbench.conformance.wire.suite import WIRE
from kvbench.conformance.wire.vectors import play
from kvbench.specs import Clause, Vector, clauses, vectors

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
        suite=WIRE,
        clauses=tuple(clauses),
        run=lambda context: play(context, vector, is_strict=is_strict),
        needs=frozenset(vector.needs),
        # What touches no key stands on nothing: a server without a right GET can have a right PING.
        after=tuple([one for one in WIRE.base if vector.keys and one not in vector.clauses]),
        doc=vector.description,
    )


def _add_vectors() -> None:
    ledger = {clause.id: clause for clause in clauses()}
    # Sorting is stable: those that check the base come first, the rest stays in its areas.
    for vector in sorted(vectors(), key=lambda one: not set(one.clauses) & set(WIRE.base)):
        for case in vector_cases(vector, ledger):
            WIRE.add(case)


_add_vectors()
