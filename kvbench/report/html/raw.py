"""The raw data of a page, as a link that holds them: a ``data:`` URI (RFC 2397)."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass

from kvbench.results import Results, encode_record
from kvbench.results.file import Record

PLAIN_BYTES_MAX = 60_000
"""Larger data are compressed: rounds and histograms are long."""

LINK_BYTES_MAX = 200_000
"""A larger link is left out, so that a page can be sent by mail."""


@dataclass(frozen=True, slots=True)
class RawData:
    """The data that a page's figures come from.

    Attributes:
        name: of the file to save.
        uri: the link; empty if the data are too large for a page.
        size: for readers.
        about: what can be done with it, or why there is no link.
    """

    name: str
    uri: str
    size: str
    about: str


def results_data(results: Results) -> RawData:
    """A results file, with the last record of each thing."""
    records: list[Record] = [
        results.header,
        *results.targets,
        *results.cells,
        *results.curves,
        *results.loads,
        *results.capacities,
        *([] if results.baselines is None else [results.baselines]),
        *results.rounds,
        *([] if results.footer is None else [results.footer]),
    ]
    content = b"".join(map(encode_record, records))
    return _link("results.jsonl", content, "`kvbench report` and `kvbench compare` read it")


def json_data(name: str, content: str) -> RawData:
    """A JSON document."""
    return _link(name, content.encode(), "one JSON object")


def _link(name: str, content: bytes, about: str) -> RawData:
    kind = "application/json"
    if len(content) > PLAIN_BYTES_MAX:
        # No time stamp: the same results give the same page.
        content = gzip.compress(content, mtime=0)
        name, kind, about = f"{name}.gz", "application/gzip", f"unpacked, {about}"
    uri = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    if len(uri) > LINK_BYTES_MAX:
        return without_link(name)
    return RawData(name, uri, f"{max(1, len(content) // 1000):,} kB", about)


def without_link(name: str) -> RawData:
    """What a page says that has no room for its data."""
    why = "The raw data are too large for this page: keep the file that `--output` wrote."
    return RawData(name, "", "", why)
