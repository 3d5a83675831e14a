"""Cases: functions that check clauses, and how the suite knows them.

A case is a plain function of a context, registered by :func:`wire_case` or :func:`backend_case`
with the clauses that it checks. It returns when all is well and raises otherwise:

- :class:`CaseFailed`: the target does not keep a clause.
- :class:`SetupFailed`: what the case needed first did not work; its own clause was not looked at.
- :class:`DoesNotApply`: the clause has nothing to say about this target.
- any KvError or OSError of the connection counts as a failure: the target hung up or was silent.
- in the backend suite, whatever the store's own code raises is a failure as well.
- anything else is an error of the suite, never of the target.

Cases live in this package and cannot be overridden, only selected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvbench.conformance.store import StoreContext
    from kvbench.conformance.wire import WireContext
    from kvbench.specs import Reply


class Suite(StrEnum):
    """The two suites, one ledger."""

    WIRE = "wire"
    """Raw bytes to host:port: any language."""
    BACKEND = "backend"
    """Calls of a Backend: any store."""


class CaseFailed(Exception):  # noqa: N818 - a finding about the target, not an error of ours
    """The target does not keep a clause.

    Attributes:
        expected: what the clause asks for.
        actual: what came.
        seed: reproduces it, when something was random.
        timeline: a concurrent history as text, when there was one.
        wanted: the reply that should have come, in the words of the vectors, where it is known.
    """

    def __init__(
        self,
        expected: str,
        actual: str,
        *,
        seed: str = "",
        timeline: str = "",
        wanted: Reply | None = None,
    ) -> None:
        self.expected = expected
        self.actual = actual
        self.seed = seed
        self.timeline = timeline
        self.wanted = wanted
        super().__init__(f"expected {expected}; got {actual}")


class SetupFailed(Exception):  # noqa: N818 - a finding, not an error of ours
    """A step before the one that is checked did not work: the clause was not looked at."""


class DoesNotApply(Exception):  # noqa: N818 - a finding, not an error of ours
    """The clause says nothing about this target, such as what undeclared operations raise."""


@dataclass(frozen=True, slots=True)
class Case:
    """A registered case.

    Attributes:
        name: unique, ``area.what_it_shows``; the suite's order is that of registration.
        suite: wire or backend.
        clauses: ids of what it checks. A failure counts against all of them.
        run: the function; takes the suite's context.
        needs: capabilities without which it is unsupported.
        after: clause ids that must not have failed before; else the case is not run.
        doc: one line for people.
    """

    name: str
    suite: Suite
    clauses: tuple[str, ...]
    run: Callable[[WireContext], None] | Callable[[StoreContext], None]
    needs: frozenset[str]
    after: tuple[str, ...]
    doc: str


_registered: dict[str, Case] = {}

WIRE_BASE = ("SET-001", "GET-001", "GET-002")
"""What most wire cases stand on: without SET and GET nothing else can be seen."""

BACKEND_BASE = ("BSET-001", "BGET-001", "BGET-002")
"""The same for the backend suite."""


def wire_case(
    *clauses: str, needs: tuple[str, ...] = (), after: tuple[str, ...] = WIRE_BASE
) -> Callable[[Callable[[WireContext], None]], Callable[[WireContext], None]]:
    """Register a function of a WireContext as a case of ``clauses``."""

    def register(function: Callable[[WireContext], None]) -> Callable[[WireContext], None]:
        add(_case(Suite.WIRE, clauses, function, needs, after))
        return function

    return register


def backend_case(
    *clauses: str, needs: tuple[str, ...] = (), after: tuple[str, ...] = BACKEND_BASE
) -> Callable[[Callable[[StoreContext], None]], Callable[[StoreContext], None]]:
    """Register a function of a StoreContext as a case of ``clauses``."""

    def register(function: Callable[[StoreContext], None]) -> Callable[[StoreContext], None]:
        add(_case(Suite.BACKEND, clauses, function, needs, after))
        return function

    return register


def add(case: Case) -> None:
    """Register a case that was built by hand, such as one made from a vector.

    Raises:
        ValueError: it names no clause, or its name is taken.
    """
    if not case.clauses:
        raise ValueError(f"case {case.name} names no clause")
    if case.name in _registered:
        raise ValueError(f"two cases are named {case.name}")
    _registered[case.name] = case


def registered(suite: Suite) -> tuple[Case, ...]:
    """What has been registered of a suite so far; ``kvbench.conformance.cases`` has all."""
    return tuple([case for case in _registered.values() if case.suite is suite])


def _case(
    suite: Suite,
    clauses: tuple[str, ...],
    function: Callable[[WireContext], None] | Callable[[StoreContext], None],
    needs: tuple[str, ...],
    after: tuple[str, ...],
) -> Case:
    area = function.__module__.rpartition(".")[2].removeprefix(f"{suite}_")
    doc = (function.__doc__ or "").strip().partition("\n")[0]
    return Case(
        name=f"{suite}.{area}.{function.__name__}",
        suite=suite,
        clauses=clauses,
        run=function,
        needs=frozenset(needs),
        after=tuple([clause for clause in after if clause not in clauses]),
        doc=doc,
    )
