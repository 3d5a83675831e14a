"""Random walks: any operations in any order must do what the sequential model does.

For each clause of an operation's meaning there is a walk that leads past it again and again. After
every step the walk asks what the step's keys hold and, where the target has TTL, how long they
live; so a fault shows at once, and the model knows which sentence it breaks. A walk that meets a
fault of another clause ends there and says nothing: that clause has a walk of its own.
"""

from __future__ import annotations

from kvbench.conformance.case import WIRE_BASE, Case, CaseFailed, SetupFailed, Suite, add
from kvbench.conformance.explore import Enough, explore
from kvbench.conformance.history import decode, encode
from kvbench.conformance.model import (
    Action,
    Answer,
    Effect,
    Result,
    State,
    apply,
    same_result,
)
from kvbench.conformance.strategies import actions
from kvbench.conformance.wire import WireConnection, WireContext
from hypothesis import strategies as st

EXAMPLES = 150
"""At most; a walk that came past its clause often enough ends earlier."""

VISITS = 15
"""How often a walk comes past its clause, times the effort."""

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

_CORE = frozenset({"get", "set", "del", "exists"})


class _Walk:
    """One case: walks past one clause.

    Args:
        operation: what the clause is about.
        clause: its id.
    """

    def __init__(self, operation: str, clause: str) -> None:
        self._operation = operation
        self._clause = clause
        self._visits = 0

    def __call__(self, context: WireContext) -> None:
        """Walk until the clause was passed often enough."""
        self._visits = 0
        names = ["set", "del", self._operation, self._operation]
        if self._operation in ("unlock", "extend") and "lock" in context.capabilities:
            names.append("lock")
        steps = st.lists(actions(names), min_size=1, max_size=8)
        explore(context, steps, self._take, examples=EXAMPLES)
        if not self._visits:
            raise SetupFailed(f"no walk came past {self._clause}")

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
                raise CaseFailed(f"{action}: {expected}", f"{actual} (before: {_told(before)})")
            if self._clause in (effect.answer, effect.value, effect.ttl):
                self._visits += 1
            state = effect.state


def _difference(
    context: WireContext, connection: WireConnection, action: Action, effect: Effect
) -> tuple[str, str, str] | None:
    """Take a step and compare: the broken clause, what was expected, what came; or None."""
    probes = ["get", "ttl"] if "ttl" in context.capabilities else ["get"]
    looks = [Action(name, (key,)) for key in dict.fromkeys(action.keys) for name in probes]
    asked = [action, *looks]
    connection.send(b"".join([encode(one, context.prefix) for one in asked]))
    replies = [decode(one, connection.read()) for one in asked]
    if not same_result(effect.result, replies[0]):
        return effect.answer, _shown(effect.result), _shown(replies[0])
    for look, found in zip(looks, replies[1:], strict=True):
        wanted = apply(effect.state, look).result
        if not same_result(wanted, found):
            clause = effect.ttl if look.name == "ttl" and found is not Answer.ABSENT else effect.value
            return clause, f"then {look}: {_shown(wanted)}", f"then {look}: {_shown(found)}"
    return None


def _shown(result: Result) -> str:
    return result.value if isinstance(result, Answer) else repr(result)


def _told(state: State) -> str:
    held = [
        f"{key}={entry.value!r}" + (f" for {entry.ttl_ms} ms" if entry.ttl_ms else "")
        for key, entry in state.items()
    ]
    return ", ".join(held) or "no such key"


def _add_walks(table: dict[str, tuple[str, ...]], needs: frozenset[str]) -> None:
    for operation, clauses in table.items():
        for clause in clauses:
            add(
                Case(
                    name=f"wire.walks.{clause.lower()}",
                    suite=Suite.WIRE,
                    clauses=(clause,),
                    run=_Walk(operation, clause),
                    needs=needs | ({operation} - _CORE),
                    after=tuple([base for base in WIRE_BASE if base != clause]),
                    doc=f"Random walks past {clause}, compared with the sequential model.",
                )
            )


_add_walks(WALKS, frozenset())
_add_walks(TTL_WALKS, frozenset({"ttl"}))
