"""The latencies of a load run as a HdrHistogram log, for plotters and other tools."""

from __future__ import annotations

from datetime import datetime

from kvbench.errors import UsageError
from kvbench.hdr_log import hdr_log
from kvbench.histogram import Histogram
from kvbench.report.load_tables import lane_name
from kvbench.results import Results


def render_hdr_log(results: Results) -> str:
    """A log with a histogram for each target, lane and kind of latency; its tag names them.

    Raises:
        UsageError: the results have no latencies.
    """
    histograms = {
        f"{load.target}_{lane_name(load)}_{kind}": Histogram.from_counts(latency.histogram)
        for load in results.loads
        for kind, latency in load.latency.items()
    }
    if not histograms:
        raise UsageError("no latencies: `kvbench load --output` writes results that have them")
    try:
        started_at_s = datetime.fromisoformat(results.header.started_at).timestamp()
    except ValueError:
        started_at_s = 0.0
    elapsed_s = results.footer.elapsed_s if results.footer else 0.0
    return hdr_log(histograms, elapsed_s=elapsed_s, started_at_s=started_at_s)
