"""The pytest plugin, run as its users run it: in a separate directory.

What each verdict becomes, that nothing verified is no success, the fixture of a backend under
development, xdist, and wrong options.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points

import pytest

from kvbench.conformance import plugin, runner, test_conformance
from kvbench.conformance.suites import SUITES
from kvbench.local_server import free_port
from kvbench.protocol import responses
from tests.conformance.broken_servers import ThreadedDispatcher, serving

pytest_plugins = ["pytester"]

LOADED = (plugin, runner, test_conformance, *[suite.cases for suite in SUITES])
"""Before the runs of this process, each of which forgets what it has imported itself."""

IS_REGISTERED = any(
    point.value == "kvbench.conformance.plugin" for point in entry_points(group="pytest11")
)
PLUGIN = [] if IS_REGISTERED else ["-p", "kvbench.conformance.plugin"]


class WrongPong(ThreadedDispatcher):
    """PING answers in lower case."""

    def _ping(self, payload):
        return responses.ok_response(b"pong")


class NothingStored(ThreadedDispatcher):
    """SET answers OK and stores nothing."""

    def _set(self, payload):
        return responses.EMPTY_RESPONSE


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest in an empty directory: exit code and output."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*args, files=None, in_process=True):
        for name, text in (files or {}).items():
            (pytester.path / name).write_text(text)
        words = [*PLUGIN, "-p", "no:cacheprovider", "-p", "no:timeout", *map(str, args)]
        if in_process:
            done = pytester.runpytest_inprocess(*words)
        else:
            done = pytester.runpytest_subprocess(*words, timeout=60)
        return done.ret, f"{done.stdout}{done.stderr}"

    return call


SUITE = ["--pyargs", "kvbench.conformance"]


def test_a_right_server_passes(run):
    with serving(ThreadedDispatcher()) as port:
        code, output = run(*SUITE, "--kvbench-target", f"127.0.0.1:{port}", "-k", "vector.ping")
    assert code == 0, output
    assert "1 passed" in output
    assert "kvbench: partial (subset) (MUST: " in output


def test_a_failure_is_reported_with_its_explanation(run, pytester):
    with serving(WrongPong()) as port:
        code, output = run(*SUITE, "--kvbench-target", f"127.0.0.1:{port}", "-k", "vector.ping")
    assert code == 1
    assert "PING-001 (MUST) PING MUST answer OK with the four bytes `PONG`." in output
    assert "expected  " in output
    assert "70 6f 6e 67" in output
    assert "kvbench: does not conform" in output
    assert "plugin.py:" not in output, "the report is about the target, not about the suite"
    repro = json.loads((pytester.path / "kvbench-failures" / "wire-vector-ping.json").read_text())
    assert repro["failure"]["case"] == "wire.vector.ping"


def test_deviations(run):
    profile = "\n".join(
        f'[[deviation]]\nclause = "{clause}"\nreason = "lower case"'
        for clause in ("PING-001", "EXISTS-001")
    )
    with serving(WrongPong()) as port:
        code, output = run(
            *SUITE, "--kvbench-target", f"127.0.0.1:{port}", "--kvbench-profile", "p.toml",
            "-k", "vector.ping or vector.set-get or vector.del]", "-rx",
            files={"p.toml": profile},
        )  # fmt: skip
    assert code == 1
    assert "xfail: lower case" in output
    assert "EXISTS-001 (MUST)" in output
    assert "xpass in wire.vector.del" in output
    assert "1 failed, 1 passed" in output
    assert "1 xfailed" in output


def test_undeclared_capabilities_skip_and_nothing_verified_is_no_success(run):
    with serving(ThreadedDispatcher()) as port:
        code, output = run(
            *SUITE, "--kvbench-target", f"127.0.0.1:{port}", "--kvbench-profile", "p.toml",
            "-k", "vector.mget", "-rs",
            files={"p.toml": "capabilities = []"},
        )  # fmt: skip
    assert code == 5, output
    assert "unsupported: not declared: mget" in output
    assert "kvbench: not verified" in output


def test_what_stands_on_a_failure_is_skipped_whatever_is_selected(run):
    with serving(NothingStored()) as port:
        code, output = run(
            *SUITE, "--kvbench-target", f"127.0.0.1:{port}", "-k", "vector.del-forgets-ttl", "-rs"
        )
    assert code == 5, output
    assert "skipped: it stands on SET-001" in output


def test_xdist_shares_the_work_and_the_verdict(run):
    pytest.importorskip("xdist")
    with serving(WrongPong()) as port:
        code, output = run(
            *SUITE, "--kvbench-target", f"127.0.0.1:{port}", "-n", 2,
            "-k", "vector.ping or vector.set-get", in_process=False,
        )  # fmt: skip
    assert code == 1
    assert "1 failed, 1 passed" in output
    assert "PING-001 (MUST)" in output
    assert "kvbench: does not conform" in output


MINE = """
from kvbench_backends.memory import MemoryBackend

class Mine(MemoryBackend):
    def get(self, key):
        return {wrong}super().get(key)
"""

CONFTEST = """
import pytest
from mine import Mine

@pytest.fixture(scope="session")
def kvbench_backend():
    return {given}
"""


def own_backend(given, wrong=""):
    return {"mine.py": MINE.format(wrong=wrong), "conftest.py": CONFTEST.format(given=given)}


CASES = "test_conformance and backend.base and get"


@pytest.mark.parametrize(
    "given", ['lambda: Mine.open("memory://")', 'Mine.open("memory://")', '"memory://"']
)
def test_a_backend_under_development_needs_two_lines(run, given):
    code, output = run(*SUITE, "-k", CASES, files=own_backend(given))
    assert code == 0, output
    assert "kvbench: partial (subset)" in output


def test_its_faults_are_found(run):
    files = own_backend("lambda: Mine.open('memory://')", wrong="not ")
    code, output = run(*SUITE, "-k", CASES, files=files)
    assert code == 1
    assert "BGET-001 (MUST)" in output


def test_the_suite_can_be_imported_into_a_project(run):
    files = own_backend("lambda: Mine.open('memory://')")
    files["test_mine.py"] = "from kvbench.conformance.test_conformance import test_conformance\n"
    code, output = run("test_mine.py", "-k", CASES, "--strict-markers", files=files)
    assert code == 0, output
    assert "kvbench: partial (subset)" in output


def test_a_backend_that_cannot_be_made_fails_once_with_its_traceback(run):
    """Its error came again from each of some 160 items."""
    files = own_backend("lambda: Mine.open('memory://')")
    files["mine.py"] = (
        "from kvbench import Backend\nclass Mine(Backend):\n"
        "    @classmethod\n    def open(cls, url):\n        return cls()\n"
    )
    code, output = run(*SUITE, "-k", "backend.base", files=files)
    assert code == 1
    assert output.count("E       TypeError: Can't instantiate abstract class Mine") == 1, output
    assert "kvbench_backend raised TypeError" in output


def test_a_declaration_of_wrong_types_is_one_line(run):
    files = own_backend("lambda: Mine.open('memory://')")
    files["mine.py"] += "\n    batch_kinds = {'mget': 'native'}\n"
    code, output = run(*SUITE, "-k", "backend.base", files=files)
    assert code == 1
    assert "Mine.batch_kinds has 'native' for mget: write BatchKind.NATIVE" in output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("None", "name a target: --kvbench-target URL"),
        ("5", "kvbench_backend gives a int"),
        ("lambda: 5", "gives a int, not a Backend"),
        ('"memroy://"', "did you mean memory://"),
    ],
)
def test_a_fixture_that_gives_no_backend_ends_the_session_once(run, given, words):
    code, output = run(*SUITE, "-k", "backend.base", files=own_backend(given))
    assert code == 1
    assert words in output
    assert "1 error" in output, "not one for each case"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--kvbench-target", "memroy://"], "did you mean memory://"),
        (["--kvbench-target", "memory://", "--kvbench-suite", "wire"], "only the backend suite"),
        (["--kvbench-target", "memory://", "--kvbench-profile", "no.toml"], "cannot be read"),
        (["--kvbench-suite", "both"], "invalid choice"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(run, args, words):
    code, output = run(*SUITE, *args)
    assert code == 4
    assert words in output
    assert "Traceback" not in output


def test_nobody_there_ends_the_session_once(run):
    code, output = run(*SUITE, "--kvbench-target", f"127.0.0.1:{free_port()}")
    assert code == 1
    assert "refused" in output
    assert "1 error" in output


def test_other_tests_do_not_notice_the_plugin(run):
    files = {"test_other.py": "def test_other():\n    pass\n"}
    code, output = run("test_other.py", files=files)
    assert code == 0
    assert "kvbench:" not in output
