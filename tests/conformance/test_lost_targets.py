"""Servers that are broken as a whole: lost in a case, silent, or not to be read.

Each is found, with one finding that says what is wrong, and none makes the suite run for long.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kvbench.conformance.patience import SILENT_S_MAX, Patience
from kvbench.conformance.profile import Profile
from kvbench.conformance.restart import Restarter
from kvbench.conformance.runner import Options, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.targets import open_target
from kvbench.conformance.wire.discover import discover_wire
from kvbench.conformance.wire.presence import why_absent, why_misframed
from kvbench.local_server import LocalServer, free_port
from kvbench.verdicts import Outcome, by_clause
from tests.conformance.broken_servers import (
    AnswersHalf,
    HangsAtCas,
    LittleEndian,
    LittleEndianReplies,
    NeverRefuses,
    ThreadedDispatcher,
    serving,
)

ROOT = Path(__file__).parents[2]
SHORT_S = 0.8


def check(target, *only):
    options = Options(Selection(only=only), Profile(), "1", reply_timeout_s=SHORT_S)
    return check_target(target, WIRE.vocabulary, options)


def at(port):
    return Target("x", address=("127.0.0.1", port))


def failed(found):
    return [
        name for name, one in by_clause(found.verdicts).items() if one.outcome is Outcome.FAILED
    ]


def reasons(found):
    return {one.detail for one in found.verdicts if one.verdict is Outcome.SKIPPED}


def dying(port):
    name = "tests.conformance.broken_servers"
    return f"cd {ROOT} && exec {sys.executable} -m {name} DiesAtCas {port}"


# --- Not to be read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "clause", "words"),
    [
        (LittleEndianReplies, "FRAME-001", "as little-endian it would be right"),
        (LittleEndian, "FRAME-001", "as little-endian it would be right"),
        (AnswersHalf, "FRAME-003", "declares 4 bytes of payload, and 3 came"),
    ],
)
def test_where_frames_cannot_be_read_that_is_the_one_finding(server, clause, words):
    with serving(server()) as port:
        found = check(at(port))
    assert failed(found) == [clause]
    [failure] = [one.failure for one in found.verdicts if one.failure is not None]
    assert words in failure.actual
    assert any(words in reason for reason in reasons(found)), "the rest is not run"
    assert found.summary == "does not conform"


def test_a_server_with_another_byte_order_is_there():
    with serving(LittleEndian()) as port:
        assert why_absent(("127.0.0.1", port), 1.5) is None


def test_frames_that_can_be_read_are_no_problem():
    with serving(ThreadedDispatcher()) as port:
        assert why_misframed(("127.0.0.1", port), 5.0) is None
    assert why_misframed(("127.0.0.1", free_port()), 1.0) is None


def test_discovery_does_not_go_on_asking_who_does_not_answer(monkeypatch):
    monkeypatch.setattr("kvbench.conformance.wire.discover._REPLY_TIMEOUT_S", 0.1)
    with serving(AnswersHalf()) as port:
        _, facts = discover_wire("127.0.0.1", port)
    assert "no more was asked after 4 times no answer" in facts["wire capabilities"]


# --- Silent ---------------------------------------------------------------------------------------


def test_the_time_for_which_a_server_is_silent_is_bounded(monkeypatch):
    monkeypatch.setattr("kvbench.conformance.patience.SILENT_S_MAX", 1.5)
    with serving(NeverRefuses()) as port:
        target = at(port)
        found = check(target)
    assert target.patience.silent_s >= 1.5
    assert any("s in all without replies that were due" in reason for reason in reasons(found))
    assert failed(found)


def test_a_target_that_was_silent_for_long_gets_less_time():
    patience = Patience()
    assert patience.reply_timeout_s(5.0) == 5.0
    patience.waited(5.0)
    assert patience.reply_timeout_s(5.0) == 5.0, "slow is not dead"
    patience.waited(5.0)
    assert patience.reply_timeout_s(5.0) == 1.0
    assert not patience.is_over
    patience.waited(SILENT_S_MAX)
    assert patience.is_over


# --- Lost -----------------------------------------------------------------------------------------


def test_a_server_that_hangs_is_a_finding_with_the_frame(monkeypatch):
    monkeypatch.setattr("kvbench.conformance.wire.context._BUSY_S", 0.1)
    monkeypatch.setattr("kvbench.conformance.wire.suite._BACK_AGAIN_S", 0.1)
    with serving(HangsAtCas()) as port:
        found = check(at(port), "CAS-*", "VALUE-014")
    [actual] = {one.failure.actual for one in found.verdicts if one.failure is not None}
    assert "CAS-001" not in failed(found), "steps behind it accuse nobody"
    assert actual.startswith("the server stopped answering after this frame: CAS key 'kvbench-")
    assert "malformed: " in actual
    assert any("has not answered" in reason for reason in reasons(found))


def test_a_server_that_dies_is_a_finding_with_the_frame(monkeypatch):
    monkeypatch.setattr("kvbench.conformance.wire.suite._BACK_AGAIN_S", 0.1)
    port = free_port()
    server = LocalServer(["sh", "-c", dying(port)])
    try:
        server.wait_for_line("listening")
        found = check(at(port), "CAS-*", "VALUE-014")
    finally:
        server.stop()
    [failure] = {id(one.failure): one.failure for one in found.verdicts if one.failure}.values()
    assert failure.actual.startswith("the server process ended after this frame: CAS key 'kvbench-")
    assert failure.traits.ending == "ended"
    assert any("since wire.vector.cas-malformed" in reason for reason in reasons(found))


def test_with_a_command_it_is_started_and_the_check_goes_on():
    port = free_port()
    restarter = Restarter(dying(port))
    starts = []

    def restart():
        starts.append(1)
        restarter()

    try:
        with open_target(f"127.0.0.1:{port}", frozenset([WIRE]), restart) as target:
            assert len(starts) == 1, "nobody listened"
            found = check(target, "CAS-*", "VALUE-014")
    finally:
        restarter.stop()
    assert len(starts) > 1
    assert "VALUE-014" in failed(found)
    assert reasons(found) == set()
    outcomes = {name: one.outcome for name, one in by_clause(found.verdicts).items()}
    assert outcomes["CAS-001"] is Outcome.PASSED
    assert why_absent(("127.0.0.1", port), 1.0) is not None, "what was started has ended"
