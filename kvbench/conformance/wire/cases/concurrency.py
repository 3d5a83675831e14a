"""What several connections see of each other: atomicity, by races and by judged histories.

Races are sent on all connections before the first answer is read, so that they are in flight
together; one answer too many is the proof. Histories mix operations at random over two to eight
connections, in threads, and a search decides whether any order explains the answers
(:mod:`kvbench.conformance.wire.linearizability`). They are short, because that search is, and many,
because what goes wrong seldom goes wrong every time. The seed repeats what is asked, not
when: a failure shows the history itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from kvbench.conformance.findings import CaseFailed, SetupFailed
from kvbench.conformance.wire.codec import decode, encode
from kvbench.conformance.wire.connection import WireConnection
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.history import PROCESSES_MAX, plan, record, timeline
from kvbench.conformance.wire.linearizability import (
    HistoryCheck,
    HistoryVerdict,
    Operation,
    check,
    per_key,
)
from kvbench.conformance.wire.oracle import (
    CORE,
    OPERATIONS,
    Action,
    Answer,
    Result,
    State,
    apply,
    same_result,
    shown,
)
from kvbench.conformance.wire.strategies import menu
from kvbench.conformance.wire.suite import WIRE, wire_case
from kvbench.protocol.opcodes import Status

ROUNDS = 60
"""Histories or races in one case: about a second on loopback."""

LARGE_BATCH_KEYS = 500
"""So many that a server which applies a batch key by key is seen at it."""

_UNTIMED = frozenset({"expire", "ttl"})
"""TTLs are no matter of order between connections: other cases look at them."""


# --- Histories -----------------------------------------------------------------------------------


@wire_case("ATOMIC-001")
def operations_on_one_key_are_linearizable(context: WireContext) -> None:
    """Random operations on few keys from several connections; a batch counts key by key."""
    names = sorted((CORE | OPERATIONS & context.capabilities) - _UNTIMED)
    _judge_histories(context, _sound(context, names), ("x", "y"), per_key)


@wire_case("BATCH-005", needs=("atomic-batch", "mget", "mset"))
def batches_are_linearizable(context: WireContext) -> None:
    """Random batches and single operations on shared keys: each batch is one instant."""
    batches = {"mget", "mset", "mdel", "mexists", "msetex"} & context.capabilities
    names = [*sorted(batches), "mget", "mset", "get", "set"]
    _judge_histories(context, _sound(context, names), ("x", "y", "z"), list)


def _sound(context: WireContext, names: Sequence[str]) -> list[str]:
    """The operations that answer as they should when they are alone: only those can show races.

    What an operation does wrong by itself other clauses say.
    """
    return [name for name in names if _is_right_alone(context, name)]


def _is_right_alone(context: WireContext, name: str) -> bool:
    connection, prefix = context.connect(), f"{context.prefix}{name}:"
    context.own([f"{prefix}{key}".encode() for key in "abc"])
    state: State = {}
    try:
        for action in [Action("set", ("a",), (1,)), *menu(name, (1,)), *menu("get", (1,))]:
            effect = apply(state, action)
            if not same_result(
                effect.result, decode(action, connection.exchange(encode(action, prefix)))
            ):
                return False
            state = effect.state
    except CaseFailed:
        return False
    return True


@wire_case(
    "BATCH-005",
    needs=("atomic-batch", "mget", "mset"),
    after=(*WIRE.base, "MGET-001", "MGET-002", "MSET-001"),
)
def a_large_batch_is_never_seen_half_done(context: WireContext) -> None:
    """Writers give all of 500 keys one number, readers must never see two."""
    keys = tuple([f"{index:03d}" for index in range(LARGE_BATCH_KEYS)])
    context.own([f"{context.prefix}{key}".encode() for key in keys])
    connections = [context.connect() for _ in range(4)]
    backwards = keys[::-1]
    for turn in range(8 * context.effort):
        context.trace.clear()
        numbers = [range(start, start + 6) for start in (turn * 12, turn * 12 + 6)]
        # Reading against the direction of writing meets a batch in the middle most often.
        plans = [
            *[[_mset(keys, number, context.net_ttl_ms) for number in some] for some in numbers],
            [Action("mget", keys)] * 8,
            [Action("mget", backwards)] * 8,
        ]
        history = record(connections, plans, context.prefix)
        _expect_whole_batches(context, history)
        _expect_answers(context, history)


def _mset(keys: tuple[str, ...], number: int, ttl_ms: int) -> Action:
    return Action("mset", keys, (number,) * len(keys), ttl_ms)


def _expect_whole_batches(context: WireContext, history: Sequence[Operation]) -> None:
    for one in history:
        if not isinstance(one.result, tuple) or len(set(one.result)) == 1:
            continue
        overlapping = [
            other
            for other in history
            if other.call_ns <= one.return_ns and other.return_ns >= one.call_ns
        ]
        counts = Counter(map(repr, one.result))
        raise CaseFailed(
            f"one number under all {len(one.result)} keys, which every MSET writes together",
            "an MGET saw " + ", ".join([f"{value} {counts[value]} times" for value in counts]),
            seed=context.run_seed,
            timeline=timeline(overlapping),
        )


def _judge_histories(
    context: WireContext,
    names: Sequence[str],
    keys: tuple[str, ...],
    view: Callable[[list[Operation]], list[Operation]],
) -> None:
    """Record histories and judge them, until one is violated or all are done."""
    connections = [context.connect() for _ in range(PROCESSES_MAX)]
    judgements: set[HistoryVerdict] = set()
    for turn in range(ROUNDS * context.effort):
        context.trace.clear()
        fresh = tuple([f"{key}{turn}" for key in keys])
        context.own([f"{context.prefix}{key}".encode() for key in fresh])
        plans = plan(context.rng, names, fresh)
        history = record(connections, plans, context.prefix)
        finding = check(view(history))
        judgements.add(finding.judgement)
        if finding.judgement is HistoryVerdict.VIOLATED:
            raise _violation(context, finding)
        _expect_answers(context, history)
    if judgements == {HistoryVerdict.UNKNOWN}:
        raise SetupFailed("no history could be judged within the bounds of the search")


def _violation(context: WireContext, finding: HistoryCheck) -> CaseFailed:
    return CaseFailed(
        "an order of the operations that explains every answer",
        f"these {len(finding.operations)} have none",
        seed=context.run_seed,
        timeline=timeline(finding.operations, finding.left_out),
    )


def _expect_answers(context: WireContext, history: Sequence[Operation]) -> None:
    """A history with a gap was judged as it is; the gap itself is a fault as well."""
    for one in history:
        if not one.is_complete:
            raise CaseFailed(
                f"an answer to {one.action}",
                f"none came on connection {one.process}",
                seed=context.run_seed,
                timeline=timeline(history),
            )


# --- From one connection to the next -------------------------------------------------------------


@wire_case("CONN-004", after=(*WIRE.base, "DEL-001"))
def what_was_written_is_seen_by_others(context: WireContext) -> None:
    """A key is written on one connection in turn: a client that reads after the OK must see it."""
    connections = [context.connect() for _ in range(4)]
    key = context.key()
    for number in range(2 * ROUNDS * context.effort):
        context.trace.clear()
        writer = connections[number % len(connections)]
        readers = [one for one in connections if one is not writer]
        if number % 20 == 0:
            readers.append(context.connect())
        _write_and_look(Action("set", (key,), (number,)), number, writer, readers)
        _write_and_look(Action("del", (key,)), Answer.ABSENT, writer, readers)


def _write_and_look(
    write: Action, expected: Result, writer: WireConnection, readers: Sequence[WireConnection]
) -> None:
    look = Action("get", write.keys)
    writer.exchange(encode(write)).expect(Status.OK)
    for reader in readers:
        reader.send(encode(look))
    for reader in readers:
        found = decode(look, reader.read())
        if found != expected:
            raise CaseFailed(
                f"{shown(expected)} on connection {reader.name}, after {write} was answered on "
                f"connection {writer.name}",
                shown(found),
            )


# --- Races ---------------------------------------------------------------------------------------


@wire_case("INCR-008", needs=("incr",))
def increments_each_count_once(context: WireContext) -> None:
    """Eight connections count up one key: no number comes twice, and none is left out."""
    connections = [context.connect() for _ in range(PROCESSES_MAX)]
    for turn in range(4 * context.effort):
        context.trace.clear()
        step = Action("incr", (context.key(f"{turn}"),), (1,))
        ahead = 1 if turn % 2 else 10
        answers: list[str] = []
        for _ in range(20 // ahead):
            for connection in connections:
                connection.send(encode(step) * ahead)
            for connection in connections:
                answers += [shown(decode(step, reply)) for reply in connection.read_many(ahead)]
        twice = sorted(answer for answer, times in Counter(answers).items() if times > 1)
        if set(answers) != {str(number + 1) for number in range(len(answers))}:
            raise CaseFailed(
                f"the answers 1 to {len(answers)} to {len(answers)} INCRs by 1, each once",
                f"{len(twice)} answers that came more than once: {', '.join(twice[:8])}",
            )


@wire_case("CAS-012", needs=("cas",))
def one_cas_of_several_swaps(context: WireContext) -> None:
    """Eight connections expect one value and bring another each: one of them swaps."""
    connections = [context.connect() for _ in range(PROCESSES_MAX)]
    for turn in range(ROUNDS * context.effort):
        context.trace.clear()
        key = context.key(f"{turn}")
        context.stored(connections[0], key, -1)
        wishes = [Action("cas", (key,), (-1, number)) for number in range(len(connections))]
        winner = _one_winner(connections, wishes)
        context.expect_value(connections[0], key, winner)


@wire_case("SETNX-004", needs=("setnx",))
def one_setnx_of_several_stores(context: WireContext) -> None:
    """Eight connections store a value each under one absent key: one of them does."""
    connections = [context.connect() for _ in range(PROCESSES_MAX)]
    for turn in range(ROUNDS * context.effort):
        context.trace.clear()
        key = context.key(f"{turn}")
        wishes = [Action("setnx", (key,), (number,)) for number in range(len(connections))]
        winner = _one_winner(connections, wishes)
        context.expect_value(connections[0], key, winner)


@wire_case("GETDEL-004", needs=("getdel",))
def one_getdel_of_several_gets_the_value(context: WireContext) -> None:
    """Eight connections want to take one value: one of them gets it."""
    connections = [context.connect() for _ in range(PROCESSES_MAX)]
    for turn in range(ROUNDS * context.effort):
        context.trace.clear()
        key = context.key(f"{turn}")
        context.stored(connections[0], key, 1)
        wishes = [Action("getdel", (key,)) for _ in connections]
        _one_winner(connections, wishes, loser=Answer.ABSENT)
        context.expect_value(connections[0], key, ...)


@wire_case("LOCK-008", needs=("lock",))
def one_lock_of_several_is_granted(context: WireContext) -> None:
    """Eight owners want one free lock: one of them gets it."""
    connections = [context.connect() for _ in range(PROCESSES_MAX)]
    for turn in range(ROUNDS * context.effort):
        context.trace.clear()
        key = context.key(f"{turn}")
        owners = [f"owner {number}" for number in range(len(connections))]
        wishes = [Action("lock", (key,), (owner,), 60_000) for owner in owners]
        winner = _one_winner(connections, wishes)
        context.expect_value(connections[0], key, owners[winner])


def _one_winner(
    connections: Sequence[WireConnection], wishes: Sequence[Action], loser: Result = 0
) -> int:
    """Send a wish on each connection, then read; the place of the one whose answer is 1."""
    for connection, wish in zip(connections, wishes, strict=True):
        connection.send(encode(wish))
    answers = [
        decode(wish, connection.read())
        for connection, wish in zip(connections, wishes, strict=True)
    ]
    if answers.count(1) != 1 or answers.count(loser) != len(wishes) - 1:
        raise CaseFailed(
            f"1 for one of {len(wishes)} at the same time and {shown(loser)} for the others: "
            f"{wishes[0]}",
            f"answers {', '.join(map(shown, answers))}",
        )
    return answers.index(1)
