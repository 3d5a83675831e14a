"""The wire suite kills a sample of automatic mutants; the mutator makes what it says.

All mutants that can be made are tried by ``nox -s mutation``; those here are known to die quickly,
each by one case, which is the only one that runs.
"""

from __future__ import annotations

import ast
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kvbench.conformance.suites import WIRE

from .equivalents import EQUIVALENTS, reason_of
from .foreign import go_mutants
from .operators import Mutation, mutated, mutations
from .reach import MODULES, all_mutations, file_of
from .report import Sample, markdown
from .sample import NO_START, Tried, killer_by_name, quick_sample
from .trial import Copy, attempt

SAMPLE = 50
SEED = 11

SOURCE = '''
def limit(size, most=10):
    """A docstring with 1 number."""
    if size >= most and not done:
        raise ValueError(f"more than {most}")
    total += size << 8
    return pair(size, most)
'''


def names(source: str) -> set[str]:
    return {one.name for one in mutations("m", source)}


@pytest.mark.timeout(180)
def test_a_sample_is_killed(tmp_path: Path) -> None:
    """Fifty mutants, each by the case that killed it before."""
    by_name = {one.name: one for one in all_mutations(MODULES)}
    chosen = quick_sample(by_name, SAMPLE, SEED)
    every = {case.name: 0.0 for case in WIRE.cases}

    def survivors(part: int) -> list[str]:
        copy = Copy(tmp_path / str(part))
        results = [attempt(copy, by_name[one.name], {one.killer: 0.0}) for one in chosen[part::2]]
        left = [by_name[result.name] for result in results if not result.killer]
        # The case that killed it has changed since: another one may be the first now.
        results = [attempt(copy, mutation, every) for mutation in left]
        return [result.name for result in results if not result.killer]

    with ThreadPoolExecutor(2) as pool:
        alive = [name for part in pool.map(survivors, range(2)) for name in part]
    assert alive == []


def test_every_operator_is_made() -> None:
    found = names(SOURCE)
    kinds = {name.split(": ")[1] for name in found}
    assert kinds == {
        "boundary",
        "boolean",
        "constant",
        "condition",
        "removed",
        "arithmetic",
        "arguments",
    }
    assert "m:limit: boundary: `size >= most` → `size > most`" in found
    assert "m:limit: constant: `10` → `9`" in found
    assert "m:limit: arithmetic: `total += size << 8` → `total -= size << 8`" in found
    assert "m:limit: arguments: `pair(size, most)` → `pair(most, size)`" in found


def test_texts_for_people_are_left_alone() -> None:
    assert not [name for name in names(SOURCE) if "docstring" in name or "constant: `1`" in name]


def test_a_mutant_differs_in_one_place() -> None:
    for one in mutations("m", SOURCE):
        source = mutated(SOURCE, one)
        assert source != ast.unparse(ast.parse(SOURCE))
        ast.parse(source)


def test_a_place_that_is_gone_is_reported() -> None:
    with pytest.raises(LookupError):
        mutated(SOURCE, Mutation("m", "other", "constant", "`1` → `2`", 1, 1))


@pytest.mark.parametrize("group", EQUIVALENTS, ids=lambda group: f"{group.module}-{group.change}")
def test_each_group_of_equivalents_is_about_code_that_is_there(group: object) -> None:
    modules = [module for module in MODULES if module == f"kvbench.{group.module}"]  # type: ignore[attr-defined]
    assert any(group.matches(one) for one in all_mutations(modules))  # type: ignore[attr-defined]


def test_what_a_case_kills_is_not_equivalent() -> None:
    by_name = {one.name: one for one in all_mutations(MODULES)}
    wrong = [name for name in killer_by_name() if name in by_name and reason_of(by_name[name])]
    assert wrong == []


def test_killers_are_cases() -> None:
    assert set(killer_by_name().values()) - {NO_START} <= {case.name for case in WIRE.cases}


def test_mutants_of_the_go_server_differ_in_one_line() -> None:
    right = (Path(__file__).parents[1] / "foreign" / "server.go").read_text().splitlines()
    for name, source in random.Random(1).sample(go_mutants(), 40):
        lines = source.splitlines()
        differing = [
            place for place, pair in enumerate(zip(right, lines, strict=True)) if pair[0] != pair[1]
        ]
        assert len(differing) == 1, name
        assert name.startswith(f"server.go:{differing[0] + 1}: ")


def test_the_report_names_survivors() -> None:
    results = [
        Tried("kvbench.a.b:C.d: constant: `1` → `2`", "", 1.0),
        Tried("kvbench.a.b:C.d: boundary: `a < b` → `a > b`", "wire.x", 1.0),
    ]
    text = markdown([Sample("a server", results, ["It is faster."], 9)], "a command")
    assert "| a server | 9 | 3 | 1 | 1 | 1 | 50.0% |" in text
    assert "- kvbench.a.b:C.d: constant: `1` → `2`" in text
    assert "- 1: It is faster." in text


def test_modules_are_files() -> None:
    assert all(file_of(module).exists() for module in MODULES)
