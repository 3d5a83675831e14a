"""Results as records: what a run writes, line by line, and what every report reads.

A results file is JSON Lines: one header, then a ``target`` record when a target was opened and a
``cell`` record when a cell was finished, in the order in which they came, and a footer at the end.
Each line is complete when it is written, so an interrupted run keeps what it finished; a file
without a footer is exactly that, and readers say so. A process that is killed may leave half a line
at the end: it is dropped. Damage anywhere else is an error, because nobody can tell what it hides.

Times are nanoseconds, rates are keys per second (never "ops"), and every estimate carries its 95%
interval. Cells keep their block samples, so that another analysis can be made of the same run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from kvbench.decoding import decode
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean

SCHEMA = "kvbench-results/1"
"""Changes when a reader of the old form would misread the new one."""

_RECORD_TYPES = ("header", "target", "cell", "footer")
_NO_HEADER = "no header: this is not a kvbench results file, or its first line is missing"


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its 95% interval."""

    estimate: float
    low: float
    high: float


class Rate(msgspec.Struct, frozen=True):
    """One arm's speed: median over blocks.

    Attributes:
        keys_per_s: keys per second.
        ns_per_key: nanoseconds per key; for a batch this is amortised time, not a latency.
        call_ns_median: time of one call, a single operation or a whole batch: the mean within
            each block, the median over blocks.
    """

    keys_per_s: float
    ns_per_key: float
    call_ns_median: float


class Samples(msgspec.Struct, frozen=True):
    """Nanoseconds per key of each block, in the order of the blocks."""

    individual: list[float]
    batch: list[float]


class Header(msgspec.Struct, frozen=True, tag_field="type", tag="header"):
    """First line: what was asked for, and on what machine.

    Attributes:
        schema: :data:`SCHEMA`.
        started_at: ISO 8601, UTC.
        command: the command line.
        settings: the options that the run resolved to.
        environment: machine, versions, load: name to value.
        suite: name of a predefined suite, or empty.
        reference: earlier figures to show beside these, as the suite defines them.
        floors: what the harness itself costs; see :class:`Floors`.
    """

    schema: str
    started_at: str
    command: str
    settings: dict[str, Any]
    environment: dict[str, Any]
    suite: str = ""
    reference: Reference | None = None
    floors: Floors | None = None


class Reference(msgspec.Struct, frozen=True):
    """Figures of an earlier report, printed in a column of their own.

    Attributes:
        name: what the column is called.
        note: how they differ from ours: machine, method.
        engine_speedup: op -> batch size (as text) -> batch over individual, in process.
        engine_keys_per_s: op -> batch size -> keys per second, in process.
        network_keys_per_s: op -> batch size -> keys per second, over TCP.
        network_speedup: op -> batch size -> batch over individual, over TCP.
        network_individual_keys_per_s: op -> batch size -> keys per second of single calls.
        network_batch_keys_per_s: op -> batch size -> keys per second of the batch calls that
            ``network_speedup`` compares with those single calls, where a report measured them
            apart from ``network_keys_per_s``.
    """

    name: str
    note: str
    engine_speedup: dict[str, dict[str, float]]
    engine_keys_per_s: dict[str, dict[str, float]]
    network_keys_per_s: dict[str, dict[str, float]]
    network_speedup: dict[str, dict[str, float]]
    network_individual_keys_per_s: dict[str, dict[str, float]]
    network_batch_keys_per_s: dict[str, dict[str, float]] = {}


class Floors(msgspec.Struct, frozen=True):
    """What no figure can be better than, measured in the same run; median nanoseconds.

    Attributes:
        timer_ns: one reading of the clock.
        loop_ns_per_call: calling a backend that does nothing (``null://``).
        loopback_round_trip_ns: one byte to an echo server on loopback and back.
        keep_awake: whether the cores were kept from sleeping.
    """

    timer_ns: float
    loop_ns_per_call: float
    loopback_round_trip_ns: float
    keep_awake: bool


class Target(msgspec.Struct, frozen=True, tag_field="type", tag="target"):
    """A target that was opened.

    Attributes:
        target: its URL as given; passwords are masked.
        is_network: whether calls leave the process.
        facts: what the backend tells of the store: product, version, codec.
        noise: speedup of the individual arm over itself: how far from 1 chance alone leads.
        noise_op: the operation and batch size at which ``noise`` was measured, e.g. ``mget/100``.
    """

    target: str
    is_network: bool
    facts: dict[str, str]
    noise: Interval | None = None
    noise_op: str = ""


class Cell(msgspec.Struct, frozen=True, tag_field="type", tag="cell", kw_only=True):
    """One finished cell: an operation at a batch size on a target.

    A cell that has no number says why in ``reason``; its figures are None then.

    Attributes:
        target: URL as given.
        op: ``mget``, ``mset``, ``mdel`` or ``mexists``.
        batch_size: keys in one batch call.
        batch_kind: native, pipelined, transaction or emulated.
        speedup: per-key time of individual over batch.
        individual: speed of single calls.
        batch: speed of batch calls.
        blocks: paired repetitions.
        samples: the blocks themselves.
        drift: half of the control lane's 10-90% spread over its median (0.05 = 5%).
        is_stable: False when the machine changed speed under the measurement (drift over 5%).
        client_cpu: share of one core that this process used while measuring, 0 to 1.
        reason: why there is no number; empty when there is one.
    """

    target: str
    op: str
    batch_size: int
    batch_kind: str
    speedup: Interval | None = None
    individual: Rate | None = None
    batch: Rate | None = None
    blocks: int = 0
    samples: Samples | None = None
    drift: float = 0.0
    is_stable: bool = True
    client_cpu: float = 0.0
    reason: str = ""


class Footer(msgspec.Struct, frozen=True, tag_field="type", tag="footer"):
    """Last line, written when a run ends by itself, by Ctrl-C or because a target was lost.

    Attributes:
        outcome: ``complete``, or ``interrupted``.
        elapsed_s: seconds that the run took.
        cells: how many cell records came before.
        load_after: the machine's 1-minute load average at the end.
        reason: why the run ended early: Ctrl-C, or the target that was lost; else empty.
    """

    outcome: Literal["complete", "interrupted"]
    elapsed_s: float
    cells: int
    load_after: float = 0.0
    reason: str = ""


Record = Header | Target | Cell | Footer


@dataclass(frozen=True, slots=True)
class Results:
    """A results file, read. ``footer`` is None when the run was cut off."""

    header: Header
    targets: tuple[Target, ...]
    cells: tuple[Cell, ...]
    footer: Footer | None

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its own end."""
        return self.footer is not None and self.footer.outcome == "complete"


def encode_record(record: Record) -> bytes:
    """One record as a line of JSON, newline included."""
    return msgspec.json.encode(record) + b"\n"


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
    header: Header | None = None
    footer: Footer | None = None
    targets: list[Target] = []
    cells: list[Cell] = []
    for number, record in _records(path, content):
        if footer is not None:
            raise ResultsError(str(path), number, "a record after the footer; are these two runs?")
        if header is None and not isinstance(record, Header):
            raise ResultsError(str(path), number, _NO_HEADER)
        match record:
            case Header() if header is not None:
                raise ResultsError(str(path), number, "a second header; are these two runs?")
            case Header():
                header = record
            case Target():
                targets.append(record)
            case Cell():
                cells.append(record)
            case Footer():
                footer = record
                _check_count(path, number, record, len(cells))
    assert header is not None  # The content is not blank, and any first record but it was refused.
    return Results(header, tuple(targets), tuple(cells), footer)


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
