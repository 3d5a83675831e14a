"""Results for github-action-benchmark, which draws charts of commits on a page.

Its tools ``customBiggerIsBetter`` and ``customSmallerIsBetter`` read a list of named figures; one
file cannot mix both, so rates and times are two formats.
"""

from __future__ import annotations

import msgspec

from kvbench.compare.readings import Measure, readings
from kvbench.errors import UsageError
from kvbench.report.format import half_width
from kvbench.results import Results

_UNITS = {
    Measure.SPEEDUP: "times",
    Measure.KEYS_PER_S: "keys/s",
    Measure.CALL_NS: "ns",
    Measure.P99: "ns",
    Measure.CAPACITY: "keys/s",
}


def render_action_benchmark(results: Results, *, of_times: bool) -> str:
    """A JSON list of figures with a newline at the end.

    Args:
        results: of a run.
        of_times: figures of which less is better; else those of which more is.

    Raises:
        UsageError: there is no such figure; the tool rejects an empty list.
    """
    found = [
        {
            "name": f"{one.target} {one.name} {one.measure}",
            "unit": _UNITS[one.measure],
            "value": one.figure.estimate,
            "range": half_width(one.figure),
            "extra": f"rounds: {len(one.figure.rounds)}\nkvbench of {results.header.started_at}",
        }
        for one in readings(results)
        if one.figure is not None and one.measure.is_time is of_times
    ]
    if not found:
        raise UsageError("the file has no figure for this format")
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
