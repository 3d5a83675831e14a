"""Results as records: written by a run, line by line, and read by every report.

``records`` the types of the lines · ``file`` reading and writing them.
"""

from kvbench.results.file import (
    Collection,
    Results,
    encode_record,
    read_results,
    results_schema,
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
    Record,
    Round,
    TargetRecord,
    TwoGroups,
)

__all__ = [
    "HEADLINE",
    "SCHEMA",
    "ArmFigures",
    "Baselines",
    "Cell",
    "Collection",
    "Curve",
    "Figure",
    "Footer",
    "Header",
    "Misfit",
    "Record",
    "Results",
    "Round",
    "TargetRecord",
    "TwoGroups",
    "encode_record",
    "read_results",
    "results_schema",
]
