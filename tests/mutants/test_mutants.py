"""Every mutant is killed by a case of each clause that it breaks, and the right server is not.

So no MUST clause of the wire suite is checked by cases that any server would pass.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pytest

from kvbench import specs
from kvbench.conformance.runner import check_target
from kvbench.conformance.target import Target
from kvbench.conformance.wire.connection import REPLY_TIMEOUT_S
from kvbench.verdicts import Outcome

from .catalogue import MUTANTS
from .hunt import CAPABILITIES, hunt, options
from .matrix import MARKDOWN
from .parts import Mutant
from .running import running

TESTABLE = [
    clause for clause in specs.clauses() if clause.party == "server" and not clause.untestable
]


def sampled(mutants: Sequence[Mutant]) -> list:
    """All mutants; the gate tries every fourth, and ``nox -s thorough`` the others."""
    return [
        one if place % 4 == 0 else pytest.param(one, marks=pytest.mark.thorough)
        for place, one in enumerate(mutants)
    ]


@pytest.mark.parametrize("mutant", sampled(MUTANTS), ids=str)
def test_mutant_is_killed_by_its_own_clauses(mutant):
    # The kill matrix is made with prerequisites: `python -m tests.mutants`.
    killers = hunt(mutant, with_prerequisites=False)
    alive = [clause for clause in mutant.clauses if clause not in killers]
    assert not alive, f"no case of {alive} notices: {mutant.doc}"


def test_the_right_server_passes_every_case():
    with running() as address:
        target = Target("the right server", address=address)
        found = check_target(target, CAPABILITIES, options(reply_timeout_s=REPLY_TIMEOUT_S))
    assert found.summary == "conforms"
    assert {one.clause for one in found.verdicts} == {clause.id for clause in TESTABLE}
    failures = [one for one in found.verdicts if one.verdict is not Outcome.PASSED]
    assert not failures


def test_every_must_clause_has_a_mutant():
    broken = {clause for mutant in MUTANTS for clause in mutant.clauses}
    binding = {clause.id for clause in TESTABLE if clause.level == "MUST"}
    assert sorted(binding - broken) == []
    assert sorted(broken - {clause.id for clause in TESTABLE}) == []
    assert len(binding) > 150


def test_mutants_have_different_names_and_say_what_they_do():
    assert [name for name, count in Counter(map(str, MUTANTS)).items() if count > 1] == []
    assert [mutant.name for mutant in MUTANTS if not mutant.doc.endswith(".")] == []


def test_kill_matrix_is_of_these_mutants_and_all_are_dead():
    text = MARKDOWN.read_text()
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (.*) \| (.*`.*) \|$", text, re.MULTILINE)
    written = {
        name: (does, re.findall(r"([A-Z]+-\d+): `", killers)) for name, does, killers in rows
    }
    expected = {one.name: (one.doc, list(one.clauses)) for one in MUTANTS}
    assert written == expected, "python -m tests.mutants writes it anew"
    assert f"**{len(MUTANTS)} killed, 0 alive.**" in text
