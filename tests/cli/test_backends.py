"""``kvbench backends``: readable at any width, and every example is a URL of its own scheme."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def listed(*args: str, columns: int = 80) -> str:
    return subprocess.run(
        [sys.executable, "-m", "kvbench", "backends", *args], check=True, capture_output=True,
        text=True, env={**os.environ, "COLUMNS": str(columns)}, timeout=30,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_lines_fit_and_hang_below_what_they_continue(columns):
    """Long lists went on in the first column, where the next scheme begins."""
    lines = listed(columns=columns).splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    assert not [line for line in lines if line != line.rstrip()]
    assert all(line.startswith("    ") or "://  " in line for line in lines)
    assert "    batches    native: mget, mset, mdel, mexists, mset_each" in lines


def test_examples_are_of_the_scheme_that_they_stand_under():
    """redis:// and rediss:// had the example of valkey://, whose adapter they share."""
    for one in json.loads(listed("--json")):
        assert one["url_example"].startswith(f"{one['scheme']}://"), one


def test_options_of_urls_are_listed():
    """An application's database needs ?create_table=1: the list says so."""
    assert "?create_table=1: work in an application's database" in listed(columns=120)
    listings = {one["scheme"]: one for one in json.loads(listed("--json"))}
    assert list(listings["sqlite"]["url_options"]) == ["create_table=1"]
    assert listings["memory"]["url_options"] == {}
