"""The backend suite as the runner sees it."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

from kvbench.conformance.backend.context import BackendContext
from kvbench.conformance.backend.grounds import EVERY_GROUND
from kvbench.conformance.case import Setting, Suite
from kvbench.conformance.target import Target
from kvbench.errors import UnsupportedError
from kvbench.model import Capability


class BackendSuite(Suite):
    """Calls a Backend: any store."""

    name = "backend"
    party = "backend"
    base = ("BSET-001", "BGET-001", "BGET-002")
    every_ground = EVERY_GROUND
    vocabulary = frozenset([capability.value for capability in Capability])

    @override
    def can_check(self, target: Target) -> bool:
        return target.store is not None

    @override
    def discover(self, target: Target) -> tuple[frozenset[str], dict[str, str]]:
        assert target.store is not None
        return frozenset([one.value for one in target.store.capabilities]), {}

    @override
    def evidence(self, error: Exception) -> tuple[str, ...]:
        # Cases call only what is declared.
        return ("BDECL-002",) if isinstance(error, UnsupportedError) else ()

    @override
    def context(self, setting: Setting) -> BackendContext:
        target = setting.target
        assert target.store is not None
        return BackendContext(
            target.store,
            target.another_store,
            capabilities=setting.capabilities,
            seed=setting.seed,
            effort=setting.effort,
            clock=target.clock,
        )


BACKEND = BackendSuite()


def backend_case(
    *clauses: str, needs: tuple[str, ...] = (), after: tuple[str, ...] | None = None
) -> Callable[[Callable[[BackendContext], None]], Callable[[BackendContext], None]]:
    """Register a function of a BackendContext as a case of ``clauses``."""

    def register(function: Callable[[BackendContext], None]) -> Callable[[BackendContext], None]:
        BACKEND.add_function(function, clauses, needs, after)
        return function

    return register
