"""Ledger and cases are in step: every testable clause has a case, every case names clauses."""

from __future__ import annotations

import pytest

from kvbench import specs
from kvbench.conformance.suites import BACKEND, SUITES, WIRE
from kvbench.model import Capability
from kvbench.protocol.opcodes import Opcode

LEDGER = {clause.id: clause for clause in specs.clauses()}
PARTY = {WIRE: "server", BACKEND: "backend"}
CORE = {"get", "set", "del", "exists", "ping", "info"}
CAPABILITIES = {
    WIRE: {opcode.name.lower() for opcode in Opcode} - CORE | {"atomic-batch"} | WIRE.unlisted,
    BACKEND: set(map(str, Capability)),
}


@pytest.mark.parametrize("suite", SUITES)
def test_every_testable_clause_has_a_case(suite):
    checked = {clause for case in suite.cases for clause in case.clauses}
    testable = [
        clause.id
        for clause in specs.clauses()
        if clause.party == PARTY[suite] and not clause.untestable
    ]
    assert testable
    assert [clause for clause in testable if clause not in checked] == []


@pytest.mark.parametrize("suite", SUITES)
def test_every_case_names_clauses_of_its_suite(suite):
    for case in suite.cases:
        for clause in (*case.clauses, *case.after):
            assert clause in LEDGER, f"{case.name} names {clause}, which is in no document"
            assert LEDGER[clause].party == PARTY[suite], f"{case.name} is of another suite"
            assert not LEDGER[clause].untestable, f"{case.name} tests what cannot be tested"


@pytest.mark.parametrize("suite", SUITES)
def test_cases_need_no_unknown_capabilities(suite):
    for case in suite.cases:
        assert case.needs <= CAPABILITIES[suite], case.name


@pytest.mark.parametrize("suite", SUITES)
def test_every_case_says_in_one_line_what_it_shows(suite):
    for case in suite.cases:
        assert case.doc.rstrip().endswith((".", ":")), f"{case.name}: {case.doc!r}"
        assert case.name.startswith(f"{suite}.")


def test_what_others_stand_on_comes_first():
    for suite, base in ((WIRE, WIRE.base), (BACKEND, BACKEND.base)):
        first = {}
        for place, case in enumerate(suite.cases):
            for clause in case.clauses:
                first.setdefault(clause, place)
        assert max(first[clause] for clause in base) < 10
