"""A whole report: its tables and their order, for all renderers.

It begins with the answer: which batch size to use on each target and what it gains. Then targets
are compared in absolute terms, then come the details of each, the baselines, the machine and the
settings, which a reader needs to repeat them.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report import overview, tables
from kvbench.report.capacity_tables import capacity_table
from kvbench.report.load_tables import load_tables
from kvbench.report.summary import TargetSummary, summarise
from kvbench.report.table import Table, facts_table
from kvbench.report.tables import Beside
from kvbench.results import CapacityRecord, Header, LoadRecord, Results

_METHOD = (
    "Figures are geometric means over rounds, each in its own process; intervals come from the "
    "spread between rounds. The time per key of a batch is that of the call shared out "
    "(amortised), not the latency of any key."
)


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a report about a target, or about the machine.

    Attributes:
        title: a target's URL, or a name.
        is_target: whether ``title`` is a URL.
        subtitle: facts in one line.
        tables: in their order.
    """

    title: str
    is_target: bool
    subtitle: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A report, ready for layout.

    Attributes:
        title: one line.
        subtitle: when and what.
        warning: why the report is partial; empty when it is complete.
        sections: in their order.
        notes: sentences about the whole report, before its sections.
    """

    title: str
    subtitle: str
    warning: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def build_document(results: Results, beside: Results | None = None) -> Document:
    """The report of a run.

    Args:
        results: the run.
        beside: another run to compare with, in extra columns.
    """
    summaries = summarise(results)
    other = None
    notes = []
    if beside is not None:
        title = beside.header.title or beside.header.started_at
        other = Beside(
            tables.column_name(title), {one.target.target: one for one in summarise(beside)}
        )
        about = f"{other.name} is {text.plain(title)}" if other.name != title else other.name
        notes.append(f"{about}: {text.plain(beside.header.note or beside.header.command)}")
    sections = [*_answer_sections(summaries)]
    if results.capacities:
        capacities = (capacity_table(results.capacities),)
        sections.append(Section("Capacity", False, _load_subtitle(results), capacities))
    if results.loads:
        sections.append(Section("Load", False, _load_subtitle(results), load_tables(results.loads)))
    sections += [
        _target_section(one, other) for one in summaries if one.cells or not _is_load(results)
    ]
    sections.append(_run_section(results))
    return Document(
        title=f"kvbench results{_suite(results.header)}",
        subtitle=_subtitle(results),
        warning=_warning(results),
        sections=tuple(sections),
        notes=tuple(notes),
    )


def _suite(header: Header) -> str:
    return f": {text.plain(header.preset)}" if header.preset else ""


def _subtitle(results: Results) -> str:
    started_at = text.plain(results.header.started_at).replace("T", " ", 1)
    parts = [started_at.replace("+00:00", " UTC"), _count(results)]
    whole = [one for one in results.rounds if not one.reason]
    if results.rounds:
        parts.append(text.count(len(whole), "round"))
    if len(whole) < len(results.rounds):
        parts.append(f"{len(results.rounds) - len(whole)} lost")
    if results.footer is not None:
        parts.append(f"{results.footer.elapsed_s:,.1f} s")
    return " · ".join(parts)


def _is_load(results: Results) -> bool:
    """Whether these are results of `kvbench load` or `kvbench capacity`, finished or not."""
    return "lanes" in results.header.settings and not results.cells


def _count(results: Results) -> str:
    if _is_load(results):
        return text.count(len(results.loads) + len(results.capacities), "lane")
    return text.count(len(results.cells), "cell")


def _load_subtitle(results: Results) -> str:
    """The workload and the stores, in one line."""
    records: list[LoadRecord | CapacityRecord] = [*results.loads, *results.capacities]
    first = records[0]
    loop = "closed loop"
    if results.capacities:
        loop = "open loop"
    elif results.loads[0].rate_per_s:
        loop = f"open loop, {text.plain(results.loads[0].arrivals)} arrivals"
    clients = max([one.clients for one in records])
    parts = [f"workload {text.plain(first.workload)}", text.count(clients, "client"), loop]
    parts.append(f"driver {text.plain(first.driver)}")
    for target in results.targets:
        facts = [f"{text.plain(name)} {text.plain(fact)}" for name, fact in target.facts.items()]
        parts.append(f"{text.plain(target.target)}: {', '.join(facts)}")
    return " · ".join(parts)


def _warning(results: Results) -> str:
    footer = results.footer
    if results.is_complete and footer is not None:
        if not (results.cells or results.loads or results.capacities):
            return "No cells: nothing was measured."
        if footer.missed:
            missed = ", ".join([text.plain(one) for one in footer.missed])
            return f"The precision that was asked for is not reached by: {missed}."
        return ""
    kept = f"{_count(results)} with what the finished rounds gave"
    if footer is None:
        return f"INTERRUPTED: the run was cut off before its end; {kept}."
    why = text.plain(footer.reason).removeprefix("interrupted ") or "before its end"
    return f"INTERRUPTED: {why}; {kept}."


def _answer_sections(summaries: tuple[TargetSummary, ...]) -> list[Section]:
    shown = [one for one in summaries if one.cells]
    if not shown:
        return []
    operations = dict.fromkeys([op for one in shown for op in one.operations])
    side_by_side = tuple([overview.absolute_table(op, shown) for op in operations])
    return [
        Section("The answer", False, "", (overview.answer_table(shown),)),
        Section("Side by side", False, "", side_by_side),
    ]


def _target_section(summary: TargetSummary, beside: Beside | None) -> Section:
    target = summary.target
    facts = [f"{text.plain(name)} {text.plain(fact)}" for name, fact in target.facts.items()]
    found: list[Table | None] = []
    if summary.cells:
        found = [
            tables.speedup_table(summary, beside),
            tables.parts_table(summary),
            tables.time_table(summary),
            tables.curve_table(summary),
            tables.single_table(summary, beside),
            tables.rate_table(summary, beside),
        ]
    place = "over a network or loopback" if target.is_network else "in process"
    subtitle = " · ".join([place, *facts] if summary.cells else [place, *facts, "no finished cell"])
    present = tuple([table for table in found if table is not None])
    return Section(text.plain(target.target), True, subtitle, present)


def _run_section(results: Results) -> Section:
    header, footer = results.header, results.footer
    found = [] if results.baselines is None else [tables.baselines_table(results.baselines)]
    after = {} if footer is None else {"load_after": footer.load_after}
    found.append(facts_table("Machine", header.environment | after))
    found.append(facts_table("Settings", {"command": header.command} | header.settings))
    return Section("How it was measured", False, _METHOD, tuple(found))
