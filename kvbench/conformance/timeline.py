"""A concurrent history as text: one line for each operation, its bar from call to return.

The bars are drawn to order, not to scale: calls and returns are spread evenly, so that what
overlaps can be seen however short it was. The times in front of them are real.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kvbench.conformance.linearizability import Operation
from kvbench.conformance.model import shown

WIDTH = 100
"""Columns: what a terminal and a bug tracker show without wrapping."""

_LABEL = 50
_BAR = WIDTH - _LABEL - 15


def timeline(operations: Sequence[Operation], left_out: int = 0) -> str:
    """The history in lines of at most :data:`WIDTH` columns, by the times of the calls.

    Args:
        operations: at least one.
        left_out: operations that are not shown; a line says so.
    """
    ordered = sorted(operations, key=lambda one: one.call_ns)
    began_ns = ordered[0].call_ns
    instants = sorted(
        {time for one in ordered for time in (one.call_ns, one.return_ns) if time < math.inf}
    )
    place = {
        time: index * (_BAR - 1) // max(1, len(instants) - 1) for index, time in enumerate(instants)
    }
    lines = [f"{'µs':>9}  {'by':<3}{'operation -> answer'}"]
    for one in ordered:
        at_us = (one.call_ns - began_ns) / 1000
        label = f"{one.action} -> {shown(one.result) if one.is_complete else 'no answer'}"
        if len(label) > _LABEL - 1:
            label = f"{label[: _LABEL - 4]}..."
        start = place[one.call_ns]
        bar = "-" * (_BAR - start - 1) + ">"
        if one.is_complete:
            bar = "-" * (place[one.return_ns] - start) + "|"
        line = f"{at_us:9.0f}  {one.process:<3}{label:<{_LABEL}} {' ' * start}|{bar[1:]}"
        lines.append(line.rstrip())
    if left_out:
        lines.append(f"{left_out} more on these keys, which would not explain it, are left out")
    return "\n".join(lines)
