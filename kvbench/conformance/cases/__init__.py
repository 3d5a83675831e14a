"""The cases, registered by importing this package, in the order in which they run.

What others stand on comes first: within the wire suite SET and GET, then the vectors by area, then
what takes code to check. Within the backend suite the same order of ideas.
"""

from __future__ import annotations

from kvbench.conformance.case import WIRE_BASE, add
from kvbench.conformance.play import vector_cases
from kvbench.specs import clauses, vectors


def _add_vectors() -> None:
    ledger = {clause.id: clause for clause in clauses()}
    # Sorting is stable: those that check the base come first, the rest stays in its areas.
    for vector in sorted(vectors(), key=lambda one: not set(one.clauses) & set(WIRE_BASE)):
        for case in vector_cases(vector, ledger):
            add(case)


_add_vectors()
