"""A full standard output is reported in one line; one whose reader left is no error.

Every command is run as a process, since the guard sits under the process's own streams. On the code
before it, each of these ended in a traceback, or with 1 where the command had succeeded.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench.cli import COMMANDS
from kvbench.local_server import OWN_SERVER, LocalServer

ROOT = Path(__file__).parents[2]
RESULTS = str(ROOT / "reports" / "batch-operations" / "published.jsonl")
VECTORS = str(ROOT / "specs" / "vectors" / "get-set.json")
QUICK = ["--quick", "--rounds", "2", "--batch-sizes", "10", "--ops", "mget", "--no-keep-awake"]
LOAD = [
    "--clients", "1", "--rounds", "2", "--warm-up", "0ms", "--no-keep-awake", "--no-pin",
    "--records", "100",
]  # fmt: skip
ARGUMENTS = {
    "check": ["memory://", "--only", "BGET-*"],
    "replay": ["ADDRESS", VECTORS],
    "run": ["memory://", *QUICK],
    "advise": ["memory://", "--batch-sizes", "10", "--ops", "mget", "--rounds", "2"],
    "report": [RESULTS],
    "serve": ["--port", "0"],
    "load": ["memory://", "--duration", "1s", *LOAD],
    "capacity": ["memory://", "--slo", "p99<1us", "--arm", "individual", "--probe", "50ms", *LOAD],
    "compare": ["MEASURED", "MEASURED"],
    "init": ["-"],
    "history": ["list", "HISTORY"],
    "proxy": ["ADDRESS"],
    "backends": [],
    "env": [],
    "completion": ["bash"],
}
FULL = "kvbench: cannot write standard output: No space left on device"


@pytest.fixture(scope="module")
def address():
    server = LocalServer(OWN_SERVER)
    yield server.wait_for_line("listening on").split()[-1]
    server.stop()


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A file of results with rounds; beside it, a history that has them."""
    file = tmp_path_factory.mktemp("measured") / "results.jsonl"
    command = [sys.executable, "-m", "kvbench", "run", *ARGUMENTS["run"], "--output", file]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    history = [*command[:3], "history", "add", file, "--to", file.parent / "history"]
    subprocess.run(history, check=True, capture_output=True, timeout=60)
    return file


def kvbench(*args, stdout, stderr=subprocess.PIPE, unbuffered=False):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    if unbuffered:
        environment["PYTHONUNBUFFERED"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "kvbench", *map(str, args)], stdout=stdout, stderr=stderr, text=True,
        timeout=60, env=environment,
    )  # fmt: skip


def test_every_command_is_tried_here():
    assert set(ARGUMENTS) == set(COMMANDS)


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [*[(one, False) for one in [*ARGUMENTS, "--help", "--version"]], ("report", True)],
)
def test_a_full_disk_is_one_line_and_code_2(command, unbuffered, address, measured):
    known = {"ADDRESS": address, "MEASURED": measured, "HISTORY": measured.parent / "history"}
    args = [known.get(one, one) for one in ARGUMENTS.get(command, [])]
    with Path("/dev/full").open("w") as full:
        ended = kvbench(command, *args, stdout=full, unbuffered=unbuffered)
    lines = [line for line in ended.stderr.splitlines() if line.startswith("kvbench: ")]
    assert ended.returncode == 2, ended.stderr
    assert len(lines) == 1 and lines[0].startswith(FULL), ended.stderr
    assert "Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr


def test_a_full_disk_does_not_cost_the_files(tmp_path):
    results, report, verdicts = [tmp_path / name for name in ("r.jsonl", "r.md", "v.json")]
    with Path("/dev/full").open("w") as full:
        run = ["run", *ARGUMENTS["run"], "--output", results, "--report", report]
        assert kvbench(*run, stdout=full).returncode == 2
        assert (
            kvbench("check", *ARGUMENTS["check"], "--json", verdicts, stdout=full).returncode == 2
        )
    assert results.stat().st_size and report.stat().st_size and verdicts.stat().st_size


@pytest.mark.parametrize(
    "command", ["backends", "env", "completion", "report", "run", "check", "init"]
)
def test_a_reader_that_leaves_is_no_error(command):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = kvbench(command, *ARGUMENTS[command], stdout=writer)
    finally:
        os.close(writer)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr and "Broken" not in ended.stderr


def test_a_check_whose_reader_leaves_still_says_by_its_code_what_it_found():
    """0 would say that null://, which keeps nothing, conforms."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = kvbench("check", "null://", "--only", "BGET-*", stdout=writer)
    finally:
        os.close(writer)
    assert ended.returncode == 1, ended.stderr


def test_messages_that_cannot_be_written_do_not_change_the_exit_code():
    with Path("/dev/full").open("w") as full:
        ended = kvbench("run", "--bloks", "20", stdout=subprocess.PIPE, stderr=full)
        assert ended.returncode == 2
        ended = kvbench("run", *ARGUMENTS["run"], stdout=subprocess.PIPE, stderr=full)
    assert ended.returncode == 0
    assert "memory://" in ended.stdout
