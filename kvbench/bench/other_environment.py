"""Another environment whose kvbench, and clients, a run can measure: its Python interpreter."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from kvbench.errors import UsageError
from kvbench.foreign_text import clean
from kvbench.results import SCHEMA

_ASK = """
import json, platform, sys
from importlib.metadata import version
from kvbench.results import SCHEMA
import kvbench.bench.worker
found = {"schema": SCHEMA, "kvbench": version("kvbench"), "python": platform.python_version()}
sys.stdout.write(json.dumps(found))
"""
_TIMEOUT_S = 30.0


class _Answer(msgspec.Struct):
    schema: str
    kvbench: str
    python: str


def describe_other_environment(python: Path) -> str:
    """What is installed in an environment, for the record: ``kvbench 0.1.0 on Python 3.12.4``.

    Args:
        python: its interpreter.

    Raises:
        UsageError: it does not run, has no kvbench, or one whose messages this one cannot read.
    """
    try:
        done = subprocess.run(
            [python, "-P", "-c", _ASK],
            capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise UsageError(
            f"--base-env {python}: {error.strerror}; name a Python interpreter, "
            "e.g. old/.venv/bin/python"
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"--base-env {python}: no answer within {_TIMEOUT_S:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        last = clean(lines[-1]) if lines else f"exit code {done.returncode}"
        raise UsageError(
            f"--base-env {python} cannot load kvbench ({last}); install it there: "
            f"{python} -m pip install kvbench"
        )
    try:
        answer = msgspec.json.decode(done.stdout, type=_Answer)
    except msgspec.DecodeError:
        raise UsageError(f"--base-env {python} is no Python interpreter") from None
    if answer.schema != SCHEMA:
        raise UsageError(
            f"--base-env {python}: its kvbench {answer.kvbench} records {answer.schema}, this one "
            f"{SCHEMA}. Measure with each, --output FILE, and compare the files"
        )
    return clean(f"kvbench {answer.kvbench} on Python {answer.python}")
