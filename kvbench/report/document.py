"""A whole report: which tables there are and in what order, for every renderer alike.

The speedups come first, because they are what was asked for; then each target's further tables,
then the floors, the machine and the settings, which a reader needs to believe or repeat them.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report import tables
from kvbench.report.summary import TargetSummary, summarise
from kvbench.report.tables import Table
from kvbench.results import Footer, Header, Reference, Results

_METHOD = (
    "Figures are medians over blocks. The time of a call is its mean within a block; per key it is "
    "that time shared out (amortised), not the latency of any key."
)


@dataclass(frozen=True, slots=True)
class Section:
    """A target's part of the report, or the machine's.

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
    """A report, ready to be laid out.

    Attributes:
        title: one line.
        subtitle: when and what.
        warning: why the report is partial; empty when it is whole.
        sections: in their order.
        notes: sentences about the report as a whole, to stand before its sections.
    """

    title: str
    subtitle: str
    warning: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...]


def build_document(results: Results) -> Document:
    """Everything that is to be said about a run."""
    header = results.header
    summaries = summarise(results)
    sections = []
    if len(summaries) > 1:
        title = "Batch over individual, by target"
        sections.append(Section(title, False, "", (tables.means_table(summaries),)))
    sections += [_target_section(one, header.reference) for one in summaries]
    sections.append(_run_section(header, results.footer))
    notes = []
    if header.reference is not None:
        name = tables.reference_heading(header.reference)
        full_name = text.plain(header.reference.name)
        about = f"{name} is {full_name}" if name != full_name else name
        notes.append(f"{about}: {text.plain(header.reference.note)}")
    return Document(
        title=f"kvbench results{f': {text.plain(header.suite)}' if header.suite else ''}",
        subtitle=_subtitle(results),
        warning=_warning(results),
        sections=tuple(sections),
        notes=tuple(notes),
    )


def _subtitle(results: Results) -> str:
    started_at = text.plain(results.header.started_at).replace("T", " ", 1)
    parts = [started_at.replace("+00:00", " UTC"), text.count(len(results.cells), "cell")]
    if results.footer is not None:
        parts.append(f"{results.footer.elapsed_s:,.1f} s")
    return " · ".join(parts)


def _warning(results: Results) -> str:
    if results.is_complete:
        return "" if results.cells else "No cells: nothing was measured."
    kept = f"{text.count(len(results.cells), 'finished cell')} kept"
    if results.footer is None:
        return f"INTERRUPTED: the run was cut off before its end; {kept}."
    why = text.plain(results.footer.reason).removeprefix("interrupted ") or "before its end"
    return f"INTERRUPTED: {why}; {kept}."


def _target_section(summary: TargetSummary, reference: Reference | None) -> Section:
    target = summary.target
    facts = [f"{text.plain(name)} {text.plain(fact)}" for name, fact in target.facts.items()]
    found: list[Table] = []
    if summary.cells:
        found.append(tables.speedup_table(summary, reference))
        if target.is_network:
            found.append(tables.round_trip_table(summary, reference))
        found.append(tables.scalability_table(summary, reference))
        found.append(tables.time_table(summary))
    place = "over a network or loopback" if target.is_network else "in process"
    subtitle = " · ".join([place, *facts] if summary.cells else [place, *facts, "no finished cell"])
    return Section(text.plain(target.target), True, subtitle, tuple(found))


def _run_section(header: Header, footer: Footer | None) -> Section:
    found = [] if header.floors is None else [tables.floors_table(header.floors)]
    after = {} if footer is None else {"load_after": footer.load_after}
    found.append(tables.facts_table("Machine", header.environment | after))
    found.append(tables.facts_table("Settings", {"command": header.command} | header.settings))
    return Section("How it was measured", False, _METHOD, tuple(found))
