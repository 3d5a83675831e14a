"""Cases: functions that check clauses, and the suites that have them.

A case is a plain function of a context, registered with its suite (``wire_case``, ``backend_case``)
with the clauses that it checks. It returns when all is well and raises otherwise:

- what :mod:`kvbench.conformance.findings` has.
- any KvError or OSError of the connection counts as a failure: the target hung up or was silent.
- in the backend suite, whatever the store's own code raises is a failure as well.
- anything else is an error of the suite, never of the target.

Cases live in this package and cannot be overridden, only selected.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Never, Self

from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.target import Target
from kvbench.verdicts import Exchange, Traits

EFFORT_RIGOROUS = 10
"""How many times deeper ``--rigorous`` goes: minutes instead of one."""


@dataclass(frozen=True, slots=True)
class Case:
    """A registered case.

    Attributes:
        name: unique, ``area.what_it_shows``; the suite's order is that of registration.
        suite: wire or backend.
        clauses: ids of what it checks. A failure counts against those that it names, or all.
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


class CaseContext(ABC):
    """What a case works with: connections or a store, isolated keys, random numbers from a seed."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What crossed its connections, for people; empty where there are none."""
        return ()

    @property
    def grounds(self) -> tuple[str, ...]:
        """The clauses that what was done so far stands on: a failure shows nothing without them."""
        return ()

    def traits(self, error: CaseFailed) -> Traits:
        """What a failure of the case may share with other failures."""
        return Traits()


@dataclass(frozen=True, slots=True)
class Setting:
    """What the context of a case is made from.

    Attributes:
        target: opened.
        capabilities: what it declares or was found to have, in the words of the suite.
        seed: of everything random in the case.
        effort: multiplies generated examples and rounds.
        reply_timeout_s: how long a server may take for one reply.
    """

    target: Target
    capabilities: frozenset[str]
    seed: str
    effort: int
    reply_timeout_s: float


class Suite(ABC):
    """One of the two suites: its cases, and how it looks at a target.

    Attributes:
        name: ``wire`` or ``backend``; the names of its cases begin with it.
        party: whom its clauses bind, as the ledger says.
        base: the clauses that most cases need: without them nothing else can be seen.
        every_ground: the clauses that what a case does can stand on (:attr:`CaseContext.grounds`).
        vocabulary: the capabilities that its clauses can need (section 1 of either document).
        unlisted: those of them that a profile may leave out: unless it lists one, what is found
            counts.
    """

    name: str
    party: str
    base: tuple[str, ...]
    every_ground: frozenset[str]
    vocabulary: frozenset[str]
    unlisted: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._cases: dict[str, Case] = {}

    def __str__(self) -> str:
        return self.name

    @property
    def cases(self) -> tuple[Case, ...]:
        """Its cases in the order of running. Cases that others need come first."""
        return tuple(self._cases.values())

    @cached_property
    def first_cases(self) -> dict[str, Case]:
        """For each clause the first case that checks it: the one that proves it for others."""
        first: dict[str, Case] = {}
        for case in self.cases:
            for clause in case.clauses:
                first.setdefault(clause, case)
        return first

    @cached_property
    def ground_cases(self) -> frozenset[str]:
        """The names of the cases that prove what others can stand on."""
        first = self.first_cases
        grounds = {*self.every_ground, *self.base}
        return frozenset([first[clause].name for clause in grounds if clause in first])

    def add(self, case: Case) -> None:
        """Register a case.

        Raises:
            ValueError: it names no clause, or its name is taken.
        """
        if not case.clauses:
            raise ValueError(f"case {case.name} names no clause")
        if case.name in self._cases:
            raise ValueError(f"two cases are named {case.name}")
        self._cases[case.name] = case

    def add_function(
        self,
        function: Callable[[Never], None],
        clauses: tuple[str, ...],
        needs: tuple[str, ...],
        after: tuple[str, ...] | None,
    ) -> None:
        """Register a function as a case of ``clauses``; ``after`` is the base unless given."""
        area = function.__module__.rpartition(".")[2]
        after = self.base if after is None else after
        self.add(
            Case(
                name=f"{self.name}.{area}.{function.__name__}",
                suite=self,
                clauses=clauses,
                run=function,
                needs=frozenset(needs),
                after=tuple([clause for clause in after if clause not in clauses]),
                doc=(function.__doc__ or "").strip().partition("\n")[0],
            )
        )

    @abstractmethod
    def can_check(self, target: Target) -> bool:
        """Whether it can look at an opened target."""

    @abstractmethod
    def discover(self, target: Target) -> tuple[frozenset[str], dict[str, str]]:
        """The capabilities of a target in its words, and facts for people."""

    @abstractmethod
    def context(self, setting: Setting) -> CaseContext:
        """What its cases take, new for each."""

    def evidence(self, error: Exception) -> tuple[str, ...]:
        """The clauses that an error is evidence of which a target has raised in a case."""
        return ()

    def why_gone(self, target: Target, reply_timeout_s: float) -> str:
        """Why no more cases can run after a failure; empty while the target is there."""
        return ""

    def write_repro(
        self, directory: Path, target: str, case: Case, context: CaseContext, error: CaseFailed
    ) -> str:
        """Write a file that plays a failed case again; its path, or nothing where there is none."""
        return ""
