"""A comparison for programs: one JSON object for each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from kvbench.compare.comparison import Comparison

SCHEMA = "kvbench-comparison/1"
"""Changes when a reader of the old form would misread the new one."""


def render_comparison_json(comparisons: Sequence[Comparison], gate: Mapping[str, object]) -> str:
    """Indented JSON, with a newline at the end.

    Args:
        comparisons: of each head.
        gate: its threshold and outcome; empty without one.
    """
    content = {"schema": SCHEMA, "gate": dict(gate), "comparisons": list(comparisons)}
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
