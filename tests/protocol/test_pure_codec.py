"""Compiled or not, the codec is one: same bytes, same values, same errors.

``nox -s covered`` runs the tests of this folder again with the pure codec.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kvbench.protocol import CODEC, COMPILED_MODULES

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent


def run_pure(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "KVBENCH_PURE": "1"},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_as_installed(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "KVBENCH_PURE"}
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout


def test_compiled_and_pure_agree_on_a_corpus():
    corpus = str(HERE / "codec_corpus.py")
    installed_codec, *installed = run_as_installed(corpus).splitlines()
    if installed_codec == "pure":
        pytest.skip("this machine had no C compiler when kvbench was installed")
    pure_codec, *pure = run_pure(corpus).splitlines()
    assert (installed_codec, pure_codec) == ("compiled", "pure")
    assert len(pure) > 5000
    assert [pair for pair in zip(installed, pure, strict=True) if pair[0] != pair[1]] == []


def test_what_is_compiled_is_what_can_run_pure():
    """A module that only one of the two lists has would run compiled where all is to be pure."""
    compiled = re.findall(r'"kvbench/protocol/(\w+)\.py"', (REPOSITORY / "setup.py").read_text())
    assert tuple(compiled) == COMPILED_MODULES


def test_the_environment_decides():
    forced = os.environ.get("KVBENCH_PURE", "") not in ("", "0")
    assert CODEC in (("pure",) if forced else ("compiled", "pure"))
