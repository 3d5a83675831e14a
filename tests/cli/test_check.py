"""``kvbench check``: exit codes, what goes where, profiles, Ctrl-C, one line for a mistake."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from kvbench import specs
from kvbench.cli import main
from kvbench.conformance.profile import read_profile
from kvbench.conformance.selection import ledger
from kvbench.local_server import free_port
from kvbench.verdicts import Outcome, read_conformance
from tests.cli.wrong_servers import NoBools, NothingStored, RightServer, WrongPong, serving
from tests.conformance.broken_servers import StoresFirst


@pytest.fixture
def kvbench(monkeypatch, capfd, tmp_path):
    """The command line in this process: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["kvbench", "check", *map(str, args)])
        with pytest.raises(SystemExit) as left:
            main()
        return left.value.code, *capfd.readouterr()

    return call


@pytest.fixture(scope="module")
def right():
    with serving(RightServer()) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def wrong():
    with serving(WrongPong()) as port:
        yield f"127.0.0.1:{port}"


# --- Verdicts and exit codes --------------------------------------------------------------------


def test_a_part_of_the_suite_says_that_it_is_one(kvbench, right, tmp_path):
    code, output, progress = kvbench(right, "--only", "PING-*")
    assert code == 0
    assert f"{right} partial (subset)" in output
    assert "MUST" in output
    assert f"{right}: 0 of " in progress
    assert list(tmp_path.iterdir()) == [], "nothing failed, nothing is left"


def test_a_target_that_does_not(kvbench, wrong, tmp_path):
    code, output, progress = kvbench(wrong, "--only", "PING-001")
    assert code == 1
    assert "does not conform, 1 clause violated" in output
    for part in ("✗ PING-001 (MUST) PING MUST answer OK", "expected  ", "70 6f 6e 67", "seed"):
        assert part in output
    assert f"kvbench replay {wrong} kvbench-failures/wire-vector-ping.json" in output
    assert f"{wrong}: failed PING-001" in progress
    assert [path.name for path in (tmp_path / "kvbench-failures").iterdir()] == [
        "wire-vector-ping.json"
    ]


def test_failures_come_first_and_the_verdict_last(kvbench, wrong):
    _, output, _ = kvbench(wrong, "--only", "PING-*", "--only", "OP-*")
    places = [
        output.index(part) for part in ("Not kept", "Not verified", "passed  failed", "conform,")
    ]
    assert places == sorted(places)
    assert "not testable by any suite: 2 clauses (OP-004, OP-005)" in output


def test_nothing_verified_has_its_own_exit_code(kvbench, right, tmp_path):
    (tmp_path / "p.toml").write_text("capabilities = []")
    code, output, _ = kvbench(right, "--only", "MGET-*", "--profile", "p.toml")
    assert code == 3
    assert "not verified" in output
    assert "unsupported: not declared: mget: 4 clauses (MGET-001" in output


def test_what_has_one_cause_is_told_once(kvbench, tmp_path):
    with serving(NoBools()) as port:
        address = f"127.0.0.1:{port}"
        _, output, _ = kvbench(address, "--only", "VALUE-*", "--only", "SET-*", "--json", "x.json")
    told = re.search(
        r"\n  refused with the message 'no Bools here'\n  explains (\d+) of (\d+) failures", output
    )
    assert int(told[1]) > 1 and 2 * int(told[1]) > int(told[2])
    assert "SET key 'kvbench-check:" in output
    assert "value Bool True" in output
    found = read_conformance(tmp_path / "x.json").targets[0].verdicts
    failures = {one.case: one.failure for one in found if one.failure is not None}
    files = {failure.repro for failure in failures.values()}
    assert len(files) == len(failures) > 1, "each has a file of its own"
    assert all((tmp_path / file).is_file() for file in files)


def test_what_stands_on_a_failure_is_not_verified(kvbench):
    with serving(NothingStored()) as port:
        code, output, _ = kvbench(f"127.0.0.1:{port}", "--only", "DEL-003")
    assert code == 3
    assert "skipped: it stands on SET-001, GET-001, which failed: 1 clause (DEL-003)" in output


def test_an_address_where_no_server_listens(kvbench):
    address = f"127.0.0.1:{free_port()}"
    code, output, error = kvbench(address)
    assert code == 4
    assert output == ""
    assert error.startswith(f"kvbench: {address}: no connection: ")
    assert "Traceback" not in error


def test_an_error_of_the_suite_is_no_verdict_on_the_target(kvbench, right, monkeypatch):
    def fall_over(*_, **__):
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("kvbench.conformance.wire.vectors._Player._take", fall_over)
    code, output, _ = kvbench(right, "--only", "PING-*")
    assert code == 4
    assert "The suite itself failed" in output
    assert "ZeroDivisionError: of ours" in output


def test_several_targets_are_reported_together(kvbench, right, wrong, tmp_path):
    nobody = f"127.0.0.1:{free_port()}"
    code, output, error = kvbench(
        nobody, right, wrong, "memory://", "--only", "PING-001", "--only", "BGET-002",
        "--json", "x.json",
    )  # fmt: skip
    assert code == 1
    found = read_conformance(tmp_path / "x.json")
    summaries = {one.target: one.summary for one in found.targets}
    assert summaries == {
        nobody: "not verified",
        right: "partial (subset)",
        wrong: "does not conform",
        "memory://": "partial (subset)",
    }
    assert "refused" in found.targets[0].facts["not verified"]
    assert f"kvbench: {nobody}: " in error
    assert "All targets" in output
    assert (
        tmp_path / "kvbench-failures" / wrong.replace(":", "-") / "wire-vector-ping.json"
    ).is_file()


def test_one_unreachable_target_of_several_is_not_forgotten(kvbench, right):
    nobody = f"127.0.0.1:{free_port()}"
    assert kvbench(right, nobody, "--only", "PING-*")[0] == 4


# --- Selection ------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_levels(kvbench, right, tmp_path):
    counts = {}
    for level in ("must", "should", "may"):
        kvbench(
            right, "--only", "ERR-00[123]", "--only", "PING-*", "--level", level, "--json", "x.json"
        )
        counts[level] = set(json.loads((tmp_path / "x.json").read_text())["targets"][0]["counts"])
    assert counts == {"must": {"MUST"}, "should": {"MUST", "SHOULD"}, "may": {"MUST", "SHOULD"}}


def test_quick_is_a_part_with_every_must_clause_that_there_is_time_for(kvbench, tmp_path):
    code, output, _ = kvbench("kvb://", "--suite", "wire", "--quick", "--json", "x.json")
    assert code == 0
    assert "kvb:// partial (subset)" in output
    found = read_conformance(tmp_path / "x.json").targets[0]
    assert set(found.counts) == {"MUST"}
    must = {one.id for one in specs.clauses() if one.party == "server" and one.level == "MUST"}
    assert {one.clause for one in found.verdicts} <= must
    assert len(found.verdicts) > 20


def test_quick_begins_no_case_when_its_time_is_over(kvbench, right, monkeypatch):
    monkeypatch.setattr("kvbench.cli.check_run.QUICK_S", 0.0)
    code, output, _ = kvbench(right, "--quick")
    assert code == 3
    assert re.search(r"out of time (\d+) of \1 cases were left out", output)


def test_suites(kvbench, tmp_path):
    for suite, clause in {"wire": "PING-*", "backend": "BGET-002"}.items():
        code, *_ = kvbench("kvb://", "--suite", suite, "--only", clause, "--json", "x.json")
        assert code == 0
        assert read_conformance(tmp_path / "x.json").targets[0].suites == (suite,)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "Missing argument"),
        (["memroy://"], "did you mean memory://"),
        (["localhost"], "neither host:port nor a URL"),
        (["memory://", "memory://"], "given twice"),
        (["memory://", "--suite", "wire"], "only the backend suite"),
        (["h:1", "--suite", "backend"], "kvb://h:1"),
        (["h:1", "--only", "MGTE-001"], "did you mean MGET-001"),
        (["h:1", "--only", "%"], "matches no clause"),
        (["h:1", "--only", "BGET-*"], "matches no clause of the wire suite"),
        (["h:1", "--only", "PING-*", "--only", "CLIENT-*"], "--only CLIENT-* matches no clause"),
        (["h:1", "--only", "OP-002", "--level", "must"], "at MUST"),
        (["h:1", "--level", "most"], "must"),
        (["h:1", "--profile", "no.toml"], "cannot be read"),
        (["memory://", "--restart-command", "x"], "takes one target, HOST:PORT"),
        (["memory://", "--watch"], "takes one target, HOST:PORT"),
        (["h:1", "--watch", "--restart-command", "x"], "exclude each other"),
        (["h:1", "--quick", "--level", "must"], "leave out --level"),
        (["h:1", "--quick", "--rigorous"], "leave out --level"),
        (["h:1", "h:2", "--restart-command", "x"], "takes one target, HOST:PORT"),
        (["h:1", "h:2", "--profile", "no.toml"], "TARGET=FILE"),
        (["h:1", "--profile", "a", "--profile", "b"], "given twice"),
        (["h:1", "h:2", "--write-profile", "p.toml"], "takes one target"),
        (["h:1", "--json", "no/x.json"], "there is no directory no"),
        (["h:1", "--html", "x", "--json", "x"], "both name x"),
        (["h:1", "--junit", "."], "directory"),
        (["memory://somewhere"], "neither host nor path"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_runs(kvbench, tmp_path, args, words):
    code, output, error = kvbench(*args)
    assert code == 2
    assert output == ""
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- Profiles -------------------------------------------------------------------------------------


def test_a_written_profile_is_refused_until_it_has_reasons(kvbench, wrong, tmp_path):
    args = (wrong, "--only", "PING-001", "--only", "MGET-001")
    code, _, error = kvbench(*args, "--write-profile", "p.toml")
    assert code == 1
    assert "wrote p.toml; 1 deviation without a reason yet" in error
    code, _, error = kvbench(*args, "--profile", "p.toml")
    assert code == 2
    assert "the deviation of PING-001 has no reason: write why" in error
    path = tmp_path / "p.toml"
    assert "\n# expected in ping" in path.read_text()
    path.write_text(path.read_text().replace('reason = ""', 'reason = "lower case is nicer"'))
    profile = read_profile(path, ledger())
    assert [one.clause for one in profile.deviation] == ["PING-001"]
    assert "mget" in profile.capabilities
    code, output, _ = kvbench(*args, "--profile", "p.toml")
    assert code == 0
    assert "≈ PING-001 (MUST) lower case is nicer" in output
    assert "profile p.toml" in output


def test_reasons_of_a_person_are_kept(kvbench, wrong, tmp_path):
    (tmp_path / "p.toml").write_text(
        'target = "Mine"\n[[deviation]]\nclause = "PING-001"\nreason = "lower case is nicer"'
    )
    kvbench(wrong, "--only", "PING-001", "--profile", "p.toml", "--write-profile", "q.toml")
    profile = read_profile(tmp_path / "q.toml", ledger())
    assert profile.target == "Mine"
    assert profile.reason("PING-001") == "lower case is nicer"


def test_a_deviation_that_is_gone_fails(kvbench, right, tmp_path):
    (tmp_path / "p.toml").write_text('[[deviation]]\nclause = "PING-001"\nreason = "was"')
    code, output, _ = kvbench(right, "--only", "PING-*", "--profile", f"{right}=p.toml")
    assert code == 1
    assert "Passed, but the profile declares a deviation" in output
    assert "↑ PING-001 (MUST) passes, but the profile says: was" in output


def test_a_written_profile_holds_in_the_next_runs(kvbench, tmp_path):
    """Two runs with the clauses about time; 20 were made by hand."""
    chosen = ("SET-004", "SETNX-001", "TTL-003", "MGET-004")
    with serving(StoresFirst()) as port:
        args = (f"127.0.0.1:{port}", *[word for one in chosen for word in ("--only", one)])
        assert kvbench(*args, "--write-profile", "p.toml")[0] == 1
        path = tmp_path / "p.toml"
        path.write_text(path.read_text().replace('reason = ""', 'reason = "stored, then refused"'))
        assert read_profile(path, ledger()).deviation
        for _ in range(2):
            code, output, _ = kvbench(*args, "--profile", "p.toml")
            assert code == 0, output


def test_a_profile_is_not_overwritten_without_force(kvbench, right, tmp_path):
    (tmp_path / "p.toml").write_text("# mine")
    args = (right, "--only", "PING-*", "--write-profile", "p.toml")
    code, _, error = kvbench(*args)
    assert code == 2
    assert "--force replaces it" in error
    assert (tmp_path / "p.toml").read_text() == "# mine"
    assert kvbench(*args, "--force")[0] == 0
    assert read_profile(tmp_path / "p.toml", ledger()).deviation == ()


def test_kvbench_has_profiles_for_its_own_schemes(kvbench):
    if not (specs.directory() / "profiles" / "kvb.toml").is_file():
        pytest.fail("the profile of kvb:// is not shipped")
    _, output, _ = kvbench("kvb://", "--suite", "wire", "--only", "PING-*")
    assert "profile kvb.toml, shipped with kvbench" in output
    _, output, _ = kvbench("kvb://", "--suite", "wire", "--only", "PING-*", "--no-profile")
    assert "shipped" not in output


# --- Files ----------------------------------------------------------------------------------------


def test_every_report_is_written(kvbench, wrong, tmp_path):
    kvbench(
        wrong, "--only", "PING-*", "--json", "v.json", "--junit", "v.xml", "--markdown", "v.md",
        "--html", "v.html", "--badge", "v.svg",
    )  # fmt: skip
    for name, begin in {
        "v.json": "{", "v.xml": "<?xml", "v.md": "#", "v.html": "<!", "v.svg": "<svg"
    }.items():  # fmt: skip
        text = (tmp_path / name).read_text()
        assert text.lower().startswith(begin), name
        assert "conform" in text.lower()


@pytest.mark.parametrize(
    "words",
    [("--json",), ("--json", "--level", "must"), ("--json", "-"), ("--json=-",)],
    ids=" ".join,
)
def test_json_without_a_file_prints(kvbench, wrong, words):
    options = ("--only", "PING-001", "--no-profile")
    outputs = [kvbench(*options, wrong, *words)[1], kvbench(*words, wrong, *options)[1]]
    assert [json.loads(output)["targets"][0]["target"] for output in outputs] == [wrong] * 2


def test_json_as_documented(kvbench, wrong):
    code, output, report = kvbench(wrong, "--only", "PING-001", "--seed", "s1", "--json", "-")
    assert code == 1
    plain = json.loads(output)
    assert plain["schema"] == "kvbench-conformance/2"
    assert plain["seed"] == "s1"
    target = plain["targets"][0]
    assert target["target"] == wrong
    assert target["conforms"] is False
    assert target["counts"]["MUST"]["failed"] == 1
    failed = [one for one in target["verdicts"] if one["verdict"] == "failed"]
    assert {one["clause"] for one in failed} == {"PING-001"}
    assert failed[0]["failure"]["exchanges"][-1]["hex"].endswith("70 6f 6e 67")
    assert "does not conform" in report, "the report itself goes to standard error"


def test_passwords_are_nowhere(kvbench, tmp_path):
    nobody = free_port()
    code, output, error = kvbench(
        f"valkey://me:secret@127.0.0.1:{nobody}/0", "memory://", "--only", "BGET-002",
        "--json", "x.json",
    )  # fmt: skip
    assert code == 4
    for text in (output, error, (tmp_path / "x.json").read_text()):
        assert "secret" not in text


# --- People and terminals -------------------------------------------------------------------------


def start(*args, **options):
    command = [sys.executable, "-P", "-m", "kvbench", "check", *map(str, args)]
    return subprocess.Popen(command, text=True, **options)


def test_ctrl_c_keeps_what_was_found(tmp_path):
    process = start(
        "kvb://", "memory://", "--json", "x.json",
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    line = process.stderr.readline()
    while line and " of " not in line:
        line = process.stderr.readline()
    time.sleep(0.3)  # Some cases are done by then, and more are left.
    process.send_signal(signal.SIGINT)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    found = read_conformance(tmp_path / "x.json")
    outcomes = {one.verdict for one in found.targets[0].verdicts}
    assert {Outcome.PASSED, Outcome.SKIPPED} <= outcomes
    assert Outcome.FAILED not in outcomes
    assert found.targets[1].facts == {"not verified": "interrupted"}
    assert "skipped: interrupted" in output
    assert "kvb:// not verified" in output


def test_a_terminal_gets_a_bar():
    master, slave = pty.openpty()
    process = start("memory://", "--only", "BGET-00*", stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        ready, _, _ = select.select([master], [], [], 0.2)
        try:
            if ready:
                seen += os.read(master, 65_536)
        except OSError:
            break
    assert process.wait(10) == 0
    os.close(master)
    assert b"partial (subset)" in seen
    assert b"\x1b[?25h" in seen, "the cursor is back"
    assert b" of " not in seen.split(b"partial")[0].replace(b"\r", b"\n").split(b"\n")[0]


def test_a_pipe_that_closes_early_is_no_error():
    command = f"{sys.executable} -P -m kvbench check memory:// --only 'BGET-002' 2>&1 >&- | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert "Traceback" not in done.stdout + done.stderr
