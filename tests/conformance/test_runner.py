"""The runner's promises, each of them met by a target that tries them.

What stands on a failure is not run, order does not matter, verdicts follow level and profile, a
target that is gone ends the check, and Ctrl-C keeps what was found.
"""

from __future__ import annotations

import pytest

from kvbench.conformance.case import Case
from kvbench.conformance.findings import CaseFailed, DoesNotApply, SetupFailed
from kvbench.conformance.profile import Deviation, Profile, with_deviations
from kvbench.conformance.runner import Options, Runner, check_target
from kvbench.conformance.selection import Selection, ledger, selected_cases
from kvbench.conformance.suites import BACKEND, SUITES, WIRE, suites_of
from kvbench.conformance.target import Target
from kvbench.conformance.targets import check_suites, open_target, parse_address, target_suites
from kvbench.errors import KvConnectionError, UsageError
from kvbench.local_server import free_port
from kvbench.protocol import responses
from kvbench.verdicts import Outcome, Verdict
from tests.conformance.broken_servers import ThreadedDispatcher, serving

CAPABLE = WIRE.vocabulary


def options(*only, profile=None, **more):
    return Options(Selection(only=only), profile or Profile(), "1", **more)


def outcomes(found, clause):
    return {one.verdict for one in found.verdicts if one.clause == clause}


def case_of(run, *clauses, needs=(), after=()):
    return Case("wire.test.own", WIRE, clauses, run, frozenset(needs), after, "")


class NothingStored(ThreadedDispatcher):
    """SET answers OK and stores nothing."""

    def _set(self, payload):
        return responses.EMPTY_RESPONSE


class WrongPing(ThreadedDispatcher):
    """PING answers with nothing."""

    def _ping(self, payload):
        return responses.EMPTY_RESPONSE


@pytest.fixture(scope="module")
def address():
    with serving(ThreadedDispatcher()) as port:
        yield "127.0.0.1", port


def test_a_right_server_passes():
    with serving(ThreadedDispatcher()) as port:
        target = Target("x", address=("127.0.0.1", port))
        found = check_target(target, CAPABLE, options("PING-*", "DEL-001"))
    assert found.summary == "partial (subset)"
    assert found.suites == ("wire",)
    assert set(found.counts) == {"MUST"}
    assert {one.clause for one in found.verdicts} >= {"PING-001", "PING-002", "DEL-001"}
    assert {one.clause.split("-")[0] for one in found.verdicts} == {"PING", "DEL"}
    assert found.elapsed_s > 0


def test_verdicts_come_in_the_order_of_the_ledger(address):
    found = check_target(
        Target("x", address=address), CAPABLE, options("STATUS-00*", "PING-*", "KEY-002")
    )
    places = list(ledger())
    order = [places.index(one.clause) for one in found.verdicts]
    assert order == sorted(order)


def test_what_stands_on_a_failure_is_not_run_rather_than_failed():
    with serving(NothingStored()) as port:
        target = Target("x", address=("127.0.0.1", port))
        found = check_target(target, CAPABLE, options("DEL-*", "SET-001"))
    assert Outcome.FAILED in outcomes(found, "SET-001")
    assert outcomes(found, "DEL-003") == {Outcome.SKIPPED}
    reasons = {one.detail for one in found.verdicts if one.verdict is Outcome.SKIPPED}
    assert any("SET-001" in reason for reason in reasons)
    assert found.summary == "does not conform"


def test_the_ground_is_looked_at_even_when_nobody_asked_for_it():
    with serving(NothingStored()) as port:
        target = Target("x", address=("127.0.0.1", port))
        found = check_target(target, CAPABLE, options("DEL-003"))
    assert outcomes(found, "DEL-003") == {Outcome.SKIPPED}
    assert {one.clause for one in found.verdicts} == {"DEL-003"}
    assert found.summary == "not verified"


@pytest.mark.thorough
def test_order_does_not_matter(address):
    chosen = selected_cases([WIRE], Selection(only=("DEL-003", "PING-*", "KEY-00*")))
    assert len(chosen) > 5
    forward = Runner(Target("x", address=address), CAPABLE, options())
    backward = Runner(Target("x", address=address), CAPABLE, options())
    one = {case.name: forward.finding(case).outcome for case in chosen}
    other = {case.name: backward.finding(case).outcome for case in reversed(chosen)}
    assert one == other


def test_no_case_runs_twice(address):
    runs = []
    case = case_of(lambda context: runs.append(context.seed), "GET-001")
    runner = Runner(Target("x", address=address), CAPABLE, options())
    runner.finding(case)
    runner.finding(case)
    assert runs == ["1/wire.test.own"]


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (CaseFailed("a", "b"), Outcome.FAILED),
        (SetupFailed("no"), Outcome.SKIPPED),
        (DoesNotApply("no"), Outcome.UNSUPPORTED),
        (KvConnectionError("gone"), Outcome.FAILED),
        (ConnectionResetError(), Outcome.FAILED),
        (ZeroDivisionError("of ours"), Outcome.ERROR),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_case_raises_says_what_it_means(address, raised, outcome):
    def run(context):
        raise raised

    finding = Runner(Target("x", address=address), CAPABLE, options()).finding(
        case_of(run, "GET-001")
    )
    assert finding.outcome is outcome


def test_a_harness_error_names_the_place(address):
    def run(context):
        raise ZeroDivisionError("of ours")

    finding = Runner(Target("x", address=address), CAPABLE, options()).finding(
        case_of(run, "GET-001")
    )
    assert "test_runner.py" in finding.detail
    assert "ZeroDivisionError: of ours" in finding.detail


def test_undeclared_capabilities_are_unsupported(address):
    found = check_target(Target("x", address=address), frozenset(), options("MGET-*"))
    assert outcomes(found, "MGET-001") == {Outcome.UNSUPPORTED}
    assert found.summary == "not verified"
    assert "not declared: mget" in {one.detail for one in found.verdicts}


def test_a_broken_should_is_told_and_not_held_against_the_target(address):
    def run(context):
        raise CaseFailed("a", "b")

    case = case_of(run, "GET-001", "ERR-001")
    verdicts = Runner(Target("x", address=address), CAPABLE, options()).verdicts(case)
    assert [one.verdict for one in verdicts] == [Outcome.FAILED, Outcome.WARNING]


def test_a_target_that_is_gone_ends_the_check(monkeypatch):
    monkeypatch.setattr("kvbench.conformance.wire.suite._BACK_AGAIN_S", 0.1)
    target = Target("x", address=("127.0.0.1", free_port()))
    found = check_target(target, CAPABLE, options("PING-*", "GET-*"))
    counts = dict.fromkeys(Outcome, 0)
    for one in found.verdicts:
        counts[one.verdict] += 1
    assert counts[Outcome.FAILED] <= 6, "one case finds out, the rest is not run"
    assert counts[Outcome.SKIPPED] > 3
    assert any("no connection" in one.detail for one in found.verdicts)


def test_ctrl_c_keeps_what_was_found(address):
    def interrupt(context):
        raise KeyboardInterrupt

    chosen = selected_cases([WIRE], Selection(only=("DEL-*",)))
    runner = Runner(Target("x", address=address), CAPABLE, options())
    assert runner.finding(chosen[0]).outcome is Outcome.PASSED
    interrupted = case_of(interrupt, "GET-001")
    assert not runner.is_interrupted
    assert runner.finding(interrupted).outcome is Outcome.SKIPPED
    assert runner.is_interrupted
    assert runner.finding(chosen[1]).outcome is Outcome.SKIPPED
    assert runner.finding(chosen[0]).outcome is Outcome.PASSED, "what was found stays"


def test_an_interrupted_check_says_so(address, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("kvbench.conformance.runner.examine", interrupt)
    found = check_target(Target("x", address=address), CAPABLE, options("DEL-*"))
    assert found.is_interrupted
    assert found.summary == "not verified"
    assert {one.verdict for one in found.verdicts} == {Outcome.SKIPPED}


# --- Profiles ---------------------------------------------------------------------------------


def test_a_declared_deviation_is_known_and_no_failure():
    profile = Profile(
        deviation=tuple([Deviation(f"PING-00{n}", "no pong") for n in (1,)]),
    )
    with serving(WrongPing()) as port:
        target = Target("x", address=("127.0.0.1", port))
        without = check_target(target, CAPABLE, options("PING-001"))
        found = check_target(target, CAPABLE, options("PING-001", profile=profile))
    assert without.summary == "does not conform"
    assert outcomes(found, "PING-001") == {Outcome.XFAIL}
    assert found.summary == "partial (subset)"
    assert "no pong" in found.verdicts[0].detail


def test_a_deviation_that_is_gone_fails(address):
    profile = Profile(deviation=(Deviation("PING-001", "no pong"),))
    found = check_target(
        Target("x", address=address), CAPABLE, options("PING-001", profile=profile)
    )
    assert outcomes(found, "PING-001") == {Outcome.XPASS}
    assert found.summary == "does not conform"


def test_one_failing_case_is_enough_for_a_known_deviation():
    profile = Profile(deviation=(Deviation("GET-001", "sometimes"),))
    both = [
        Verdict("GET-001", "MUST", "a", Outcome.PASSED),
        Verdict("GET-001", "MUST", "b", Outcome.FAILED, "why"),
        Verdict("GET-002", "MUST", "b", Outcome.PASSED),
    ]
    skipped = [*both[:1], Verdict("GET-001", "MUST", "b", Outcome.SKIPPED, "late")]
    unknown = [one.verdict for one in with_deviations(skipped, profile)]
    assert unknown == [Outcome.PASSED, Outcome.SKIPPED], "the one that shows it did not run"
    repaired = [one.verdict for one in with_deviations(both, profile)]
    assert repaired == [Outcome.PASSED, Outcome.XFAIL, Outcome.PASSED]


def test_no_repro_is_written_for_a_declared_deviation(tmp_path):
    profile = Profile(deviation=(Deviation("PING-001", "no pong"),))

    with serving(WrongPing()) as port:
        target = Target("x", address=("127.0.0.1", port))
        declared = options("PING-001", profile=profile, repro_directory=tmp_path)
        check_target(target, CAPABLE, declared)
        assert list(tmp_path.iterdir()) == []
        found = check_target(target, CAPABLE, options("PING-001", repro_directory=tmp_path))
    assert found.verdicts[0].failure.repro in map(str, tmp_path.iterdir())


# --- Targets ----------------------------------------------------------------------------------


def test_the_suites_of_a_target_follow_from_what_was_typed():
    assert target_suites("127.0.0.1:1") == (WIRE,)
    assert target_suites("[::1]:1") == (WIRE,)
    assert target_suites("kvb://host") == (WIRE, BACKEND)
    assert target_suites("memory://") == (BACKEND,)


@pytest.mark.parametrize(
    ("text", "suite", "words"),
    [
        ("memory", WIRE, "neither host:port nor a URL"),
        ("memroy://", BACKEND, "did you mean memory://"),
        ("memory://", WIRE, "only the backend suite"),
        ("127.0.0.1:1", BACKEND, "kvb://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_checked_is_said_before_anything_is_opened(text, suite, words):
    with pytest.raises(UsageError, match=words):
        check_suites(text, frozenset({suite}))


@pytest.mark.parametrize("text", ["127.0.0.1:0", "127.0.0.1:65536", "memory://", "kvb://", "x"])
def test_wrong_addresses_are_refused(text):
    with pytest.raises(UsageError):
        parse_address(text)


def test_addresses():
    assert parse_address("localhost:16380") == ("localhost", 16380)
    assert parse_address("[::1]:16380") == ("::1", 16380)
    assert parse_address("kvb://host/ns") == ("host", 16380)


def test_a_private_server_serves_both_suites():
    with open_target("kvb://") as target:
        assert suites_of(target) == (WIRE, BACKEND)
        host, port = target.address
        target.store.set("both", b"1")
        assert f"{host}:{port}" in target.url
        with target.another_store() as other:
            assert other.get("both") == b"1"


def test_memory_runs_on_a_clock_of_the_suite():
    with open_target("memory://") as target:
        target.store.set("k", b"1", 5.0)
        target.clock.advance_ms(6000)
        assert target.store.get("k") is None


def test_both_suites_have_cases_and_their_ground_exists():
    for suite in SUITES:
        found = suite.cases
        checked = {clause for case in found for clause in case.clauses}
        assert len(found) > 100
        assert {clause for case in found for clause in case.after} <= checked
