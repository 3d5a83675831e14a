"""A history for programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kvbench.history.entry import HistoryEntry
from kvbench.history.trend import FigureTrend

SCHEMA = "kvbench-trend/1"
"""Changes when a reader of the old form would misread the new one."""


def render_entries_json(entries: Sequence[HistoryEntry]) -> str:
    """Whole entries as a JSON list, with a newline at the end."""
    return _written(list(entries))


def render_trend_json(found: Sequence[FigureTrend]) -> str:
    """Trends: each figure with its points and changes; points name entries by their digests."""
    figures = [
        {
            "target": one.target,
            "name": one.name,
            "measure": one.measure,
            "left_out": one.left_out,
            "points": [
                {
                    "entry": point.entry.digest,
                    "started_at": point.entry.header.started_at,
                    "commit": point.entry.commit,
                    "figure": point.reading.figure,
                    "is_stable": point.reading.is_stable,
                }
                for point in one.points
            ],
            "changes": list(one.changes),
        }
        for one in found
    ]
    return _written({"schema": SCHEMA, "figures": figures})


def _written(content: object) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
