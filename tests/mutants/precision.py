"""What single faults are accused of: the precision of the wire suite, beside its power.

``python -m tests.mutants.precision [PROCESSES] [AREA...]``, from the root of the repository, writes
reports/conformance/precision.md, of all areas or of those that are named.

A server with one fault is looked at as `kvbench check` looks at a stranger: its capabilities are
found by asking. Each MUST clause that fails is an accusation; one that the fault does not touch is
a false one. Exits with 1 when there is any.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from kvbench.conformance.case import Case
from kvbench.conformance.runner import Runner
from kvbench.conformance.suites import WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire.discover import discover_wire
from kvbench.errors import KvConnectionError
from kvbench.verdicts import Outcome

from .catalogue import MUTANTS
from .hunt import options
from .lacking import SERVERS
from .matrix import FOLDER
from .parts import Edited, Mutant
from .running import running

MARKDOWN = FOLDER / "precision.md"

FAULTS: tuple[Mutant, ...] = (
    *SERVERS,
    *[one for one in MUTANTS if one not in SERVERS and not issubclass(one.part, Edited)],
)
"""All but those of the codec, which need a process of their own."""

SLOW_AREAS = ("wire.walks.", "wire.generated.", "wire.damage.", "wire.concurrency.")
"""Cases that draw many examples; against everything, each mutant would take a minute."""

ACCUSED_MAX = 3
"""MUST clauses that one fault may be accused of: with more, nobody sees the cause."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault is accused of.

    Attributes:
        fault: its name.
        area: where it belongs.
        does: what it does.
        touches: the clauses that it breaks.
        accused: the MUST clauses that fail, in the order of the cases.
        problem: why nothing is known; empty when all is well.
    """

    fault: str
    area: str
    does: str
    touches: tuple[str, ...]
    accused: tuple[str, ...]
    problem: str = ""

    @property
    def wrongly(self) -> tuple[str, ...]:
        return tuple([clause for clause in self.accused if clause not in self.touches])


def row(name: str) -> Row:
    """Set the suite on one fault: all cases on what lacks something, else all but the slow ones."""
    [fault] = [one for one in FAULTS if one.name == name]
    is_whole = fault in SERVERS
    accused: dict[str, None] = {}
    with running(fault.part) as address:
        try:
            capabilities = discover_wire(*address)[0]
        except KvConnectionError as error:
            return Row(fault.name, fault.area, fault.doc, fault.clauses, (), str(error))
        target = Target(fault.name, address=address)
        runner = Runner(target, capabilities, options())
        for case in WIRE.cases:
            if not is_whole and case.name.startswith(SLOW_AREAS):
                continue
            failed = _failed(runner, case)
            if failed - {*fault.clauses}:
                # A busy machine is late for a TTL now and then: what is wrong is wrong twice.
                failed &= _failed(Runner(target, capabilities, options()), case)
            accused |= dict.fromkeys(sorted(failed))
    return Row(fault.name, fault.area, fault.doc, fault.clauses, tuple(accused))


def _failed(runner: Runner, case: Case) -> set[str]:
    """The clauses that a case accuses, as far as they bind."""
    verdicts = runner.verdicts(case)
    return {one.clause for one in verdicts if one.verdict is Outcome.FAILED}


def markdown(rows: Sequence[Row]) -> str:
    """The table for people: what lacks one thing whole, of the others those that are not exact."""
    lacking = {server.name for server in SERVERS}
    counts = [len(one.accused) for one in rows]
    wrong = [one for one in rows if one.wrongly]
    lines = [
        "# Precision of the wire suite",
        "",
        f"{len(rows)} servers with one fault each, and the MUST clauses that they are accused of: "
        f"median {statistics.median(counts):g}, at most {max(counts)}; "
        f"{sum([count > ACCUSED_MAX for count in counts])} are accused of more than {ACCUSED_MAX}. "
        f"**{len(wrong)} are accused of a clause that they do not touch.** "
        f"Areas: {', '.join(sorted({one.area for one in rows}))}. Capabilities are found "
        "by asking, as for a stranger. Cases that draw many examples "
        f"({', '.join([f'`{area}*`' for area in SLOW_AREAS])}) are run against what lacks one "
        "thing only. Written by `python -m tests.mutants.precision`.",
        "",
        "## What lacks one thing",
        "",
        *_table([one for one in rows if one.fault in lacking]),
    ]
    others = [one for one in wrong if one.fault not in lacking]
    if others:
        lines += ["", "## Other faults that are accused wrongly", "", *_table(others)]
    return "\n".join(lines) + "\n"


def _table(rows: Iterable[Row]) -> list[str]:
    lines = ["| fault | touches | accused rightly | accused wrongly |", "|---|---|---|---|"]
    for one in rows:
        rightly = [clause for clause in one.accused if clause in one.touches]
        cells = (one.fault, " ".join(one.touches), " ".join(rightly), " ".join(one.wrongly))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Write the table; the exit code."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 3 * (os.cpu_count() or 1)
    areas = set(sys.argv[2:]) or {fault.area for fault in FAULTS}
    # A mutant is refused what servers warn about, all day long.
    logging.disable(logging.CRITICAL)
    rows = []
    with ProcessPoolExecutor(processes) as pool:
        for one in pool.map(row, [fault.name for fault in FAULTS if fault.area in areas]):
            rows.append(one)
            wrongly = f"  wrongly: {' '.join(one.wrongly)}" if one.wrongly else ""
            print(f"{len(rows):4} {one.fault} {len(one.accused)}{wrongly}{one.problem}", flush=True)
    MARKDOWN.write_text(markdown(rows))
    return 1 if any(one.wrongly or one.problem for one in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
