"""Mutants of the server in Go (``tests/foreign/server.go``): its text with one fault, compiled.

Operators, constants and boundaries are changed in lines of code: no comments, no strings. A mutant
that does not compile is none. The suite knows of this server only where it listens and what its
profile declares.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from .sample import Tried
from .trial import Address, killer_of, started

FOREIGN = Path(__file__).parents[1] / "foreign"

_CHANGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("boundary", r" < ", (" <= ", " > ")),
    ("boundary", r" <= ", (" < ",)),
    ("boundary", r" > ", (" >= ", " < ")),
    ("boundary", r" >= ", (" > ",)),
    ("comparison", r" == ", (" != ",)),
    ("comparison", r" != ", (" == ",)),
    ("boolean", r" && ", (" || ",)),
    ("boolean", r" \|\| ", (" && ",)),
    ("boolean", r"(?<=[ (])!(?=\w)", ("",)),
    ("arithmetic", r" \+ ", (" - ",)),
    ("arithmetic", r"(?<=\w)\+(?=\w)", ("-",)),
    ("arithmetic", r"(?<=\w)-(?=\w)", ("+",)),
    ("arithmetic", r"<<8", ("<<7", ">>8")),
    ("constant", r"(?<![\w.\"%])\d+(?![\w.\"])", ("+1", "-1")),
    ("removed", r"^\t+delete\(.*\)$", ("",)),
    ("removed", r"^\t+count\+\+$", ("",)),
)

_SKIPPED = re.compile(r"log\.|flag\.|idleMax|lingerMax|sweepEvery|connectionsMax|p\.fail\(")
"""Messages, and settings whose effect takes longer to see than the suite watches."""


def go_mutants() -> list[tuple[str, str]]:
    """Names and sources, in the order of the lines."""
    lines = (FOREIGN / "server.go").read_text().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("const ("))
    found: list[tuple[str, str]] = []
    for place in range(start, len(lines)):
        code = lines[place].partition("//")[0].rstrip()
        if not code or '"' in code or "`" in code or _SKIPPED.search(code):
            continue
        for operator, pattern, replacements in _CHANGES:
            for match in re.finditer(pattern, code):
                for other in replacements:
                    new = _number(match.group(), other) if operator == "constant" else other
                    changed = code[: match.start()] + new + code[match.end() :]
                    if changed == code:
                        continue
                    name = f"server.go:{place + 1}: {operator}: `{code.strip()}` → "
                    source = [*lines[:place], changed, *lines[place + 1 :]]
                    found.append((f"{name}`{changed.strip()}`", "\n".join(source) + "\n"))
    return found


def _number(text: str, step: str) -> str:
    return str(max(0, int(text) + int(step)))


def go_sample(count: int, seed: int) -> list[tuple[str, str]]:
    """So many of them, by seed."""
    return random.Random(f"go{seed}").sample(go_mutants(), count)


@contextlib.contextmanager
def go_program(source: str, folder: Path) -> Iterator[Path | None]:
    """The compiled source; None if it does not compile."""
    go = shutil.which("go")
    assert go is not None, "there is no Go compiler to build tests/foreign/server.go with"
    path, program = folder / "server.go", folder / "server"
    path.write_text(source)
    build = [go, "build", "-o", str(program), str(path)]
    environment = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    built = subprocess.run(build, capture_output=True, cwd=folder, env=environment)
    yield program if built.returncode == 0 else None
    program.unlink(missing_ok=True)


def go_serving(program: Path) -> AbstractContextManager[Address | None]:
    """A server of the program."""
    command = [str(program), "-address", "127.0.0.1:0"]
    return started(command, dict(os.environ), program.parent)


def go_profile() -> tuple[frozenset[str], frozenset[str]]:
    """What the server declares: its capabilities, and the clauses that it is known not to keep."""
    profile = tomllib.loads((FOREIGN / "profile.toml").read_text())
    declared = frozenset([one["clause"] for one in profile.get("deviation", [])])
    return frozenset(profile["capabilities"]), declared


def go_attempt(name: str, source: str, folder: Path, seconds_of: dict[str, float]) -> Tried | None:
    """Run the suite against a mutant until a case fails; None for one that does not compile."""
    began = time.monotonic()
    capabilities, declared = go_profile()
    with go_program(source, folder) as program:
        if program is None:
            return None
        killer = killer_of(lambda: go_serving(program), capabilities, declared, seconds_of)
    return Tried(name, killer, time.monotonic() - began)
