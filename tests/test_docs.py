"""Documents tell the truth: every command and snippet in them is run, every link leads somewhere.

A fenced block of ``bash`` is run as a script, in an empty folder or, when it needs one, in a fresh
clone of this checkout; one of ``python`` as a program, with a server on the address that the
documents use. Blocks of ``text`` show output and are not run. The one command that runs these
tests is left to CI, which runs it to get here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvbench.local_server import OWN_SERVER, LocalServer

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")]
ADDRESS = "127.0.0.1:16380"
TIMEOUT_S = 300
"""One command installs kvbench from nothing, compiles its codec, and measures for half a minute."""

NEEDS_CHECKOUT = re.compile(r"\.venv|^nox ", re.MULTILINE)
BLOCK = re.compile(r"(<!-- test command -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list:
    found = []
    for document in DOCUMENTS:
        for match in BLOCK.finditer(document.read_text()):
            is_test_command, kind, text = match.groups()
            if kind == language and not is_test_command:
                line = document.read_text()[: match.start()].count("\n") + 2
                found.append(pytest.param(text, id=f"{document.name}:{line}"))
    assert found, f"no block of {language}"
    return found


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = LocalServer(OWN_SERVER)
    yield server.wait_for_line("listening on").split()[-1]
    server.stop()


def run(command: list[str], folder: Path) -> str:
    environment = dict(os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    result = subprocess.run(
        command, cwd=folder, env=environment, text=True, timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.mark.timeout(TIMEOUT_S + 10)
@pytest.mark.parametrize("script", blocks("bash"))
def test_commands_run(script, address, tmp_path):
    if NEEDS_CHECKOUT.search(script):
        subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "kvbench"], check=True)
        tmp_path = tmp_path / "kvbench"
    text = script.replace(ADDRESS, address)
    run(["bash", "-euo", "pipefail", "-c", text], tmp_path)


@pytest.mark.parametrize("program", blocks("python"))
def test_snippets_run(program, address, tmp_path):
    text = program.replace(ADDRESS, address)
    if re.search(r"^(await|async) ", text, re.MULTILINE):
        body = "".join(f"    {line}" for line in text.splitlines(keepends=True))
        text = f"import asyncio\nasync def main():\n{body}\nasyncio.run(main())\n"
    run([sys.executable, "-c", text], tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
