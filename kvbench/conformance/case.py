"""Cases: functions that check clauses, and how the suite knows them.

A case is a plain function of a context, registered by :func:`wire_case` or :func:`backend_case`
with the clauses that it checks. It returns when all is well and raises otherwise:

- what :mod:`kvbench.conformance.findings` has.
- any KvError or OSError of the connection counts as a failure: the target hung up or was silent.
- in the backend suite, whatever the store's own code raises is a failure as well.
- anything else is an error of the suite, never of the target.

Cases live in this package and cannot be overridden, only selected.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Never, TypeVar

EFFORT_RIGOROUS = 10
"""How many times deeper ``--rigorous`` goes: minutes instead of one."""

_Function = TypeVar("_Function", bound=Callable[[Never], None])
"""A function of the context of its suite."""


class Suite(StrEnum):
    """The two suites, one ledger."""

    WIRE = "wire"
    """Raw bytes to host:port: any language."""
    BACKEND = "backend"
    """Calls of a Backend: any store."""


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
    run: Callable[[Never], None]
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
) -> Callable[[_Function], _Function]:
    """Register a function of a WireContext as a case of ``clauses``."""

    def register(function: _Function) -> _Function:
        add(_case(Suite.WIRE, clauses, function, needs, after))
        return function

    return register


def backend_case(
    *clauses: str, needs: tuple[str, ...] = (), after: tuple[str, ...] = BACKEND_BASE
) -> Callable[[_Function], _Function]:
    """Register a function of a BackendContext as a case of ``clauses``."""

    def register(function: _Function) -> _Function:
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
    """What has been registered of a suite so far; selection.cases has all."""
    return tuple([case for case in _registered.values() if case.suite is suite])


def _case(
    suite: Suite,
    clauses: tuple[str, ...],
    function: Callable[[Never], None],
    needs: tuple[str, ...],
    after: tuple[str, ...],
) -> Case:
    area = function.__module__.rpartition(".")[2]
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
