"""An entry of a history: what is kept of a results file.

Its figures are those that ``kvbench compare`` compares, under the same names, with their rounds.
The header stays whole: it says on which machine and with which settings they were measured.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kvbench.compare.readings import Measure, Reading, readings
from kvbench.decoding import decode
from kvbench.errors import ResultsError
from kvbench.foreign_text import clean
from kvbench.results import Figure, Header, read_results

SCHEMA = "kvbench-history/1"
"""Changes when a reader of the old form would misread the new one."""

ID_CHARS = 12
"""Enough of an entry's digest to name it: two of a million entries agree with a chance of 0.2%."""


class StoredReading(msgspec.Struct, frozen=True):
    """A figure of an entry.

    Attributes:
        target: the target's name in its file.
        name: the cell or lane.
        measure: what it is.
        figure: with its interval and rounds.
        is_stable: False if other work may have changed it by more than its interval.
    """

    target: str
    name: str
    measure: Measure
    figure: Figure
    is_stable: bool = True

    @property
    def key(self) -> tuple[str, str, Measure]:
        """What identifies it in its entry, and in a history."""
        return self.target, self.name, self.measure


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A results file in a history.

    Attributes:
        schema: :data:`SCHEMA`.
        digest: SHA-256 of the file's content, in hexadecimal: the same file is the same entry.
        added_at: ISO 8601, UTC.
        commit: what was measured; may be empty.
        header: of the file: date, command, settings, machine and versions.
        facts: what each target's store reported of itself.
        is_complete: whether the run was completed.
        readings: its figures.
    """

    schema: str
    digest: str
    added_at: str
    commit: str
    header: Header
    facts: dict[str, dict[str, str]]
    is_complete: bool
    readings: list[StoredReading]

    @property
    def id(self) -> str:
        """A short name."""
        return self.digest[:ID_CHARS]

    @property
    def started(self) -> datetime:
        """When the run began, in UTC."""
        return _moment(self.header.started_at)


def read_entry(path: Path, commit: str | None = None) -> HistoryEntry:
    """What a history keeps of a results file.

    Args:
        path: of the file.
        commit: what was measured; None for the revision of kvbench's checkout in the file, if any.

    Raises:
        ResultsError: it cannot be read, has no date, or no figure that a history can keep.
    """
    results = read_results(path)
    header = results.header
    try:
        _moment(header.started_at)
    except ValueError:
        reason = f"its date is {header.started_at!r}, which is not ISO 8601"
        raise ResultsError(str(path), 1, reason) from None
    found = [_stored(one) for one in readings(results) if one.figure is not None]
    if not found:
        raise ResultsError(str(path), 0, "it has no figures: there is nothing to keep")
    return HistoryEntry(
        schema=SCHEMA,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=clean(str(header.environment.get("git", "")) if commit is None else commit),
        header=header,
        facts={one.target: one.facts for one in results.targets},
        is_complete=results.is_complete,
        readings=found,
    )


def encode_entry(entry: HistoryEntry) -> bytes:
    """An entry as one line of JSON."""
    return msgspec.json.encode(entry) + b"\n"


def decode_entry(content: bytes) -> HistoryEntry:
    """An entry from JSON. Its texts are safe to show, whatever their origin.

    Raises:
        ValueError: it is damaged, or of another schema.
    """
    entry = clean(decode(msgspec.json.Decoder(HistoryEntry).decode, content))
    if entry.schema != SCHEMA:
        raise ValueError(f"schema {entry.schema!r}; this version of kvbench reads {SCHEMA!r}")
    _moment(entry.header.started_at)
    return entry


def _stored(reading: Reading) -> StoredReading:
    assert reading.figure is not None
    return StoredReading(
        reading.target, reading.name, reading.measure, reading.figure, reading.is_stable
    )


def _moment(text: str) -> datetime:
    """A date as of ISO 8601; UTC where it names no zone."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
