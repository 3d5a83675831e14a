"""The cases of the wire suite, registered by importing this package, in the order of running.

Cases that others need come first: those of SET and GET, then the vectors by area, then what takes
code to check.
"""

from __future__ import annotations

from kvbench.conformance.case import WIRE_BASE, add
from kvbench.conformance.wire.vectors import vector_cases
from kvbench.specs import clauses, vectors


def _add_vectors() -> None:
    ledger = {clause.id: clause for clause in clauses()}
    # Sorting is stable: those that check the base come first, the rest stays in its areas.
    for vector in sorted(vectors(), key=lambda one: not set(one.clauses) & set(WIRE_BASE)):
        for case in vector_cases(vector, ledger):
            add(case)


_add_vectors()

# In the order in which they run.
# isort: off
from kvbench.conformance.wire.cases import server  # noqa: E402, F401
from kvbench.conformance.wire.cases import values  # noqa: E402, F401
from kvbench.conformance.wire.cases import times  # noqa: E402, F401
from kvbench.conformance.wire.cases import connections  # noqa: E402, F401
from kvbench.conformance.wire.cases import damage  # noqa: E402, F401
from kvbench.conformance.wire.cases import generated  # noqa: E402, F401
from kvbench.conformance.wire.cases import walks  # noqa: E402, F401
from kvbench.conformance.wire.cases import concurrency  # noqa: E402, F401
# isort: on
