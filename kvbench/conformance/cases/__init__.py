"""The cases, registered by importing this package, in the order in which they run.

What others stand on comes first: within the wire suite SET and GET, then the vectors by area, then
what takes code to check. Within the backend suite the same order of ideas.
"""

from __future__ import annotations

from functools import cache

from kvbench.conformance.case import WIRE_BASE, Case, Suite, add, registered
from kvbench.conformance.play import vector_cases
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
from kvbench.conformance.cases import wire_server  # noqa: E402, F401
from kvbench.conformance.cases import wire_values  # noqa: E402, F401
from kvbench.conformance.cases import wire_times  # noqa: E402, F401
from kvbench.conformance.cases import wire_connections  # noqa: E402, F401
from kvbench.conformance.cases import wire_damage  # noqa: E402, F401
from kvbench.conformance.cases import wire_generated  # noqa: E402, F401
from kvbench.conformance.cases import wire_walks  # noqa: E402, F401
from kvbench.conformance.cases import wire_concurrency  # noqa: E402, F401
from kvbench.conformance.cases import backend_base  # noqa: E402, F401
from kvbench.conformance.cases import backend_keys  # noqa: E402, F401
from kvbench.conformance.cases import backend_values  # noqa: E402, F401
from kvbench.conformance.cases import backend_batches  # noqa: E402, F401
from kvbench.conformance.cases import backend_pipelines  # noqa: E402, F401
from kvbench.conformance.cases import backend_ttl  # noqa: E402, F401
from kvbench.conformance.cases import backend_counters  # noqa: E402, F401
from kvbench.conformance.cases import backend_cas  # noqa: E402, F401
from kvbench.conformance.cases import backend_locks  # noqa: E402, F401
from kvbench.conformance.cases import backend_atomic  # noqa: E402, F401
from kvbench.conformance.cases import backend_errors  # noqa: E402, F401
from kvbench.conformance.cases import backend_generated  # noqa: E402, F401
# isort: on


@cache
def cases(suite: Suite) -> tuple[Case, ...]:
    """Every case of a suite in its order. Those that others stand on come first."""
    return registered(suite)
