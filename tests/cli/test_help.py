"""``--help`` of every command fits the terminal, and a missing argument says where to look."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from kvbench import cli
from kvbench.cli import COMMANDS


def kvbench(*args: str, columns: int = 80) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "kvbench", *args], capture_output=True, text=True, timeout=30,
        env={**os.environ, "COLUMNS": str(columns)},
    )  # fmt: skip


@pytest.mark.parametrize("columns", [60, pytest.param(80, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits(command, columns):
    """Exit codes and what Ctrl-C does were 99 columns wide; commands stay whole, to be copied."""
    lines = kvbench(*([command] if command else []), "--help", columns=columns).stdout.splitlines()
    prose = [line for line in lines if "kvbench " not in line or not line.startswith("    ")]
    assert lines and max(map(len, prose)) <= columns
    assert max(map(len, lines)) <= 84


def test_the_help_lists_every_exit_code():
    codes = {value for name, value in vars(cli).items() if name.startswith("EXIT_")}
    [listed] = re.findall(r"Exit codes: ([^.]*)\.", kvbench("--help").stdout)
    assert {int(code) for code in re.findall(r"\d+", listed)} == {0, *codes}


@pytest.mark.parametrize("command", ["check", "replay", "report", "proxy", "completion"])
def test_a_missing_argument_names_the_help(command):
    ended = kvbench(command)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert f"see `kvbench {command} --help`" in ended.stderr
