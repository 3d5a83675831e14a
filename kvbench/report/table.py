"""A table, ready for layout by any renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kvbench.report import format as text
from kvbench.report.entries import TableEntry, Tone


@dataclass(frozen=True, slots=True)
class Column:
    """A column's heading and kind.

    Attributes:
        heading: one line.
        is_text: words (left-aligned) rather than figures (right-aligned).
        is_url: URLs, which no renderer may take for markup.
        is_companion: compares with the column on its left, and stays next to it.
    """

    heading: str
    is_text: bool = False
    is_url: bool = False
    is_companion: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, ready for layout.

    Attributes:
        title: its subject.
        columns: as many as each row has entries; none in a list of names and facts.
        rows: from the top.
        notes: sentences below it.
        key_columns: how many columns from the left identify a row.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableEntry, ...], ...]
    notes: tuple[str, ...] = ()
    key_columns: int = 1


def facts_table(title: str, facts: Mapping[str, object]) -> Table:
    """A table of names and facts, without headings."""
    rows = []
    for name, fact in facts.items():
        shown = text.plain(name).replace("_", " ")
        rows.append((TableEntry(shown, tone=Tone.FAINT), TableEntry(text.value(fact))))
    return Table(title, (), tuple(rows))
