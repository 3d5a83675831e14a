"""A report for a terminal of any width, without ever wrapping a figure.

A table that is too wide first gets intervals below their figures. If it is still too wide, it is
split: the remaining columns follow below, repeating the key columns. So nothing is dropped on a
narrow terminal; on a wide one, tables are placed side by side. Sentences wrap. rich omits colour
when output is piped and when NO_COLOR is set, and colour is never the only sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from kvbench.report.document import Document, Section, build_document
from kvbench.report.entries import TableEntry, Tone
from kvbench.report.table import Column, Table
from kvbench.results import Results

_GAP = "  "
_GUTTER = " " * 4
"""Gap between tables side by side: wider than between columns, so that they stay distinct."""

_STYLES = {Tone.PLAIN: "", Tone.FASTER: "green", Tone.SLOWER: "red", Tone.FAINT: "dim"}
_NAME_CHARS_MIN = 12
"""A column of names is not clipped below this: targets would no longer be distinguishable."""


def render_terminal(results: Results, console: Console, beside: Results | None = None) -> None:
    """Print a report, fitted to the console's width, compared with another run if given."""
    render_document(build_document(results, beside), console)


def render_document(document: Document, console: Console) -> None:
    """Print a document, fitted to the console's width."""
    for line in _document_lines(document, console):
        console.print(line, highlight=False, no_wrap=True, overflow="crop", crop=True)


def render_table(table: Table, console: Console) -> None:
    """Print one table, fitted to the console's width."""
    for line in _table_lines(table, console):
        console.print(line, highlight=False, no_wrap=True, overflow="crop", crop=True)


def _document_lines(document: Document, console: Console) -> Iterator[Text]:
    yield from _wrap(Text(document.title, "bold"), console)
    yield from _wrap(Text(document.subtitle, "dim"), console)
    if document.warning:
        yield from _wrap(Text(document.warning, "bold yellow"), console)
    for note in document.notes:
        yield from _wrap(Text(note, "dim"), console)
    for section in document.sections:
        yield from _section_lines(section, console)


def _section_lines(section: Section, console: Console) -> Iterator[Text]:
    yield Text()
    yield from _wrap(Text(section.title, "bold cyan" if section.is_target else "bold"), console)
    if section.subtitle:
        yield from _wrap(Text(section.subtitle, "dim"), console)
    panels = [_table_lines(table, console) for table in section.tables]
    for lines in _side_by_side(panels, console.width):
        yield Text()
        yield from lines


def _table_lines(table: Table, console: Console) -> list[Text]:
    lines = list(_wrap(Text(table.title, "bold"), console, _GAP))
    if not table.columns:
        return lines + list(_wrap(_facts(table), console, _GAP))
    for blocks in _groups(table, console.width):
        lines += _block_lines(blocks)
    for note in _flow(table.notes, console.width - len(_GAP)):
        lines += _wrap(Text(note, "dim"), console, _GAP)
    return lines


def _side_by_side(panels: Sequence[list[Text]], width_max: int) -> list[list[Text]]:
    """Panels placed side by side as long as the width allows."""
    joined: list[list[Text]] = []
    for panel in panels:
        before = joined[-1] if joined else []
        left = max([line.cell_len for line in before], default=width_max)
        if left + len(_GUTTER) + max([line.cell_len for line in panel]) > width_max:
            joined.append(panel)
            continue
        joined[-1] = []
        for one, other in zip_longest(before, panel, fillvalue=Text()):
            joined[-1].append(_line([one, other], [left + len(_GUTTER), 0]))
    return joined


@dataclass(frozen=True, slots=True)
class _Block:
    """A column after layout: a heading, and the lines of each row, none wider than ``width``."""

    width: int
    heading: Text
    rows: tuple[tuple[Text, ...], ...]
    is_companion: bool


def _groups(table: Table, width_max: int) -> list[list[_Block]]:
    """The table's columns as blocks, in as many groups as the width requires."""
    entries = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    pairs = list(zip(table.columns, entries, strict=True))
    keys = [_block(*pair, width_max, is_stacked=False) for pair in pairs[: table.key_columns]]
    blocks: list[_Block] = []
    for is_stacked in (False, True):
        blocks = [_block(*pair, width_max, is_stacked) for pair in pairs[table.key_columns :]]
        if _width([*keys, *blocks]) <= width_max:
            return [[*keys, *blocks]]
    groups: list[list[_Block]] = []
    for unit in _units(blocks):
        if groups and _width([*groups[-1], *unit]) <= width_max:
            groups[-1] += unit
        else:
            groups.append([*keys, *unit])
    return groups


def _units(blocks: Sequence[_Block]) -> list[list[_Block]]:
    """Columns with their companions: groups that must not be split."""
    units: list[list[_Block]] = []
    for block in blocks:
        if block.is_companion and units:
            units[-1].append(block)
        else:
            units.append([block])
    return units


def _width(blocks: Sequence[_Block]) -> int:
    return sum([len(_GAP) + block.width for block in blocks])


def _block_lines(blocks: Sequence[_Block]) -> Iterator[Text]:
    widths = [len(_GAP), *[block.width + len(_GAP) for block in blocks]]
    margin = Text(_GAP)
    yield _line([margin, *[block.heading for block in blocks]], widths)
    for cells in zip(*[block.rows for block in blocks], strict=True):
        for lines in zip_longest(*cells, fillvalue=Text()):
            yield _line([margin, *lines], widths)


def _line(texts: Sequence[Text], widths: Sequence[int]) -> Text:
    """Texts joined, each padded to its width."""
    line = Text()
    for text, width in zip(texts, widths, strict=True):
        line.append_text(text)
        line.append(" " * (width - text.cell_len))
    line.rstrip()
    return line


def _block(
    column: Column, entries: Sequence[TableEntry], width_max: int, is_stacked: bool
) -> _Block:
    if column.is_text:
        return _name_block(column, entries, max(width_max // 3, _NAME_CHARS_MIN))
    has_detail = any(entry.detail for entry in entries)
    figure_width = _widest([entry.text for entry in entries])
    if not has_detail:
        # Marks fit below a heading that is longer than the figures.
        mark_width = _widest([f" {entry.mark}" for entry in entries if entry.mark])
        figure_width = max(figure_width, cell_len(column.heading) - mark_width)
    heading = Text(" " * (figure_width - cell_len(column.heading)) + column.heading, "dim")
    rows = [_lines(entry, entries, figure_width, is_stacked) for entry in entries]
    width = max([heading.cell_len, *[line.cell_len for lines in rows for line in lines]])
    if is_stacked and has_detail:
        rows = [tuple([_right(line, width) for line in lines]) for lines in rows]
        heading = _right(heading, width)
    return _Block(width, heading, tuple(rows), column.is_companion)


def _lines(
    entry: TableEntry, column: Sequence[TableEntry], figure_width: int, is_stacked: bool
) -> tuple[Text, ...]:
    """One entry, aligned to its column: in one line, or with the detail below the figure."""
    line = Text(" " * (figure_width - cell_len(entry.text)))
    line.append(entry.text, _STYLES[entry.tone])
    if entry.detail and not is_stacked:
        detail_width = _widest([one.detail for one in column])
        line.append(f" {set_cell_size(entry.detail, detail_width)}", "dim")
    if entry.mark:
        line.append(f" {entry.mark}", "red" if entry.tone is Tone.SLOWER else "yellow")
    if not is_stacked:
        line.rstrip()
        return (line,)
    mark_width = _widest([one.mark for one in column])
    if mark_width:
        line.append(" " * (figure_width + 1 + mark_width - line.cell_len))
    return (line, Text(entry.detail, "dim")) if entry.detail else (line,)


def _name_block(column: Column, entries: Sequence[TableEntry], width_max: int) -> _Block:
    """Names of rows: left-aligned, and clipped in the middle, where URLs differ least."""
    rows = [(Text(_clip(entry.text, width_max), _STYLES[entry.tone]),) for entry in entries]
    heading = Text(column.heading, "dim")
    width = max([heading.cell_len, *[name.cell_len for (name,) in rows]])
    return _Block(width, heading, tuple(rows), column.is_companion)


def _facts(table: Table) -> Text:
    """Names and facts as running text, since they are for reference."""
    text = Text()
    for name, fact in table.rows:
        text.append(" · " if text else "", "dim")
        text.append(f"{name.text} ", "dim").append(fact.text)
    return text


def _wrap(text: Text, console: Console, margin: str = "") -> Iterator[Text]:
    """A sentence in as many lines as it needs."""
    for line in text.wrap(console, max(1, console.width - len(margin)), overflow="fold"):
        line.rstrip()
        yield Text(margin).append_text(line)


def _flow(notes: Sequence[str], width_max: int) -> list[str]:
    """Notes joined as long as they fit in a line."""
    joined: list[str] = []
    for note in notes:
        if joined and cell_len(joined[-1]) + 1 + cell_len(note) <= width_max:
            joined[-1] += f" {note}"
        else:
            joined.append(note)
    return joined


def _right(text: Text, width: int) -> Text:
    return Text(" " * (width - text.cell_len)).append_text(text)


def _widest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _clip(text: str, width_max: int) -> str:
    if cell_len(text) <= width_max:
        return text
    start = (width_max - 1) // 2
    end = text[-(width_max - 1 - start) :]
    while cell_len(end) > width_max - 1 - start:
        end = end[1:]
    return f"{set_cell_size(text, start)}…{end}"
