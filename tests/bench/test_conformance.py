"""No figure for what does not conform; and a declared deviation withholds nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest

from kvbench.bench.conformance import verdict_of, withheld
from kvbench.model import BatchOperation
from kvbench.verdicts import SCHEMA, Conformance, Outcome, Verdict, judge


def verdicts_with(clause: str, outcome: Outcome, level: str = "MUST") -> Conformance:
    found = (
        Verdict("GET-001", "MUST", "case.a", Outcome.PASSED),
        Verdict(clause, level, "case.b", outcome, "expected 1; got 2"),
    )
    target = judge("memory://", ("backend",), found, {}, (), 0.1)
    return Conformance(SCHEMA, "1", "2026-01-01T00:00:00Z", "0", (target,))


@pytest.mark.parametrize(
    ("clause", "operations"),
    [
        ("BMGET-001", {BatchOperation.MGET}),
        ("MDEL-003", {BatchOperation.MDEL}),
        ("DEL-001", {BatchOperation.MDEL}),
        ("BATCH-003", set(BatchOperation)),
        ("BVAL-001", set(BatchOperation)),
        ("LOCK-001", set()),
    ],
)
def test_a_failed_must_withholds_the_paths_that_stand_on_it(clause, operations):
    found = verdict_of(verdicts_with(clause, Outcome.FAILED), "memory://")
    reasons = withheld(found)
    assert set(reasons) == operations
    assert all(clause in reason and "got 2" in reason for reason in reasons.values())


@pytest.mark.parametrize("outcome", [Outcome.XFAIL, Outcome.UNSUPPORTED, Outcome.PASSED])
def test_what_is_declared_or_kept_withholds_nothing(outcome):
    assert withheld(verdict_of(verdicts_with("BMGET-001", outcome), "memory://")) == {}


def test_a_server_that_was_checked_by_its_address_is_found_by_its_url():
    """`check HOST:PORT` names it so; `run HOST:PORT` measures kvb://HOST:PORT."""
    target = judge("127.0.0.1:16380", ("wire",), (), {}, (), 0.1)
    found = Conformance(SCHEMA, "1", "2026-01-01T00:00:00Z", "0", (target,))
    assert verdict_of(found, "kvb://127.0.0.1:16380") is target
    assert verdict_of(found, "kvb://127.0.0.1:16381") is None


def test_a_failed_should_withholds_nothing():
    found = verdicts_with("BMGET-001", Outcome.WARNING, "SHOULD")
    assert withheld(verdict_of(found, "memory://")) == {}
    assert verdict_of(found, "kvb://") is None


def test_run_shows_the_verdict_and_withholds_the_figure(tmp_path):
    path = tmp_path / "verdicts.json"
    path.write_bytes(msgspec.json.encode(verdicts_with("BMGET-001", Outcome.FAILED)))
    command = [sys.executable, "-m", "kvbench", "run", "memory://", "--quick", "--json"]
    options = ["--batch-sizes", "10", "--ops", "mget,mset", "--conformance", str(path)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    written = json.loads(done.stdout)
    [target] = written["targets"]
    cells = {op: one["cells"][0]["cell"] for op, one in target["operations"].items()}
    assert cells["mget"]["speedup"] is None and "BMGET-001" in cells["mget"]["reason"]
    assert cells["mset"]["speedup"]["estimate"] > 0
    assert "does not conform" in done.stdout
