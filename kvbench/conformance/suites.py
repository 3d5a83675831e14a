"""Both suites, with all of their cases: importing this module registers them."""

from __future__ import annotations

import kvbench.conformance.backend.cases
import kvbench.conformance.wire.cases  # noqa: F401 - registers the cases
from kvbench.conformance.backend.suite import BACKEND
from kvbench.conformance.case import Suite
from kvbench.conformance.target import Target
from kvbench.conformance.wire.suite import WIRE

__all__ = ["BACKEND", "SUITES", "WIRE", "suite_named", "suites_of"]

SUITES: tuple[Suite, ...] = (WIRE, BACKEND)
"""In the order of running."""


def suite_named(name: str) -> Suite:
    """The suite of that name.

    Raises:
        KeyError: there is none.
    """
    return {suite.name: suite for suite in SUITES}[name]


def suites_of(target: Target) -> tuple[Suite, ...]:
    """The suites that can look at an opened target."""
    return tuple([suite for suite in SUITES if suite.can_check(target)])
