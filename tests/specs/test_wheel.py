"""A wheel carries the specs: an installed kvbench reads what a checkout does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kvbench import specs

ROOT = Path(__file__).parents[2]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("kvbench", "backends", "specs")


def test_specs_are_read_from_an_installed_wheel(tmp_path):
    pytest.importorskip("setuptools", reason="builds a wheel with the setuptools that is here")
    source, unpacked = tmp_path / "source", tmp_path / "unpacked"
    source.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        skip = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    environment = {**os.environ, "KVBENCH_PURE": "1", "PYTHONPATH": str(unpacked)}
    build = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-q"]
    subprocess.run([*build, "-w", tmp_path, source], env=environment, check=True, timeout=100)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(unpacked)
    ask = (
        "from kvbench import specs;"
        "print(specs.directory(), len(specs.clauses()), len(specs.vectors()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.split()
    assert told == [
        str(unpacked / "kvbench_specs"),
        str(len(specs.clauses())),
        str(len(specs.vectors())),
    ]
