"""What single faults are accused of: the precision of both suites, beside their power.

``python -m tests.mutants.precision [PROCESSES] [AREA...]``, from the root of the repository, writes
reports/conformance/precision.json and precision.md. It looks at all areas, which takes an hour or
two, or at those that are named, and keeps the rows of the others; the area of the wrong backends is
``backend``.

A server with one fault is looked at as `kvbench check` looks at a stranger: its capabilities are
found by asking. Each MUST clause that fails is an accusation; one that the fault does not touch is
a false one. Exits with 1 when there is any.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace

import msgspec

from kvbench.backend import Backend
from kvbench.conformance.case import Case
from kvbench.conformance.profile import Profile
from kvbench.conformance.runner import Options, Runner
from kvbench.conformance.selection import Selection, ledger
from kvbench.conformance.suites import BACKEND, WIRE
from kvbench.conformance.target import Target
from kvbench.conformance.wire.discover import discover_wire
from kvbench.errors import KvConnectionError
from kvbench.verdicts import Outcome
from tests.conformance.in_process import InProcess
from tests.conformance.wrong_backends import WRONG

from .catalogue import MUTANTS
from .hunt import SEED, options
from .lacking import SERVERS
from .matrix import FOLDER
from .parts import Edited, Mutant
from .running import running

JSON = FOLDER / "precision.json"
MARKDOWN = FOLDER / "precision.md"

BACKEND_AREA = "backend"

BACKENDS: Mapping[str, type[Backend]] = {backend.__name__: backend for _, backend in WRONG}

FAULTS: tuple[Mutant, ...] = (
    *SERVERS,
    *[one for one in MUTANTS if one not in SERVERS and not issubclass(one.part, Edited)],
)
"""All but those of the codec, which need a process of their own."""

CONCURRENCY_AREA = "concurrency"
"""Only such cases find these faults, so all cases are run against them."""

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
    def is_missed(self) -> bool:
        """Whether it breaks a MUST, and is accused of none of what it breaks."""
        musts = [clause for clause in self.touches if ledger()[clause].level == "MUST"]
        return bool(musts) and not set(self.touches) & set(self.accused)

    @property
    def wrongly(self) -> tuple[str, ...]:
        return tuple([clause for clause in self.accused if clause not in self.touches])


def row(name: str) -> Row:
    """Set its suite on one fault; the slow cases only on what lacks something or is concurrent."""
    if name in BACKENDS:
        return _backend_row(name)
    [fault] = [one for one in FAULTS if one.name == name]
    is_whole = fault in SERVERS or fault.area == CONCURRENCY_AREA
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


def _backend_row(name: str) -> Row:
    """Set all cases of the backend suite on a wrong backend."""
    options = Options(Selection(suites=frozenset({BACKEND})), Profile(), SEED)
    accused: dict[str, None] = {}
    with InProcess.of(BACKENDS[name]) as target:
        assert target.store is not None
        runner = Runner(target, frozenset([str(one) for one in target.store.capabilities]), options)
        for case in BACKEND.cases:
            accused |= dict.fromkeys(sorted(_failed(runner, case)))
    doc = f"`{name}` of tests/conformance/wrong_backends.py"
    return Row(name, BACKEND_AREA, doc, _backend_touches(name), tuple(accused))


def _backend_touches(name: str) -> tuple[str, ...]:
    return tuple([clause for clause, backend in WRONG if backend.__name__ == name])


def _failed(runner: Runner, case: Case) -> set[str]:
    """The clauses that a case accuses, as far as they bind."""
    verdicts = runner.verdicts(case)
    return {one.clause for one in verdicts if one.verdict is Outcome.FAILED}


def markdown(rows: Sequence[Row]) -> str:
    """The tables for people: what lacks one thing whole, of the others those that are not exact."""
    lacking = {server.name for server in SERVERS}
    servers = [one for one in rows if one.area != BACKEND_AREA]
    backends = [one for one in rows if one.area == BACKEND_AREA]
    lines = [
        "# Precision of the suites",
        "",
        "What targets with one fault each are accused of: MUST clauses that fail, and whether the "
        "fault touches them. Capabilities are found by asking, as for a stranger. Cases of the "
        "wire suite that draw many examples "
        f"({', '.join([f'`{area}*`' for area in SLOW_AREAS])}) are run against what lacks one "
        "thing, and against faults of concurrency. "
        f"{len(rows)} of {len(FAULTS) + len(BACKENDS)} faults were looked at. "
        "A fault that breaks a MUST is missed when it is accused of none of its clauses. "
        "Written by `python -m tests.mutants.precision`.",
        "",
        "| suite | faults | accused MUSTs: median | at most | more than "
        f"{ACCUSED_MAX} | missed | accused wrongly |",
        "|---|---|---|---|---|---|---|",
        _summary("wire", servers),
        _summary("backend", backends),
        "",
        "## Servers that lack one thing",
        "",
        *_table([one for one in servers if one.fault in lacking]),
    ]
    others = [one for one in servers if one.fault not in lacking and _is_shown(one)]
    for title, shown in (
        (f"Other servers that are accused wrongly, of more than {ACCUSED_MAX}, or missed", others),
        (f"Backends that are accused wrongly, of more than {ACCUSED_MAX}, or missed",
         [one for one in backends if _is_shown(one)]),
    ):  # fmt: skip
        lines += ["", f"## {title}", "", *(_table(shown) if shown else ["None."])]
    return "\n".join(lines) + "\n"


def _is_shown(one: Row) -> bool:
    return bool(one.wrongly) or len(one.accused) > ACCUSED_MAX or one.is_missed


def _summary(suite: str, rows: Sequence[Row]) -> str:
    counts = [len(one.accused) for one in rows]
    cells = (
        suite,
        len(rows),
        f"{statistics.median(counts):g}",
        max(counts),
        sum([count > ACCUSED_MAX for count in counts]),
        sum([one.is_missed for one in rows]),
        sum([bool(one.wrongly) for one in rows]),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _table(rows: Iterable[Row]) -> list[str]:
    lines = ["| fault | touches | accused rightly | accused wrongly |", "|---|---|---|---|"]
    for one in rows:
        rightly = [clause for clause in one.accused if clause in one.touches]
        cells = (one.fault, " ".join(one.touches), " ".join(rightly), " ".join(one.wrongly))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Write the tables, or look at some areas; the exit code."""
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 3 * (os.cpu_count() or 1)
    areas = set(sys.argv[2:])
    # A mutant is refused what servers warn about, all day long.
    logging.disable(logging.CRITICAL)
    names = [fault.name for fault in FAULTS if not areas or fault.area in areas]
    names += BACKENDS if not areas or BACKEND_AREA in areas else []
    rows = _kept_rows(set(names))
    with ProcessPoolExecutor(processes) as pool:
        for number, done in enumerate(as_completed([pool.submit(row, name) for name in names]), 1):
            one = done.result()
            rows = {**_kept_rows({one.fault}), one.fault: one}
            wrongly = f"  wrongly: {' '.join(one.wrongly)}" if one.wrongly else ""
            missed = "  missed" if one.is_missed else ""
            print(
                f"{number:4} {one.fault} {len(one.accused)}{wrongly}{missed}{one.problem}",
                flush=True,
            )
            JSON.write_bytes(msgspec.json.format(msgspec.json.encode([*rows.values()]), indent=1))
    order = [*[fault.name for fault in FAULTS], *BACKENDS]
    MARKDOWN.write_text(markdown([rows[name] for name in order if name in rows]))
    is_fine = not any(one.problem or _is_shown(one) for one in rows.values())
    return 0 if is_fine and len(rows) == len(order) else 1


def _kept_rows(without: set[str]) -> dict[str, Row]:
    """The rows of earlier runs, by fault, but those that are made anew or of no fault any more."""
    touches = {fault.name: fault.clauses for fault in FAULTS}
    touches.update({name: _backend_touches(name) for name in BACKENDS})
    if not JSON.exists():
        return {}
    kept = msgspec.json.decode(JSON.read_bytes(), type=list[Row])
    return {
        one.fault: replace(one, touches=touches[one.fault])
        for one in kept
        if one.fault in touches and one.fault not in without
    }


if __name__ == "__main__":
    sys.exit(main())
