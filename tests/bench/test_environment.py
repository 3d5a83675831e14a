"""The environment: plain values, the codec that really runs, nothing that fails."""

from __future__ import annotations

import json
import subprocess

import pytest

from kvbench import protocol
from kvbench.bench import environment
from kvbench.bench.environment import describe_environment, load_average


def test_it_is_plain_and_says_the_essential():
    described = describe_environment()
    assert json.loads(json.dumps(described)) == described
    assert {"cpu", "kernel", "python", "codec", "kvbench", "numpy", "click"} <= set(described)
    assert None not in described.values()


def test_it_names_the_codec_that_runs():
    assert describe_environment()["codec"] == protocol.CODEC


@pytest.mark.parametrize(("value", "is_pure"), [("1", True), ("0", False), ("", False)])
def test_the_variable_for_the_pure_codec_counts(monkeypatch, value, is_pure):
    monkeypatch.setenv("KVBENCH_PURE", value)
    installed = "pure" if protocol.values.__file__.endswith(".py") else "compiled"
    assert describe_environment()["codec"] == ("pure" if is_pure else installed)


def test_without_git_there_is_no_revision(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert "git" not in describe_environment()


def test_what_cannot_be_read_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "_read", lambda path: "")
    described = describe_environment()
    assert "governor" not in described
    assert described["cpu"]


def test_the_load_is_a_number():
    assert load_average() >= 0.0
