"""Documents are correct: every command and snippet in them is run, every link leads somewhere.

The README is run from top to bottom as a newcomer types it: in a fresh clone, in one shell, with
nothing installed but what its first command installs. The other documents are for those who have
that: each of their blocks is run by itself, in an empty folder or, when it needs one, in a fresh
clone. A block of ``bash`` is run as a script, one of ``python`` as a file, just as it stands; only
the address of the server is another one. Blocks of ``text`` show output and are not run. The one
command that runs these tests is left to CI, which runs it to get here.

Compiling kvbench and measuring for half a minute is most of the README's time. So the gate installs
a wheel of this checkout that is not compiled, and makes the first run shorter; ``nox -s thorough``
runs the README as typed, and the how-tos' blocks that measure long.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kvbench.local_server import OWN_SERVER, LocalServer
from tests.wheels import kvbench_wheel

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
OTHERS = [
    ROOT / name
    for name in (
        "CONTRIBUTING.md", "ARCHITECTURE.md", "docs/ci/README.md", "docs/compare.md",
        "docs/history.md",
        "docs/load/README.md", "docs/pytest-benchmark.md", "docs/thresholds.md",
    )
]  # fmt: skip
ADDRESS = "127.0.0.1:16380"
BLOCK_TIMEOUT_S = 300
"""One command installs kvbench from nothing, compiles its codec, and measures for half a minute."""
README_TIMEOUT_S = 900

NEEDS_CHECKOUT = re.compile(r"\.venv|^nox ", re.MULTILINE)
BLOCK = re.compile(r"(<!-- test command -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and where it stands."""

    language: str
    text: str
    place: str


def blocks(*documents: Path) -> list[Block]:
    found = []
    for document in documents:
        text = document.read_text()
        for match in BLOCK.finditer(text):
            is_test_command, language, content = match.groups()
            line = text[: match.start()].count("\n") + 2
            if not is_test_command:
                found.append(Block(language, content, f"{document.name}:{line}"))
    return found


def run(command: list[str | Path], folder: Path, environment: dict[str, str], place: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True, timeout=BLOCK_TIMEOUT_S,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{place}:\n{done.stdout}"
    return done.stdout


@dataclass
class Shell:
    """One shell for many blocks: what one leaves behind, the next one finds.

    Attributes:
        scratch: where files of this class go.
        folder: the current folder.
        environment: all variables.
    """

    scratch: Path
    folder: Path
    environment: dict[str, str]
    snippets: int = field(default=0)

    def run(self, block: Block) -> str:
        if block.language == "python":
            self.snippets += 1
            file = self.scratch / f"snippet_{self.snippets}.py"
            file.write_text(block.text)
            return run(["python", file], self.folder, self.environment, block.place)
        left = self.scratch / "left"
        script = f"{block.text}\nset +x; pwd > {left}.folder; env -0 > {left}.environment\n"
        command = ["bash", "-euo", "pipefail", "-c", script]
        output = run(command, self.folder, self.environment, block.place)
        self.folder = Path(Path(f"{left}.folder").read_text().strip())
        entries = Path(f"{left}.environment").read_text().rstrip("\0").split("\0")
        self.environment = dict(entry.split("=", 1) for entry in entries)
        return output


def newcomers_environment(scratch: Path) -> dict[str, str]:
    """This process's environment without the virtual environment that runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept.pop("VIRTUAL_ENV", None)
    mine = str(Path(sys.prefix) / "bin")
    kept["PATH"] = os.pathsep.join([p for p in kept["PATH"].split(os.pathsep) if p != mine])
    kept["TMPDIR"] = str(scratch)
    return kept


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = LocalServer(OWN_SERVER)
    yield server.wait_for_line("listening on").split()[-1]
    server.stop()


@pytest.mark.timeout(README_TIMEOUT_S + 10)
@pytest.mark.parametrize(
    "as_typed", [False, pytest.param(True, marks=pytest.mark.thorough)], ids=["shorter", "as-typed"]
)
def test_the_readme_works_from_top_to_bottom(as_typed, address, tmp_path):
    """Also: `kvbench` and pytest are there after the first command, and its sample is true."""
    clone = tmp_path / "kvbench"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    replaced = {ADDRESS: address} if as_typed else {ADDRESS: address, **shorter(tmp_path)}
    shell = Shell(tmp_path, clone, newcomers_environment(tmp_path))
    outputs = []
    for block in blocks(README):
        if block.language in ("bash", "python"):
            text = block.text
            for part, other in replaced.items():
                text = text.replace(part, other)
            outputs.append(shell.run(Block(block.language, text, block.place)))
    printed = " ".join(outputs[0].split())
    facts = [fact if as_typed else fact.replace("compiled", "pure") for fact in sample_facts()]
    assert "event_loop uvloop" in facts
    assert [fact for fact in facts if fact not in printed] == [], printed
    assert any("passed" in output for output in outputs), "pytest ran"


def shorter(scratch: Path) -> dict[str, str]:
    """What the gate runs instead of parts of the README, by what the README has."""
    source = scratch / "wheel"
    source.mkdir()
    wheel = kvbench_wheel(source).as_uri()
    checks = ("kvbench check memory:// sqlite://cache.db", "kvbench check dict://")
    few = "--only 'BGET-*' --only 'BMGET-*'"
    replaced = {
        "'.[uvloop,pytest]'": f"'kvbench[uvloop,pytest] @ {wheel}'",
        "kvbench run --batch-sizes": "kvbench run --quick --batch-sizes",
        "--quick --batch-sizes": "--quick --rounds 2 --batch-sizes",
        **{check: f"{check} {few}" for check in checks},
    }
    text = README.read_text()
    assert [part for part in replaced if part not in text] == [], "the README has them"
    return replaced


def sample_facts() -> list[str]:
    """What the README's sample says of the targets that its first command measures."""
    first, second = blocks(README)[:2]
    assert (first.language, second.language) == ("bash", "text")
    paragraphs = [" ".join(text.split()) for text in second.text.split("\n\n")]
    facts = [fact for text in paragraphs if "product" in text for fact in text.split(" · ")]
    return [fact for fact in facts if not re.search(r"\d", fact)]


MEASURES_LONG = re.compile(r"kvbench (capacity|compare|load)|--fail-on|--benchmark-json")
"""Several runs, or a search: ``nox -s thorough`` runs these blocks."""


def other_blocks(language: str) -> list:
    found = [block for block in blocks(*OTHERS) if block.language == language]
    return [
        pytest.param(
            block,
            id=block.place,
            marks=[pytest.mark.thorough] if MEASURES_LONG.search(block.text) else [],
        )
        for block in found
    ]


@pytest.mark.timeout(BLOCK_TIMEOUT_S + 10)
@pytest.mark.parametrize("block", other_blocks("bash"))
def test_commands_run(block, address, tmp_path):
    if NEEDS_CHECKOUT.search(block.text):
        subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "kvbench"], check=True)
        tmp_path = tmp_path / "kvbench"
    environment = dict(os.environ)
    environment.pop("PYTEST_XDIST_WORKER", None)  # A user's pytest is no worker of these tests.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", block.text.replace(ADDRESS, address)]
    run(command, tmp_path, environment, block.place)


def test_no_block_is_of_a_kind_that_is_not_run():
    kinds = {block.language for block in blocks(README, *OTHERS)}
    assert kinds == {"bash", "python", "text"}
    assert not other_blocks("python"), "only the README's are run"


@pytest.mark.parametrize("document", [README, *OTHERS], ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []
