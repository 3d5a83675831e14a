"""The backend suite: right backends pass it, each wrong one fails at its own clause.

Also that ledger and cases are in step: no clause without a case, no case without a clause.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from kvbench.backend import AsyncBackend
from kvbench.blocking import BlockingBackend
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner, check_target
from kvbench.conformance.selection import Selection
from kvbench.conformance.suites import BACKEND
from kvbench.conformance.target import Target
from kvbench.conformance.targets import open_target
from kvbench.model import BatchKind, Capability
from kvbench.registry import open_backend
from kvbench.specs import clauses
from kvbench.verdicts import Outcome
from tests.conformance.in_process import InProcess
from tests.conformance.wrong_backends import (
    WRONG,
    CountsInDigits,
    HoldsBytes,
    Inherits,
    Pipelines,
    Tombstones,
)

CASES = BACKEND.cases
CLAUSES = {clause.id: clause for clause in clauses() if clause.party == "backend"}
OPTIONS = Options(Selection(frozenset({BACKEND})), Profile(), "seed")


def check(target: Target):
    with target:
        return check_target(target, frozenset(target.store.capabilities), OPTIONS)


def complaints(result) -> list[str]:
    fine = (Outcome.PASSED, Outcome.UNSUPPORTED)
    return [f"{one.clause}: {one.detail}" for one in result.verdicts if one.verdict not in fine]


def test_the_in_process_engine_keeps_every_clause():
    result = check(open_target("memory://"))
    assert complaints(result) == [] and result.summary == "conforms"
    assert result.counts["MUST"][Outcome.PASSED] >= 140


@pytest.mark.parametrize(
    "url", ["sqlite://FOLDER/kv.db", pytest.param("kvb+async://", marks=pytest.mark.thorough)]
)
def test_stores_of_other_kinds_keep_what_they_declare(url, tmp_path):
    result = check(open_target(url.replace("FOLDER", str(tmp_path))))
    assert complaints(result) == [] and result.summary == "conforms"


@pytest.mark.parametrize("backend", [Inherits, HoldsBytes, Pipelines, CountsInDigits])
def test_an_adapter_that_inherits_all_batches_conforms(backend):
    result = check(InProcess.of(backend))
    assert complaints(result) == [] and result.summary == "conforms"


def test_every_clause_has_a_case_or_the_reason_why_not():
    covered = {clause for case in CASES for clause in case.clauses}
    untestable = {clause.id for clause in CLAUSES.values() if clause.untestable}
    assert covered | untestable == set(CLAUSES)
    assert not covered & untestable


def test_every_clause_has_a_case_that_needs_no_more_than_the_clause():
    """Else a store that is bound by a clause would never be looked at."""
    implied = {"ttl-each": {"ttl"}}
    for clause in CLAUSES.values():
        needs = set(clause.needs).union(*[implied.get(need, set()) for need in clause.needs])
        fitting = [case for case in CASES if clause.id in case.clauses and case.needs <= needs]
        assert fitting or clause.untestable, clause.id


def test_cases_ask_for_what_exists():
    for case in CASES:
        assert case.needs <= set(Capability), case.name
        assert set(case.clauses) | set(case.after) <= set(CLAUSES), case.name
        assert case.doc.endswith("."), case.name


@pytest.mark.parametrize(
    ("clause", "backend"), WRONG, ids=lambda one: getattr(one, "__name__", one)
)
def test_a_wrong_backend_fails_at_its_clause(clause, backend):
    """With one of three seeds: where threads are slow, they may not meet in one run.

    Of which of its clauses `kvbench check` accuses it tells the table of precision.
    """
    outcomes = set()
    for seed in ("seed", "another", "third"):
        with InProcess.of(backend) as target:
            runner = Runner(
                target,
                frozenset(target.store.capabilities),
                replace(OPTIONS, seed=seed, is_ground_checked=False),
            )
            findings = [runner.finding(case) for case in CASES if clause in case.clauses]
        outcomes = {finding.outcome for finding in findings}
        assert Outcome.ERROR not in outcomes, [finding.detail for finding in findings]
        if Outcome.FAILED in outcomes:
            return
    pytest.fail(f"only {outcomes}")


def test_many_clauses_have_a_wrong_backend():
    assert {clause for clause, _ in WRONG} <= set(CLAUSES)
    assert len({backend for _, backend in WRONG}) >= 60


def test_a_failed_walk_is_shortened_and_reproducible():
    details = set()
    for _ in range(2):
        with InProcess.of(Tombstones) as target:
            runner = Runner(target, frozenset(target.store.capabilities), OPTIONS)
            (case,) = [case for case in CASES if case.name == "backend.generated.random_walks"]
            finding = runner.finding(case)
        assert finding.failure is not None and finding.failure.seed == f"seed/{case.name}"
        walk = finding.failure.actual.split(", after ")[1].split("; ")
        assert len(walk) == 3, "a key is stored, removed by mdel, and setnx finds it"
        details.add(finding.detail)
    assert len(details) == 1


def test_what_a_backend_raises_counts_against_it_and_what_a_case_raises_does_not():
    class Raises(Inherits):
        def exists(self, key):
            raise ZeroDivisionError("a fault of the adapter")

    with InProcess.of(Raises) as target:
        runner = Runner(target, frozenset(target.store.capabilities), OPTIONS)
        (case,) = [case for case in CASES if case.name == "backend.base.exists_tells"]
        finding = runner.finding(case)
    assert finding.outcome is Outcome.FAILED
    assert "ZeroDivisionError: a fault of the adapter" in finding.detail


def test_the_blocking_face_declares_what_the_adapter_declares():
    with open_backend("kvb+async://") as store:
        assert isinstance(store, BlockingBackend) and isinstance(store.inner, AsyncBackend)
        inner = type(store.inner)
        assert store.capabilities == type(store).capabilities == inner.capabilities != frozenset()
        assert store.summary == inner.summary and store.is_network is True
        assert store.batch_kind("mget") is BatchKind.NATIVE
    assert BlockingBackend.capabilities == frozenset()
