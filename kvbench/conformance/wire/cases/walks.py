"""Random walks: any operations in any order must do what the sequential model does.

For each clause of an operation's meaning there is a case that leads past it again and again: half
of its steps are taken at random, half lead to where the clause decides, if the model knows a way.
After every step it asks what the step's keys hold and, where the target has TTL, how long they
live; so a fault shows at once, and the model knows which sentence it breaks. A walk that meets a
fault of another clause ends there and says nothing: that clause has its own case.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from kvbench.conformance.case import Case
from kvbench.conformance.findings import CaseFailed, SetupFailed
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.explore import Enough, explore
from kvbench.conformance.wire.oracle import (
    CORE,
    Action,
    Answer,
    State,
    Transition,
    apply,
    same_result,
    shown,
)
from kvbench.conformance.wire.strategies import SMALL_VALUES, menu
from kvbench.conformance.wire.suite import WIRE
from kvbench.conformance.wire.values import known_values
from kvbench.model import Value

EXAMPLES = 100
"""Walks at most: as many as it takes to come past the clause often enough, mostly ten."""

VISITS = 12
"""How often is often enough, times the effort."""

WALKS = {
    "get": ("GET-001", "GET-002", "GET-003", "GET-004"),
    "set": ("SET-001", "SET-002"),
    "del": ("DEL-001", "DEL-002"),
    "exists": ("EXISTS-001", "EXISTS-002", "EXISTS-003"),
    "incr": ("INCR-001", "INCR-002", "INCR-003", "INCR-004", "INCR-005"),
    "decr": ("DECR-001", "DECR-002", "DECR-003", "DECR-004"),
    "cas": ("CAS-001", "CAS-002", "CAS-003", "CAS-005"),
    "setnx": ("SETNX-001", "SETNX-002", "SETNX-003"),
    "lock": ("LOCK-001", "LOCK-002", "LOCK-003"),
    "unlock": ("UNLOCK-001", "UNLOCK-002", "UNLOCK-003"),
    "extend": ("EXTEND-001", "EXTEND-002", "EXTEND-003"),
    "mget": ("MGET-001", "MGET-002", "MGET-003", "MGET-004"),
    "mset": ("MSET-001", "MSET-003"),
    "mdel": ("MDEL-001", "MDEL-002", "MDEL-003"),
    "mexists": ("MEXISTS-001", "MEXISTS-002", "MEXISTS-003"),
    "msetex": ("MSETEX-001", "MSETEX-002"),
    "expire": ("EXPIRE-001", "EXPIRE-002", "EXPIRE-003"),
    "getdel": ("GETDEL-001", "GETDEL-002", "GETDEL-003"),
    "ttl": ("TTLOP-001", "TTLOP-002", "TTLOP-003", "TTLOP-004"),
}
"""The operation that each clause is about."""

TTL_WALKS = {
    "set": ("SET-003", "DEL-003"),
    "incr": ("INCR-006",),
    "decr": ("DECR-005",),
    "cas": ("CAS-010", "CAS-011"),
    "mset": ("MSET-002",),
}
"""The same for clauses that only the TTL operation can see."""

POOLS: dict[str, Sequence[Value]] = {
    "incr": (1, 2**63 - 1, -(2**63), True, "1"),
    "decr": (1, 2**63 - 1, -(2**63), True, "1"),
    "cas": (1, True, 1.0, None),
    "lock": ("a", "b", b"a"),
    "unlock": ("a", "b", b"a"),
    "extend": ("a", "b", b"a"),
}
"""Values that bring these operations to their edges."""

_PREREQUISITES = {"unlock": {"lock"}, "extend": {"lock"}}
"""Operations without which there is nothing for these to do."""


class _Walk:
    """One case: walks past one clause.

    Args:
        operation: what the clause is about.
        clause: its id.
    """

    def __init__(self, operation: str, clause: str) -> None:
        self._pool = POOLS.get(operation, SMALL_VALUES)
        self._names = ["set", operation, *_PREREQUISITES.get(operation, {"set"}), "del"]
        self._menus: list[tuple[Action, ...]] = []
        self._clause = clause
        self._visits = 0

    def __call__(self, context: WireContext) -> None:
        """Walk until the clause was passed often enough."""
        self._visits = 0
        pool = known_values(self._pool, context.capabilities)
        self._menus = [menu(name, pool) for name in self._names]
        choice = st.tuples(st.booleans(), st.integers(0, 9999))
        walks = st.lists(choice, min_size=1, max_size=10).map(self._steps)
        explore(context, walks, self._take, examples=EXAMPLES)
        if not self._visits:
            raise SetupFailed(f"no walk came past {self._clause}")

    def _steps(self, choices: list[tuple[bool, int]]) -> list[Action]:
        """A walk from numbers: where a step is guided, towards the clause if there is a way."""
        state: State = {}
        steps: list[Action] = []
        for is_guided, number in choices:
            options = self._menus[number % len(self._menus)]
            if is_guided:
                ways = [one for menu in self._menus for one in menu if self._passes(state, one)]
                options = tuple(ways) or options
            steps.append(options[number // len(self._menus) % len(options)])
            state = apply(state, steps[-1]).state
        return steps

    def _passes(self, state: State, action: Action) -> bool:
        effect = apply(state, action)
        return self._clause in (effect.answer, effect.value, effect.ttl)

    def _take(self, context: WireContext, steps: list[Action]) -> None:
        if self._visits >= VISITS * context.effort:
            raise Enough
        context.own([f"{context.prefix}{key}".encode() for key in "abc"])
        connection = context.connect()
        state: State = {}
        for action in steps:
            effect = apply(state, action)
            difference = _difference(context, connection, action, effect)
            if difference is not None:
                clause, expected, actual = difference
                if clause != self._clause:
                    return
                before = {key: entry for key, entry in state.items() if key in action.keys}
                raise CaseFailed(
                    f"{action}: {expected}", f"{actual} (before: {_show_state(before)})"
                )
            self._visits += self._passes(state, action)
            state = effect.state


def _difference(
    context: WireContext, connection: WireConnection, action: Action, effect: Transition
) -> tuple[str, str, str] | None:
    """Take a step and compare: the broken clause, what was expected, what came; or None."""
    probes = ["get", "ttl"] if "ttl" in context.capabilities else ["get"]
    looks = [Action(name, (key,)) for key in dict.fromkeys(action.keys) for name in probes]
    asked = [action, *looks]
    replies = [decode(one, connection.exchange(encode(one, context.prefix))) for one in asked]
    if not same_result(effect.result, replies[0]):
        return effect.answer, shown(effect.result), shown(replies[0])
    for look, found in zip(looks, replies[1:], strict=True):
        wanted = apply(effect.state, look).result
        if not same_result(wanted, found):
            is_about_ttl = look.name == "ttl" and found is not Answer.ABSENT
            clause = effect.ttl if is_about_ttl else effect.value
            return clause, f"then {look}: {shown(wanted)}", f"then {look}: {shown(found)}"
    return None


def _show_state(state: State) -> str:
    held = [
        f"{key}={entry.value!r}" + (f" for {entry.ttl_ms} ms" if entry.ttl_ms else "")
        for key, entry in state.items()
    ]
    return ", ".join(held) or "no such key"


def _add_walks(
    table: dict[str, tuple[str, ...]], needs: frozenset[str], after: tuple[str, ...]
) -> None:
    for operation, clauses in table.items():
        for clause in clauses:
            WIRE.add(
                Case(
                    name=f"wire.walks.{clause.lower()}",
                    suite=WIRE,
                    clauses=(clause,),
                    run=_Walk(operation, clause),
                    needs=needs | ({operation} | _PREREQUISITES.get(operation, set())) - CORE,
                    after=tuple([one for one in (*WIRE.base, *after) if one != clause]),
                    doc=f"Random walks past {clause}, compared with the sequential model.",
                )
            )


_add_walks(WALKS, frozenset(), ())
_add_walks(TTL_WALKS, frozenset({"ttl"}), ("TTLOP-001", "TTLOP-002"))
