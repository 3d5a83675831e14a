"""A wheel of this checkout, built without a compiler: two seconds, and it runs on every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("kvbench", "backends", "specs")
BUILD_TIMEOUT_S = 100


def copy_sources(source: Path) -> None:
    """Copy what a wheel is built from, and nothing that an earlier build left."""
    source.mkdir()
    for name in SOURCES:
        shutil.copy(ROOT / name, source)
    for name in FOLDERS:
        skip = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=skip)


def build_wheel(project: Path, folder: Path) -> Path:
    """Build the wheel of a project with the setuptools of this environment; gives its path."""
    pytest.importorskip("setuptools", reason="builds a wheel with the setuptools that is here")
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    built = subprocess.run(
        [*command, "--no-index", "-q", "-w", folder, project], timeout=BUILD_TIMEOUT_S, text=True,
        env={**os.environ, "KVBENCH_PURE": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout
    [wheel] = folder.glob(f"{project.name}-*.whl")
    return wheel


def kvbench_wheel(scratch: Path) -> Path:
    """A wheel of kvbench; sources and wheel are below ``scratch``."""
    copy_sources(scratch / "kvbench")
    return build_wheel(scratch / "kvbench", scratch / "wheels")
