"""Shell completion offers the right words of an option, as a shell asks for them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def completed(line: str) -> list[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    asked = {
        "_KVBENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "kvbench"], env={**os.environ, **asked}, capture_output=True,
        text=True, check=True, timeout=30,
    )  # fmt: skip
    return [line.partition(",")[2] for line in ended.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("kvbench run --ops ", ["mget", "mset", "mdel", "mexists"]),
        ("kvbench run --ops mget,m", ["mget,mset", "mget,mdel", "mget,mexists"]),
        ("kvbench run --ops mget,mse", ["mget,mset"]),
        ("kvbench run --value-type ", ["bytes", "str", "int", "float", "mixed"]),
        ("kvbench run --value-type m", ["mixed"]),
        ("kvbench run --preset ", ["batch-operations"]),
        ("kvbench check --suite ", ["wire", "backend"]),
        ("kvbench re", ["replay", "report"]),
    ],
)
def test_the_values_of_an_option_are_offered(line, offered):
    """Without a type that knows its words, the first six offered nothing."""
    assert completed(line) == offered
