"""Mutants of the codec: the code with kvbench/protocol edited, and a separate process to hunt in.

Server, clients and suite of that process all find the edited codec. So a suite that encoded and
decoded with it would be wrong in the same way as the server, and see nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .hunt import SuiteError, hunt_here
from .parts import MUTANTS, Edited, Mutant

ROOT = Path(__file__).parents[2]

TIMEOUT_S = 600.0
"""For all cases, some of which wait for replies that never come. A test has its own timeout."""


def hunt_elsewhere(mutant: Mutant) -> dict[str, str]:
    """What :func:`hunt_here` finds, in a process with the edited codec.

    Raises:
        SuiteError: a case went wrong.
    """
    assert issubclass(mutant.part, Edited)
    with tempfile.TemporaryDirectory(prefix="kvbench-mutant-") as folder:
        lay_out(Path(folder), mutant.part)
        done = subprocess.run(
            [sys.executable, "-m", "tests.mutants.edited", mutant.name],
            cwd=folder,
            env={**os.environ, "KVBENCH_PURE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        raise SuiteError(done.stderr[-2000:])
    killers: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return killers


def lay_out(folder: Path, part: type[Edited]) -> None:
    """Links to the code, and in their midst the edited modules of the codec."""
    protocol = folder / "kvbench" / "protocol"
    protocol.mkdir(parents=True)
    for place in ("specs", "tests", "pyproject.toml"):
        (folder / place).symlink_to(ROOT / place)
    for source in (ROOT / "kvbench").iterdir():
        if source.name not in ("protocol", "__pycache__"):
            (folder / "kvbench" / source.name).symlink_to(source)
    texts = {path.stem: path.read_text() for path in (ROOT / "kvbench/protocol").glob("*.py")}
    for module, old, new in part.edits:
        assert texts[module].count(old) == 1, f"{module} has {texts[module].count(old)} of {old!r}"
        texts[module] = texts[module].replace(old, new)
    for module, text in texts.items():
        (protocol / f"{module}.py").write_text(text)


def main(name: str) -> None:
    """Hunt here, where the codec is the edited one."""
    import kvbench.protocol.frames
    from kvbench.protocol import CODEC

    from . import catalogue

    assert catalogue.MUTANTS is MUTANTS
    assert CODEC == "pure" and Path(kvbench.protocol.frames.__file__ or "").is_relative_to(
        Path.cwd()
    )
    [mutant] = [one for one in MUTANTS if one.name == name]
    print(json.dumps(hunt_here(mutant, None)))


if __name__ == "__main__":
    main(*sys.argv[1:])
