"""A report as a complete GitHub Markdown document: for pull requests, job summaries, repositories.

All text from outside is escaped: pipes, underscores and brackets of a URL must neither end a
table's cell nor become markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvbench.report.document import Document, Section, build_document
from kvbench.report.entries import TableEntry, Tone
from kvbench.report.table import Column, Table
from kvbench.results import Results

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~&])")


def render_markdown(results: Results, beside: Results | None = None) -> str:
    """A report as Markdown with a newline at the end, compared with another run if given."""
    return render_document_markdown(build_document(results, beside))


def render_document_markdown(document: Document) -> str:
    """A document as Markdown with a newline at the end."""
    return "\n".join(_document_lines(document)) + "\n"


def _document_lines(document: Document) -> Iterator[str]:
    yield f"# {escape_markdown(document.title)}"
    yield ""
    yield escape_markdown(document.subtitle)
    if document.warning:
        yield ""
        yield f"> **{escape_markdown(document.warning)}**"
    for note in document.notes:
        yield ""
        yield escape_markdown(note)
    for section in document.sections:
        yield from _section_lines(section)


def _section_lines(section: Section) -> Iterator[str]:
    yield ""
    yield f"## {code_span(section.title) if section.is_target else escape_markdown(section.title)}"
    if section.subtitle:
        yield ""
        yield escape_markdown(section.subtitle)
    for table in section.tables:
        yield ""
        yield f"### {escape_markdown(table.title)}"
        yield ""
        yield from _table_lines(table)
        if table.notes:
            yield ""
        for note in table.notes:
            yield f"- {escape_markdown(note)}"


def _table_lines(table: Table) -> Iterator[str]:
    # A list of facts has no headings, but GitHub requires a heading line.
    columns = table.columns or (Column("", is_text=True), Column("", is_text=True))
    yield _row([escape_markdown(column.heading) for column in columns])
    yield _row([":---" if column.is_text else "---:" for column in columns])
    for entries in table.rows:
        yield _row([_cell(*pair) for pair in zip(columns, entries, strict=True)])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(column: Column, entry: TableEntry) -> str:
    if column.is_url:
        # In a table, an unescaped pipe ends even a code span.
        return code_span(entry.text).replace("|", r"\|")
    figure = escape_markdown(entry.text)
    if entry.tone in (Tone.FASTER, Tone.SLOWER):
        figure = f"**{figure}**"
    return " ".join(
        [
            part
            for part in (figure, escape_markdown(entry.detail), escape_markdown(entry.mark))
            if part
        ]
    )


def escape_markdown(text: str) -> str:
    """Text that Markdown shows unchanged."""
    return _SPECIAL.sub(r"\\\1", text)


def code_span(text: str) -> str:
    """A code span: its fence is longer than any run of backticks within."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"
