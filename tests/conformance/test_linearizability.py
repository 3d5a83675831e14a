"""The checker of concurrent histories: it finds what no order explains, and nothing else."""

import math
import random
import threading
import time

import pytest

from kvbench.clock import ManualClock
from kvbench.conformance.wire.history import WIDTH, plan, timeline
from kvbench.conformance.wire.linearizability import (
    Bound,
    HistoryVerdict,
    Operation,
    check,
    partitions,
    per_key,
)
from kvbench.conformance.wire.oracle import OPERATIONS, Action, Answer, apply

OK, ABSENT, UNKNOWN = Answer.OK, Answer.ABSENT, Answer.UNKNOWN
NEVER = math.inf
UNTIMED = sorted(OPERATIONS - {"expire", "ttl"})


def op(process, call, end, name, keys, *values, result=OK):
    """One operation, its times in µs."""
    action = Action(name, tuple(keys.split()), values)
    return Operation(process, call * 1000, end * 1000, action, result)


def judged(*history):
    return check(history).judgement


# --- Histories with an order ----------------------------------------------------------------------


def test_no_operations_are_linearizable():
    assert judged() is HistoryVerdict.OK


def test_operations_one_after_the_other_must_do_what_the_model_does():
    first = op("a", 0, 1, "set", "x", 1)
    assert judged(first, op("b", 2, 3, "get", "x", result=1)) is HistoryVerdict.OK
    assert judged(first, op("b", 2, 3, "get", "x", result=ABSENT)) is HistoryVerdict.VIOLATED


@pytest.mark.parametrize("seen", [ABSENT, 1])
def test_a_read_beside_a_write_may_see_either(seen):
    history = [op("a", 0, 10, "set", "x", 1), op("b", 5, 6, "get", "x", result=seen)]
    assert judged(*history) is HistoryVerdict.OK


def test_what_one_reader_saw_a_later_reader_cannot_miss():
    history = [
        op("a", 0, 100, "set", "x", 1),
        op("b", 10, 20, "get", "x", result=1),
        op("c", 30, 40, "get", "x", result=ABSENT),
    ]
    assert judged(*history) is HistoryVerdict.VIOLATED
    history[2] = op("c", 15, 40, "get", "x", result=ABSENT)
    assert judged(*history) is HistoryVerdict.OK


def test_the_order_may_differ_from_that_of_the_calls():
    # Herlihy and Wing's point: an operation takes effect anywhere between its call and its return.
    history = [
        op("a", 0, 50, "set", "x", 1),
        op("b", 1, 51, "set", "x", 2),
        op("c", 2, 52, "get", "x", result=2),
        op("c", 60, 61, "get", "x", result=1),
    ]
    assert judged(*history) is HistoryVerdict.OK


def test_a_lost_update_is_found():
    history = [op(name, 0, 10, "incr", "n", 1, result=1) for name in "ab"]
    assert judged(*history) is HistoryVerdict.VIOLATED
    assert judged(history[0], op("b", 0, 10, "incr", "n", 1, result=2)) is HistoryVerdict.OK


def test_two_winners_of_one_cas_are_found():
    history = [
        op("a", 0, 1, "set", "x", 0),
        op("b", 2, 9, "cas", "x", 0, 1, result=1),
        op("c", 3, 9, "cas", "x", 0, 2, result=1),
    ]
    assert judged(*history) is HistoryVerdict.VIOLATED


def test_a_batch_that_was_seen_half_done_is_found():
    history = [
        op("a", 0, 9, "mset", "x y", 1, 1),
        op("b", 1, 8, "mget", "x y", result=(1, None)),
    ]
    assert judged(*history) is HistoryVerdict.VIOLATED
    assert judged(*per_key(history)) is HistoryVerdict.OK


def test_two_readers_that_saw_batches_in_different_orders_are_found():
    history = [
        op("a", 0, 20, "mset", "x y", 1, 1),
        op("b", 0, 20, "mset", "x y", 2, 2),
        op("c", 1, 4, "get", "x", result=1),
        op("c", 5, 8, "get", "y", result=2),
        op("c", 9, 12, "get", "x", result=1),
    ]
    assert judged(*history) is HistoryVerdict.VIOLATED
    assert judged(*history[:4]) is HistoryVerdict.OK


# --- Operations without an answer -----------------------------------------------------------------


@pytest.mark.parametrize("seen", [ABSENT, 1])
def test_an_unanswered_write_may_have_happened_or_not(seen):
    lost = op("a", 0, NEVER, "set", "x", 1, result=UNKNOWN)
    assert judged(lost, op("b", 90, 99, "get", "x", result=seen)) is HistoryVerdict.OK


def test_an_unanswered_write_may_happen_late_but_not_twice_nor_undo():
    lost = op("a", 0, NEVER, "set", "x", 1, result=UNKNOWN)
    late = [op("b", 10, 11, "get", "x", result=ABSENT), op("b", 20, 21, "get", "x", result=1)]
    assert judged(lost, *late) is HistoryVerdict.OK
    assert (
        judged(lost, *late, op("b", 30, 31, "get", "x", result=ABSENT)) is HistoryVerdict.VIOLATED
    )


def test_an_unanswered_write_cannot_happen_before_its_call():
    lost = op("a", 50, NEVER, "set", "x", 1, result=UNKNOWN)
    assert judged(op("b", 10, 20, "get", "x", result=1), lost) is HistoryVerdict.VIOLATED


def test_an_answer_that_does_not_tell_still_means_that_it_happened():
    batch = op("a", 2, 3, "mdel", "x y", result=1)
    history = [op("a", 0, 1, "set", "x", 1), batch]
    assert (
        judged(*per_key([*history, op("b", 4, 5, "get", "x", result=ABSENT)])) is HistoryVerdict.OK
    )
    after = per_key([*history, op("b", 4, 5, "get", "x", result=1)])
    assert judged(*after) is HistoryVerdict.VIOLATED


# --- Partitions -----------------------------------------------------------------------------------


def test_histories_are_cut_by_keys_and_batches_join_them():
    apart = [op("a", 0, 1, "set", "x", 1), op("b", 0, 1, "set", "y", 1), op("a", 2, 3, "get", "x")]
    assert sorted(map(len, partitions(apart))) == [1, 2]
    joined = [*apart, op("c", 1, 9, "mget", "x y", result=(1, 1)), op("d", 0, 1, "get", "z")]
    assert sorted(map(len, partitions(joined))) == [1, 4]


def test_partitions_are_in_the_order_of_calls():
    history = [op("a", at, at + 1, "incr", "x", 1) for at in (5, 3, 9, 1)]
    (part,) = partitions(history)
    assert [one.call_ns for one in part] == [1000, 3000, 5000, 9000]


def test_a_violation_names_only_operations_on_its_keys():
    history = [
        op("a", 0, 1, "set", "x", 1),
        op("a", 2, 3, "get", "x", result=ABSENT),
        *[op("b", at, at + 1, "set", "y", at) for at in range(10)],
    ]
    finding = check(history)
    assert finding.judgement is HistoryVerdict.VIOLATED
    assert {one.action.keys for one in finding.operations} == {("x",)}


# --- Bounds ---------------------------------------------------------------------------------------


def hard_history(count=14):
    """Writers that all overlap, and a read that none of their orders explains."""
    writes = [op(f"w{number}", 0, 99, "set", f"x{number} ", number) for number in range(count)]
    joined = [op("j", 0, 99, "mget", " ".join(f"x{n}" for n in range(count)), result=UNKNOWN)]
    return [*writes, *joined, op("r", 100, 101, "get", "x0", result=-1)]


def test_a_search_that_reaches_its_bound_says_unknown():
    assert check(hard_history(), Bound(steps_max=1000)).judgement is HistoryVerdict.UNKNOWN
    assert check(hard_history(4), Bound(steps_max=1000)).judgement is HistoryVerdict.VIOLATED


def test_a_search_ends_in_time():
    class Hurrying(ManualClock):
        def now_ns(self):
            self.advance_ms(600)
            return super().now_ns()

    finding = check(hard_history(), Bound(seconds_max=1.0), Hurrying())
    assert finding.judgement is HistoryVerdict.UNKNOWN
    assert not finding.operations


def test_one_unknown_partition_makes_the_history_unknown_but_a_violation_wins():
    bound = Bound(steps_max=1000)
    fine = op("a", 0, 1, "set", "fine", 1)
    assert check([*hard_history(), fine], bound).judgement is HistoryVerdict.UNKNOWN
    wrong = op("a", 2, 3, "get", "fine", result=ABSENT)
    assert check([*hard_history(), fine, wrong], bound).judgement is HistoryVerdict.VIOLATED


def test_eight_processes_of_ten_operations_are_judged_within_the_bound():
    history = run_threads(random.Random(5), LockedStore(), 8, ("x", "y"))
    assert check(history).judgement is HistoryVerdict.OK


# --- Counterexamples ------------------------------------------------------------------------------


def test_a_counterexample_has_nothing_to_spare():
    history = [
        *[op("n", at, at + 1, "get", "x", result=ABSENT) for at in range(5)],
        op("a", 10, 11, "set", "x", 1),
        *[op("n", at, at + 1, "get", "x", result=1) for at in range(12, 18)],
        op("b", 20, 21, "set", "x", 2),
        op("c", 30, 31, "get", "x", result=1),
        *[op("n", at, at + 1, "set", "x", at) for at in range(40, 50)],
    ]
    finding = check(history)
    assert finding.judgement is HistoryVerdict.VIOLATED
    shown = [(one.action.name, one.action.values) for one in finding.operations]
    assert ("set", (2,)) in shown
    assert len(shown) <= 4
    assert finding.left_out == len(history) - len(shown)


def test_a_counterexample_keeps_the_write_that_would_explain_it():
    # Without the SET of 1, the answer 1 would be a riddle of the reduction's own making.
    history = [
        op("a", 0, 1, "set", "x", 1),
        op("b", 2, 3, "set", "x", 2),
        op("c", 4, 5, "get", "x", result=1),
    ]
    assert len(check(history).operations) == 3


def test_a_counterexample_is_itself_a_violation():
    rng = random.Random(3)
    found = 0
    while found < 5:
        finding = check(run_threads(rng, StaleStore(), 4, ("x", "y")))
        if finding.judgement is HistoryVerdict.VIOLATED:
            found += 1
            assert judged(*finding.operations) is HistoryVerdict.VIOLATED


# --- Real executions ------------------------------------------------------------------------------


class LockedStore:
    """The model under a lock: linearizable by construction."""

    def __init__(self):
        self.lock = threading.Lock()
        self.state = {}

    def ask(self, action):
        with self.lock:
            effect = apply(self.state, action)
            self.state = effect.state
        time.sleep(0)
        return effect.result


class LostError(Exception):
    """No answer comes."""


class ForgetfulStore(LockedStore):
    """Now and then no answer comes, for an operation that happened or one that did not."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    def ask(self, action):
        self.asked += 1
        if self.asked % 11 == 0:
            raise LostError
        result = super().ask(action)
        if self.asked % 7 == 0:
            raise LostError
        return result


class StaleStore(LockedStore):
    """Every fourth read is answered from the state before the last change."""

    def __init__(self):
        super().__init__()
        self.before = {}
        self.reads = 0

    def ask(self, action):
        with self.lock:
            effect = apply(self.state, action)
            if effect.state is self.state:
                self.reads += 1
                if self.reads % 4 == 0:
                    return apply(self.before, action).result
            else:
                self.before, self.state = self.state, effect.state
        return effect.result


def run_threads(rng, store, count, keys):
    """A history of plans carried out on ``store`` at the same time, in real threads."""
    plans = plan(rng, UNTIMED, keys)
    while len(plans) < count:
        plans += plan(rng, UNTIMED, keys)
    history = []
    start = threading.Barrier(count)

    def carry_out(name, asked):
        start.wait(10)
        for action in asked:
            call_ns = time.monotonic_ns()
            try:
                result = store.ask(action)
            except LostError:
                history.append(Operation(name, call_ns, NEVER, action, UNKNOWN))
                return
            history.append(Operation(name, call_ns, time.monotonic_ns(), action, result))

    threads = [
        threading.Thread(target=carry_out, args=(f"{number}", asked))
        for number, asked in enumerate(plans[:count])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return history


def test_a_linearizable_store_is_never_accused():
    rng = random.Random(1)
    for turn in range(60):
        history = run_threads(rng, LockedStore(), 2 + turn % 7, ("x", "y"))
        assert check(history).judgement is HistoryVerdict.OK
        assert check(per_key(history)).judgement is HistoryVerdict.OK


def test_a_linearizable_store_that_loses_answers_is_never_accused():
    rng = random.Random(2)
    lost = 0
    for _ in range(40):
        history = run_threads(rng, ForgetfulStore(), 4, ("x", "y"))
        lost += len([one for one in history if not one.is_complete])
        assert check(history).judgement is not HistoryVerdict.VIOLATED
    assert lost > 40


def test_a_store_with_stale_reads_is_found_out():
    rng = random.Random(4)
    findings = [check(run_threads(rng, StaleStore(), 4, ("x", "y"))) for _ in range(8)]
    violated = [one for one in findings if one.judgement is HistoryVerdict.VIOLATED]
    assert len(violated) > 4
    assert min(len(one.operations) for one in violated) <= 3


# --- Timelines ------------------------------------------------------------------------------------


def test_a_timeline_shows_who_overlaps_whom():
    history = [
        op("b", 5, 6, "get", "x", result=1),
        op("a", 0, 10, "set", "x", 1),
        op("c", 8, NEVER, "incr", "x", 1, result=UNKNOWN),
    ]
    head, *lines, last = timeline(history, left_out=4).splitlines()
    assert head.split() == ["µs", "by", "operation", "->", "answer"]
    assert [line[:64].rstrip() for line in lines] == [
        "        0  a  SET x=1 -> ok",
        "        5  b  GET x -> 1",
        "        8  c  INCR x 1 -> no answer",
    ]
    assert [line[65:] for line in lines] == [
        f"|{'-' * 33}|",
        f"{' ' * 8}|{'-' * 8}|",
        f"{' ' * 25}|{'-' * 8}>",
    ]
    assert last == "4 more on these keys, which would not explain it, are left out"


def test_a_timeline_is_never_wider_than_a_page():
    keys = " ".join(f"a-long-key-{number}" for number in range(40))
    history = [op(f"p{at}", at, at + 7, "mset", keys, *range(40)) for at in range(60)] + [
        op("q", 100, NEVER, "mget", keys, result=UNKNOWN)
    ]
    lines = timeline(history).splitlines()
    assert len(lines) == 62
    assert max(map(len, lines)) <= WIDTH


def test_one_operation_is_a_timeline():
    assert "GET x -> absent" in timeline([op("a", 3, 4, "get", "x", result=ABSENT)])
