"""Results as records: what a run writes, line by line, and what every report reads.

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
    Cell,
    Curve,
    Figure,
    Floors,
    Footer,
    Header,
    Misfit,
    Record,
    Round,
    Target,
    TwoGroups,
)

__all__ = [
    "HEADLINE",
    "SCHEMA",
    "ArmFigures",
    "Cell",
    "Collection",
    "Curve",
    "Figure",
    "Floors",
    "Footer",
    "Header",
    "Misfit",
    "Record",
    "Results",
    "Round",
    "Target",
    "TwoGroups",
    "encode_record",
    "read_results",
    "results_schema",
]
