"""The wire suite as the runner sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from kvbench.conformance.case import Case, CaseContext, Setting, Suite
from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.target import Target
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.discover import (
    OPTIONAL_TYPES,
    VOCABULARY,
    discover_wire,
    net_ttl_ms,
)
from kvbench.conformance.wire.grounds import EVERY_GROUND
from kvbench.conformance.wire.presence import STARTED_S, why_absent, why_misframed
from kvbench.conformance.wire.repro import write_repro

_BACK_AGAIN_S = 2.0
"""A server that is restarted is back by then; one that is not is gone."""


class WireSuite(Suite):
    """Sends raw bytes to host:port: any language."""

    name = "wire"
    party = "server"
    base = ("CONN-001", "SET-001", "GET-001", "GET-002")
    every_ground = EVERY_GROUND
    vocabulary = VOCABULARY
    unlisted = frozenset(OPTIONAL_TYPES)

    @override
    def can_check(self, target: Target) -> bool:
        return target.address is not None

    @override
    def discover(self, target: Target) -> tuple[frozenset[str], dict[str, str]]:
        return discover_wire(*_address(target))

    @override
    def context(self, setting: Setting) -> WireContext:
        target = setting.target
        if target.net_ttl_ms is None:
            target.net_ttl_ms = net_ttl_ms(*_address(target))
        usual_s = setting.reply_timeout_s
        return WireContext(
            *_address(target),
            capabilities=setting.capabilities,
            seed=setting.seed,
            effort=setting.effort,
            reply_timeout_s=target.patience.reply_timeout_s(usual_s),
            net_ttl_ms=target.net_ttl_ms,
            on_silence=target.patience.waited,
        )

    @override
    def why_gone(self, target: Target, reply_timeout_s: float) -> str:
        address = _address(target)
        patience_s = _BACK_AGAIN_S if target.restart is None else 0.0
        absent = why_absent(address, reply_timeout_s, patience_s)
        if absent is not None and target.restart is not None:
            target.restart()
            absent = why_absent(address, reply_timeout_s, STARTED_S)
        if absent is not None:
            return str(absent)
        if target.patience.is_over:
            return f"{target.patience.silent_s:.0f} s in all without replies that were due"
        problem = why_misframed(address, target.patience.reply_timeout_s(reply_timeout_s))
        return problem.reason if problem is not None else ""

    @override
    def write_repro(
        self, directory: Path, target: str, case: Case, context: CaseContext, error: CaseFailed
    ) -> str:
        assert isinstance(context, WireContext)
        return write_repro(directory, target, case, context, error)


WIRE = WireSuite()


def wire_case(
    *clauses: str, needs: tuple[str, ...] = (), after: tuple[str, ...] | None = None
) -> Callable[[Callable[[WireContext], None]], Callable[[WireContext], None]]:
    """Register a function of a WireContext as a case of ``clauses``."""

    def register(function: Callable[[WireContext], None]) -> Callable[[WireContext], None]:
        WIRE.add_function(function, clauses, needs, after)
        return function

    return register


def _address(target: Target) -> tuple[str, int]:
    assert target.address is not None, "the suite looks only at what it can check"
    return target.address
