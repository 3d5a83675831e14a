"""What a right server does, one operation after the other: generated cases compare with this.

:func:`apply` takes a state and an action and gives the answer, the state afterwards, and the
clauses that say so: each branch of the model is a sentence of specs/wire-protocol.md, and a
difference from it is held against that sentence alone. Time stands still here: a TTL is the number
that a key was given, so cases with TTLs take long ones.

Every operation of the protocol that touches keys is here. A state is never changed: the one
afterwards is another object, or the same where nothing changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

from kvbench.conformance.wire.equality import equal_to_cas
from kvbench.model import Value

_I64 = range(-(2**63), 2**63)


class Answer(Enum):
    """What can come back besides values."""

    OK = "ok"
    ABSENT = "absent"
    """NULL: there is no such key."""
    REFUSED = "refused"
    """ERROR or INVALID."""
    UNKNOWN = "unknown"
    """No answer came, or its content is unknown. Any answer would have been right."""


Result: TypeAlias = Value | Answer | tuple[Value, ...]
"""An answer; flags and counts are numbers, the values of an MGET a tuple, absent ones as None."""


class Entry(NamedTuple):
    """What is stored under a key: ``ttl_ms`` as it was given, 0 for none."""

    value: Value
    ttl_ms: int = 0


State: TypeAlias = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Action:
    """A request, without its bytes.

    Attributes:
        name: of the operation, in lower case.
        keys: one, or those of a batch.
        values: those to store, one for each key; the delta of INCR and DECR; expected and new value
            of CAS; the owner of a lock.
        ttl_ms: of all keys.
        ttls_ms: of each key, for MSETEX.
    """

    name: str
    keys: tuple[str, ...]
    values: tuple[Value, ...] = ()
    ttl_ms: int = 0
    ttls_ms: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = list(self.keys)
        if self.name in ("set", "setnx", "mset", "msetex"):
            pairs = zip(self.keys, self.values, strict=True)
            shown = [f"{key}={value!r}" for key, value in pairs]
        else:
            shown += [repr(value) for value in self.values]
        ttls_ms = self.ttls_ms or (self.ttl_ms,)
        if any(ttls_ms):
            shown.append(f"for {' '.join(map(str, ttls_ms))} ms")
        if len(shown) > 6:
            shown = [*shown[:2], f"... {len(shown)} in all"]
        return " ".join([self.name.upper(), *shown])


@dataclass(frozen=True, slots=True)
class Transition:
    """What an action does.

    Attributes:
        result: the answer.
        state: afterwards.
        answer: the clause that asks for this answer.
        value: the clause that says what its keys hold afterwards.
        ttl: the clause that says which TTLs they have.
    """

    result: Result
    state: State
    answer: str
    value: str
    ttl: str


def apply(state: State, action: Action) -> Transition:
    """What a right server does with ``action`` when it is in ``state``.

    Raises:
        KeyError: the model does not know the operation.
    """
    return _OPERATIONS[action.name](state, action)


def same_result(left: Result, right: Result) -> bool:
    """Whether two answers are one: values as CAS compares them, so that 1 and True differ."""
    if Answer.UNKNOWN in (left, right):
        return True
    if isinstance(left, Answer) or isinstance(right, Answer):
        return left is right
    return equal_to_cas(_plain(left), _plain(right))


def shown(result: Result) -> str:
    """An answer for people."""
    return result.value if isinstance(result, Answer) else repr(result)


def _plain(result: Value | tuple[Value, ...]) -> Value:
    return list(result) if isinstance(result, tuple) else result


def _with(state: State, action: Action, *entries: Entry) -> State:
    """The state with one entry for each key of the action; the last one of a key counts."""
    return {**state, **dict(zip(action.keys, entries, strict=True))}


def _without(state: State, *keys: str) -> State:
    return {key: entry for key, entry in state.items() if key not in keys}


# --- One key -------------------------------------------------------------------------------------


def _get(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    if found is None:
        return Transition(Answer.ABSENT, state, "GET-002", "GET-004", "GET-004")
    rule = "GET-003" if found.value is None else "GET-001"
    return Transition(found.value, state, rule, "GET-004", "GET-004")


def _getdel(state: State, action: Action) -> Transition:
    key = action.keys[0]
    found = state.get(key)
    if found is None:
        return Transition(Answer.ABSENT, state, "GETDEL-002", "GETDEL-002", "GETDEL-002")
    rule = "GETDEL-003" if found.value is None else "GETDEL-001"
    return Transition(found.value, _without(state, key), rule, rule, rule)


def _set(state: State, action: Action) -> Transition:
    before = state.get(action.keys[0])
    after = _with(state, action, Entry(action.values[0], action.ttl_ms))
    is_other_type = before is not None and type(before.value) is not type(action.values[0])
    inherits = before is None and not action.ttl_ms
    return Transition(
        Answer.OK,
        after,
        "SET-001",
        "SET-002" if is_other_type else "SET-001",
        "DEL-003" if inherits else "SET-003",
    )


def _setnx(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    if found is not None:
        rule = "SETNX-003" if found.value is None else "SETNX-002"
        return Transition(0, state, rule, "SETNX-002", "SETNX-002")
    after = _with(state, action, Entry(action.values[0], action.ttl_ms))
    return Transition(1, after, "SETNX-001", "SETNX-001", "SETNX-001")


def _delete(state: State, action: Action) -> Transition:
    key = action.keys[0]
    if key not in state:
        return Transition(0, state, "DEL-002", "DEL-002", "DEL-002")
    return Transition(1, _without(state, key), "DEL-001", "DEL-001", "DEL-001")


def _exists(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    rule = "EXISTS-002" if found is not None and found.value is None else "EXISTS-001"
    return Transition(int(found is not None), state, rule, "EXISTS-003", "EXISTS-003")


def _expire(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    if found is None:
        return Transition(0, state, "EXPIRE-002", "EXPIRE-002", "EXPIRE-002")
    rule = "EXPIRE-001" if action.ttl_ms else "EXPIRE-003"
    return Transition(1, _with(state, action, Entry(found.value, action.ttl_ms)), rule, rule, rule)


def _ttl(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    if found is None:
        return Transition(Answer.ABSENT, state, "TTLOP-003", "TTLOP-004", "TTLOP-004")
    rule = "TTLOP-001" if found.ttl_ms else "TTLOP-002"
    return Transition(found.ttl_ms or -1, state, rule, "TTLOP-004", "TTLOP-004")


# --- Read, decide, write -------------------------------------------------------------------------


def _incr(state: State, action: Action) -> Transition:
    found, delta = state.get(action.keys[0]), _number(action.values[0])
    if found is None:
        after = _with(state, action, Entry(delta))
        return Transition(delta, after, "INCR-003", "INCR-003", "INCR-003")
    if type(found.value) is not int:
        return Transition(Answer.REFUSED, state, "INCR-004", "INCR-004", "INCR-004")
    total = found.value + delta
    if total not in _I64:
        return Transition(Answer.REFUSED, state, "INCR-005", "INCR-005", "INCR-005")
    after = _with(state, action, Entry(total, found.ttl_ms))
    return Transition(total, after, "INCR-001", "INCR-002", "INCR-006")


def _decr(state: State, action: Action) -> Transition:
    found, delta = state.get(action.keys[0]), _number(action.values[0])
    if found is not None and type(found.value) is not int:
        return Transition(Answer.REFUSED, state, "DECR-003", "DECR-003", "DECR-003")
    total = (_number(found.value) if found is not None else 0) - delta
    if total not in _I64:
        return Transition(Answer.REFUSED, state, "DECR-004", "DECR-004", "DECR-004")
    after = _with(state, action, Entry(total, found.ttl_ms if found is not None else 0))
    if found is None:
        return Transition(total, after, "DECR-002", "DECR-002", "DECR-002")
    return Transition(total, after, "DECR-001", "DECR-001", "DECR-005")


def _number(value: Value) -> int:
    assert isinstance(value, int), f"{value!r} is no Int"
    return value


def _cas(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    expected, new = action.values
    if found is None:
        return Transition(Answer.ABSENT, state, "CAS-003", "CAS-003", "CAS-003")
    if not equal_to_cas(found.value, expected):
        rule = "CAS-002" if type(found.value) is type(expected) else "CAS-005"
        return Transition(0, state, rule, rule, "CAS-002")
    after = _with(state, action, Entry(new, action.ttl_ms or found.ttl_ms))
    return Transition(1, after, "CAS-001", "CAS-001", "CAS-010" if action.ttl_ms else "CAS-011")


def _lock(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    if found is not None:
        rule = "LOCK-003" if found.value == action.values[0] else "LOCK-002"
        return Transition(0, state, rule, "LOCK-002", "LOCK-002")
    after = _with(state, action, Entry(action.values[0], action.ttl_ms))
    return Transition(1, after, "LOCK-001", "LOCK-001", "LOCK-001")


def _unlock(state: State, action: Action) -> Transition:
    key = action.keys[0]
    found = state.get(key)
    if found is None:
        return Transition(0, state, "UNLOCK-002", "UNLOCK-002", "UNLOCK-002")
    if found.value != action.values[0]:
        return Transition(Answer.REFUSED, state, "UNLOCK-003", "UNLOCK-003", "UNLOCK-003")
    return Transition(1, _without(state, key), "UNLOCK-001", "UNLOCK-001", "UNLOCK-001")


def _extend(state: State, action: Action) -> Transition:
    found = state.get(action.keys[0])
    if found is None:
        return Transition(0, state, "EXTEND-002", "EXTEND-002", "EXTEND-002")
    if found.value != action.values[0]:
        return Transition(Answer.REFUSED, state, "EXTEND-003", "EXTEND-003", "EXTEND-003")
    after = _with(state, action, Entry(found.value, action.ttl_ms))
    return Transition(1, after, "EXTEND-001", "EXTEND-001", "EXTEND-001")


# --- Batches -------------------------------------------------------------------------------------


def _mget(state: State, action: Action) -> Transition:
    found = tuple([state[key].value if key in state else None for key in action.keys])
    rule = _batch_rule(state, action, "MGET-001", absent="MGET-002", twice="MGET-003")
    return Transition(found, state, rule, "MGET-004", "MGET-004")


def _mset(state: State, action: Action) -> Transition:
    after = _with(state, action, *[Entry(value, action.ttl_ms) for value in action.values])
    rule = "MSET-003" if _is_twice(action) else "MSET-001"
    return Transition(Answer.OK, after, rule, rule, "MSET-002")


def _msetex(state: State, action: Action) -> Transition:
    entries = [Entry(*pair) for pair in zip(action.values, action.ttls_ms, strict=True)]
    rule = "MSETEX-002" if _is_twice(action) else "MSETEX-001"
    return Transition(Answer.OK, _with(state, action, *entries), rule, rule, rule)


def _mdel(state: State, action: Action) -> Transition:
    after = _without(state, *action.keys)
    rule = _batch_rule(state, action, "MDEL-001", absent="MDEL-002", twice="MDEL-003")
    return Transition(len(state) - len(after), after, rule, rule, rule)


def _mexists(state: State, action: Action) -> Transition:
    found = [state.get(key) for key in action.keys]
    rule = _batch_rule(state, action, "MEXISTS-001", absent="MEXISTS-001", twice="MEXISTS-003")
    if any(entry is not None and entry.value is None for entry in found):
        rule = "MEXISTS-002"
    flags = tuple([int(entry is not None) for entry in found])
    return Transition(flags, state, rule, "MEXISTS-001", "MEXISTS-001")


def _is_twice(action: Action) -> bool:
    return len(set(action.keys)) < len(action.keys)


def _batch_rule(state: State, action: Action, rule: str, *, absent: str, twice: str) -> str:
    if _is_twice(action):
        return twice
    return rule if all(key in state for key in action.keys) else absent


_OPERATIONS: Mapping[str, Callable[[State, Action], Transition]] = {
    "get": _get,
    "getdel": _getdel,
    "set": _set,
    "setnx": _setnx,
    "del": _delete,
    "exists": _exists,
    "expire": _expire,
    "ttl": _ttl,
    "incr": _incr,
    "decr": _decr,
    "cas": _cas,
    "lock": _lock,
    "unlock": _unlock,
    "extend": _extend,
    "mget": _mget,
    "mset": _mset,
    "msetex": _msetex,
    "mdel": _mdel,
    "mexists": _mexists,
}

OPERATIONS = frozenset(_OPERATIONS)
"""The operations that the model knows, by their capability's name."""

CORE = frozenset({"get", "set", "del", "exists"})
"""Those that every server has (OP-001)."""
