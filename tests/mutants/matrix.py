"""The kill matrix: which clauses notice which mutant, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kvbench import __version__, specs
from kvbench.conformance.suites import WIRE

from .catalogue import MUTANTS
from .hunt import SuiteError, hunt
from .parts import Mutant

FOLDER = Path(__file__).parents[2] / "reports" / "conformance"
JSON = FOLDER / "kill-matrix.json"
MARKDOWN = FOLDER / "kill-matrix.md"
SCHEMA = "kvbench-kill-matrix/2"


def row(name: str) -> dict[str, Any]:
    """What came of one mutant, as the JSON has it."""
    [mutant] = [one for one in MUTANTS if one.name == name]
    entry: dict[str, Any] = {
        "mutant": mutant.name,
        "area": mutant.area,
        "does": mutant.doc,
        "breaks": list(mutant.clauses),
    }
    try:
        return {**entry, "killed_by": hunt(mutant)}
    except SuiteError as error:
        return {**entry, "killed_by": {}, "error": str(error)}


def document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The matrix of all rows."""
    return {
        "schema": SCHEMA,
        "suite": WIRE.name,
        "suite_version": __version__,
        "clauses": sum([one.party == "server" and not one.untestable for one in specs.clauses()]),
        "cases": len(WIRE.cases),
        "mutants": rows,
    }


def survivors(rows: Iterable[dict[str, Any]]) -> list[str]:
    """What lives, and the clauses that did not notice."""
    alive = []
    for entry in rows:
        missed = [clause for clause in entry["breaks"] if clause not in entry["killed_by"]]
        if missed:
            alive.append(f"{entry['mutant']}: {entry.get('error') or ' '.join(missed)}")
    return alive


def markdown(matrix: dict[str, Any]) -> str:
    """The matrix for people."""
    rows = matrix["mutants"]
    alive = survivors(rows)
    broken = {clause for entry in rows for clause in entry["breaks"]}
    lines = [
        "# Kill matrix of the wire suite",
        "",
        f"{len(rows)} deliberately wrong servers against the {matrix['cases']} cases of "
        f"{matrix['clauses']} clauses; {len(broken)} clauses are broken at least once. "
        f"**{len(rows) - len(alive)} killed, {len(alive)} alive.**",
        "",
        "A mutant is killed when a case of each clause that it breaks fails. What else it is "
        "accused of tells `python -m tests.mutants.precision`. "
        "Written by `python -m tests.mutants`.",
    ]
    for area in dict.fromkeys([entry["area"] for entry in rows]):
        lines += ["", f"## {area.capitalize()}", "", "| mutant | does | killed by |"]
        lines.append("|---|---|---|")
        lines += [_line(entry) for entry in rows if entry["area"] == area]
    return "\n".join(lines) + "\n"


def _line(entry: dict[str, Any]) -> str:
    killers = [
        f"{clause}: `{entry['killed_by'][clause].removeprefix('wire.')}`"
        if clause in entry["killed_by"]
        else f"**{clause}: alive**"
        for clause in entry["breaks"]
    ]
    return f"| {entry['mutant']} | {entry['does']} | {'<br>'.join(killers)} |"


def names(mutants: Iterable[Mutant] = MUTANTS) -> list[str]:
    """In the order of the areas and, within them, of the source."""
    return [mutant.name for mutant in mutants]
