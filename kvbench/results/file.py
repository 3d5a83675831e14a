"""A results file: JSON Lines, with a header first and a footer last.

A later record about the same thing replaces an earlier one: a cell is written again after each
round, with a narrower interval. So each line is complete, and an interrupted run keeps the results
of its finished rounds. A file without a footer was cut off, and readers report that. A killed
process may leave half a line at the end: it is dropped. Damage anywhere else is an error, because
it may hide anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec

from kvbench.decoding import decode, with_clean_descriptions
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean
from kvbench.results.load_records import CapacityRecord, LoadRecord
from kvbench.results.records import (
    SCHEMA,
    Baselines,
    Cell,
    Curve,
    Footer,
    Header,
    Round,
    TargetRecord,
    Timing,
)

Record = (
    Header | TargetRecord | Cell | Curve | LoadRecord | CapacityRecord | Baselines | Round | Footer
)
"""One line of a results file."""

_NO_HEADER = "no header: this is not a kvbench results file, or its first line is missing"
_RECORD_TYPES = tuple([str(one.__struct_config__.tag) for one in get_args(Record)])


@dataclass(frozen=True, slots=True)
class Results:
    """A results file: the last record of each thing. ``footer`` is None if it was cut off.

    Targets, cells, curves and lanes of load are in the order in which they first occurred. Only
    the JSON of another tool has timings.
    """

    header: Header
    targets: tuple[TargetRecord, ...]
    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...]
    baselines: Baselines | None
    rounds: tuple[Round, ...]
    footer: Footer | None
    loads: tuple[LoadRecord, ...] = ()
    capacities: tuple[CapacityRecord, ...] = ()
    timings: tuple[Timing, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the run was completed."""
        return self.footer is not None and self.footer.outcome == "complete"


class Collection:
    """Collects records, keeping the last one of each thing. The header comes first."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.footer: Footer | None = None
        self._targets: dict[str, TargetRecord] = {}
        self._cells: dict[tuple[str, str, int], Cell] = {}
        self._curves: dict[tuple[str, str], Curve] = {}
        self._loads: dict[tuple[str, str, int, int, int], LoadRecord] = {}
        self._capacities: dict[tuple[str, str, int, int], CapacityRecord] = {}
        self._baselines: Baselines | None = None
        self._rounds: list[Round] = []

    @property
    def cell_count(self) -> int:
        """Number of cells, lanes of load included."""
        return len(self._cells) + len(self._loads) + len(self._capacities)

    def add(self, record: Record) -> None:
        """Add a record; it replaces an earlier one about the same thing."""
        match record:
            case Header():
                self.header = record
            case TargetRecord():
                self._targets[record.target] = record
            case Cell():
                self._cells[record.target, record.op, record.batch_size] = record
            case Curve():
                self._curves[record.target, record.op] = record
            case LoadRecord(target=target, arm=arm, batch_size=size, pipeline=depth):
                self._loads[target, arm, size, depth, record.batch_window_ns] = record
            case CapacityRecord(target=target, arm=arm, batch_size=size, pipeline=depth):
                self._capacities[target, arm, size, depth] = record
            case Baselines():
                self._baselines = record
            case Round():
                self._rounds.append(record)
            case Footer():
                self.footer = record

    def _rank(self, record: LoadRecord | CapacityRecord) -> int:
        """The place of a record's target: a lane without a result is known before the others."""
        targets = list(self._targets)
        return targets.index(record.target) if record.target in self._targets else len(targets)

    def results(self) -> Results | None:
        """All records; None before the header."""
        if self.header is None:
            return None
        return Results(
            header=self.header,
            targets=tuple(self._targets.values()),
            cells=tuple(self._cells.values()),
            curves=tuple(self._curves.values()),
            loads=tuple(sorted(self._loads.values(), key=self._rank)),
            capacities=tuple(sorted(self._capacities.values(), key=self._rank)),
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
    schema = with_clean_descriptions(schema)
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


def read_results(path: Path) -> Results:
    """Read a results file. Its texts are safe to show, whatever their origin.

    A last line that was cut off is ignored: the file then has no footer, as after an
    interruption.

    Raises:
        ResultsError: the file cannot be read, is empty, has a damaged or misplaced line (named by
            its number), has no header, or has a schema or type of record that this version does
            not know.
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
    """The records with their line numbers; None for a last line that was cut off."""
    decoder = msgspec.json.Decoder(Record)
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = clean(decode(decoder.decode, line))
        except ValueError as error:
            # Every line ends with a newline, so text after the last one may be half a line:
            # then it is not JSON. JSON of the wrong shape is a complete, wrong line.
            if number == len(lines) and not isinstance(error, msgspec.ValidationError):
                yield number, None
                return
            raise ResultsError(str(path), number, _explain(line, error)) from None
        if isinstance(record, Header) and record.schema != SCHEMA:
            raise ResultsError(str(path), number, _explain_schema(record.schema))
        yield number, record


class _Opening(msgspec.Struct, frozen=True):
    """The fields of any record of any version: enough to say why it cannot be read."""

    type: str = ""
    schema: str = ""


def _explain(line: bytes, error: Exception) -> str:
    """Why a line cannot be read, for the user."""
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
