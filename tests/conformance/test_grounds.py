"""A failure counts only where what the case has used works, and where the machine was in time.

What is evidence by itself counts whatever else is wrong. A run of more wrong than right ends.
"""

from __future__ import annotations

import struct
import time
from types import SimpleNamespace

import pytest

from kvbench.conformance import runner as runner_module
from kvbench.conformance.case import Case
from kvbench.conformance.findings import CaseFailed, TargetLost, evidence_of
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import BACKEND, SUITES, WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire import vectors as vectors_module
from kvbench.conformance.wire.codec import encode
from kvbench.conformance.wire.frames import frame
from kvbench.conformance.wire.grounds import AT_ONCE, LARGE, LARGE_BYTES, grounds_of
from kvbench.conformance.wire.oracle import Action
from kvbench.conformance.wire.trace import Trace
from kvbench.protocol import requests, responses
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.verdicts import Outcome, by_clause
from tests.conformance.broken_servers import ThreadedDispatcher, serving
from tests.conformance.in_process import InProcess
from tests.conformance.wrong_backends import MdelCountsRepeats, MdelCountsRequests

PING = frame(Opcode.PING, b"")


class CountsTwice(ThreadedDispatcher):
    """MDEL counts every key twice."""

    def _mdel(self, payload):
        reply = super()._mdel(payload)
        return reply[:5] + struct.pack(">I", 2 * int.from_bytes(reply[5:], "big"))


class WithoutDel(ThreadedDispatcher):
    """Has no DEL."""

    def handle(self, opcode, payload):
        if opcode == Opcode.DEL:
            return responses.message_response(Status.INVALID, "unknown opcode")
        return super().handle(opcode, payload)


class Apart(ThreadedDispatcher):
    """MSET and MGET keep their entries apart from all others."""

    def _mget(self, payload):
        keys = [b"\0" + key for key in self._parse_keys(payload)]
        return responses.values_response(self._engine.mget(keys))

    def _mset(self, payload):
        ttl_ms, items = requests.parse_mset(payload)
        self._engine.mset({b"\0" + key: value for key, value in items.items()}, ttl_ms)
        return responses.EMPTY_RESPONSE


class NanIsNan(ThreadedDispatcher):
    """CAS takes a NaN for equal to another one, wherever it is."""

    def _cas(self, payload):
        reply = super()._cas(payload)
        key, ttl_ms, wanted, new = requests.parse_cas(payload)
        is_same = wanted == self._engine.get(key) and reply == responses.flag_response(False)
        if is_same:
            self._engine.set(key, new, ttl_ms)
        return responses.flag_response(True) if is_same else reply


def options(*only, **more):
    return Options(Selection(only=only), Profile(), "1", **more)


def at(port):
    return Target("x", address=("127.0.0.1", port))


def found_by(dispatcher, *only):
    with serving(dispatcher) as port:
        found = check_target(at(port), WIRE.vocabulary, options(*only))
    return by_clause(found.verdicts)


def accused(found):
    return sorted([name for name, one in found.items() if one.outcome is Outcome.FAILED])


def own_case(run, *clauses):
    return Case("wire.test.own", WIRE, clauses, run, frozenset(), (), "")


# --- What a conversation stands on ----------------------------------------------------------------


def test_a_conversation_stands_on_its_operations():
    trace = Trace()
    trace.data("a", ">", PING + encode(Action("mdel", ("k",)))[:7])
    trace.data("a", "<", frame(Status.OK, b"PONG"))
    assert grounds_of(trace.events) == ("PING-001",), "a request that is not whole does nothing"
    trace.data("a", ">", encode(Action("mdel", ("k",)))[7:])
    assert grounds_of(trace.events) == ("PING-001", "MDEL-001", "MDEL-002", "MDEL-003")


def test_requests_at_once_and_large_ones_are_seen():
    trace = Trace()
    trace.data("a", ">", PING)
    trace.data("b", ">", PING)
    assert not set(AT_ONCE) & set(grounds_of(trace.events)), "two connections, a request each"
    trace.data("a", ">", PING)
    assert set(AT_ONCE) <= set(grounds_of(trace.events))
    assert not set(LARGE) & set(grounds_of(trace.events))
    trace.data("b", ">", struct.pack(">BI", Opcode.SET, LARGE_BYTES + 1))
    assert set(LARGE) <= set(grounds_of(trace.events))


@pytest.mark.parametrize("suite", SUITES, ids=str)
def test_every_ground_has_a_case(suite):
    assert suite.every_ground <= set(suite.first_cases)


# --- What counts ----------------------------------------------------------------------------------


def test_a_failure_does_not_count_where_an_operation_that_was_used_is_wrong():
    def run(context):
        connection = context.connect()
        connection.exchange(encode(Action("mdel", (context.key(),))))
        raise CaseFailed("a", "b")

    case = own_case(run, "BATCH-002")
    with serving(CountsTwice()) as port:
        findings = Runner(at(port), WIRE.vocabulary, options()).findings(case)
    assert findings["BATCH-002"].outcome is Outcome.SKIPPED
    assert findings["BATCH-002"].detail == "it stands on MDEL-001, which failed"
    with serving(ThreadedDispatcher()) as port:
        findings = Runner(at(port), WIRE.vocabulary, options()).findings(case)
    assert findings["BATCH-002"].outcome is Outcome.FAILED


def test_what_is_evidence_by_itself_counts():
    def run(context):
        context.connect().exchange(encode(Action("mdel", (context.key(),))))
        with evidence_of("BATCH-002"):
            raise CaseFailed("a", "b")

    with serving(CountsTwice()) as port:
        runner = Runner(at(port), WIRE.vocabulary, options())
        findings = runner.findings(own_case(run, "BATCH-002"))
    assert findings["BATCH-002"].outcome is Outcome.FAILED


def test_evidence_keeps_what_a_failure_names():
    with pytest.raises(CaseFailed) as named, evidence_of("GET-001"):
        raise CaseFailed("a", "b", clauses=["CONN-002"])
    assert named.value.clauses == ("CONN-002",)
    with pytest.raises(TargetLost) as lost, evidence_of("GET-001"):
        raise TargetLost("a", "b")
    assert lost.value.clauses == ()


def test_a_server_without_del_is_accused_of_that_alone():
    found = found_by(WithoutDel(), "OP-001", "DEL-*", "KEY-*", "BATCH-*")
    assert set(accused(found)) <= {"OP-001", "DEL-001", "DEL-002"}
    assert "OP-001" in accused(found)
    assert found["KEY-001"].outcome is Outcome.PASSED, "by every other operation"


def test_batches_that_keep_entries_apart_are_told_so():
    [case] = [one for one in WIRE.cases if one.name.endswith("single_keys_share_entries")]
    with serving(Apart()) as port:
        findings = Runner(at(port), WIRE.vocabulary, options()).findings(case)
    assert findings["KEY-008"].outcome is Outcome.FAILED


@pytest.mark.parametrize("backend", [MdelCountsRepeats, MdelCountsRequests])
def test_an_mdel_that_counts_wrongly_fails_no_other_operation(backend):
    with InProcess.of(backend) as target:
        capabilities = frozenset(target.store.capabilities)
        looking = Options(Selection(frozenset({BACKEND})), Profile(), "seed")
        found = by_clause(check_target(target, capabilities, looking).verdicts)
    assert accused(found)
    assert {name.partition("-")[0] for name in accused(found)} <= {"BMDEL", "BBATCH"}
    assert len(accused(found)) <= 3


# --- Time -----------------------------------------------------------------------------------------


def slow_clock(delays_s):
    """Sleeps as asked, and each time longer by one of these."""
    left = list(delays_s)

    def sleep(seconds):
        time.sleep(seconds + (left.pop(0) if seconds and left else 0.0))

    return SimpleNamespace(sleep=sleep, monotonic=time.monotonic)


def milliseconds_case():
    [case] = [one for one in WIRE.cases if one.name == "wire.vector.milliseconds"]
    return case


@pytest.mark.parametrize(
    ("delays_s", "outcome"), [((0.8,), Outcome.PASSED), ((0.8, 0.8, 0.8), Outcome.SKIPPED)]
)
def test_a_machine_that_is_late_accuses_no_target(monkeypatch, delays_s, outcome):
    """A key with 900 ms is looked at after 1100: once, and then in time; or each time."""
    monkeypatch.setattr(vectors_module, "time", slow_clock(delays_s))
    with serving(ThreadedDispatcher()) as port:
        finding = Runner(at(port), WIRE.vocabulary, options()).finding(milliseconds_case())
    assert finding.outcome is outcome, finding.detail
    if outcome is Outcome.SKIPPED:
        assert "ms late, 3 times" in finding.detail


# --- The end of a run -----------------------------------------------------------------------------


def test_a_run_that_finds_more_wrong_than_right_ends(monkeypatch):
    monkeypatch.setattr(runner_module, "BROKEN_AFTER_S", 0.0)

    class RefusesAll(ThreadedDispatcher):
        def handle(self, opcode, payload):
            return responses.message_response(Status.ERROR, "no")

    with serving(RefusesAll()) as port:
        found = check_target(at(port), WIRE.vocabulary, options("GET-*", "SET-*", "DEL-*"))
    assert any("more had failed than passed" in one.detail for one in found.verdicts)
    right = found_by(ThreadedDispatcher(), "GET-*")
    assert {one.outcome for one in right.values()} == {Outcome.PASSED}


def test_keys_that_are_stored_late_are_looked_at_late():
    """Storing takes longer than a TTL's slack: no key is taken for one that should be gone."""
    [case] = [one for one in WIRE.cases if one.name.endswith("are_absent_to_every_operation")]

    class SlowWrites(ThreadedDispatcher):
        def _set(self, payload):
            time.sleep(0.04)
            return super()._set(payload)

    with serving(SlowWrites()) as port:
        finding = Runner(at(port), WIRE.vocabulary, options()).finding(case)
    assert finding.outcome is Outcome.PASSED, finding.detail


def test_a_comparison_that_goes_wrong_accuses_the_rule_that_it_stands_on():
    """NaN is compared by itself, in Lists, in Maps and beside Decimals: one clause is broken."""
    found = found_by(NanIsNan(), "CAS-*")
    assert [one for one, verdict in found.items() if verdict.outcome is Outcome.FAILED] == [
        "CAS-007"
    ]
