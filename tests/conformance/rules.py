"""Which rule is checked through which operation: reports/conformance/coverage.md.

The table is made of what the cases send to a real server: a cell holds the sizes of the requests in
which the rule was played. ``python -m tests.conformance.rules`` writes it, from the root of the
repository.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kvbench.conformance.wire.cases.alike import ALIKE_KEYS
from kvbench.conformance.wire.cases.everywhere import RULES, play_rule, there
from kvbench.conformance.wire.cases.lifetimes import given_ttls
from kvbench.conformance.wire.context import WireContext
from kvbench.conformance.wire.everywhere import Cell, Subject, cells, reaches
from kvbench.protocol.opcodes import Opcode

from ..mutants.hunt import CAPABILITIES
from ..mutants.running import running

REPORT = Path("reports/conformance/coverage.md")

Row = Mapping[Opcode, frozenset[int]]
"""For each operation that a rule applies to, the sizes in which it was played."""


@contextmanager
def context() -> Iterator[WireContext]:
    """A test context of wire cases on a real server."""
    with (
        running(None) as (host, port),
        WireContext(host, port, capabilities=CAPABILITIES, seed="rules") as made,
    ):
        yield made


def table() -> dict[str, Row]:
    """The rows: each rule, and where it was played."""
    rows: dict[str, Row] = {}
    for clause, rule in RULES.items():
        with context() as made:
            rows[clause] = _row(made, rule.subject, play_rule(made, rule))
    with context() as made:
        given = {cell for cell, _ in given_ttls(made, made.connect(), 100)}
        for clause in ("TTL-001", "TTL-008"):
            rows[clause] = _row(made, Subject.TTL, given)
        # These cases take their operations from the same list.
        counts = {cell for cell in cells(Subject.BATCH, there(made)) if not cell.place}
        rows["BATCH-004"] = _row(made, Subject.BATCH, counts)
        alike = {cell.opcode: frozenset({1}) for cell in cells(Subject.KEY, there(made))}
        many = {cell.opcode for cell in cells(Subject.BATCH, there(made))}
        half = len(ALIKE_KEYS[::2])
        rows["KEY-006"] = {
            op: frozenset({half}) if op in many else one for op, one in alike.items()
        }
    return rows


def _row(made: WireContext, subject: Subject, played: set[Cell]) -> Row:
    applies = [op for op in Opcode if op.word in there(made) and reaches(op, subject)]
    return {
        opcode: frozenset({cell.keys for cell in played if cell.opcode is opcode})
        for opcode in applies
    }


def markdown(rows: Mapping[str, Row]) -> str:
    """The table for people."""
    columns = [opcode for opcode in Opcode if any(opcode in row for row in rows.values())]
    lines = [
        "# Rules by operation\n",
        "In how many keys at a time each rule is checked through each operation; `.` where the "
        "operation takes nothing that the rule is about. Written by "
        "`python -m tests.conformance.rules`.\n",
        "| rule | " + " | ".join(opcode.name for opcode in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for clause, row in sorted(rows.items()):
        found = [" ".join(map(str, sorted(row[op]))) if op in row else "." for op in columns]
        lines.append(f"| {clause} | " + " | ".join(found) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the table; the exit code."""
    REPORT.write_text(markdown(table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
