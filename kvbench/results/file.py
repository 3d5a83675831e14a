"""A results file, read and written: JSON Lines, a header first and a footer last.

Between them stands what the run learned. A later record about the same thing replaces an earlier
one: a cell is written again as its rounds come in, with a narrower interval each time. So each line
is complete when it is written, and an interrupted run keeps what its finished rounds gave. A file
without a footer was cut off, and readers say so. A process that is killed may leave half a line at
the end: it is dropped. Damage anywhere else is an error, because nobody can tell what it hides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec

from kvbench.decoding import decode
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean
from kvbench.results.records import (
    SCHEMA,
    Baselines,
    Cell,
    Curve,
    Footer,
    Header,
    Record,
    Round,
    TargetRecord,
)

_NO_HEADER = "no header: this is not a kvbench results file, or its first line is missing"
_RECORD_TYPES = tuple([str(one.__struct_config__.tag) for one in get_args(Record)])


@dataclass(frozen=True, slots=True)
class Results:
    """A results file, read: of each thing the last record. ``footer`` is None when it was cut off.

    Targets, cells and curves stand in the order in which they first came.
    """

    header: Header
    targets: tuple[TargetRecord, ...]
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    baselines: Baselines | None
    rounds: tuple[Round, ...]
    footer: Footer | None

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its own end."""
        return self.footer is not None and self.footer.outcome == "complete"


class Collection:
    """Records as they come, of each thing the last one. Feed it a header first."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.footer: Footer | None = None
        self._targets: dict[str, TargetRecord] = {}
        self._cells: dict[tuple[str, str, int], Cell] = {}
        self._curves: dict[tuple[str, str], Curve] = {}
        self._baselines: Baselines | None = None
        self._rounds: list[Round] = []

    @property
    def cell_count(self) -> int:
        """How many cells there are."""
        return len(self._cells)

    def add(self, record: Record) -> None:
        """Take a record; it replaces an earlier one about the same thing."""
        match record:
            case Header():
                self.header = record
            case TargetRecord():
                self._targets[record.target] = record
            case Cell():
                self._cells[record.target, record.op, record.batch_size] = record
            case Curve():
                self._curves[record.target, record.op] = record
            case Baselines():
                self._baselines = record
            case Round():
                self._rounds.append(record)
            case Footer():
                self.footer = record

    def results(self) -> Results | None:
        """All that came; None before the header."""
        if self.header is None:
            return None
        return Results(
            header=self.header,
            targets=tuple(self._targets.values()),
            cells=tuple(self._cells.values()),
            curves=tuple(self._curves.values()),
            baselines=self._baselines,
            rounds=tuple(self._rounds),
            footer=self.footer,
        )


def encode_record(record: Record) -> bytes:
    """One record as a line of JSON, newline included."""
    return msgspec.json.encode(record) + b"\n"


def results_schema() -> bytes:
    """The JSON Schema of one line of a results file, as indented JSON with a newline at its end."""
    (reference,), components = msgspec.json.schema_components(
        [Record], ref_template="#/$defs/{name}"
    )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"One line of a kvbench results file ({SCHEMA})",
        **reference,
        "$defs": components,
    }
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def read_results(path: Path) -> Results:
    """Read a results file. Its texts are fit to be shown, whoever wrote it.

    A last line that was cut off is left out: the file then has no footer, which is how an
    interrupted run looks anyway.

    Raises:
        ResultsError: the file cannot be read, is empty, has a damaged line or a record out of its
            place (named by line number), has no header first, or is of a schema or holds a type of
            record that this version does not know.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ResultsError(str(path), 0, f"cannot be read: {error.strerror}") from None
    if not content.strip():
        raise ResultsError(str(path), 0, "is empty: the run ended before it wrote its header")
    collection = Collection()
    for number, record in _records(path, content):
        if collection.footer is not None:
            raise ResultsError(str(path), number, "a record after the footer; are these two runs?")
        if record is None:
            break
        if isinstance(record, Header) and collection.header is not None:
            raise ResultsError(str(path), number, "a second header; are these two runs?")
        if not isinstance(record, Header) and collection.header is None:
            raise ResultsError(str(path), number, _NO_HEADER)
        collection.add(record)
        if isinstance(record, Footer):
            _check_count(path, number, record, collection.cell_count)
    results = collection.results()
    if results is None:
        raise ResultsError(str(path), 1, _NO_HEADER)
    return results


def _check_count(path: Path, number: int, footer: Footer, count: int) -> None:
    if footer.cells != count:
        problem = f"the footer counts {footer.cells} cells, the file has {count}: lines are missing"
        raise ResultsError(str(path), number, problem)


def _records(path: Path, content: bytes) -> Iterator[tuple[int, Record | None]]:
    """The records with their line numbers; None stands for a last line that was cut off."""
    decoder = msgspec.json.Decoder(Record)
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = clean(decode(decoder.decode, line))
        except ValueError as error:
            # Every line is written with its newline, so what follows the last one can be half a
            # line: then it is no JSON. JSON of the wrong shape is whole, and wrong.
            if number == len(lines) and not isinstance(error, msgspec.ValidationError):
                yield number, None
                return
            raise ResultsError(str(path), number, _explain(line, error)) from None
        if isinstance(record, Header) and record.schema != SCHEMA:
            raise ResultsError(str(path), number, _explain_schema(record.schema))
        yield number, record


class _Opening(msgspec.Struct, frozen=True):
    """What any record of any version has: enough to say why it cannot be read."""

    type: str = ""
    schema: str = ""


def _explain(line: bytes, error: Exception) -> str:
    """Why a line cannot be read, in the user's words where they can be found."""
    try:
        opening = decode(msgspec.json.Decoder(_Opening).decode, line)
    except ValueError:
        return f"damaged: {error}"
    if opening.type == "header" and opening.schema != SCHEMA:
        return _explain_schema(opening.schema)
    if opening.type not in _RECORD_TYPES:
        known = ", ".join(_RECORD_TYPES)
        return f"a record of type {opening.type!r}; this version of kvbench knows {known}"
    return f"damaged: {error}"


def _explain_schema(schema: str) -> str:
    return f"schema {schema!r}; this version of kvbench reads {SCHEMA!r}"
