"""Repro files: what happened plays again, here and with Python's standard library alone.

They tell a repaired server from a broken one, and stay small.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kvbench import specs
from kvbench.conformance.findings import CaseFailed
from kvbench.conformance.profile import Profile
from kvbench.conformance.replay import replay, run_again
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.repro import STEPS_MAX, make_repro, read_repro, write_repro
from kvbench.errors import KvConnectionError, UsageError
from kvbench.local_server import free_port
from kvbench.protocol import responses
from kvbench.protocol.frames import frame
from kvbench.protocol.opcodes import Opcode, Status
from kvbench.specs import Payload, Vector
from kvbench.verdicts import Outcome
from tests.conformance.broken_servers import ThreadedDispatcher, serving

CASES = {case.name: case for case in WIRE.cases}
README = (specs.directory() / "vectors" / "README.md").read_text()


class WrongPong(ThreadedDispatcher):
    """PING answers in lower case, DECR counts up."""

    def _ping(self, payload):
        return responses.ok_response(b"pong")

    def _decr(self, payload):
        return super()._incr(payload)


@pytest.fixture(scope="module")
def broken():
    with serving(WrongPong()) as port:
        yield "127.0.0.1", port


@pytest.fixture(scope="module")
def right():
    with serving(ThreadedDispatcher()) as port:
        yield "127.0.0.1", port


@pytest.fixture
def fail(broken, tmp_path):
    """Run a case against the broken server; the path of what it leaves behind."""

    def call(case):
        options = Options(Selection(), Profile(), "s", repro_directory=tmp_path / "d")
        target = Target("there:1", address=broken)
        finding = Runner(target, WIRE.vocabulary, options).finding(case)
        assert finding.outcome is Outcome.FAILED, finding.detail
        return finding.failure.repro

    return call


def play(address, file):
    vector = file.vectors[0]
    with WireContext(*address, capabilities=frozenset(), seed="") as context:
        return list(replay(context, vector, is_strict=file.failure.is_strict))


def own_case(address, run):
    """The repro of a case of the test's own, which must fail."""
    context = WireContext(*address, capabilities=frozenset(), seed="s/own", effort=1)
    case = CASES["wire.vector.ping"]
    case = type(case)("wire.own.thing", WIRE, ("PING-001",), run, frozenset(), (), "Own.")
    with context, pytest.raises(CaseFailed) as failed:
        run(context)
    return make_repro(case, context, failed.value, "there:1")


def test_a_failed_vector_leaves_that_vector(fail):
    path = fail(CASES["wire.vector.ping"])
    file = read_repro(Path(path))
    original = next(vector for vector in specs.vectors() if vector.id == "ping")
    assert file.vectors == (original,)
    assert file.failure.is_judged
    assert file.failure.case == "wire.vector.ping"
    assert file.failure.target == "there:1"
    assert {clause.id for clause in file.failure.clauses} >= {"PING-001"}
    assert file.failure.clauses[0].text
    assert "PONG" in "".join(exchange.decoded for exchange in file.failure.transcript).upper()


def test_it_is_a_file_of_vectors_for_anybody(fail):
    path = fail(CASES["wire.vector.ping"])
    plain = json.loads(Path(path).read_text())
    del plain["failure"]
    assert msgspec.convert(plain, specs.VectorFile).vectors


def test_replay_tells_broken_from_mended(fail, broken, right):
    file = read_repro(Path(fail(CASES["wire.vector.ping"])))
    problems = [problem for played in play(broken, file) for problem in played.problems]
    assert "50 4f 4e 47" in problems[0][0]
    assert "70 6f 6e 67" in problems[0][1]
    assert not any(played.problems for played in play(right, file))


def test_a_case_in_code_leaves_what_it_sent_and_what_should_have_come(broken, right):
    def run(context):
        one, other = context.connect(), context.connect()
        context.stored(other, context.key("big"), b"x" * 1000)
        one.send(frame(Opcode.GET, context.key("big").encode()) + frame(Opcode.PING, b""), pieces=3)
        one.read()
        one.finish()
        one.read().expect(Status.OK, b"PONG")

    file = own_case(broken, run)
    assert file.failure.is_judged
    vector = file.vectors[0]
    assert vector.keys == ["kvbench-check:vec0000000big"]
    assert vector.id == "wire-own-thing"
    stored, got, last = vector.steps[0], vector.steps[1], vector.steps[-1]
    assert stored.connection == "b"
    assert b"kvbench-check:vec0000000big" in stored.request()
    assert [part.times for part in stored.send if isinstance(part, specs.Repeat)] == [1000]
    assert got.pieces == 3
    assert any(step.finish for step in vector.steps)
    wanted = [reply for step in vector.steps for reply in step.expect][-1]
    assert wanted.status == ["OK"]
    assert specs.unhex(wanted.payload) == b"PONG"
    assert any(played.problems for played in play(broken, file))
    assert not any(played.problems for played in play(right, file))
    assert last.connection == "a"


def test_a_wait_is_kept(broken):
    def run(context):
        connection = context.connect()
        context.stored(connection, context.key(), 1, 50)
        specs_wait(context)
        connection.request(Opcode.PING).expect(Status.OK, b"PONG")

    def specs_wait(context):
        began = context.now_ms()
        while context.now_ms() < began + 60:
            pass

    steps = own_case(broken, run).vectors[0].steps
    assert steps[0].wait_ms < 50
    assert 55 < steps[1].wait_ms < 500


def test_a_hang_up_is_judged_by_whether_something_comes(right):
    def run(context):
        connection = context.connect()
        connection.finish()
        connection.read()

    file = own_case(right, run)
    assert file.failure.is_judged
    assert file.vectors[0].steps[-1].expect[0].payload == Payload()


def test_where_no_reply_tells_the_case_runs_again(broken, right):
    walk = CASES["wire.walks.decr-001"]
    options = Options(Selection(), Profile(), "s", is_ground_checked=False)
    target = Target("x", address=broken)
    examiner = Runner(target, WIRE.vocabulary, options)
    finding = examiner.finding(walk)
    assert finding.outcome is Outcome.FAILED
    context = WireContext(*broken, capabilities=WIRE.vocabulary, seed="s/wire.walks.decr-001")
    with context, pytest.raises(CaseFailed) as failed:
        walk.run(context)
    file = make_repro(walk, context, failed.value, "there:1")
    assert not file.failure.is_judged
    assert b"kvbench-check:vec0000000" in b"".join(step.request() for step in file.vectors[0].steps)
    assert run_again(file.failure, broken).outcome is Outcome.FAILED
    assert run_again(file.failure, right).outcome is Outcome.PASSED


def test_a_case_that_is_no_more_is_not_run(right, fail):
    story = read_repro(Path(fail(CASES["wire.vector.ping"]))).failure
    story = msgspec.structs.replace(story, case="wire.gone.case")
    assert run_again(story, right) is None


def test_a_preferred_reply_is_asked_for_byte_for_byte(broken):
    case = next(one for name, one in CASES.items() if name.startswith("wire.preferred.malformed"))
    context = WireContext(*broken, capabilities=frozenset(), seed="s/x")
    with context:
        file = make_repro(case, context, CaseFailed("a", "b"), "there:1")
    assert file.failure.is_strict
    assert all(len(reply.status) == 1 for step in file.vectors[0].steps for reply in step.expect)


def test_of_an_endless_conversation_the_file_has_the_end(broken, tmp_path):
    def run(context):
        connection = context.connect()
        for _ in range(STEPS_MAX + 1):
            connection.send(frame(Opcode.PING, b""))
        connection.read().expect(Status.OK, b"PONG")

    context = WireContext(*broken, capabilities=frozenset(), seed="s/own")
    case = CASES["wire.vector.ping"]
    case = type(case)("wire.own.long", WIRE, ("PING-001",), run, frozenset(), (), "")
    with context, pytest.raises(CaseFailed) as failed:
        run(context)
    file = read_repro(Path(write_repro(tmp_path, "x", case, context, failed.value)))
    assert len(file.vectors[0].steps) == STEPS_MAX
    assert not file.failure.is_judged, "the case itself judges"
    assert len(file.failure.transcript) > STEPS_MAX, "the story is whole"


def test_where_nothing_can_be_written_nothing_is_named(broken, tmp_path):
    (tmp_path / "file").write_text("")
    context = WireContext(*broken, capabilities=frozenset(), seed="s/own")
    with context:
        case = CASES["wire.vector.ping"]
        assert write_repro(tmp_path / "file", "x", case, context, CaseFailed("a", "b")) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "neither a repro file"),
        ("[]", "neither a repro file"),
        ('{"schema": "kvbench-vectors/2", "area": "x", "vectors": []}', "schema"),
        (
            '{"schema": "kvbench-vectors/1", "area": "x", "vectors": [{"id": "x", "clauses": [], '
            '"description": "", "steps": [{"send": "xyz"}]}]}',
            "hex",
        ),
    ],
)
def test_what_is_no_repro_file_is_refused(tmp_path, text, words):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_repro(path)


def test_every_file_of_vectors_can_be_read_as_one():
    paths = [
        path for path in (specs.directory() / "vectors").glob("*.json") if path.stem != "schema"
    ]
    assert len(paths) > 8
    for path in paths:
        assert read_repro(path).failure is None


def test_nobody_there(right):
    vector = Vector("x", [], "", [specs.VectorStep()])
    with (
        WireContext("127.0.0.1", free_port(), capabilities=frozenset(), seed="") as context,
        pytest.raises(KvConnectionError, match="refused"),
    ):
        list(replay(context, vector, is_strict=False))


# --- The player of the document -----------------------------------------------------------------


def run_player(address, path, tmp_path):
    code = re.search(r"A player in a dozen lines.*?```python\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "player.py").write_text(code)
    # -I: nothing but the standard library can be found.
    command = [sys.executable, "-I", "-S", tmp_path / "player.py", *map(str, address), path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert not done.stderr
    return done.stdout.splitlines()


def test_the_documented_player_plays_a_repro_file(fail, broken, right, tmp_path):
    path = fail(CASES["wire.vector.ping"])
    assert any("| got 00 70 6f 6e 67" in line for line in run_player(broken, path, tmp_path))
    assert any("| got 00 50 4f 4e 47" in line for line in run_player(right, path, tmp_path))


@pytest.mark.parametrize("area", ["framing", "batches", "counters"])
def test_the_documented_player_plays_the_vectors(right, tmp_path, area):
    lines = run_player(right, specs.directory() / "vectors" / f"{area}.json", tmp_path)
    assert lines
    assert all("| got 0" in line for line in lines)


def test_the_documented_player_leaves_no_key_behind(tmp_path):
    dispatcher = ThreadedDispatcher()
    with serving(dispatcher) as port:
        path = specs.directory() / "vectors" / "counters.json"
        run_player(("127.0.0.1", port), path, tmp_path)
    assert len(dispatcher._engine) == 0
