"""A server in another language conforms: the suite needs host:port and a profile, nothing of ours.

``tests/foreign/server.go`` is built and started as a process, and checked through the command line
as its author would do it. Where Go is missing this is skipped, and tests/conftest.py makes that a
failure where everything must be there.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvbench.local_server import LocalServer
from kvbench.verdicts import Outcome, by_clause, read_conformance
from tests.built_once import built_once

FOREIGN = Path(__file__).parents[1] / "foreign"
VECTORS = Path(__file__).parents[2] / "specs" / "vectors"
DOCUMENTED_ADDRESS = "127.0.0.1:16390"
WRITE_REASONS = """sed -i 's/^reason = ""/reason = "left out"/' profile.toml"""
"""What the README leaves to a person: a profile without them is refused."""
BUILD_TIMEOUT_S = 240
"""The first build compiles Go's own library as well: 15 s on two idle cores."""
CHECK_TIMEOUT_S = 120

pytestmark = pytest.mark.timeout(BUILD_TIMEOUT_S + CHECK_TIMEOUT_S)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("there is no Go compiler to build tests/foreign/server.go with")

    def build(folder: Path) -> Path:
        command = [go, "build", "-o", folder / "server", FOREIGN / "server.go"]
        environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
        built_with = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S
        )
        assert built_with.returncode == 0, built_with.stderr
        return folder / "server"

    return built_once(tmp_path_factory, "foreign", build)


@pytest.fixture
def address(program: Path) -> Iterator[str]:
    server = LocalServer([str(program)])
    try:
        yield server.wait_for_line("listening on").split()[-1]
    finally:
        server.stop()


def check(address: str, folder: Path, *options: str) -> tuple[int, str, Path]:
    """Run ``kvbench check`` on it; exit code, output, and where the verdicts are."""
    verdicts = folder / "verdicts.json"
    command = [sys.executable, "-m", "kvbench", "check", address, "--json", verdicts, *options]
    ended = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=CHECK_TIMEOUT_S,
    )  # fmt: skip
    return ended.returncode, ended.stdout, verdicts


def test_the_foreign_server_conforms_to_every_must_and_declares_the_rest(address, tmp_path):
    code, output, verdicts = check(address, tmp_path, "--profile", str(FOREIGN / "profile.toml"))
    assert code == 0, output
    [target] = read_conformance(verdicts).targets
    assert target.headline == "conforms with 1 deviation" and target.suites == ("wire",)
    outcomes = {clause: one.outcome for clause, one in by_clause(target.verdicts).items()}
    assert outcomes["OP-002"] is Outcome.XFAIL
    kept = {clause for clause, outcome in outcomes.items() if outcome is Outcome.PASSED}
    assert {"GET-001", "INCR-008", "BATCH-003", "BATCH-005", "TTL-001", "LIMIT-005"} <= kept
    assert len(kept) > 90, "most of the suite binds it"
    seen = set(outcomes.values())
    assert seen == {Outcome.PASSED, Outcome.XFAIL, Outcome.UNSUPPORTED}, output


@pytest.mark.thorough
def test_what_the_profile_declares_is_what_the_suite_finds_out(address, tmp_path):
    found = tmp_path / "found.toml"
    code, output, verdicts = check(
        address, tmp_path, "--only", "MGET-*", "--only", "CAS-*", "--write-profile", str(found)
    )
    assert code == 0, output
    capabilities = read_conformance(verdicts).targets[0].capabilities
    assert {word for word in capabilities if not word.startswith("type-")} == {
        "incr", "mget", "mset", "mdel",
    }  # fmt: skip
    assert '"cas"' not in found.read_text()


def test_the_foreign_server_is_small_and_needs_nothing_but_its_language():
    source = (FOREIGN / "server.go").read_text()
    imported = re.search(r"^import \((.*?)^\)", source, re.MULTILINE | re.DOTALL).group(1)
    assert all("." not in name for name in re.findall(r'"(.+)"', imported))
    assert len(source.splitlines()) < 600


@pytest.mark.thorough
def test_the_commands_of_the_readme_run(address, tmp_path):
    text = (FOREIGN / "README.md").read_text()
    install, start, *scripts = re.findall(
        r"^ *```bash\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL
    )
    readme = (FOREIGN.parents[1] / "README.md").read_text()
    assert f"```bash\n{install.strip()} && kvbench run " in readme, "which tests/test_docs.py runs"
    assert (
        start.strip() == f"go build -o server server.go && ./server -address {DOCUMENTED_ADDRESS}"
    )
    # As documented, but quicker: a few clauses, and a conversation that is at hand.
    quicker = {
        DOCUMENTED_ADDRESS: address,
        "kvbench check": f"{sys.executable} -m kvbench check --only 'GET-*' --only OP-002",
        "kvbench replay": f"{sys.executable} -m kvbench replay",
        "kvbench-failures/CASE.json": str(VECTORS / "framing.json"),
        "  # Then write the reasons in it.": f"\n{WRITE_REASONS}",
    }
    commands = "".join(scripts)
    assert len(scripts) == 3 and all(part in commands for part in quicker)
    for part, other in quicker.items():
        commands = commands.replace(part, other)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=CHECK_TIMEOUT_S,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "OP-002" in (tmp_path / "profile.toml").read_text()
    assert "OP-002" in (tmp_path / "conformance.xml").read_text()


def test_it_answers_what_it_has_received_before_it_stops(program):
    """CONN-010, which a suite that does not own the process cannot see."""
    server = LocalServer([str(program)])
    try:
        host, _, port = server.wait_for_line("listening on").split()[-1].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"\x08\0\0\0\0" * 2000)
            first = connection.recv(9, socket.MSG_WAITALL)
            server.stop()
            rest = bytearray()
            while chunk := connection.recv(65_536):
                rest += chunk
    finally:
        server.stop()
    assert first + rest == b"\0\0\0\0\x04PONG" * 2000
