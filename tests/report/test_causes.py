"""Failures in groups: each failure in one, the cause that explains the most first."""

from __future__ import annotations

from kvbench.report.causes import causes, failed_cases
from kvbench.verdicts import Failure, Outcome, Traits
from tests.report.conformance_builders import verdict


def failed(clause, outcome="failed", case="", **traits):
    failure = Failure("right", f"wrong {clause}", traits=Traits(**traits))
    return verdict(clause, outcome, failure=failure, case=case or f"wire.{clause}")


def told(verdicts, outcome=Outcome.FAILED):
    return [(one.text, one.clauses) for one in causes(verdicts, outcome)]


def test_the_same_message_is_one_cause_whatever_its_numbers_are():
    verdicts = [
        failed("GET-001", operation="GET"),
        failed("SET-001", operation="SET", refusal="tag 0x08 at 17 of 'a'"),
        failed("CAS-001", operation="CAS", refusal="tag 0x08 at 4 of 'b'"),
        failed("MSET-001", operation="MSET", refusal="tag 0x08 at 4 of 'c'"),
    ]
    assert told(verdicts) == [
        (
            "refused with the message \"tag 0x08 at 17 of 'a'\"",
            ("SET-001", "CAS-001", "MSET-001"),
        ),
        ("", ("GET-001",)),
    ]
    assert causes(verdicts, Outcome.FAILED)[0].share == "explains 3 of 4 failures"


def test_what_shares_no_message_may_share_a_type_an_ending_or_an_operation():
    verdicts = [
        failed("CAS-002", operation="CAS"),
        failed("CAS-003", operation="CAS"),
        failed("PING-001", operation="PING", ending="closed"),
        failed("INFO-001", operation="INFO", ending="closed"),
        failed("VALUE-001", operation="GET", types=("Bool", "Int")),
        failed("VALUE-002", operation="MGET", types=("Bool", "Int")),
        failed("VALUE-003", operation="CAS", types=("Bool", "Int")),
        failed("VALUE-004", operation="SET", types=("Bool",)),
        failed("KEY-001", operation="DEL", types=("Int",)),
        *[failed(f"TTL-00{n}", operation="TTL", ending="silent") for n in range(1, 6)],
    ]
    assert told(verdicts) == [
        ("the target does not answer to TTL", tuple([f"TTL-00{n}" for n in range(1, 6)])),
        (
            "requests with a value of type Bool",
            ("VALUE-001", "VALUE-002", "VALUE-003", "VALUE-004"),
        ),
        (
            "the target closes the connection in place of an answer",
            ("PING-001", "INFO-001"),
        ),
        ("wrong answers to CAS", ("CAS-002", "CAS-003")),
        ("", ("KEY-001",)),
    ]


def test_a_plain_type_is_no_cause():
    assert told([failed(f"GET-00{n}", types=("Int", "String")) for n in (1, 2)]) == [
        ("", ("GET-001",)),
        ("", ("GET-002",)),
    ]


def test_every_failure_is_in_one_group():
    verdicts = [
        failed(f"KEY-{n:03}", operation="GET" if n % 2 else "SET", refusal="no" * (n % 3))
        for n in range(30)
    ]
    found = causes(verdicts, Outcome.FAILED)
    assert sum(len(one.failures) for one in found) == 30
    assert {clause for one in found for clause in one.clauses} == {one.clause for one in verdicts}
    sizes = [len(one.failures) for one in found]
    assert sizes == sorted(sizes, reverse=True)


def test_one_conversation_that_breaks_several_clauses_is_one_failure():
    failure = Failure("right", "wrong")
    both = [verdict(name, "failed", failure=failure, case="wire.x") for name in ("GET-001", "A-1")]
    assert len(failed_cases(both)) == 1
    other = verdict("GET-002", "failed", failure=Failure("right", "other"), case="wire.x")
    assert len(failed_cases([*both, other])) == 2


def test_outcomes_do_not_mix():
    verdicts = [failed("GET-001"), failed("ERR-001", "warning"), verdict("GET-002")]
    assert told(verdicts, Outcome.WARNING) == [("", ("ERR-001",))]
    assert told(verdicts, Outcome.ERROR) == []
