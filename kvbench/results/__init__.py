"""Results as records: written by a run, line by line, and read by every report.

``records`` and ``load_records`` the types of the lines · ``file`` reading and writing them ·
``pytest_benchmark`` reading the JSON of that tool.
"""

from kvbench.results.file import (
    Collection,
    Record,
    Results,
    encode_record,
    read_results,
    results_schema,
)
from kvbench.results.load_records import (
    CapacityRecord,
    HistogramCounts,
    Latency,
    LoadRecord,
    RatePoint,
    Timeline,
)
from kvbench.results.records import (
    HEADLINE,
    SCHEMA,
    ArmFigures,
    Baselines,
    Cell,
    Curve,
    Figure,
    Footer,
    Header,
    Misfit,
    Round,
    TargetRecord,
    Timing,
    TwoGroups,
)

__all__ = [
    "HEADLINE",
    "SCHEMA",
    "ArmFigures",
    "Baselines",
    "CapacityRecord",
    "Cell",
    "Collection",
    "Curve",
    "Figure",
    "Footer",
    "Header",
    "HistogramCounts",
    "Latency",
    "LoadRecord",
    "Misfit",
    "RatePoint",
    "Record",
    "Results",
    "Round",
    "TargetRecord",
    "Timeline",
    "Timing",
    "TwoGroups",
    "encode_record",
    "read_results",
    "results_schema",
]
